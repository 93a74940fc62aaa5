"""Who may have a file, and share one, when that changes while it is on its way."""

import os
import subprocess
import sys

from tests.conftest import ROOT, ChatServer, Make, until
from tests.files.carrying import Carrying, bring, fetch, names, put
from tests.files.test_shelf import begun
from tests.server.test_rooms import ask

DATA = bytes(range(256)) * 2000


def moderated(make_server: Make, demo_users: str) -> ChatServer:
    """Start a server on which Alice is an admin."""
    server = make_server("--rate", "0")
    (server.data / "users.json").write_text(demo_users)
    command = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(server.data)]
    subprocess.run([*command, "--admin", "Alice"], check=True)
    return server.start()


def test_the_first_of_two_with_one_name_in_a_room_has_it(server: ChatServer) -> None:
    ann, mal = server.joined("ann"), server.joined("mal")
    for who in (ann, mal):
        ask(who, "enter", room="#r")
    slow = put(mal, "report", b"m" * 1000, to="#r")["ticket"]
    fast = put(ann, "report", b"a" * 1000, to="#r")
    assert fast["error"] == "FILE_EXISTS"
    carrying = Carrying(server.port, purpose="store", ticket=slow)
    assert carrying.event()["purpose"] == "ok"
    carrying.sock.sendall(b"m" * 1000)
    assert carrying.event()["purpose"] == "ok"
    assert put(ann, "Report", b"a" * 1000, to="#r")["error"] == "FILE_EXISTS"
    assert put(ann, "report", b"a" * 1000)["purpose"] == "ticket"  # in the lobby it is free


def test_who_is_banned_fetches_nothing_with_an_earlier_ticket(
    make_server: Make, demo_users: str
) -> None:
    server = moderated(make_server, demo_users)
    ann, mod = server.joined("ann"), server.wire()
    mod.login("Alice", "123")
    bring(server, ann, "file", DATA)
    ticket = ask(ann, "get", name="file")["ticket"]
    assert ask(mod, "ban", nick="ann")["purpose"] == "ok"
    refused = Carrying(server.port, purpose="fetch", ticket=ticket)
    assert refused.event()["error"] == "BANNED"
    assert refused.rest() == b""


def test_who_has_left_the_room_meanwhile_brings_nothing_there(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    for who in (ann, bob):
        ask(who, "enter", room="#Lab")
    ticket = put(ann, "late", b"late", to="#lab")["ticket"]
    assert ask(ann, "leave", room="#lab")["purpose"] == "ok"
    refused = Carrying(server.port, purpose="store", ticket=ticket)
    event = refused.event()
    assert (event["error"], event["text"]) == ("FORBIDDEN", "enter #Lab first")


def test_a_ticket_is_for_these_bytes_only(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    bring(server, ann, "x", b"a" * 1000)
    ticket = ask(bob, "get", name="x")["ticket"]
    assert ask(ann, "delete_file", name="x")["purpose"] == "ok"
    bring(server, ann, "x", b"b" * 1000)
    refused = Carrying(server.port, purpose="fetch", ticket=ticket)
    assert refused.event()["error"] == "NO_SUCH_FILE"
    assert fetch(server, bob, "x") == b"b" * 1000


def test_other_moderators_learn_nothing_of_private_files(
    make_server: Make, demo_users: str
) -> None:
    server = moderated(make_server, demo_users)
    ann, mod = server.joined("ann"), server.wire()
    mod.login("Alice", "123")
    ask(ann, "enter", room="#den", private=True)
    assert ask(ann, "invite", room="#den", nick="Alice")["purpose"] == "ok"
    assert ask(mod, "enter", room="#den")["purpose"] == "ok"
    for name, to in (("to-her", "@Alice"), ("in-there", "#den"), ("for-all", "#lobby")):
        assert bring(server, ann, name, DATA, to=to)["purpose"] == "ok"
        assert ask(mod, "delete_file", name=name)["purpose"] == "ok"
    acts = str(ask(mod, "acts"))
    assert "for-all" in acts
    for secret in ("to-her", "in-there", "#den"):
        assert secret not in acts


def test_what_was_taken_away_by_hand_is_gathered_anew(server: ChatServer) -> None:
    # Not under its earlier name: after a crash the half of it would be taken for the whole.
    ann = server.joined("ann")
    bring(server, ann, "doc", DATA)
    (server.data / "files" / "doc").unlink()
    until(lambda: names(ann) == [], "the file is missed")
    upload = begun(server, ann, "doc", DATA)
    (first,) = (server.data / "files" / ".parts").iterdir()
    server.kill()
    upload.close()
    first.write_bytes(b"?" * len(DATA))
    server.start()
    assert names(server.joined("bob")) == []


def test_what_stands_under_two_names_after_a_kill_is_not_written_to(server: ChatServer) -> None:
    ann = server.joined("ann")
    ask(ann, "enter", room="#r")
    first = begun(server, ann, "plan", DATA, to="#r")
    (part,) = (server.data / "files" / ".parts").iterdir()
    first.close()
    assert bring(server, ann, "plan", DATA, to="#r")["purpose"] == "ok"
    (kept,) = (server.data / "files" / ".kept").iterdir()
    server.kill()
    os.link(kept, part)  # as a kill leaves it between the one name and the other
    server.start()
    assert not part.exists()
    assert kept.read_bytes() == DATA and names(server.joined("ann")) == []
