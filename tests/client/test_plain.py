"""Line by line, in a real terminal."""

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from parley.client.ground.preferences import Preferences
from parley.client.ground.store import Store
from parley.client.plain import Plain
from parley.client.session.joining import Settings
from tests.client.conftest import Open
from tests.client.terminal import Terminal
from tests.conftest import ChatServer


def test_lines_come_above_what_is_being_typed(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    bob.say("before")
    ann = open_client(server, "ann", "--plain", columns=100)
    ann.see("Connected as ann. Here: bob.", "[History]", "bob: before", "#lobby>")
    ann.type("half a th")
    ann.see("#lobby> half a th")
    for number in range(20):
        bob.say(f"noise {number}")
    ann.see("bob: noise 19", "#lobby> half a th")
    ann.type("ought\r")
    ann.see("ann: half a thought")
    assert bob.until("message")["text"] == "half a thought"
    bob.say("psst", "@ann")
    ann.see("bob to ann: psst")


def test_what_is_changed_or_taken_back_is_said_anew(server: ChatServer, open_client: Open) -> None:
    bob = server.joined("bob")
    bob.say("missed")
    ann = open_client(server, "ann", "--plain", columns=100)
    ann.see("bob: missed", "Connected as ann.")
    seq = bob.say("frist")["seq"]
    ann.see("bob: frist")
    bob.send(purpose="edit", ref="e", seq=seq, text="first")
    ann.see("bob: first (edited)")
    bob.send(purpose="redact", ref="r", seq=seq)
    ann.see("bob: (taken back)")
    ann.type("it's mine\r")
    ann.see("] ann: it's mine")
    ann.type("/edit\r")
    ann.see("instead of 'it's mine'?")
    ann.type("/edit my own\r")
    ann.see("] ann: my own (edited)")
    ann.type("/redact\r")
    ann.see("] ann: (taken back)")
    assert ann.text.count("ann: my own") == ann.text.count("ann: (taken back)") == 1
    assert ann.text.count("bob: first") == ann.text.count("bob: (taken back)") == 1


def test_it_says_what_is_not_stored_and_comes_back(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", "--plain", columns=120)
    ann.see("Connected as ann. Here: nobody else.")
    server.kill()
    ann.see("Not connected:")
    ann.type("later\r")
    ann.see("(not stored yet: later)", "is this its port? Trying again.")
    for _ in range(3):
        ann.type("/reconnect\r")
    ann.type("/nothing\r")
    ann.see("There is no command /nothing")
    assert ann.text.count("is this its port?") == 1
    server.start()
    ann.see("] ann: later")
    ann.type("q!\r")
    assert ann.ended() == 0
    assert server.messages == ["later"]


def test_a_password_is_asked_hidden(accounts_server: ChatServer, open_client: Open) -> None:
    bob = open_client(accounts_server, "Bob", "--plain", columns=100)
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Connected as Bob.")
    assert "456" not in bob.text
    bob.type("/users\r")
    bob.see("Alice", "offline, registered", "3 in all")
    bob.type("/msg ann\r")
    bob.see("Now writing to @ann.", "@ann>")
    bob.type("\x04")
    assert bob.ended() == 0


def test_a_password_typed_before_it_is_asked_for_is_told_to_nobody(
    accounts_server: ChatServer, open_client: Open
) -> None:
    os.kill(accounts_server.pid, signal.SIGSTOP)
    try:
        bob = open_client(accounts_server, "Bob", "--plain", columns=100)
        bob.see("#lobby>")
        bob.type("456\r")
        bob.see("(not stored yet: 456)")
    finally:
        os.kill(accounts_server.pid, signal.SIGCONT)
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Connected as Bob.", "#lobby> 456")
    bob.type("\x15hello\r")
    bob.see("Bob: hello")
    assert accounts_server.messages == ["hello"]


def test_what_was_typed_too_early_for_somebody_is_not_offered_to_all(
    accounts_server: ChatServer, open_client: Open
) -> None:
    os.kill(accounts_server.pid, signal.SIGSTOP)
    try:
        bob = open_client(accounts_server, "Bob", "--plain", columns=100)
        bob.see("#lobby>")
        bob.type("/msg Alice for you alone\r")
        bob.see("@Alice>")
        bob.type("/go #lobby\r")
        bob.see("Now writing to #lobby", "#lobby>")
    finally:
        os.kill(accounts_server.pid, signal.SIGCONT)
    bob.see("Password for Bob:")
    bob.type("456\r")
    bob.see("Not sent to @Alice: for you alone. /go @Alice", "Connected as Bob.", "#lobby>")
    bob.type("hello\r")
    bob.see("] Bob: hello")
    bob.type("/go @Alice\r")
    bob.see("@Alice> for you alone")
    bob.type("\r")
    bob.see("Bob to Alice: for you alone")
    assert accounts_server.messages == ["hello", "for you alone"]


def test_a_dumb_terminal_gets_lines_and_no_escapes(
    accounts_server: ChatServer, open_client: Open
) -> None:
    bob = open_client(accounts_server, "Bob", columns=100, TERM="dumb")
    bob.see("Password for Bob:")
    bob.type("wrong 456\r")
    bob.see("Wrong password.")
    bob.type("456\r")
    bob.see("Connected as Bob.")
    bob.type("hello\r")
    bob.see("Bob: hello")
    assert b"456" not in bob.raw and b"\x1b" not in bob.raw
    bob.type("\x04")
    assert bob.ended() == 0


def test_a_question_leaves_what_is_typed_and_what_comes_whole(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", "--plain", columns=100)
    ann.see("Connected", "#lobby>")
    ann.type("/register\rhalf a th")
    ann.see("New password for ann:", not_="half a th")
    bob.say("first")
    bob.say("second")
    ann.see("bob: first", "bob: second", "New password for ann:")
    assert [ann.line(word)[0] for word in ("bob: first", "bob: second")] == ["[", "["]
    assert ann.line("New password").strip() == "New password for ann:"
    ann.type("secret 123\r")
    ann.see("Once more:")
    ann.type("secret 123\r")
    ann.see("#lobby> half a th")
    ann.type("ought\r")
    ann.see("ann: half a thought")
    ann.see("#lobby>", not_="#lobby> half")


def type_and_leave(terminal: Terminal, text: str) -> None:
    """Type a text, and Ctrl+C when it is there: while a line is printed the terminal itself takes
    Ctrl+C, and throws away what has been typed and not been read."""
    terminal.type(text)
    terminal.see(f"> {text}")
    terminal.type("\x03")


def test_what_was_being_typed_at_the_end_is_there_at_the_next_start(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", "--plain", columns=100)
    ann.see("Connected", "#lobby>")
    ann.type("half a th")
    ann.see("#lobby> half a th")
    other = open_client(server, "ann", "--plain", columns=100)  # the same one from elsewhere
    assert ann.ended() == 4
    assert "Ended: the same nick and id have" in ann.text and "Not sent: half a th" in ann.text
    other.see("Connected", "#lobby>")
    type_and_leave(other, "another th")
    assert other.ended() == 0
    assert "Not sent: another th" in other.text
    again = open_client(server, "ann", "--plain", columns=100)
    again.see("#lobby> another th")
    again.type("ought\r")
    again.see("ann: another thought", "#lobby>")
    again.type("\x04")
    assert again.ended() == 0 and "Not sent" not in again.text
    once_more = open_client(server, "ann", "--plain", columns=100)
    once_more.see("Connected", "#lobby>", not_="#lobby> another")
    once_more.type("/msg bob\r")
    once_more.see("Now writing to @bob.", "@bob>")
    type_and_leave(once_more, "for you al")
    assert once_more.ended() == 0
    last = open_client(server, "ann", "--plain", columns=100)
    last.see("Not sent to @bob: for you al. /go @bob", "Connected", "#lobby>")
    last.type("/go @bob\r")
    last.see("@bob> for you al")
    last.type("one\r")
    last.see("nobody here is or was called bob", "@bob>", not_="@bob> for")


def test_a_terminal_that_does_not_know_every_letter_gets_the_rest(
    server: ChatServer, open_client: Open
) -> None:
    bob = server.joined("bob")
    latin = {"LC_ALL": "en_US.ISO-8859-1", "PYTHONIOENCODING": "iso-8859-1:strict"}
    ann = open_client(server, "ann", "--plain", columns=100, **latin)
    ann.see("Connected")
    bob.say("a \N{GRINNING FACE} face")
    bob.say("and on")
    ann.see("bob: a ? face", "bob: and on")


def test_bytes_that_are_no_text_are_marked_and_lose_nothing(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", "--plain")
    ann.see("Connected")
    ann.type("gr\udcfc\udcdfe\r")
    ann.see("ann: gr\ufffd\ufffde", "#lobby>")
    ann.type("\x04")
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type("sch\udcf6n")
    ann.see("› sch\ufffdn")
    ann.type("er Tag\r")
    ann.see("✓ sch\ufffdner Tag", not_="fault")


def test_ctrl_c_between_two_prompts_says_what_is_not_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings("localhost", 1, "ann", 1)  # where nobody listens

    async def interrupted() -> int:
        with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
            plain = Plain(settings, Store(tmp_path), Preferences(), "#lobby", tmp_path)
            running = asyncio.create_task(plain.run())
            keys.send_text("do not lose me\r")
            while not plain.session.outbox.open:
                await asyncio.sleep(0.01)
            running.cancel()  # as asyncio.run() does
            return await running

    with ThreadPoolExecutor(1) as other:  # in this thread chromium's tests leave a loop running
        assert other.submit(asyncio.run, asyncio.wait_for(interrupted(), 20)).result() == 0
    assert "1 message is not stored yet; the next start sends it." in capsys.readouterr().out
