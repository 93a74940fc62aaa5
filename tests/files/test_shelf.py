"""Files are shared, listed, fetched and taken away; each by whom it is for."""

import contextlib
import random
import subprocess
import sys
import unicodedata
from typing import Any

import pytest

from tests.conftest import ROOT, ChatServer, Make, until
from tests.files.carrying import Carrying, bring, fetch, names, put, sha256
from tests.server.test_rooms import ask
from tests.wire import Wire

DATA = random.Random(5).randbytes(300_000)


def test_a_file_is_shared_seen_and_fetched(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    empty = ask(ann, "files")
    assert (empty["purpose"], empty["files"], empty["end"]) == ("files", [], True)
    assert not (server.data / "files").exists()
    done = bring(server, ann, "Plan B.txt", DATA)
    assert (done["purpose"], done["sha256"]) == ("ok", sha256(DATA))
    told = bob.until("file")
    assert (told["name"], told["nick"], told["to"]) == ("Plan B.txt", "ann", "#lobby")
    line = bob.until("message")
    assert line["file"] == {"name": "Plan B.txt", "size": len(DATA), "sha256": sha256(DATA)}
    assert line["text"] == "shared Plan B.txt (300.0 kB)" and line["from"] == "ann"
    assert ann.until("message")["seq"] == line["seq"], "one sees one's own file too"
    [listed] = ask(bob, "files")["files"]
    assert listed == {
        "name": "Plan B.txt", "size": len(DATA), "sha256": sha256(DATA), "from": "ann",
        "time": listed["time"], "to": "#lobby",
    }  # fmt: skip
    assert fetch(server, bob, "plan b.TXT") == DATA
    assert fetch(server, bob, "Plan B.txt", 299_990) == DATA[-10:]
    assert fetch(server, bob, "Plan B.txt", 300_000) == b""
    assert (server.data / "files" / "Plan B.txt").read_bytes() == DATA
    page = ask(bob, "history", **{"with": "#lobby"})["messages"]
    assert page[-1]["file"]["name"] == "Plan B.txt"
    # All of that outlives the server.
    server.kill()
    server.start()
    cyd = server.joined("cyd")
    assert names(cyd) == ["Plan B.txt"]
    assert fetch(server, cyd, "Plan B.txt") == DATA
    assert ask(cyd, "files")["files"][0]["from"] == "ann"


def test_a_line_that_is_taken_back_shares_nothing(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("ben")
    bring(server, ann, "file", b"x")
    line = bob.until("message")
    assert line["file"]["name"] == "file"
    ask(ann, "redact", seq=line["seq"])
    [seen, change] = ask(bob, "history", **{"with": "#lobby"})["messages"]
    assert seen["redacted"] and seen["text"] == "" and "file" not in seen
    assert change["redact_of"] == line["seq"] and "file" not in change
    assert ask(bob, "search", text="shared")["messages"] == []


def test_an_empty_file_and_one_that_comes_with_its_ticket(server: ChatServer) -> None:
    ann = server.joined("ann")
    ticket = put(ann, "empty", b"")
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"])
    assert carrying.event() == {"purpose": "ok", "offset": 0, "size": 0}
    assert carrying.event()["sha256"] == sha256(b"")
    assert fetch(server, ann, "empty") == b""
    # The bytes may come in one segment with the frame.
    ticket = put(ann, "quick", b"quick")
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"])
    carrying.sock.sendall(b"quick")
    assert carrying.event()["offset"] == 0
    assert carrying.event()["sha256"] == sha256(b"quick")
    assert fetch(server, ann, "quick") == b"quick"


def test_what_is_for_a_room_or_a_person_is_for_no_other(server: ChatServer) -> None:
    ann, bob, eve = server.joined("ann"), server.joined("bob"), server.joined("eve")
    ask(ann, "enter", room="#lab", private=True)
    ask(ann, "invite", room="#lab", nick="bob")
    assert bring(server, ann, "early", b"early", to="#lab")["purpose"] == "ok"
    ask(bob, "enter", room="#lab")
    assert bring(server, ann, "plan", b"of the lab", to="#lab")["purpose"] == "ok"
    assert bring(server, ann, "plan", b"for bob", to="@bob")["purpose"] == "ok"
    assert bring(server, ann, "plan", b"for all")["purpose"] == "ok"
    assert names(ann) == ["early", "plan", "plan", "plan"]
    assert names(bob) == ["plan", "plan", "plan"], "what came before one came is not seen"
    assert names(eve) == ["plan"]
    assert fetch(server, eve, "plan") == b"for all"
    assert fetch(server, bob, "plan", with_="@ann") == b"for bob"
    assert fetch(server, ann, "plan", with_="@bob") == b"for bob"
    assert fetch(server, bob, "plan", with_="#lab") == b"of the lab"
    assert names(bob, **{"with": "#lab"}) == ["plan"]
    assert ask(eve, "get", name="plan", **{"with": "#lab"})["error"] == "NO_SUCH_FILE"
    assert ask(eve, "get", name="early")["error"] == "NO_SUCH_FILE"
    assert put(eve, "x", b"x", to="#lab")["error"] == "NO_SUCH_ROOM"
    assert [e["name"] for e in ask(eve, "files", **{"with": "#lobby"})["files"]] == ["plan"]
    assert ask(eve, "files", **{"with": "@ann"})["files"] == []
    assert put(eve, "x", b"x", to="@nobody")["error"] == "NO_SUCH_NICK"
    eve.quiet()
    told = [e for e in eve.passed if e["purpose"] == "file"]
    assert {e["to"] for e in told} == {"#lobby"}
    lines = [e for e in eve.passed if e["purpose"] == "message"]
    assert {e["to"] for e in lines} == {"#lobby"}
    # Nobody can tell by a refusal that somebody else has a file of that name.
    assert put(eve, "early", b"mine")["purpose"] == "ticket"
    on_disk = sorted(p.name for p in (server.data / "files").iterdir())
    assert on_disk == [".kept", ".parts", "plan"]
    server.stop()
    server.start()
    eve = server.joined("eve2")
    assert names(eve) == ["plan"]


def test_who_shared_a_file_takes_it_away_and_a_moderator_may(
    make_server: Make, demo_users: str
) -> None:
    server = make_server("--rate", "0")
    (server.data / "users.json").write_text(demo_users)
    command = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(server.data)]
    subprocess.run([*command, "--admin", "Alice"], check=True, timeout=60)
    server.start()
    ann, bob = server.joined("ann"), server.joined("ben")
    alice = server.wire()
    assert alice.login("Alice", "123")["purpose"] == "welcome"
    bring(server, ann, "one", b"1")
    bring(server, ann, "two", b"2")
    assert ask(bob, "delete_file", name="one")["error"] == "FORBIDDEN"
    assert ask(bob, "delete_file", name="none")["error"] == "NO_SUCH_FILE"
    assert ask(ann, "delete_file", name="one")["purpose"] == "ok"
    assert bob.until("file", deleted=True)["name"] == "one"
    assert names(bob) == ["two"]
    assert ask(alice, "delete_file", name="two")["purpose"] == "ok"
    [act] = ask(alice, "acts")["acts"]
    assert (act["do"], act["nick"], act["whom"]) == ("take", "Alice", "ann")
    assert act["text"] == "file two in #lobby"
    assert names(bob) == []
    assert not (server.data / "files" / "two").exists()
    assert bring(server, bob, "one", b"another")["purpose"] == "ok"
    server.stop()
    server.start()
    assert names(server.joined("cyd")) == ["one"]


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "/etc/passwd", "a\0b", ".ssh", ".ssh/x", "-rf", "CON", "con.txt",
        "x" * 300, "a/b", "a\\b", "a:b", "", ".", "..", " a", "a ", "a.", "a\u202eb",
        "a\x1bb", "a\nb",
    ],
)  # fmt: skip
def test_names_that_are_no_plain_ones_are_refused(server: ChatServer, name: str) -> None:
    ann = server.joined("ann")
    answer = put(ann, name, b"x")
    assert answer["error"] == "BAD_REQUEST" and "name" in answer["text"]
    assert not (server.data / "files").exists()


def test_twins_are_one_name(server: ChatServer) -> None:
    ann = server.joined("ann")
    assert bring(server, ann, unicodedata.normalize("NFD", "Café.txt"), b"x")["purpose"] == "ok"
    assert names(ann) == [unicodedata.normalize("NFC", "Café.txt")]
    for twin in ("Café.txt", "CAFÉ.TXT", unicodedata.normalize("NFD", "café.txt")):
        assert put(ann, twin, b"y")["error"] == "FILE_EXISTS"


def test_a_ticket_is_good_once_and_for_one_thing(server: ChatServer) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    ticket = ask(ann, "get", name="file")["ticket"]
    carrying = Carrying(server.port, purpose="store", ticket=ticket)
    assert carrying.event()["error"] == "BAD_REQUEST"
    for purpose in ("fetch", "store"):
        for used in (ticket, "never-issued"):
            carrying = Carrying(server.port, purpose=purpose, ticket=used)
            assert carrying.event()["error"] == "TICKET_EXPIRED"
            assert carrying.rest() == b""
    ticket = ask(ann, "get", name="file")["ticket"]
    carrying = Carrying(server.port, purpose="fetch", ticket=ticket, offset=len(DATA) + 1)
    assert carrying.event()["error"] == "BAD_REQUEST"
    ann.send(purpose="fetch", ticket=ask(ann, "get", name="file")["ticket"])
    assert ann.until("error")["error"] == "BAD_REQUEST"
    assert ann.quiet() == []
    answers = [ask(ann, "get", name="file") for _ in range(70)]
    assert answers[0]["purpose"] == "ticket"
    assert answers[-1]["error"] == "LIMIT_EXCEEDED" and answers[-1]["retry_after"] > 0


def test_a_sum_is_the_same_in_capitals(server: ChatServer) -> None:
    ann = server.joined("ann")
    ticket = ask(ann, "put", name="x.bin", size=len(DATA), sha256=sha256(DATA).upper())
    assert ticket["sha256"] == sha256(DATA)
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"], offset=0)
    assert carrying.event()["purpose"] == "ok"
    carrying.sock.sendall(DATA)
    assert carrying.event()["sha256"] == sha256(DATA)


def test_wrong_bytes_are_not_shared(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ticket = put(ann, "file", b"right")["ticket"]
    carrying = Carrying(server.port, purpose="store", ticket=ticket)
    assert carrying.event()["purpose"] == "ok"
    carrying.sock.sendall(b"wrong")
    answer = carrying.event()
    assert answer["error"] == "BAD_REQUEST" and "SHA-256" in answer["text"]
    assert names(ann) == [] and list((server.data / "files" / ".parts").iterdir()) == []
    assert [e for e in bob.quiet() if e["purpose"] in ("message", "file")] == []
    assert bring(server, ann, "file", b"right")["purpose"] == "ok"


@pytest.mark.parametrize("how", ["broken", "killed", "stopped"])
def test_an_upload_goes_on_where_it_was_interrupted(server: ChatServer, how: str) -> None:
    ann = server.joined("ann")
    token = ann.passed[0]["token"]
    data = random.Random(6).randbytes(5_000_000)
    ticket = put(ann, "file", data)
    assert "offset" not in ticket
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"])
    carrying.event()
    carrying.sock.sendall(data[:3_000_000])
    part = server.data / "files" / ".parts"
    while sum(p.stat().st_size for p in part.iterdir()) < 3_000_000:
        assert ann.quiet() == []
    assert names(ann) == [], "half a file is not listed"
    if how == "broken":
        carrying.close()
    else:
        if how == "killed":
            server.kill()
        else:
            server.stop()
        server.start()
        ann = server.wire()
        ann.join("ann", token=token, bot=True)
    ticket = put(ann, "file", data)
    assert ticket["offset"] == 3_000_000
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"], offset=3_000_000)
    assert carrying.event() == {"purpose": "ok", "offset": 3_000_000, "size": 5_000_000}
    carrying.sock.sendall(data[3_000_000:])
    assert carrying.event()["sha256"] == sha256(data)
    assert fetch(server, ann, "file") == data
    assert list(part.iterdir()) == []


def test_who_offers_more_than_is_there_is_told_where_to_go_on(server: ChatServer) -> None:
    ann = server.joined("ann")
    ticket = put(ann, "file", DATA)["ticket"]
    carrying = Carrying(server.port, purpose="store", ticket=ticket, offset=200_000)
    assert carrying.event() == {"purpose": "ok", "offset": 0, "size": len(DATA)}
    carrying.sock.sendall(DATA)
    assert carrying.event()["sha256"] == sha256(DATA)


def test_who_comes_again_takes_the_place_of_a_dead_connection(server: ChatServer) -> None:
    ann = server.joined("ann")
    dead = Carrying(server.port, purpose="store", ticket=put(ann, "file", DATA)["ticket"])
    dead.event()
    dead.sock.sendall(DATA[:100_000])
    alive = Carrying(
        server.port, purpose="store", ticket=put(ann, "file", DATA)["ticket"], offset=300_000
    )
    offset = alive.event()["offset"]
    assert offset <= 100_000
    alive.sock.sendall(DATA[offset:])
    assert alive.event()["sha256"] == sha256(DATA)
    assert dead.sock.recv(1) == b""
    assert fetch(server, ann, "file") == DATA


def test_a_file_that_goes_while_it_is_fetched_breaks_off(server: ChatServer) -> None:
    ann = server.joined("ann")
    shelf = server.data / "files"
    shelf.mkdir()
    big = b"x" * 50_000_000
    (shelf / "file").write_bytes(big)
    ticket = ask(ann, "get", name="file")["ticket"]
    carrying = Carrying(server.port, purpose="fetch", ticket=ticket)
    carrying.event()
    (shelf / "file").write_bytes(b"short")
    try:
        got = len(carrying.rest())
    except ConnectionResetError:
        got = 0
    assert got < len(big)
    assert ann.quiet() is not None
    assert fetch(server, ann, "file") == b"short"


def test_a_full_disk_is_said_and_the_chat_goes_on(make_server: Make) -> None:
    server = make_server("--rate", "0", prefix=("prlimit", "--fsize=1000000")).start()
    ann = server.joined("ann")
    data = b"x" * 2_000_000
    carrying = Carrying(server.port, purpose="store", ticket=put(ann, "f", data)["ticket"])
    carrying.event()
    with contextlib.suppress(OSError):
        carrying.sock.sendall(data)
    assert carrying.event()["error"] == "STORE_UNAVAILABLE"
    ann.say("still here")
    assert names(ann) == []


def begun(server: ChatServer, wire: Wire, name: str, data: bytes, **more: Any) -> Carrying:
    """Return an upload that has been let begin, and of which nothing has come."""
    ticket = put(wire, name, data, **more)
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"])
    assert carrying.event()["purpose"] == "ok"
    return carrying


def test_two_with_one_name_at_once_cannot_both_share_it(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("ben")
    first = begun(server, ann, "REPORT.pdf", b"ann's")
    assert put(bob, "report.pdf", b"bob's")["error"] == "FILE_EXISTS"
    # One that is put there by hand meanwhile keeps its name.
    (server.data / "files" / "Report.PDF").write_bytes(b"by hand")
    until(lambda: "Report.PDF" in names(bob), "what was put there is not listed")
    first.sock.sendall(b"ann's")
    assert first.event()["error"] == "FILE_EXISTS"
    assert fetch(server, bob, "report.pdf") == b"by hand"
    # When somebody's attempt is over, another may.
    second = begun(server, ann, "two", b"2")
    second.close()
    while put(bob, "two", b"3")["purpose"] == "error":
        pass
    assert bring(server, bob, "two", b"3")["purpose"] == "ok"


def test_what_has_come_whole_is_touched_by_no_other_ticket(server: ChatServer) -> None:
    ann = server.joined("ann")
    acknowledged = []
    for turn in range(8):
        name = f"file{turn}"
        tickets = [put(ann, name, DATA)["ticket"] for _ in range(2)]
        first = Carrying(server.port, purpose="store", ticket=tickets[0])
        first.event()
        first.sock.sendall(DATA)
        parts = server.data / "files/.parts"
        while not any(path.stat().st_size == len(DATA) for path in parts.iterdir()):
            if not list(parts.iterdir()):
                break
        second = Carrying(server.port, purpose="store", ticket=tickets[1], offset=0)
        second.sock.sendall(b"evil" * 1000)
        try:
            if first.event().get("sha256") == sha256(DATA):
                acknowledged.append(name)
        except (OSError, AssertionError):
            pass  # the second was taken for its next try, which is well too
        second.close()
    assert acknowledged
    assert set(acknowledged) <= set(names(ann))
    for name in acknowledged:
        assert fetch(server, ann, name) == DATA


def test_who_may_no_longer_say_anything_shares_nothing(make_server: Make, demo_users: str) -> None:
    server = make_server("--rate", "0")
    (server.data / "users.json").write_text(demo_users)
    command = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(server.data)]
    subprocess.run([*command, "--admin", "Alice"], check=True, timeout=60)
    server.start()
    alice, ann = server.wire(), server.joined("ann")
    alice.login("Alice", "123")
    muted = begun(server, ann, "muted", b"x")
    ask(alice, "mute", nick="ann")
    muted.sock.sendall(b"x")
    assert muted.event()["error"] == "MUTED"
    assert put(ann, "more", b"x")["error"] == "MUTED"
    ask(alice, "unmute", nick="ann")
    early = put(ann, "banned", b"x")["ticket"]
    ask(alice, "ban", nick="ann")
    late = Carrying(server.port, purpose="store", ticket=early)
    assert late.event()["error"] == "BANNED"
    assert names(alice) == []


def test_a_nick_that_changes_hands_shares_nothing_of_the_earlier_holder(
    server: ChatServer,
) -> None:
    carol = server.joined("carol")
    upload = begun(server, carol, "payroll.exe", b"x")
    carol.close()
    bob = server.joined("ben")
    while "carol" in str(ask(bob, "users")["users"]):
        pass
    server.joined("carol")
    upload.sock.sendall(b"x")
    assert upload.event()["error"] == "FORBIDDEN"
    assert names(bob) == []


def test_who_left_a_room_fetches_nothing_from_it_with_an_earlier_ticket(
    server: ChatServer,
) -> None:
    ann, bob = server.joined("ann"), server.joined("ben")
    for who in (ann, bob):
        ask(who, "enter", room="#lab")
    bring(server, ann, "plan", b"plan", to="#lab")
    ticket = ask(bob, "get", name="plan")["ticket"]
    ask(bob, "leave", room="#lab")
    assert Carrying(server.port, purpose="fetch", ticket=ticket).event()["error"] == "NO_SUCH_FILE"


def test_what_the_log_has_and_a_crash_left_without_its_name_is_brought_in(
    server: ChatServer,
) -> None:
    ann = server.joined("ann")
    bring(server, ann, "file", DATA)
    server.kill()
    # As if the crash had come between the log and the name.
    [deed] = [r for r in server.records if r["purpose"] == "deed"]
    (server.data / "files" / "file").rename(server.data / "files/.parts" / deed["file"]["part"])
    server.start()
    ann = server.joined("ann2")
    assert fetch(server, ann, "file") == DATA
    assert list((server.data / "files/.parts").iterdir()) == []


def test_an_upload_that_is_not_acknowledged_when_the_server_is_killed_is_not_listed(
    server: ChatServer,
) -> None:
    for turn in range(6):
        ann = server.joined(f"ann{turn}")
        ticket = put(ann, f"file{turn}", DATA)
        upload = Carrying(server.port, purpose="store", ticket=ticket["ticket"])
        upload.event()
        upload.sock.sendall(DATA)
        while not ann.quiet() and turn % 2:
            pass  # until its line is seen, or at once
        server.kill()
        server.start()
        found = {f["name"]: f for f in ask(server.joined(f"bob{turn}"), "files")["files"]}
        if f"file{turn}" in found:
            assert found[f"file{turn}"]["from"] == f"ann{turn}", "it has an owner or is not there"
            assert fetch(server, server.joined(f"cyd{turn}"), f"file{turn}") == DATA


def test_many_small_uploads_one_after_the_other_and_at_once(server: ChatServer) -> None:
    ann = server.joined("ann")
    uploads = [begun(server, ann, f"file{number:02}", b"x") for number in range(40)]
    for upload in uploads:
        upload.sock.sendall(b"x")
        assert put(ann, "another", b"y")["purpose"] in ("ticket", "error")
    for upload in uploads:
        assert upload.event()["purpose"] == "ok"
    assert names(ann) == [f"file{number:02}" for number in range(40)]
