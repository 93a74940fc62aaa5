"""Names on this disk: what a path means, what may be shared, what is taken, and what is free."""

import itertools
from pathlib import Path
from typing import Final

from framing.filenames import NAME_BYTES, plain_name
from parley.client.files.disk import FileProblemError, open_regular

_SUFFIX: Final = 20  # bytes; what is longer is no suffix


def expanded(path: Path) -> Path:
    """Return ``path`` with the home it begins with. Raises ``FileProblemError``."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise FileProblemError(f"{path}: there is nobody of that name here") from None


def check_shareable(path: Path) -> None:
    """Make sure that this is a file, of a name that everybody can have it by.

    Raises ``OSError``, ``FileProblemError`` or ``FileNameError``.
    """
    open_regular(path).close()
    plain_name(path.name)


def taken(path: Path) -> bool:
    """Tell whether something has this name. Raises ``FileProblemError``."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise FileProblemError(f"{path.parent} is no folder") from None
    except PermissionError:
        text = f"cannot look into {path.parent}: choose another with --downloads"
        raise FileProblemError(text) from None
    except OSError as problem:
        raise FileProblemError(f"{path.parent}: {problem.strerror}") from None
    return True


def free_path(folder: Path, name: str) -> Path:
    """Return a path in ``folder`` that is free: of this name, or one with a number.

    Raises ``FileProblemError``.
    """
    path = folder / name
    stem, suffix = path.stem, path.suffix
    if len(suffix.encode()) > _SUFFIX:
        stem, suffix = name, ""
    for number in itertools.count(1):
        if not taken(path):
            break
        tail = f" ({number}){suffix}"
        room = NAME_BYTES - len(tail.encode())
        path = folder / f"{stem.encode()[:room].decode(errors='ignore')}{tail}"
    return path
