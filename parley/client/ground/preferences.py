"""What a person has chosen: read from ``client.conf`` and the command line, changed by ``/set``.

The file is the person's own: ``/set`` changes the one line it is about and leaves the rest,
comments too.
"""

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from parley.client.ground.store import StoreError, directory


@dataclass(frozen=True, slots=True)
class Choice:
    """Something to choose; the first of ``values`` is the default."""

    name: str
    values: tuple[str, ...]
    summary: str


CHOICES: Final = (
    Choice("theme", ("auto", "dark", "light"), "colours for any, a dark or a light background"),
    Choice(
        "alert",
        ("bell", "notice", "off"),
        "for private messages and your nick: a bell, a desktop notice, nothing",
    ),
    Choice("comings", ("on", "off"), "tell who comes and goes"),
    Choice("typing", ("on", "off"), "tell others that you are writing, and see it of them"),
    Choice("receipts", ("off", "on"), "let the other in a private conversation know what you read"),
    Choice("autoaway", ("off", "5", "15", "60"), "minutes without a key until you are away"),
    Choice("udp", ("off", "on"), "fetch and share files by QUIC over UDP, where that gets through"),
    Choice("keys", ("emacs", "vi"), "how one edits what one types"),
    Choice("mouse", ("on", "off"), "wheel and clicks for the chat; off: for the terminal"),
)

NAMED: Final = {choice.name: choice for choice in CHOICES}


def config_file() -> Path:
    """Return where the choices are kept."""
    return directory() / "client.conf"


class Preferences:
    """The choices in force, by name."""

    def __init__(self, chosen: dict[str, str] | None = None) -> None:
        self._chosen = {choice.name: choice.values[0] for choice in CHOICES} | (chosen or {})

    def __getitem__(self, name: str) -> str:
        return self._chosen[name]

    def set(self, name: str, value: str) -> None:
        """Choose, and remember it. Raises ``ValueError`` for what cannot be chosen, and
        ``StoreError``, after it is in force, if it cannot be remembered."""
        choice = NAMED.get(name)
        if choice is None:
            raise ValueError(f"there is nothing called {name} to set")
        if value not in choice.values:
            raise ValueError(f"{name} can be {', '.join(choice.values)}")
        self._chosen[name] = value
        _write(config_file(), name, value)

    def table(self) -> str:
        """Return all of them as text."""
        rows = []
        for choice in CHOICES:
            values = " ".join(f"[{v}]" if v == self[choice.name] else v for v in choice.values)
            rows.append((choice.name, values, choice.summary))
        columns = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{n:<{columns[0]}}  {v:<{columns[1]}}  {s}" for n, v, s in rows)


def _write(path: Path, name: str, value: str) -> None:
    """Set one line of a config file, which is replaced whole."""
    line = f"{name} = {value}"
    try:
        text = path.read_text() if path.exists() else ""
        found = re.compile(rf"(?m)^[ \t]*{re.escape(name)}[ \t]*([=:].*)?$")
        if found.search(text):
            text = found.sub(line, text)
        else:
            text = f"{text}{'' if not text or text.endswith(chr(10)) else chr(10)}{line}\n"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, new = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        with os.fdopen(fd, "w") as file:
            file.write(text)
        Path(new).replace(path)
    except (OSError, UnicodeDecodeError) as problem:
        raise StoreError(f"cannot write {path}: {problem}") from None
