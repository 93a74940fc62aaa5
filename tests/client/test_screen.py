"""The screen, as a person at a terminal sees it, against the real server."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.client.conftest import Open
from tests.client.terminal import Terminal
from tests.conftest import ChatServer, Make
from tests.wire import texts


def test_a_message_shows_that_it_is_stored_and_reaches_others(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("ann ●", "2 here")
    ann.type("hello, wörld 你好\r")
    ann.see("✓ hello, wörld")
    assert bob.until("message")["text"] == "hello, wörld 你好"
    bob.say("hi ann")
    ann.see("bob │ hi ann")


def test_private_messages_have_their_conversation(server: ChatServer, open_client: Open) -> None:
    bob, eve = server.joined("bob"), server.joined("eve")
    ann = open_client(server, "ann")
    ann.see("3 here")
    ann.type("/msg bob psst\r")
    ann.see("2 @bob", "✓ psst", "@bob ›")
    assert bob.until("message")["to"] == "@bob"
    bob.say("and back", "@ann")
    ann.see("bob │ and back")
    ann.type("\x1b1")
    ann.see("#lobby ›")
    bob.say("again", "@ann")
    ann.see("@bob (1)")
    ann.type("\x1ba")
    ann.see("bob │ again", not_="@bob (1)")
    assert texts(eve.quiet()) == []


def test_comings_and_goings_are_on_one_line_with_the_reason(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", columns=160)
    ann.see("1 here")
    bob, cyd = server.joined("bob"), server.joined("cyd")
    ann.see("bob joined, cyd joined", "3 here")
    bob.send(purpose="disconnect", text="tea")
    cyd.reset()
    ann.see("bob joined, cyd joined, ", "bob left (tea)", "cyd lost the connection", "1 here")
    assert ann.line("bob left") == ann.line("cyd lost")


def test_what_was_missed_is_marked_and_nothing_comes_twice(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    bob.say("before")
    ann = open_client(server, "ann")
    ann.see("[History] before")
    ann.type("mine\r")
    ann.see("✓ mine")
    ann.type("q!\r")
    assert ann.ended() == 0
    bob.until("left")
    bob.say("while away")
    bob.say("in private", "@ann")
    ann = open_client(server, "ann")
    ann.see("[History] while away", "[History] mine", "@bob (1)")
    assert ann.text.count("while away") == ann.text.count("mine") == 1
    ann.type("\x1b2")
    ann.see("[History] in private")


def test_a_draft_outlives_all_that_happens(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type("my unfinished thought")
    ann.see("› my unfinished thought")
    for number in range(30):
        bob.say(f"noise {number}")
    ann.see("noise 29", "› my unfinished thought")
    ann.type("\x1b")
    time.sleep(0.2)  # an Esc alone is told from Alt by the time after it
    ann.resize(60, 15)
    ann.see("› my unfinished thought")
    ann.resize(100, 30)
    server.kill()
    ann.see("again in", "› my unfinished thought")
    ann.type(" goes on")
    ann.see("› my unfinished thought goes on")
    server.start()
    ann.see("ann ●", "Connected again", "› my unfinished thought goes on")
    ann.type("\r")
    ann.see("✓ my unfinished thought goes on")


def test_what_is_typed_while_the_server_is_gone_is_sent_once_when_it_is_back(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    server.kill()
    ann.see("again in")
    ann.type("first\r")
    ann.type("second\r")
    ann.see("… first", "… second")
    server.start()
    ann.see("✓ first", "✓ second")
    assert server.messages == ["first", "second"]


def test_what_could_not_be_sent_is_sent_by_the_next_run(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    server.kill()
    ann.see("again in")
    ann.type("do not lose me\r")
    ann.see("… do not lose me")
    ann.type("q!\r")
    ann.see("1 message is not stored yet")
    ann.ended()
    server.start()
    ann = open_client(server, "ann")
    ann.see("✓ do not lose me")
    assert server.messages == ["do not lose me"]


def test_what_waits_goes_once_under_the_nick_that_one_gets(
    server: ChatServer, open_client: Open
) -> None:
    server.stop()
    ann = open_client(server, "ann")
    ann.see("again in")
    ann.type("say this once\r")
    ann.see("… say this once")
    ann.type("q!\r")
    ann.ended()
    server.start()
    other = server.joined("ann")
    ann = open_client(server, "ann")
    ann.see("ann is taken", "Another nick:")
    ann.type("anna\r")
    ann.see("anna ●", "✓ say this once")
    ann.type("q!\r")
    assert ann.ended() == 0
    other.close()
    ann = open_client(server, "ann")
    ann.see("ann ●", "[History] say this once")
    ann.type("another\r")
    ann.see("✓ another")
    assert server.messages == ["say this once", "another"]


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_what_cannot_be_kept_is_said_with_its_text(
    server: ChatServer, open_client: Open, tmp_path: Path, options: tuple[str, ...]
) -> None:
    (tmp_path / "config-ann").mkdir()
    (tmp_path / "config-ann" / "identities").write_text("no folder")
    ann = open_client(server, "ann", *options, columns=120)
    ann.see("Connected" if options else "1 here", "of this session")  # behind a path of any length
    server.kill()
    ann.see("Not connected" if options else "again in")
    ann.type("do not lose me\r")
    ann.see("do not lose me")
    if not options:
        ann.type("/msg bob hello?\r")
        ann.see("@bob ›", "… hello?")
        ann.type("half a thought")
        ann.see("@bob › half a thought")
    ann.type("\x03")
    ann.ended()
    said = "2 messages are" if not options else "1 message is"
    ann.see(f"{said} not stored, and could NOT be kept", "to #lobby: do not lose me")
    if not options:
        ann.see("to @bob: hello?", "could NOT be kept for the next start", "half a thought")


def test_a_stopped_server_leaves_typing_alone(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ann.type("sent into silence\r")
        ann.see("… sent into silence")
        ann.type("still typing")
        ann.see("› still typing")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    ann.see("✓ sent into silence", "› still typing")


def test_a_password_is_asked_hidden_and_logs_in(
    accounts_server: ChatServer, open_client: Open
) -> None:
    alice = open_client(accounts_server, "alice")
    alice.see("Password for alice:")
    alice.type("wrong" * 30)
    alice.see("*" * 70)  # it is longer than the line
    alice.type("\r")
    alice.see("Wrong password. Password for alice:")
    alice.type("123")
    alice.see("***")
    alice.type("\r")
    alice.see("Alice ●")
    assert b"123" not in alice.raw.replace(b"\x1b[123", b"")
    alice.type("it is me\r")
    alice.see("✓ it is me")


def test_a_password_typed_before_it_is_asked_for_is_told_to_nobody(
    accounts_server: ChatServer, open_client: Open
) -> None:
    os.kill(accounts_server.pid, signal.SIGSTOP)
    try:
        bob = open_client(accounts_server, "Bob")
        bob.see("connecting")
        bob.type("456\r")
        bob.see("… 456")
    finally:
        os.kill(accounts_server.pid, signal.SIGCONT)
    bob.see("Password for Bob:", not_="… 456")
    bob.type("456\r")
    bob.see("Bob ●", "› 456")
    bob.type("\x15hello\r")
    bob.see("✓ hello")
    assert accounts_server.messages == ["hello"]


def test_a_guest_registers_and_comes_back_with_the_password(
    server: ChatServer, open_client: Open
) -> None:
    dora = open_client(server, "dora")
    dora.see("1 here")
    dora.type("/register\r")
    dora.see("New password for dora:")
    dora.type("sesame\r")
    dora.see("Once more:")
    dora.type("sesame\r")
    dora.see("dora is yours now")
    dora.type("\x03")
    assert dora.ended() == 0
    dora = open_client(server, "dora")
    dora.see("Password for dora:")
    dora.type("sesame\r")
    dora.see("dora ●")


def test_who_gave_up_at_the_password_can_try_again(
    accounts_server: ChatServer, open_client: Open
) -> None:
    bob = open_client(accounts_server, "Bob", columns=120)
    bob.see("Password for Bob:")
    bob.type("\x1b")
    bob.see("needs its password", "/reconnect tries again, Ctrl+C leaves.", "○ Bob is a registered")
    bob.type("kept until then\r")
    bob.see("… kept until then")
    bob.type("/reconnect\r")
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Bob ●", "✓ kept until then")
    bob.type("q!\r")
    assert bob.ended() == 0


def test_a_taken_nick_asks_for_another(server: ChatServer, open_client: Open) -> None:
    server.joined("ann")
    ann = open_client(server, "ann")
    ann.see("ann is taken", "Another nick:")
    ann.type("anna\r")
    ann.see("anna ●", "2 here")


def test_no_server_is_said_and_tried_again(server: ChatServer, open_client: Open) -> None:
    server.stop()
    ann = open_client(server, "ann")
    ann.see("no server is listening on", "again in")
    ann.see("No server is listening on localhost", "is this its port?", "What you type is kept")
    server.start()
    ann.see("ann ●")


def test_a_second_window_of_the_same_id_ends_the_first(
    server: ChatServer, open_client: Open
) -> None:
    first = open_client(server, "ann", columns=120)
    first.see("1 here")
    second = open_client(server, "ann", columns=120)
    second.see("ann ●")
    first.see("the same nick and id have joined from another", "ann with id 1, has ended")
    second.type("half a thought")
    second.see("› half a thought")
    second.type("\x03")
    second.ended()
    first.type("/reconnect\r")
    first.see("Another client has taken your place")
    first.type("a thought of the first")
    first.see("› a thought of the first")
    first.type("\x03")
    assert first.ended() == 4
    first.see("could NOT be kept", "to #lobby: a thought of the first")
    open_client(server, "ann").see("› half a thought", not_="of the first")


def test_help_and_mistyped_commands(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", columns=100)
    ann.see("1 here")
    ann.type("/help\r")
    ann.see("/msg NICK [TEXT]", "write to one person", "Esc closes")
    ann.type("\x1b")
    ann.see("#lobby ›", not_="Esc closes")
    ann.type("/mgs bob hi\r")
    ann.see("There is no command /mgs", "/msg")
    ann.type("//slash\r")
    ann.see("✓ /slash")
    assert server.messages == ["/slash"]


def test_tab_completes_commands_and_nicks(server: ChatServer, open_client: Open) -> None:
    server.joined("bartholomew")
    ann = open_client(server, "ann")
    ann.see("2 here")
    ann.type("/wh")
    ann.type("\x7f\x7f\x7f/reg\t")
    ann.see("› /register")
    ann.type("\x15bar\t")
    ann.see("› bartholomew:")


def test_scrolling_stays_where_it_is_and_older_pages_come(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    for number in range(120):
        bob.send(purpose="message", ref=f"r{number}", text=f"number {number:03}")
    bob.quiet()
    ann = open_client(server, "ann")
    ann.see("number 119")
    for _ in range(40):
        ann.type("\x1b[5~")
        ann.read(0.2)
        if "number 000" in ann.text:
            break
    ann.see("number 000", "number 019", not_="↓")  # the last line too: all is drawn
    before = [line for line in ann.text.split("\n") if "number" in line]
    for number in range(7):
        bob.say(f"new {number}")
    ann.see("↓ 7 new")
    assert [line for line in ann.text.split("\n") if "number" in line] == before
    for _ in range(12):
        ann.type("\x1b[6~")
    ann.see("new 6", not_="↓")


def test_foreign_controls_never_reach_the_terminal(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann")
    ann.see("2 here")
    before = len(ann.raw)
    bob.say("a\x1b]52;c;aGk=\x07b \x9b31mc \u202egnp.exe\u2066 \x1b[2J zero\u200bwidth \x00\r end")
    bob.send(purpose="away", ref="x", text="\x1b]0;owned\x07")
    ann.see("end")
    after = ann.raw[before:]
    assert b"]52;" not in after.replace("␛]52;".encode(), b"") and b"\x9b31" not in after
    for bad in ("\u202e", "\u2066", "\u200b", "\x9b"):
        assert bad.encode() not in after
    ann.see("␛]52;", "<U+202E>", "<U+200B>", "␀")


def test_many_lines_are_asked_about(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann")
    ann.see("1 here")
    pasted = "\r".join(f"line {number}" for number in range(12))
    ann.type(f"\x1b[200~{pasted}\x1b[201~")
    ann.see("line 11")
    ann.type("\r")
    ann.see("12 lines: Enter sends them")
    assert server.messages == []
    ann.type("\r")
    ann.see("✓ line 0")
    assert server.messages == ["\n".join(f"line {number}" for number in range(12))]


def test_forty_columns_and_ten_lines_are_enough(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("b" * 32)
    ann = open_client(server, "ann", columns=40, lines=10)
    ann.see("2 here")
    bob.say("a long message that must wrap within forty columns, with a 你好 in it")
    text = ann.see("你 好" if "你 好" in ann.text else "forty", "…")
    assert all(len(line) <= 40 for line in text.split("\n"))
    ann.type("fine\r")
    ann.see("✓ fine")


def test_the_grace_of_a_stop_is_kept_by_the_client(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    began = time.monotonic()
    server.signal(signal.SIGINT)
    assert server.wait(10) == 0
    assert time.monotonic() - began < 5, "the client did not acknowledge"
    ann.see("The server is stopping: shut down", "It has stopped.", "again in")
    assert "Connection lost" not in ann.text


def test_a_silent_server_is_noticed(make_server: Make, open_client: Open) -> None:
    server = make_server("--timeout", "3").start()
    ann = open_client(server, "ann", columns=120)
    ann.see("1 here")
    time.sleep(4)
    ann.see("ann ●")  # its pings have kept it in
    os.kill(server.pid, signal.SIGSTOP)
    try:
        ann.see("said nothing for")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    ann.see("ann ●", "Connected again")


def test_whoever_only_listens_in_a_busy_chat_stays(make_server: Make, open_client: Open) -> None:
    server = make_server("--timeout", "3", "--rate", "0").start()
    bob = server.joined("bob")
    ann = open_client(server, "ann", columns=120)
    ann.see("2 here")
    until = time.monotonic() + 6
    while time.monotonic() < until:
        bob.say("on and on")
        ann.read(0.1)
        time.sleep(0.1)
    bob.say("and the end")
    ann.see("and the end", not_="Connection lost")
    assert "left nick=ann" not in server.said


def test_the_first_run_asks_and_the_next_remembers(server: ChatServer, tmp_path: Path) -> None:
    first = Terminal(tmp_path / "config")
    try:
        first.see("Server [localhost]:")
        first.type("may I speak\r")
        first.see("is no host")
        first.type("\r")
        first.see("Port [10500]:")
        first.type("99999\r")
        first.see("is no port")
        first.type(f"{server.port}\r")
        first.see("What do you want to be called")
        first.type("a b\r")
        first.see("is no nick")
        first.type("ann\r")
        first.see("ann ●")
        first.type("q!\r")
        assert first.ended() == 0
    finally:
        first.close()
    again = Terminal(tmp_path / "config")
    try:
        again.see("Server [localhost]:")
        again.type("\r")
        again.see(f"Port [{server.port}]:")
        again.type("\r")
        again.see("[ann]:")
        again.type("\r")
        again.see("ann ●")
    finally:
        again.close()
    left = Terminal(tmp_path / "config")
    try:
        left.see("Server [localhost]:")
        left.type("q!\r")
        assert left.ended() == 2
    finally:
        left.close()
