"""Who may send out, keep out and silence, and that it lasts."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT, ChatServer, Make
from tests.server.test_rooms import ask
from tests.wire import Wire


@pytest.fixture
def server(make_server: Make, demo_users: str) -> ChatServer:
    """Alice is an admin, Bob a moderator, Charlie has no role."""
    server = make_server("--rate", "0")
    users = json.loads(demo_users)
    users["Alice"]["role"], users["Bob"]["role"] = "admin", "moderator"
    (server.data / "users.json").write_text(json.dumps(users))
    return server.start()


def login(server: ChatServer, nick: str) -> Wire:
    who = server.wire()
    who.login(nick, {"Alice": "123", "Bob": "456", "Charlie": "789"}[nick])
    return who


def test_only_moderators_may(server: ChatServer) -> None:
    server.joined("ann")
    charlie, guest = login(server, "Charlie"), server.joined("guest")
    for who in (charlie, guest):
        for purpose in ("kick", "ban", "unban", "mute", "unmute"):
            assert ask(who, purpose, nick="ann")["error"] == "FORBIDDEN"
        assert ask(who, "acts")["error"] == "FORBIDDEN"


def test_rank_protects(server: ChatServer) -> None:
    alice, bob = login(server, "Alice"), login(server, "Bob")
    assert ask(bob, "kick", nick="alice")["error"] == "FORBIDDEN"
    assert ask(bob, "ban", nick="bob")["error"] == "FORBIDDEN"
    assert ask(alice, "kick", nick="bob")["purpose"] == "ok"
    assert bob.until("error")["error"] == "FORBIDDEN"


def test_a_kick_sends_out_with_the_reason_and_they_may_come_again(server: ChatServer) -> None:
    bob, ann, cyd = login(server, "Bob"), server.joined("ann"), server.joined("cyd")
    assert ask(bob, "kick", nick="ann", reason="shouting")["purpose"] == "ok"
    assert "Bob has sent you out: shouting" in ann.until("error")["text"]
    assert ann.ended() is not None
    left = cyd.until("left")
    assert (left["nick"], left["reason"], left["text"]) == ("ann", "kicked", "shouting")
    server.joined("ann")
    assert ask(bob, "kick", nick="nobody")["error"] == "NO_SUCH_NICK"


def test_a_ban_lasts_over_restarts_until_it_is_ended(server: ChatServer) -> None:
    bob, ann = login(server, "Bob"), server.joined("ann")
    token = ann.passed[0]["token"]
    assert ask(bob, "ban", nick="ann", reason="spam")["purpose"] == "ok"
    assert ann.until("error")["error"] == "BANNED"
    ann.ended()
    for wipe in (False, True):
        server.kill()
        if wipe:
            (server.data / "history.index").unlink()
        server.start()
        for fields in ({}, {"token": token}):
            again = server.wire()
            again.send(purpose="join", nick="ann", id=1, time=0, **fields)
            refused = again.error("BANNED")
            assert "ann is kept out by Bob for good: spam" in refused["text"]
            again.send(purpose="join", nick="ann2", id=1, time=0)
            again.until("welcome")
            again.close()
    bob = login(server, "Bob")
    assert ask(bob, "unban", nick="ann")["purpose"] == "ok"
    assert ask(bob, "unban", nick="ann")["error"] == "NO_SUCH_NICK"
    server.joined("ann")
    acts = ask(bob, "acts")["acts"]
    assert [(act["do"], act["nick"], act["whom"]) for act in acts] == [
        ("ban", "Bob", "ann"), ("unban", "Bob", "ann"),
    ]  # fmt: skip
    assert acts[0]["text"] == "spam"


def test_a_ban_runs_out_and_an_account_is_kept_out_too(server: ChatServer) -> None:
    bob, charlie = login(server, "Bob"), login(server, "Charlie")
    assert ask(bob, "ban", nick="charlie", seconds=3600)["purpose"] == "ok"
    assert "until 20" in charlie.until("error")["text"]
    assert server.wire().login("Charlie", "789")["error"] == "BANNED"
    assert ask(bob, "ban", nick="charlie", seconds=1)["purpose"] == "ok"
    deadline = time.monotonic() + 20
    while server.wire().login("Charlie", "789")["purpose"] != "welcome":
        assert time.monotonic() < deadline, "the ban does not run out"
        time.sleep(0.2)


def test_a_ban_of_an_address_keeps_out_all_from_there_but_moderators(server: ChatServer) -> None:
    bob, ann = login(server, "Bob"), server.joined("ann")
    assert ask(bob, "ban", nick="ann", address=True)["purpose"] == "ok"
    ann.ended()
    other = server.wire()
    other.send(purpose="join", nick="innocent", id=1, time=0)
    other.error("BANNED")
    bob.send(purpose="ping", ref="p")
    bob.until("pong")
    again = login(server, "Alice")
    assert ask(again, "unban", nick="ann")["purpose"] == "ok"
    server.joined("innocent")
    assert ask(again, "ban", nick="127.0.0.1")["purpose"] == "ok"
    other = server.wire()
    other.send(purpose="join", nick="innocent2", id=1, time=0)
    assert "127.0.0.1 is kept out" in other.error("BANNED")["text"]
    assert ask(again, "unban", nick="127.0.0.1")["purpose"] == "ok"


def test_a_muted_person_is_told_at_once_at_each_device_and_stays(server: ChatServer) -> None:
    bob, ann = login(server, "Bob"), server.joined("ann")
    other = server.wire()
    other.join("ann", 2, token=ann.passed[0]["token"])
    for wire in (bob, ann, other):
        wire.quiet()
    assert ask(bob, "mute", nick="ann", reason="calm down", seconds=600)["purpose"] == "ok"
    for wire in (ann, other):
        (told,) = wire.quiet()
        assert told["error"] == "MUTED" and "ref" not in told
        assert told["text"].startswith("Bob has silenced you until ")
        assert told["text"].endswith(" UTC: calm down")
    assert ask(bob, "mute", nick="ann")["purpose"] == "ok"
    (told,) = ann.quiet()
    assert told["text"] == "Bob has silenced you for good"
    assert bob.quiet() == [], "that is told to nobody else"


def test_a_muted_person_says_nothing_and_reads_on(server: ChatServer) -> None:
    bob, ann = login(server, "Bob"), server.joined("ann")
    seq = ann.say("before")["seq"]
    assert ask(bob, "mute", nick="ann", reason="calm down", seconds=600)["purpose"] == "ok"
    refused = ask(ann, "message", text="after")
    assert refused["error"] == "MUTED" and "calm down" in refused["text"]
    assert ask(ann, "edit", seq=seq, text="by a trick")["error"] == "MUTED"
    assert ask(ann, "redact", seq=seq)["error"] == "MUTED"
    assert ask(ann, "away", text="by another")["error"] == "MUTED"
    ask(ann, "enter", room="#lab")
    assert ask(ann, "topic", room="#lab", text="by a third")["error"] == "MUTED"
    assert ask(ann, "invite", room="#lab", nick="bob")["error"] == "MUTED"
    bob.say("we hear")
    assert ann.until("message", text="we hear")
    server.kill()
    server.start()
    again = server.wire()
    again.join("ann", token=ann.passed[0]["token"])
    assert ask(again, "message", text="x")["error"] == "MUTED"
    assert ask(login(server, "Bob"), "unmute", nick="ann")["purpose"] == "ok"
    again.say("thanks")


def test_a_moderator_takes_back_what_others_said(server: ChatServer) -> None:
    bob, ann = login(server, "Bob"), server.joined("ann")
    seq = ann.say("rude")["seq"]
    assert ask(bob, "redact", seq=seq)["purpose"] == "ok"
    assert ann.until("message", redact_of=seq)["from"] == "Bob"


def test_admin_makes_the_first_and_hup_brings_it_in(make_server: Make, demo_users: str) -> None:
    server = make_server()
    (server.data / "users.json").write_text(demo_users)
    server.start()
    alice, ann = login(server, "Alice"), server.joined("ann")
    assert ask(alice, "kick", nick="ann")["error"] == "FORBIDDEN"
    program = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(server.data)]
    done = subprocess.run([*program, "--admin", "nobody"], capture_output=True, text=True)
    assert done.returncode == 1 and "no account" in done.stderr
    done = subprocess.run([*program, "--admin", "alice"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    server.signal(signal.SIGHUP)
    server.wait_for("read again; host")
    assert ask(alice, "kick", nick="ann")["purpose"] == "ok"
    ann.ended()
    (server.data / "users.json").write_text('{"Alice": {"scram": 3}}')
    server.signal(signal.SIGHUP)
    server.wait_for("users.json")
    login(server, "Charlie")


def test_hup_reads_the_options_again(make_server: Make) -> None:
    server = make_server()
    config = server.data / "server.conf"
    config.write_text("motd = first\nrate = 7\n")
    server.options = (*server.options, "--config", str(config))
    server.start()
    ann = server.wire()
    welcome = ann.join("ann")
    assert (welcome["motd"], welcome["limits"]["rate"]) == ("first", 7)
    config.write_text("motd = second\nrate = 9\n")
    server.signal(signal.SIGHUP)
    server.wait_for("read again; host")
    welcome = server.wire().join("bob")
    assert (welcome["motd"], welcome["limits"]["rate"]) == ("second", 9)
    config.write_text("rate = fast\n")
    server.signal(signal.SIGHUP)
    server.wait_for("options are bad")
    assert server.wire().join("cyd")["motd"] == "second"
    ann.say("still here")


def test_nobody_gives_anybody_elses_message_another_text(server: ChatServer) -> None:
    alice, bob, ann = login(server, "Alice"), login(server, "Bob"), server.joined("ann")
    seq = ann.say("hello")["seq"]
    admins = alice.say("I decide")["seq"]
    for moderator in (alice, bob):
        assert ask(moderator, "edit", seq=seq, text="I am a thief")["error"] == "FORBIDDEN"
    assert ask(bob, "redact", seq=admins)["error"] == "FORBIDDEN"
    private = ann.say("for bob", "@Bob")["seq"]
    assert ask(bob, "redact", seq=private)["error"] == "FORBIDDEN"
    assert ask(bob, "redact", seq=seq)["purpose"] == "ok"
    [act] = ask(bob, "acts")["acts"]
    assert (act["do"], act["nick"], act["whom"]) == ("redact", "Bob", "ann")


def test_bans_that_overlap_each_hold(server: ChatServer) -> None:
    alice, ann = login(server, "Alice"), server.joined("ann")
    assert ask(alice, "ban", nick="ann", address=True)["purpose"] == "ok"
    ann.ended()
    assert ask(alice, "ban", nick="127.0.0.1", seconds=3600)["purpose"] == "ok"
    assert ask(alice, "unban", nick="127.0.0.1")["purpose"] == "ok"
    for _ in range(2):
        other = server.wire()
        other.send(purpose="join", nick="other", id=1, time=0)
        other.error("BANNED")
        server.kill()
        server.start()


def test_a_ban_takes_the_place_of_the_one_before(server: ChatServer) -> None:
    alice, ann = login(server, "Alice"), server.joined("ann")
    assert ask(alice, "ban", nick="ann", address=True)["purpose"] == "ok"
    ann.ended()
    assert ask(alice, "ban", nick="ann")["purpose"] == "ok"
    for _ in range(2):
        server.joined("other").close()
        server.kill()
        server.start()


def test_what_is_ended_is_ended_for_all_who_had_the_nick(server: ChatServer) -> None:
    alice, first = login(server, "Alice"), server.joined("ann")
    assert ask(alice, "mute", nick="ann")["purpose"] == "ok"
    first.send(purpose="disconnect")
    first.ended()
    second = server.joined("ann")  # without the token: somebody else, who is silenced as ann
    assert ask(second, "message", text="x")["error"] == "MUTED"
    assert ask(alice, "mute", nick="ann")["purpose"] == "ok"
    assert ask(alice, "unmute", nick="ann")["purpose"] == "ok"
    second.say("thanks")
    assert ask(alice, "ban", nick="ann", seconds=0.5)["purpose"] == "ok"
    second.ended()
    deadline = time.monotonic() + 20
    third = server.wire()
    while True:
        third.send(purpose="join", nick="ann", id=1, time=0)
        answer = third.recv()
        if answer is not None and answer["purpose"] == "welcome":
            break
        assert time.monotonic() < deadline, "the ban does not run out"
        time.sleep(0.1)
    assert ask(alice, "ban", nick="ann")["purpose"] == "ok"
    third.ended()
    assert ask(alice, "unban", nick="ann")["purpose"] == "ok"
    server.joined("ann")


def test_a_nick_like_an_address_is_kept_out_as_a_nick(server: ChatServer) -> None:
    alice, odd = login(server, "Alice"), server.joined("127.0.0.1")
    assert ask(alice, "ban", nick="127.0.0.1")["purpose"] == "ok"
    assert odd.until("error")["error"] == "BANNED"
    server.joined("innocent")
    assert ask(alice, "ban", nick="::1%" + "x" * 5000)["error"] == "NO_SUCH_NICK"
