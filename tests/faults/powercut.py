"""What a disk may hold after the power failed: rebuilt from what a program did to its files.

``disk.c``, preloaded, has recorded every change with its bytes, and every sync. A change to a file
may be on the disk page by page, in any order, from when it is made, and is for certain after a sync
of that file; a name in a directory likewise, after a sync of that directory. Nothing else is
promised (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014), so any subset of what
was not synced is a state that a program must be able to start from.
"""

import os
import random
import re
import struct
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

PAGE = 4096
SAMPLED = re.compile(r"history\.index")
"""Files of which there are very many pages: not each is left out alone, but many at random."""

_HEAD = struct.Struct("=IIQQqII")


@lru_cache
def library(place: Path) -> Path:
    """Compile the disk between a program and its real one, in the directory ``place``."""
    made = place / "disk.so"
    source = Path(__file__).with_name("disk.c")
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(made)]
    subprocess.run([*command, str(source), "-ldl"], check=True)
    return made


def between(place: Path, data: Path, **more: Path | str) -> dict[str, str]:
    """Return the environment that puts the disk between a program and the directory ``data``."""
    settings = {f"DISK_{name.upper()}": str(value) for name, value in more.items()}
    return {"LD_PRELOAD": str(library(place)), "DISK_ROOT": os.path.realpath(data), **settings}


@dataclass(slots=True)
class Step:
    """One thing the program did. ``op`` is disk.c's letter."""

    op: str
    parent: int
    inode: int
    offset: int
    name: str
    other: str
    data: bytes


def steps(trace: Path) -> list[Step]:
    """Return what is recorded in ``trace``."""
    raw = trace.read_bytes()
    found: list[Step] = []
    at = 0
    while at < len(raw):
        op, length, parent, inode, offset, name, other = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        first, second = raw[at : at + name].decode(), raw[at + name : at + name + other].decode()
        at += name + other
        data = raw[at : at + length]
        found.append(Step(chr(op), parent, inode, offset, first, second, data))
        at += length
    return found


@dataclass(slots=True, eq=False)
class _File:
    """Its bytes on the disk for certain, and what was done to it since: an offset and the bytes
    that go there, or None, where it is cut to that size."""

    name: str
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Directory:
    """Its names for certain, and what was done since: which names go and what stands where."""

    durable: dict[str, "_File | _Directory"] = field(default_factory=dict)
    pending: list[tuple[str | None, str | None, "_File | _Directory | None"]] = field(
        default_factory=list
    )


Node = _File | _Directory
Piece = tuple[Node, int]
"""A change that may or may not have come to the disk: the how manieth of a file or directory."""


class Disk:
    """The disk under ``root``, all of which is durable at first."""

    def __init__(self, root: Path) -> None:
        self._nodes: dict[int, Node] = {}
        self._root = self._take(root)
        self.sent: list[bytes] = []

    def _take(self, path: Path) -> _Directory:
        directory = _Directory()
        for entry in path.iterdir():
            made: Node
            if entry.is_dir():
                made = self._take(entry)
            else:
                made = _File(entry.name, bytearray(entry.read_bytes()))
            self._nodes[entry.stat().st_ino] = directory.durable[entry.name] = made
        self._nodes[path.stat().st_ino] = directory
        return directory

    def do(self, step: Step) -> bool:
        """Take in what happened next. Tell whether the disk may be another than before."""
        node = self._nodes.get(step.inode)
        match step.op:
            case "S":
                self.sent.append(step.data)
                return False
            case "C" | "M":
                if step.offset == 0:  # no further name of an old file, but another
                    node = _File(step.name) if step.op == "C" else _Directory()
                    self._nodes[step.inode] = node
                assert node is not None
                self._directory(step.parent).pending.append((None, step.name, node))
            case "U":
                self._directory(step.parent).pending.append((step.name, None, None))
            case "R":
                directory = self._directory(step.parent)
                moved = _names(directory, range(len(directory.pending)))[step.name]
                directory.pending.append((step.name, step.other, moved))
            case "W":
                assert isinstance(node, _File)
                for at in _pages(step.offset, len(step.data)):
                    begin = at.start - step.offset
                    node.pending.append((at.start, step.data[begin : begin + len(at)]))
            case "T":
                assert isinstance(node, _File)
                node.pending.append((step.offset, None))
            case "F":
                if isinstance(node, _File):
                    node.durable = _content(node, range(len(node.pending)))
                elif isinstance(node, _Directory):
                    node.durable = _names(node, range(len(node.pending)))
                if node is not None:
                    node.pending = []
        return True

    def _directory(self, inode: int) -> _Directory:
        found = self._nodes[inode]
        assert isinstance(found, _Directory)
        return found

    def states(self, dice: random.Random, most: int) -> Iterator[frozenset[Piece]]:
        """Yield which pieces may be on the disk if the power fails now: none, all, all but one,
        one alone, and some at random; at most about so many."""
        nodes = {id(node): node for node in self._nodes.values()}.values()
        pieces = [(node, at) for node in nodes for at in range(len(node.pending))]
        yield frozenset()
        if not pieces:
            return
        everything = frozenset(pieces)
        yield everything
        few = [
            piece
            for piece in pieces
            if not (isinstance(piece[0], _File) and SAMPLED.match(piece[0].name))
        ]
        for piece in dice.sample(few, min(len(few), most // 3)):
            yield everything - {piece}
            yield frozenset([piece])
        for _ in range(most // 3):
            share = dice.random()
            yield frozenset(piece for piece in pieces if dice.random() < share)

    def build(self, pieces: frozenset[Piece], path: Path) -> None:
        """Make the files as they are with these pieces, in the empty directory ``path``."""
        self._build(self._root, pieces, path)

    def _build(self, directory: _Directory, pieces: frozenset[Piece], path: Path) -> None:
        for name, node in _names(directory, _of(directory, pieces)).items():
            if isinstance(node, _Directory):
                (path / name).mkdir()
                self._build(node, pieces, path / name)
            else:
                (path / name).write_bytes(_content(node, _of(node, pieces)))


def _of(node: Node, pieces: frozenset[Piece]) -> Sequence[int]:
    return [at for at in range(len(node.pending)) if (node, at) in pieces]


def _pages(offset: int, length: int) -> Iterator[range]:
    """Yield the parts of a write that each lie within one page of the file."""
    at, end = offset, offset + length
    while at < end:
        stop = min(end, (at // PAGE + 1) * PAGE)
        yield range(at, stop)
        at = stop


def _content(file: _File, kept: Sequence[int]) -> bytearray:
    content = bytearray(file.durable)
    last = {file.pending[number][0] // PAGE: number for number in kept if file.pending[number][1]}
    for number, (at, data) in enumerate(file.pending):
        # A page comes to the disk with all that had been written to it by then.
        if number > last.get(at // PAGE, -1) if data is not None else number not in kept:
            continue
        if len(content) < at:
            content += bytes(at - len(content))
        if data is None:
            del content[at:]
        else:
            content[at : at + len(data)] = data
    return content


def _names(directory: _Directory, kept: Sequence[int]) -> dict[str, Node]:
    names = dict(directory.durable)
    for number in kept:
        gone, here, node = directory.pending[number]
        if gone is not None:
            names.pop(gone, None)
        if here is not None:
            assert node is not None
            names[here] = node
    return names
