"""Attacks by names and texts: paths, escapes for terminals, look-alikes.

What the client makes of such text is tested in tests/client/test_hostile.py and
tests/client/test_hostile_files.py, single names in tests/files/test_shelf.py.
"""

import json
import os
import unicodedata

import pytest

from tests.faults.conftest import Siege
from tests.files.carrying import bring, names, put
from tests.server.test_rooms import ask
from tests.wire import Wire

PATHS = [
    "../../etc/passwd", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "a\0b", ".ssh/x", ".ssh",
    "-rf", "CON", "nul.txt", "x" * 300, "é" * 101, "a:b", "a.", "a ", " a", "a\u202eb", "a\u2066b",
]  # fmt: skip
CONTROLS = ["\x1b]52;c;eA==\x07", "\x1b[2J", "\x9b2J", "\x07", "\r", "\n", "\x00", "\x7f", "\u202e",
            "\u2066", "\u200b"]  # fmt: skip


@pytest.mark.row(15)
def test_no_name_leads_out_of_the_shelf(siege: Siege) -> None:
    server = siege.begin("--rate", "0")
    ann = server.joined("ann", bot=True)
    for name in PATHS:
        assert put(ann, name, b"x")["error"] == "BAD_REQUEST", name
        assert ask(ann, "get", name=name)["error"] in ("NO_SUCH_FILE", "BAD_REQUEST"), name
        assert ask(ann, "delete_file", name=name)["error"] in ("NO_SUCH_FILE", "BAD_REQUEST")
    shelf = server.data / "files"
    shelf.mkdir(exist_ok=True)
    (shelf / "link").symlink_to(server.data / "users.json")
    (shelf / "device").symlink_to("/dev/zero")
    os.mkfifo(shelf / "pipe")
    (shelf / "folder").mkdir()
    for name in ("link", "device", "pipe", "folder"):
        assert ask(ann, "get", name=name)["error"] == "NO_SUCH_FILE", name
    assert bring(server, ann, unicodedata.normalize("NFD", "Übung"), b"u")["purpose"] == "ok"
    assert put(ann, "übung", b"v")["error"] == "FILE_EXISTS"
    assert names(ann) == ["Übung"]
    inside = {path.name for path in shelf.iterdir()} - {".parts", ".kept"}
    assert inside == {"link", "device", "pipe", "folder", "Übung"}


@pytest.mark.row(16)
def test_no_name_has_controls_and_the_log_shows_none(siege: Siege, demo_users: str) -> None:
    users = json.loads(demo_users)
    users["Alice"]["role"] = "admin"
    data = siege.place("users.json", json.dumps(users))
    odd = data.rename(data.with_name("da\x1b[2J\u202eta"))
    server = siege.begin("--rate", "0", data=odd)
    ann, alice = server.joined("ann", bot=True), server.wire()
    assert ask(ann, "enter", room="#lab")["purpose"] == "ok"
    alice.login("Alice", "123")
    for control in CONTROLS:
        other = server.wire()
        other.send(purpose="join", nick=f"a{control}", id=1, time=0)
        other.error("INVALID_NICK")
        other.send(
            purpose="login", nick=f"a{control}", id=1, time=0, mechanism="SCRAM-SHA-256",
            data=f"n,,n=a{control},r=x",
        )  # fmt: skip
        other.error("INVALID_NICK")
        other.close()
        assert ask(ann, "enter", room=f"#a{control}")["error"] == "BAD_REQUEST"
        assert ask(ann, "topic", room="#lab", text=f"a{control}b")["error"] == "BAD_REQUEST"
        assert put(ann, f"a{control}b", b"x")["error"] == "BAD_REQUEST"
        for act in ("kick", "ban", "mute"):
            assert ask(alice, act, nick="ann", reason=f"a{control}b")["error"] == "BAD_REQUEST"
    # Lines of the log name files, too, which somebody may have called anything.
    assert "\\x1b[2J" in server.said and "\\u202e" in server.said
    raw = server.log.read_bytes().decode()
    assert not {c for c in raw if c != "\n" and not c.isprintable()}, "a terminal would obey this"


@pytest.mark.row(17)
def test_of_names_that_look_alike_one_is_taken(siege: Siege, demo_users: str) -> None:
    server = siege.begin("--rate", "0", data=siege.place("users.json", demo_users))
    server.joined("Zoe", bot=True)

    def join(nick: str) -> str:
        wire = server.wire()
        wire.send(purpose="join", nick=nick, id=1, time=0)
        event = wire.recv()
        wire.close()
        assert event is not None
        return str(event.get("error", event["purpose"]))

    for nick in ("zoe", "ZOE", "zOe"):
        assert join(nick) == "USER_IN_USE"
    for nick in ("alice", "ALICE", "aLiCe"):
        assert join(nick) == "ACCOUNT_REQUIRED"
    for nick in ("\uff21lice", "\u0391lice", "Al\u0131ce", "Zo\u0435", "Zoe\u200b", "Zoe ", "Zoé"):
        assert join(nick) == "INVALID_NICK"
    rooms: list[Wire] = [server.joined("one", bot=True), server.joined("two", bot=True)]
    assert ask(rooms[0], "enter", room="#Lab")["purpose"] == "ok"
    assert ask(rooms[1], "enter", room="#lAB")["purpose"] == "ok"
    assert [room["room"] for room in ask(rooms[0], "rooms")["rooms"]] == ["#Lab", "#lobby"]
