"""What was said, changed and taken back; found again; and what has been read."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ChatServer, Make
from tests.server.test_compact import compact
from tests.server.test_rooms import ask
from tests.wire import Wire, frame, texts


def test_an_edit_is_told_and_what_was_said_stays_in_the_log(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    seq = ann.say("teh first text")["seq"]
    bob.until("message")
    done = ask(ann, "edit", seq=seq, text="the first text")
    assert done["purpose"] == "ok" and done["seq"] > seq
    told = bob.until("message")
    assert (told["edit_of"], told["text"], told["seq"]) == (seq, "the first text", done["seq"])
    page = ask(bob, "history", **{"with": "#lobby"})["messages"]
    assert [(m["seq"], m["text"]) for m in page] == [
        (seq, "the first text"), (done["seq"], "the first text"),
    ]  # fmt: skip
    assert page[0]["changed"] == done["seq"]
    assert "teh first text" in (server.data / "history.json").read_text()
    assert ask(bob, "edit", seq=seq, text="mine now")["error"] == "FORBIDDEN"
    assert ask(ann, "edit", seq=done["seq"], text="of an edit")["error"] == "NO_SUCH_MESSAGE"
    assert ask(ann, "edit", seq=10**6, text="x")["error"] == "NO_SUCH_MESSAGE"


def test_what_is_taken_back_is_nowhere_to_be_read(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    seq = ann.say("my password is hunter2")["seq"]
    ask(ann, "edit", seq=seq, text="it was hunter3")
    done = ask(ann, "redact", seq=seq)
    told = bob.until("message", redact_of=seq)
    assert told["text"] == ""
    for wipe in (False, True):
        page = ask(bob, "history", **{"with": "#lobby"})["messages"]
        assert "hunter" not in str(page)
        assert page[0]["redacted"] is True and page[0]["changed"] == done["seq"]
        assert ask(bob, "search", text="hunter2")["messages"] == []
        assert ask(bob, "search", text="hunter3")["messages"] == []
        fresh = server.wire()
        fresh.join(f"fresh{wipe}")
        assert "hunter" not in str(fresh.until("history", replay=True))
        assert ask(ann, "edit", seq=seq, text="again")["error"] == "NO_SUCH_MESSAGE"
        if not wipe:
            server.kill()
            (server.data / "history.index").unlink()
            server.start()
            ann, bob = _again(server, ann), _again(server, bob)


def _again(server: ChatServer, who: Wire) -> Wire:
    welcome = who.passed[0]
    back = server.wire()
    back.join(welcome["nick"], token=welcome["token"], bot=True)
    return back


def test_a_private_message_is_changed_for_both_and_nobody_else(server: ChatServer) -> None:
    ann, bob, eve = server.joined("ann"), server.joined("bob"), server.joined("eve")
    seq = ann.say("psst", "@bob")["seq"]
    bob.until("message")
    assert ask(eve, "redact", seq=seq)["error"] == "NO_SUCH_MESSAGE"
    assert ask(bob, "redact", seq=seq)["error"] == "FORBIDDEN"
    ask(ann, "edit", seq=seq, text="psst!")
    assert bob.until("message")["edit_of"] == seq
    assert texts(ask(bob, "history", **{"with": "@ann"})["messages"])[0] == "psst!"
    assert texts(eve.quiet()) == []


def test_a_change_sent_twice_is_made_once(server: ChatServer) -> None:
    ann = server.joined("ann")
    seq = ann.say("one")["seq"]
    for _ in range(2):
        ann.send(purpose="edit", ref="again", seq=seq, text="two")
    first, second = ann.until("ok", ref="again"), ann.until("ok", ref="again")
    assert first["seq"] == second["seq"]
    for _ in range(2):
        ann.send(purpose="redact", ref="gone", seq=seq)
    assert ann.until("ok", ref="gone")["seq"] == ann.until("ok", ref="gone")["seq"]
    ann.send(purpose="redact", ref="gone", seq=seq)
    ann.until("ok", ref="gone")
    ann.send(purpose="edit", ref="again", seq=seq, text="two")
    assert ann.until("ok", ref="again")["seq"] == first["seq"]
    ann.send(purpose="redact", ref="anew", seq=seq)
    ann.error("NO_SUCH_MESSAGE")
    seq = ann.say("other")["seq"]
    ann.send(purpose="edit", ref="again", seq=seq, text="three")
    assert ann.error("BAD_REQUEST")["ref"] == "again"


def test_search_by_words_sender_conversation_and_time(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ask(ann, "enter", room="#lab")
    said = [
        ann.say("The coffee machine is broken"), bob.say("coffee at ten?"),
        ann.say("bring your own coffee cup", "#lab"), ann.say("Größe und Café"),
        bob.say("我们明天去实验室"), ann.say("coffee for bob alone", "@bob"),
    ]  # fmt: skip

    def found(who: Wire, **fields: object) -> list[str]:
        return texts(ask(who, "search", **fields)["messages"])

    everything = [
        "The coffee machine is broken", "coffee at ten?", "bring your own coffee cup",
        "coffee for bob alone",
    ]  # fmt: skip
    assert found(ann, text="coffee") == everything
    assert found(bob, text="COFFEE") == [text for text in everything if "cup" not in text]
    assert found(ann, text="coffee broken") == everything[:1]
    assert found(ann, text='"coffee machine"') == everything[:1]
    assert found(ann, text='"machine coffee"') == []
    assert found(ann, text="coff*") == everything
    assert found(ann, text="cafe") == ["Größe und Café"]
    assert found(ann, text="实验室") == ["我们明天去实验室"]
    assert found(ann, text="室验") == []
    assert found(ann, text="coffee", **{"from": "bob"}) == ["coffee at ten?"]
    assert found(ann, text="coffee", **{"with": "#lab"}) == ["bring your own coffee cup"]
    assert found(ann, text="", **{"from": "BOB"}) == ["coffee at ten?", "我们明天去实验室"]
    assert found(ann, text="coffee", before=said[2]["seq"]) == everything[:2]
    assert found(ann, text="coffee", limit=1) == everything[-1:]
    assert found(ann, text="coffee", since=said[2]["time"]) == everything[2:]
    assert found(ann, text="coffee", until=said[1]["time"]) == everything[:2]
    assert not ask(ann, "search", text="coffee", limit=1)["end"]
    assert ask(ann, "search", text="coffee")["end"]
    assert ask(ann, "search", text="!?")["error"] == "BAD_REQUEST"
    for odd in ('"', "a*b", "NOT", "AND OR", "text:coffee", "(coffee", "coffee*)", "^x", "-"):
        assert ask(ann, "search", text=f"{odd} zzz")["purpose"] == "history"


def test_search_finds_an_edited_text_by_its_words_of_now(server: ChatServer) -> None:
    ann = server.joined("ann")
    seq = ann.say("an apple")["seq"]
    ask(ann, "edit", seq=seq, text="a pear")
    ask(ann, "edit", seq=seq, text="a plum")
    assert ask(ann, "search", text="apple")["messages"] == []
    assert ask(ann, "search", text="pear")["messages"] == []
    [found] = ask(ann, "search", text="plum")["messages"]
    assert (found["seq"], found["text"]) == (seq, "a plum")


def nothing(data: Path) -> None:
    """It is only started again."""


def another_version(data: Path) -> None:
    """Another version of the server has made the index."""
    db = sqlite3.connect(data / "history.index")
    with db:
        db.execute("UPDATE meta SET value = 1 WHERE name = 'version'")
    db.close()


def another_text(data: Path) -> None:
    """Somebody has changed the history by hand."""
    path = data / "history.json"
    path.write_text(path.read_text().replace("public 0", "in public"))


def compacted(data: Path) -> None:
    """Texts that were taken back are taken out."""
    compact(data)


@pytest.mark.parametrize("meanwhile", [nothing, another_version, another_text, compacted])
def test_what_an_account_has_not_read_is_counted_over_devices_and_restarts(
    accounts_server: ChatServer, meanwhile: Callable[[Path], None]
) -> None:
    server = accounts_server
    bob = server.joined("zed")
    alice = server.wire()
    assert alice.login("alice", "123")["unread"] == {}
    alice.close()
    bob.until("left")
    seqs = [bob.say(f"public {number}")["seq"] for number in range(3)]
    for number in range(2):
        bob.say(f"private {number}", "@alice")
    first, second = server.wire(), server.wire()
    assert first.login("alice", "123", 1)["unread"] == {"#lobby": 3, "@zed": 2}
    assert second.login("alice", "123", 2)["unread"] == {"#lobby": 3, "@zed": 2}
    first.send(purpose="read", seq=seqs[1], **{"with": "#lobby"})
    told = second.until("read")
    assert (told["with"], told["seq"]) == ("#lobby", seqs[1])
    first.send(purpose="read", seq=seqs[0], **{"with": "#lobby"})  # never back
    first.say("answer", "@zed")  # who answers has read
    assert [e for e in bob.quiet() if e["purpose"] == "read"] == []
    first.close()
    second.close()
    server.stop()
    meanwhile(server.data)
    server.start()
    third = server.wire()
    assert third.login("alice", "123", 3)["unread"] == {"#lobby": 1}


def test_conversations_are_named_as_people_and_rooms_are_written(
    accounts_server: ChatServer,
) -> None:
    alice, first, second = (accounts_server.wire() for _ in range(3))
    guest = accounts_server.joined("McGuest")
    alice.login("alice", "123")
    first.login("bob", "456", 1)
    for comer in (first, guest):
        assert ask(comer, "enter", room="#Lab")["purpose"] == "ok"
    alice.say("hello", "@BOB")
    guest.say("hello", "@BOB")
    assert second.login("bob", "456", 2)["unread"] == {"@Alice": 1, "@McGuest": 1}
    said = guest.say("hello", "#LAB")["seq"]
    for read, name in ("@ALICE", "@Alice"), ("@mcguest", "@McGuest"), ("#lab", "#Lab"):
        first.send(purpose="read", seq=said, **{"with": read})
        assert second.until("read")["with"] == name


def test_a_private_message_waits_for_an_account_that_is_not_there(
    accounts_server: ChatServer,
) -> None:
    ann = accounts_server.joined("ann")
    ann.say("for later", "@Bob")
    ann.send(purpose="message", ref="x", to="@nobody_at_all", text="?")
    ann.error("NO_SUCH_NICK")
    bob = accounts_server.wire()
    assert bob.login("bob", "456", since=0)["unread"] == {"@ann": 1}
    assert texts(bob.until("history", replay=True)["messages"])[-1] == "for later"


def test_no_search_breaks_or_holds_the_server(server: ChatServer) -> None:
    ann = server.joined("ann")
    ann.say("abc def")
    for text in ("abc\u0000def", "\u0000", "abc \u0001 def"):
        assert ask(ann, "search", text=f"{text} abc")["purpose"] == "history"
    for text in ("a* " * 166, "ab*", "w " * 17, '"' + "q " * 40 + '"', "abc* abd* abe*"):
        assert ask(ann, "search", text=text)["error"] == "BAD_REQUEST", text
    assert texts(ask(ann, "search", text="abc*")["messages"]) == ["abc def"]


def test_pages_fit_a_frame_however_long_the_changes(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    seqs = [ann.say("x")["seq"] for _ in range(24)]
    for seq in seqs:
        ask(ann, "edit", seq=seq, text="\u0001 needle" + "\u0001" * 9000)
    late = server.wire()
    late.join("late", since=0)  # Wire refuses a frame that is too long
    got: list[int] = []
    while True:
        page = late.until("history")
        got += [m["seq"] for m in page["messages"]]
        if page["end"]:
            break
    assert got == sorted(got) and set(seqs) <= set(got)
    before, pages = None, 0
    found: list[int] = []
    while True:
        fields: dict[str, object] = {} if before is None else {"before": before}
        page = ask(bob, "history", **{"with": "#lobby"}, **fields)
        found[:0] = [m["seq"] for m in page["messages"]]
        pages += 1
        if page["end"]:
            break
        before = found[0]
    assert found == got and pages > 5
    assert not ask(bob, "search", text="needle", limit=500)["end"]


def test_what_is_taken_back_stays_so_whatever_comes_with_it(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    seq = ann.say("secret")["seq"]
    ann.raw(
        b"".join(
            frame(json.dumps(fields).encode())
            for fields in (
                {"purpose": "redact", "ref": "1", "seq": seq},
                {"purpose": "edit", "ref": "2", "seq": seq, "text": "secret again"},
            )
        )
    )
    assert ann.until("error", ref="2")["error"] == "NO_SUCH_MESSAGE"
    assert ask(bob, "history", **{"with": "#lobby"})["messages"][0]["redacted"] is True
    assert ask(ann, "edit", seq=0, text="x")["error"] == "NO_SUCH_MESSAGE"


def test_a_refused_redact_leaves_the_message_to_be_taken_back(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    seq = ann.say("insult", ref="used")["seq"]
    ann.send(purpose="redact", ref="used", seq=seq)
    ann.error("BAD_REQUEST")
    assert ask(ann, "redact", seq=seq)["purpose"] == "ok"
    assert ask(bob, "history", **{"with": "#lobby"})["messages"][0]["redacted"] is True


def test_what_was_edited_away_is_not_given_to_who_comes_later(server: ChatServer) -> None:
    ann = server.joined("ann")
    seq = ann.say("hello")["seq"]
    ask(ann, "edit", seq=seq, text="my password is hunter2")
    ask(ann, "edit", seq=seq, text="hello all")
    late = server.joined("late")
    assert "hunter2" not in str(ask(late, "history", **{"with": "#lobby"}))


def test_changes_are_limited_as_messages_are(make_server: Make) -> None:
    server = make_server("--rate", "5", "--burst", "5").start()
    ann = server.joined("ann")
    seq = ann.say("x")["seq"]
    answers = [ask(ann, "edit", seq=seq, text=f"y{number}") for number in range(10)]
    assert "LIMIT_EXCEEDED" in [answer.get("error") for answer in answers]
