"""A server that lies, stalls or sends nonsense: the client keeps its terminal, its files, its
truth and its composure."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Open
from tests.client.hostile import LIMITS, FakeServer
from tests.client.terminal import Terminal
from tests.client.test_clean import DANGEROUS
from tests.conftest import ROOT, ChatServer, Make

CODES = [code for code in DANGEROUS if not 0xD800 <= code < 0xE000]  # JSON carries no surrogates
KNOWN = re.compile(
    rb"\x1b\[[?>0-9;]*[A-Za-z]|\x1b\]2;[^\x00-\x1f\x7f]*\x07|\x1b[78=>]|[\r\n\x08\x07]"
)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    made = FakeServer()
    yield made
    made.close()


@pytest.fixture
def ann(fake: FakeServer, open_client: Open) -> Terminal:
    return open_client(fake, "ann", columns=140, lines=40)


def assert_harmless(written: bytes) -> None:
    """Nothing was written to a terminal but text and what a screen is drawn with."""
    left = KNOWN.sub(b"", written).decode()
    found = {f"U+{ord(char):04X}" for char in left if ord(char) in set(CODES) - {0x09}}
    assert not found


@pytest.mark.parametrize("options", [(), ("--plain",)], ids=["screen", "plain"])
def test_no_code_point_acts_from_any_place(
    fake: FakeServer, open_client: Open, options: tuple[str, ...]
) -> None:
    terminal = open_client(fake, "ann", *options, columns=140, lines=40)

    def look_through() -> None:
        """Page through a list, and close it."""
        for _ in range(20):
            if not options:  # else it was printed
                terminal.type("\x1b[6~")
            terminal.read(0.1)
        if options:
            return
        terminal.type("\x1b")
        terminal.see("›", not_="Esc closes")

    peer = fake.accept()
    parts = [
        "".join(f"a{chr(code)}b" for code in CODES[at : at + 10]) for at in range(0, len(CODES), 10)
    ]
    peer.welcome(motd="\n".join(parts[:40]))
    seq = 0
    now = time.time()
    for part in parts:
        seq += 4
        peer.message(seq, part)
        peer.message(seq + 1, "nick", **{"from": part})
        peer.message(seq + 2, "/me acts", **{"from": part})
        peer.message(seq + 3, "private: its name is a conversation's", **{"from": part}, to="@ann")
        peer.send(purpose="joined", nick=part, id=1, time=now)
        peer.send(purpose="presence", nick=part, status="away", since=now, text=part)
        peer.send(purpose="left", nick=part, id=1, time=now, reason=part, text=part)
        peer.send(purpose="error", code=500, error=part, text=part)
        peer.send(
            purpose="roster", time=now, online=1, joined=[{"nick": part, "id": 1}],
            left=[{"nick": part, "id": 1, "reason": part}],
        )  # fmt: skip
        peer.send(purpose="topic", room="#lab", text=part, nick=part, time=now)
        peer.send(purpose="topic", room=f"#{part}", text=part, nick=part, time=now)
        peer.send(purpose="invited", room=part, nick=part, time=now)
        peer.send(purpose="typing", nick=part, to="#lobby", state="active")
        peer.message(seq + 3, part, **{"from": part}, edit_of=seq)
    peer.message(seq + 9, "that was all")
    terminal.see("that was all")
    for _ in range(4):  # conversations by those names, in the title too
        terminal.type("\x1ba")
        terminal.read(0.3)
    terminal.type("/users\r")
    ref = peer.until("users")["ref"]
    people = [
        {"nick": part, "status": "away", "since": now, "ids": [1], "text": part}
        for part in sorted(parts[:15])
    ]
    peer.send(purpose="users", ref=ref, users=people, total=15, end=True)
    terminal.see("15 in all")
    look_through()
    terminal.type("/go #lab\r")  # its topic stands above it
    terminal.read(0.5)
    terminal.type("/search a\r")
    ref = peer.until("search")["ref"]
    found = {"purpose": "message", "id": 1, "time": now, "size": 1}
    hits = [
        {**found, "seq": number, "from": part, "to": f"#{part}", "text": part}
        for number, part in enumerate(parts, 1)
    ]
    peer.send(purpose="history", ref=ref, messages=hits, end=True)
    terminal.see("Found for a")
    look_through()
    terminal.type("/rooms\r")
    ref = peer.until("rooms")["ref"]
    rooms = [{"room": part, "people": 1, "topic": part} for part in sorted(parts)]
    peer.send(purpose="rooms", ref=ref, rooms=rooms, end=True)
    terminal.see("Rooms")
    look_through()
    terminal.type("/acts\r")
    ref = peer.until("acts")["ref"]
    acts = [
        {"seq": 1, "time": now, "do": part, "nick": part, "whom": part, "text": part}
        for part in parts
    ]
    peer.send(purpose="acts", ref=ref, acts=acts, end=True)
    terminal.see("What moderators did")
    look_through()
    terminal.type("refuse this\r")
    ref = peer.until("message")["ref"]
    peer.send(purpose="error", ref=ref, code=403, error=parts[0], text="".join(parts[:30]))
    terminal.see("not sent")
    peer.send(purpose="shutdown", reason=parts[0] + parts[10], grace=1)
    peer.until("shutdown_ack")
    peer.close()
    tricks = "\u202e\u2066\u200b\x1b]0;x\x07\x9b"
    while b"full a" not in terminal.raw:  # it stands there until the next try, which may be soon
        peer = fake.accept()
        peer.until("join")
        peer.send(purpose="error", code=503, error="SERVER_FULL", text=f"full a{tricks}")
        terminal.read(1.0)
    assert_harmless(terminal.raw)
    assert "␛" in terminal.raw.decode(errors="replace")


def headless(fake: FakeServer, config: Path, *options: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(fake.port)]
    return subprocess.Popen(
        [*command, "ann", "1", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PARLEY_CONFIG_DIR": str(config)},
    )  # fmt: skip


def test_nor_does_any_on_the_standard_outputs(fake: FakeServer, tmp_path: Path) -> None:
    client = headless(fake, tmp_path)
    evil = "".join(chr(code) for code in CODES)
    peer = fake.accept()
    peer.welcome()
    peer.message(1, evil, **{"from": evil})
    peer.send(purpose="error", code=500, error="X", text=evil)
    peer.close()
    peer = fake.accept()
    peer.until("join")
    peer.send(purpose="error", code=400, error="BAD_REQUEST", text=evil)
    out, err = client.communicate(timeout=20)
    assert client.returncode == 4
    assert "␛".encode() in out and "␛".encode() in err
    assert_harmless(out)
    assert_harmless(err)


@pytest.mark.parametrize(
    "fields",
    [
        {"time": 1e300}, {"time": -1e300}, {"time": 1e17}, {"seq": 2**64}, {"seq": -5},
        {"seq": 10**400}, {"id": 10**30}, {"from": "n" * 30000}, {"to": "@" + "n" * 30000},
    ],
    ids=lambda fields: str(fields)[:20],
)  # fmt: skip
def test_an_extreme_message_ends_nothing(
    fake: FakeServer, ann: Terminal, fields: dict[str, Any]
) -> None:
    peer = fake.accept()
    peer.welcome()
    peer.message(**{"seq": 1, "text": "extreme", **fields})
    refused = "seq" in fields or "id" in fields
    ann.see("no event" if refused else "extreme" if "to" not in fields else "2 @")
    if refused:
        peer = fake.accept()  # it comes again, and its cursor is not poisoned
        assert "since" not in peer.until("join")
        peer.let_in()
    if "to" not in fields:
        peer.message(2, "an honest one")
        ann.see("an honest one")
    ann.type("still here\r")
    assert peer.until("message")["text"] == "still here"


def test_one_can_always_leave(fake: FakeServer, ann: Terminal) -> None:
    fake.accept().welcome(limits={**LIMITS, "timeout": 1e9})
    ann.see("ann ●")
    ann.type("q!\r")
    assert ann.ended() == 0


def test_one_can_leave_from_a_question(fake: FakeServer, ann: Terminal) -> None:
    peer = fake.accept()
    peer.until("join")
    peer.send(purpose="error", code=401, error="ACCOUNT_REQUIRED", text="an account")
    ann.see("Password for ann:")
    ann.type("\x03")
    assert ann.ended() == 0


def test_a_password_that_nobody_can_have_is_asked_for_again(
    accounts_server: ChatServer, open_client: Open
) -> None:
    alice = open_client(accounts_server, "alice", columns=120)
    alice.see("Password for alice:")
    alice.type("bad\u0378pass\r")
    alice.see("cannot be used", "Password for alice:")
    alice.type("123\r")
    alice.see("Alice ●")


def test_a_server_with_another_log_is_followed_anew(
    make_server: Make, open_client: Open, tmp_path: Path
) -> None:
    server = make_server().start()
    bob = server.joined("bob")
    for number in range(5):
        bob.say(f"of the first log {number}")
    ann = open_client(server, "ann", columns=120)
    ann.see("first log 4")
    port = server.port
    server.kill()
    ann.see("again in")
    fresh = make_server(data=tmp_path / "fresh").start(port=port)
    ann.see("another history", "Connected again")
    bob = fresh.joined("bob")
    bob.say("of the second log")
    ann.see("of the second log")
    ann.type("and mine\r")
    ann.see("✓ and mine")
    assert fresh.messages == ["of the second log", "and mine"]


def test_what_was_stored_is_never_taken_for_somebody_elses(fake: FakeServer, ann: Terminal) -> None:
    peer = fake.accept()
    peer.welcome()
    peer.message(5, "bob said this")
    ann.see("bob said this")
    ann.type("and I this\r")
    ref = peer.until("message")["ref"]
    peer.send(purpose="ok", ref=ref, seq=5, time=time.time())
    ann.see("✓ and I this", "bob said this")


def test_what_will_never_be_taken_is_not_sent_for_ever(fake: FakeServer, ann: Terminal) -> None:
    peer = fake.accept()
    peer.welcome()
    ann.see("1 here")
    ann.type("for now\r")
    ref = peer.until("message")["ref"]
    refusal = {"purpose": "error", "code": 503, "error": "STORE_UNAVAILABLE", "ref": ref}
    peer.send(**refusal, text="not now", retry_after=0.1)
    assert peer.until("message")["ref"] == ref
    peer.send(**refusal, text="a part of the history cannot be read")
    ann.see("1 not sent", "a part of the history cannot be read")
    ann.type("another\r")
    assert peer.until("message")["text"] == "another"


@pytest.mark.parametrize("nick", ["bob", "", "../../x", "n" * 3000], ids=lambda nick: nick[:9])
def test_a_welcome_for_somebody_else_is_refused_and_writes_no_file(
    fake: FakeServer, ann: Terminal, nick: str
) -> None:
    while b"welcomes somebody else" not in ann.raw:  # it stands there until the next try
        fake.accept().welcome(nick=nick)
        ann.read(1.0)
    ann.wait(lambda: [p.name[-11:] for p in ann.config.glob("identities/*")] == ["_ann_1.json"])


def test_only_what_belongs_to_a_conversation_is_shown_in_it(
    fake: FakeServer, ann: Terminal
) -> None:
    peer = fake.accept()
    peer.welcome(seq=9)
    ref = peer.until("history")["ref"]
    one = {"purpose": "message", "from": "bob", "id": 1, "time": 1.7e9, "size": 1}
    page = [
        {**one, "seq": 3, "to": "#lobby", "text": "belongs"},
        {**one, "seq": 2, "to": "#lobby", "text": "backwards"},
        {**one, "seq": 4, "to": "@ann", "text": "private"},
        {**one, "seq": 5, "to": "#lobby", "text": "belongs too"},
    ]
    peer.send(purpose="history", ref=ref, messages=page, end=True, **{"with": "#lobby"})
    ann.see("belongs", "belongs too")
    assert "private" not in ann.text and "backwards" not in ann.text


def test_a_list_of_people_that_never_ends_ends(fake: FakeServer, ann: Terminal) -> None:
    peer = fake.accept()
    peer.welcome()
    ann.see("ann ●")
    ann.type("/users\r")
    people = [{"nick": f"n{n}", "status": "online", "since": None, "ids": [1]} for n in range(9)]
    for _ in range(2):
        ref = peer.until("users")["ref"]
        peer.send(purpose="users", ref=ref, users=people, total=9, end=False)
    ann.see("n8  online", "Esc closes")
    ann.type("\x1b")
    ann.see("#lobby ›", not_="Esc closes")
    ann.type("/users\r")
    ref = peer.until("users")["ref"]
    peer.send(purpose="ok", ref=ref)
    ann.see("/users: the server's answer makes no sense")


def test_a_server_that_lets_nobody_in_is_left(fake: FakeServer, ann: Terminal) -> None:
    peer = fake.accept()
    peer.until("join")
    deadline = time.monotonic() + 40
    with contextlib.suppress(OSError):  # it hangs up, and comes again
        while True:
            assert time.monotonic() < deadline
            peer.send(purpose="of_the_future")
            ann.read(0.5)
    fake.accept().until("join")


def test_odd_limits_neither_spin_nor_hold(fake: FakeServer, ann: Terminal) -> None:
    peer = fake.accept()
    peer.welcome(limits={**LIMITS, "rate": 1e9, "burst": 0})
    ann.see("ann ●")
    ann.type("one\r")
    ref = peer.until("message")["ref"]
    peer.send(purpose="error", ref=ref, code=429, error="LIMIT_EXCEEDED", text="-", retry_after=-1)
    again = peer.until("message")
    assert (again["ref"], again["text"]) == (ref, "one")
    peer.send(purpose="ok", ref=ref, seq=1, time=1e300)
    ann.see("✓ one")


def test_a_page_pasted_by_somebody_is_folded_and_shown_whole_on_wish(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    bob.say("\n".join(f"row {number}" for number in range(1000)))
    ann.see("… 981 more lines: Alt+Z shows all")
    before = len(ann.raw)
    ann.type("\x1bz")
    ann.see("row 999", "Enter goes back")
    assert ann.raw[before:].count(b"row ") == 1000


def test_plain_prints_what_history_brings(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    for number in range(60):
        bob.send(purpose="message", ref=f"r{number}", text=f"number {number:02}")
    bob.quiet()
    ann = open_client(server, "ann", "--plain", columns=100, lines=90)
    ann.see("number 59", "number 10")
    assert "number 09" not in ann.text
    ann.type("/history 5\r")
    ann.see("number 09", "number 05")
    assert all(ann.text.count(f"number {number:02}") == 1 for number in range(5, 60))


def test_the_token_of_one_nick_is_not_shown_for_another(
    fake: FakeServer, open_client: Open, tmp_path: Path
) -> None:
    config = tmp_path / "config-ann"
    identities = config / "identities"
    identities.mkdir(parents=True)
    (identities / f"localhost_{fake.port}_ann_1_2.json").write_text(json.dumps({"token": "no"}))
    (identities / f"localhost_{fake.port}_ann_7.json").write_text(json.dumps({"token": "ann's"}))
    open_client(fake, "ann")
    assert fake.accept().until("join")["token"] == "ann's"
