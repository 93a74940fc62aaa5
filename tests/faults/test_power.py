"""The power fails: whatever of the unsynced writes came to the disk, what was promised is there.

The real server runs over a disk that records what is done to it (``disk.c``); then the files are
made as a power cut at each point may have left them (``powercut``), and opened again.
"""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from framing.frames import FrameDecoder
from parley.server.index.index import Index
from tests.conftest import ROOT, ChatServer, Make
from tests.faults.powercut import Disk, between, steps
from tests.files.carrying import bring, sha256
from tests.parts.house import House
from tests.parts.test_log import said
from tests.server.test_rooms import ask
from tests.wire import Wire, frame, keys

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where thousands of states are opened that need no disk any more."""

FILES = {"plan.txt": b"what we do\n" * 500, "empty": b""}


LOG_ALONE = """
import socket, sys
from pathlib import Path
from framing.frames import encode_frame
from parley.server.log.log import Log
from parley.server.log.recovery import Recovery
from tests.parts.test_log import said

told, _ = socket.socketpair()
recovery = Recovery(Path(sys.argv[1]) / "history.json")
log = Log(recovery.files, recovery.position, "always")
for batch in range(5):
    if batch in (2, 4):
        log.rotate()
    for number in range(6):
        log.append(said(f"{batch} {number} " + "x" * number * 700))
    for stored in log.commit(0.0):
        told.send(encode_frame(b'{"purpose":"ok","seq":%d}' % stored.record.seq))
"""


class Recording:
    """What is done to ``data`` from when it is as it is now, over a disk that records it."""

    def __init__(self, data: Path, place: Path, **more: Path | str) -> None:
        self.place = place
        self.trace = place / "trace"
        self.disk = Disk(data)
        self.env = between(place, data, trace=self.trace, **more)

    def cuts(self, dice: random.Random, share: float, most: int) -> Iterator[str]:
        """Cut the power after a share of the changes, and start from at most about ``most`` states
        of the disk each time. Yield for each state what does not hold, nothing if all is well."""
        promises, tried = Promises(), set[str]()
        for number, step in enumerate(steps(self.trace)):
            changed = self.disk.do(step)
            promises.take(self.disk.sent)
            if not changed or dice.random() > share:
                continue
            for pieces in self.disk.states(dice, most):
                data = Path(tempfile.mkdtemp(prefix="cut-", dir=MEMORY))
                self.disk.build(pieces, data)
                state = f"{fingerprint(data)} {len(self.disk.sent)}"
                try:
                    if state not in tried:
                        tried.add(state)
                        promises.kept(data, go_on=len(tried) % 8 == 0)
                        yield ""
                except Exception as problem:  # noqa: BLE001 - whatever it is: no start from this state
                    bad = self.place / f"bad-{number}-{len(tried)}"
                    bad.mkdir()
                    self.disk.build(pieces, bad)
                    yield f"{bad.name}, {step.op} {step.name}: {type(problem).__name__} {problem}"
                finally:
                    shutil.rmtree(data)


class ServerRecording(Recording):
    """A server that does it. ``run`` it, again and again."""

    def __init__(self, server: ChatServer, place: Path, **more: Path | str) -> None:
        super().__init__(server.data, place, **more)
        self.server = server
        self._tokens: dict[str, str] = {}
        server.log = place / "stderr.log"
        server.env |= self.env

    def run(self, name: str) -> None:
        """Start, use all that writes - guests, messages alone and many in a tick, an account,
        a room, files - and end in good order."""
        server = self.server.start()
        ann, bob = server.wire(), server.wire()
        for nick, wire in (("ann", ann), (f"bob-{name}", bob)):
            token: dict[str, Any] = {"token": self._tokens[nick]} if nick in self._tokens else {}
            self._tokens |= {nick: wire.join(nick, bot=True, **token).get("token", "")}
        for number in range(3):
            ann.say(f"{name}, alone {number}")
        many(ann, name)
        ask(bob, "register", **keys("secret"))
        ask(bob, "enter", room="#lab")
        for file, data in FILES.items():
            bring(server, bob, f"{name}-{file}", data + name.encode())
        bob.say("to the room", "#lab")
        assert server.stop() == 0


def many(wire: Wire, name: str) -> None:
    """Say much at once, so that it is written in one tick over many pages; take all answers."""
    refs = [f"{name}-{number}" for number in range(40)]
    words = [" ".join(f"{name}w{n}x{i}" for i in range(n * 29 % 150)) for n in range(len(refs))]
    texts = [f"{ref} {more}" for ref, more in zip(refs, words, strict=True)]
    said = [{"purpose": "message", "ref": r, "text": t} for r, t in zip(refs, texts, strict=True)]
    wire.raw(b"".join(frame(json.dumps(one).encode()) for one in said))
    for ref in refs:
        wire.until("ok", ref=ref)


class Promises:
    """What the server has sent so far, as what must be there from then on."""

    def __init__(self) -> None:
        self.seqs: dict[int, str | None] = {}
        self.tokens: set[str] = set()
        self.accounts: set[str] = set()
        self.files: set[str] = set()
        self._taken = 0

    def take(self, sent: list[bytes]) -> None:
        """Look at what was sent since the last time."""
        for data in sent[self._taken :]:
            decoder = FrameDecoder()
            decoder.receive_data(data)
            while (body := decoder.next_body()) is not None:
                self._event(json.loads(body))
        self._taken = len(sent)

    def _event(self, event: dict[str, Any]) -> None:
        if event["purpose"] == "ok" and event.get("seq"):
            self.seqs.setdefault(event["seq"], None)
        elif event["purpose"] == "message":
            self.seqs[event["seq"]] = event["text"]
        elif event["purpose"] == "ok" and event.get("sha256"):
            self.files.add(event["sha256"])
        elif event["purpose"] == "welcome" and "token" in event:
            self.tokens.add(hashlib.sha256(event["token"].encode()).hexdigest())
        elif event["purpose"] == "presence" and event.get("account"):
            self.accounts.add(event["nick"])

    def kept(self, data: Path, go_on: bool) -> None:
        """Open the files as a start does, and assert that all that was promised is there."""
        house = House(data)
        shelf = house.chat.sharing.shelf
        shelf.recover()
        floor = house.index.floor
        records = {
            record["seq"]: record
            for path in [*sorted(data.glob("history-*.json")), data / "history.json"]
            for record in json.loads(path.read_text())
            if record["purpose"] != "dropped"
        }
        for seq, text in self.seqs.items():
            assert seq in records or seq <= floor, f"seq {seq} is gone"
            if text is not None and seq in records:
                assert records[seq]["text"] == text
        said_or_done = [seq for seq in sorted(records) if seq > floor]
        assert said_or_done == list(range(floor + 1, floor + 1 + len(said_or_done)))
        tokens = {record["token"] for record in records.values() if "token" in record}
        assert self.tokens <= tokens, "a guest's token is gone"
        there = {item.sha256 for item in shelf.after(None) if hashed(item.path) == item.sha256}
        assert self.files <= there, "a file is gone"
        assert {"alice", *(nick.lower() for nick in self.accounts)} <= set(house.accounts.keys)
        house.quiet()
        assert house.index.db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        pages = house.index.db.execute("SELECT count(*) FROM entry").fetchone()
        messages = [r for r in records.values() if r["purpose"] == "message" and r["seq"] > floor]
        assert pages[0] >= len(messages), "the index has not all"
        if go_on:
            house.log.append(said("after the cut"))
            [stored] = house.log.commit(0.0)
            assert stored.record.seq == floor + 1 + len(said_or_done)
        house.close()


def hashed(path: Path) -> str:
    return sha256(path.read_bytes())


def fingerprint(data: Path) -> str:
    """Return what two equal directories have in common and no others."""
    digest = hashlib.sha256()
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        name = path.relative_to(data)
        digest.update(f"{name} {path.stat().st_size} ".encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture
def record(make_server: Make, tmp_path: Path, demo_users: str) -> Any:
    """Return a recording of a server with these options."""

    def start(*options: str, **more: Path | str) -> ServerRecording:
        # The library in between sees what is sent by `send`, and nothing of a ring.
        server = make_server("--rate", "0", "--no-io-uring", *options)
        (server.data / "users.json").write_text(demo_users)
        return ServerRecording(server, tmp_path, **more)

    return start


KEPT = [("--keep", "24K"), ("--keep", "64K", "--drop")]


@pytest.mark.parametrize("keep", KEPT, ids=["closed", "dropped"])
def test_what_was_promised_outlives_a_power_cut(record: Any, keep: tuple[str, ...]) -> None:
    recording = record(*keep)
    for name in ("first", "second"):
        recording.run(name)
    found = list(recording.cuts(random.Random(7), 0.1, 6))
    bad = [wrong for wrong in found if wrong]
    assert not bad, f"{len(bad)} of {len(found)}: " + "\n".join(bad[:20])
    assert len(found) > 40


def test_the_log_alone_outlives_a_power_cut_at_each_of_its_changes(
    tmp_path: Path, demo_users: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "users.json").write_text(demo_users)
    recording = Recording(data, tmp_path)
    command = [sys.executable, "-c", LOG_ALONE, str(data)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, **recording.env}, check=True)
    found = list(recording.cuts(random.Random(7), 1.0, 18))
    bad = [wrong for wrong in found if wrong]
    assert not bad, f"{len(bad)} of {len(found)}: " + "\n".join(bad[:20])
    assert len(found) > 40


def test_a_disk_that_lies_about_syncs_is_found_out(record: Any) -> None:
    recording = record("--keep", "24K", lies="1")
    recording.run("first")
    found = list(recording.cuts(random.Random(7), 0.1, 3))
    assert any("is gone" in wrong for wrong in found), "this test would find no loss"


def test_an_index_that_is_open_again_is_not_taken_for_closed(tmp_path: Path) -> None:
    data, after_the_cut = tmp_path / "data", tmp_path / "history.index"
    data.mkdir()

    def known_after_a_cut() -> bool:
        """Tell whether the index is trusted on another boot, if nothing but its own file is left
        of it: what stands in the log beside it may be lost."""
        shutil.copy(data / "history.index", after_the_cut)
        index = Index(after_the_cut, "another boot")
        index.db.close()
        return index.checkpoint is not None

    house = House(data)
    house.log.append(said("first"))
    house.index.add(house.log.commit(0.0))
    house.close()
    assert known_after_a_cut()
    house = House(data)
    assert not known_after_a_cut()
    house.close()
    assert known_after_a_cut()
