"""Reading the small files that people have put there: accounts, options, secrets.

Whatever stands under such a name may be a pipe that nobody writes to, or a device without an
end: opening or reading it would stop everybody's chat, or the start, without a word.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

MOST: Final = 64 << 20
"""Bytes: over a hundred thousand accounts. A file that is longer is none of these."""


def read_regular(path: Path, most: int = MOST) -> bytes:
    """Return what stands in the file at ``path``.

    Raises ``OSError``: as usual, and if it is no regular file or has more than ``most`` bytes.
    Never waits for anything but the disk.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"longer than {most} bytes", str(path))
        return file.read(most)
