"""kill -9 at each system call of whatever changes files: what was acknowledged is there, nothing
half is, and the server starts again by itself.

Here the calls that make something durable; each call: ``pytest -m long tests/faults/test_crash.py``
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import ChatServer, Make
from tests.faults.killing import FILES, calls_of, killed_at_each
from tests.files.carrying import bring, sha256
from tests.server.test_retention import closed, records
from tests.server.test_rooms import ask
from tests.wire import Wire, keys

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

Act = Callable[[], bool]


class Scene:
    """What is done again and again while the server is killed, and what must be true of it."""

    options: tuple[str, ...] = ()

    def __init__(self, server: ChatServer) -> None:
        self.server = server
        self.number = 0
        self.acknowledged: dict[str, int] = {}

    def prepare(self) -> Act:
        """Bring the server to where it begins, and return what is to be done then."""
        self.number += 1
        wire = self.server.wire()
        wire.join(f"n{self.number}", bot=True)
        return lambda: self.act(wire)

    def act(self, wire: Wire) -> bool:
        """Do it. Tell whether it was done to its end."""
        raise NotImplementedError

    def check(self) -> None:
        """Assert what must hold after each start."""
        found = records(self.server.data)
        seqs = [record["seq"] for record in found]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        stored = {r["text"]: r["seq"] for r in found if r["purpose"] == "message"}
        assert len(stored) == sum(r["purpose"] == "message" for r in found), "something is twice"
        for text, seq in self.acknowledged.items():
            assert stored.get(text, seq) == seq, f"{text[:9]} has another seq"
            assert text in stored or seq < seqs[0], (
                f"{text[:9]}: {seq} not in {seqs[0]}..{seqs[-1]}"
            )
        assert not list(self.server.data.glob("history.json.torn-*")), "a whole write was torn"

    def say(self, wire: Wire, text: str) -> None:
        """Say something, and know when it was acknowledged."""
        self.acknowledged[text] = wire.say(text)["seq"]


class Append(Scene):
    """Three messages in one tick."""

    def act(self, wire: Wire) -> bool:
        texts = [f"{self.number} {which}" for which in "abc"]
        said = [{"purpose": "message", "ref": text, "text": text} for text in texts]
        bodies = [json.dumps(one).encode() for one in said]
        wire.raw(b"".join(b"$%d%b$" % (len(body), body) for body in bodies))
        for text in texts:
            self.acknowledged[text] = wire.until("ok", ref=text)["seq"]
        return True


class Register(Scene):
    """A nick becomes an account: users.json is written."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(server)
        self.accounts: list[str] = []

    def act(self, wire: Wire) -> bool:
        nick = f"n{self.number}"
        if ask(wire, "register", **keys("secret"))["purpose"] != "ok":
            return False
        self.accounts.append(nick)
        return True

    def check(self) -> None:
        super().check()
        kept = json.loads((self.server.data / "users.json").read_text())
        assert set(self.accounts) <= set(kept) <= {f"n{n}" for n in range(1, self.number + 1)}
        assert all(entry["scram"].startswith("SCRAM-SHA-256$") for entry in kept.values())
        if self.accounts:
            wire = self.server.wire()
            assert wire.login(self.accounts[-1], "secret", bot=True)["purpose"] == "welcome"
            wire.close()


class Close(Scene):
    """history.json has grown long: it is closed under a number, and another begun."""

    options = ("--keep", "1K")

    def act(self, wire: Wire) -> bool:
        before = len(closed(self.server.data))
        self.say(wire, f"{self.number} " + "x" * 1000)
        while len(closed(self.server.data)) == before:
            if wire.quiet():
                return False
            time.sleep(0.01)
        self.say(wire, f"{self.number} goes on")
        return True


class Drop(Scene):
    """And the oldest of the closed files is dropped, but for what must outlive it."""

    options = ("--keep", "64K", "--drop")  # a file is closed at each eighth of it

    def __init__(self, server: ChatServer) -> None:
        super().__init__(server)
        self.rooms: set[str] = set()

    def act(self, wire: Wire) -> bool:
        room = f"#room{self.number}"
        if ask(wire, "enter", room=room)["purpose"] == "ok":
            self.rooms.add(room)
        oldest = closed(self.server.data)[:1]
        for which in range(100):
            self.say(wire, f"{self.number} {which} " + "x" * 1000)
            if oldest and closed(self.server.data)[:1] != oldest:
                return True
            oldest = oldest or closed(self.server.data)[:1]
        return False

    def check(self) -> None:
        super().check()
        wire = self.server.wire()
        wire.join("looks", bot=True)
        there: set[str] = set()
        page: dict[str, Any] = {"end": False}
        while not page["end"]:
            page = ask(wire, "rooms", after=max(there, default=""))
            there |= {room["room"] for room in page["rooms"]}
        assert self.rooms <= there
        wire.close()


class Bring(Scene):
    """A file is brought: synced by a process of its own, linked, told of."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(server)
        self.brought: dict[str, bytes] = {}
        self.shared: list[str] = []

    def act(self, wire: Wire) -> bool:
        name, data = f"file-{self.number}", f"what is in {self.number}\n".encode() * 999
        self.brought[name] = data
        if bring(self.server, wire, name, data).get("sha256") != sha256(data):
            return False
        self.shared.append(name)
        return True

    def check(self) -> None:
        super().check()
        there = {p.name: p.read_bytes() for p in (self.server.data / "files").glob("file-*")}
        assert set(self.shared) <= set(there)
        assert all(data == self.brought[name] for name, data in there.items()), "a half file"
        told = [r["file"]["name"] for r in records(self.server.data) if r.get("file")]
        assert set(there) <= set(told)


def play(scene: Scene, kinds: tuple[str, ...]) -> int:
    """Have the server killed at each call of these kinds, or of all. Return how often it was."""
    scene.server.start()
    act = scene.prepare()
    kills = 0
    for call in calls_of(scene.server, act, kinds):
        for _ in killed_at_each(scene.server, call, scene.prepare):
            scene.check()
            kills += 1
    assert scene.server.stop() == 0
    scene.server.start()
    scene.check()
    return kills


SCENES: list[type[Scene]] = [Append, Register, Close, Drop, Bring]
CHOSEN: dict[type[Scene], tuple[str, ...]] = {
    Append: FILES,
    Register: ("write", "fsync", "rename"),
    Close: ("fsync", "fdatasync", "rename"),
    Bring: ("link", "unlink"),
}
"""The calls that matter most, for the tests of every commit."""


@pytest.mark.parametrize("scene", CHOSEN, ids=lambda scene: scene.__name__.lower())
def test_killed_at_each_call_that_makes_something_durable(
    make_server: Make, scene: type[Scene]
) -> None:
    assert play(scene(make_server("--rate", "0", *scene.options)), CHOSEN[scene]) > 1


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__.lower())
def test_killed_at_each_call_that_changes_files(make_server: Make, scene: type[Scene]) -> None:
    assert play(scene(make_server("--rate", "0", *scene.options)), FILES) > 1


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__.lower())
def test_killed_at_each_call_of_all(make_server: Make, scene: type[Scene]) -> None:
    assert play(scene(make_server("--rate", "0", *scene.options)), ()) > 3


def starts(make_server: Make, kinds: tuple[str, ...]) -> Iterator[None]:
    """Kill a server at each call of its first start, and yield when the next start was whole."""
    users = json.dumps({"Alice": "123", "Bob": {"password": "456", "role": "admin"}})
    for call in kinds:
        for when in range(1, 1000):
            server = make_server("--rate", "0")
            (server.data / "users.json").write_text(users)
            inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}")
            server.prefix = ("strace", "-D", "-f", "-qq", "-o", "/dev/null", *inject)
            try:
                server.start()
            except AssertionError:
                assert server.wait() == -9, server.said
            else:
                server.kill()
                break
            found = json.loads((server.data / "users.json").read_text())
            assert list(found) == ["Alice", "Bob"]
            server.prefix = ()
            server.start()
            kept: dict[str, Any] = json.loads((server.data / "users.json").read_text())
            assert all(entry["scram"] for entry in kept.values()) and kept["Bob"]["role"] == "admin"
            assert (server.data / "server.secret").stat().st_size >= 32
            assert server.joined("ann").say("goes on")["seq"] == 2
            server.kill()
            shutil.rmtree(server.data)
            server.data.mkdir()
            yield


def test_killed_in_its_first_start_it_starts_again(make_server: Make) -> None:
    assert sum(1 for _ in starts(make_server, ("rename", "ftruncate"))) >= 3


@pytest.mark.long
def test_killed_at_each_call_of_its_first_start(make_server: Make) -> None:
    kinds = ("write", "pwrite64", "fsync", "fdatasync", "flock", "unlink", "bind", "listen")
    assert sum(1 for _ in starts(make_server, kinds)) >= 20
