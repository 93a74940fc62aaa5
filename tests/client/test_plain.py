"""Line by line, in a real terminal."""

from tests.client.conftest import Open
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


def test_it_says_what_is_not_stored_and_comes_back(server: ChatServer, open_client: Open) -> None:
    ann = open_client(server, "ann", "--plain", columns=100)
    ann.see("Connected as ann. Here: nobody else.")
    server.kill()
    ann.see("Not connected:")
    ann.type("later\r")
    ann.see("(not stored yet: later)")
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
    bob.see("Now writing to @ann.")
    bob.type("\x04")
    assert bob.ended() == 0


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


def test_bytes_that_are_no_text_are_marked_and_lose_nothing(
    server: ChatServer, open_client: Open
) -> None:
    ann = open_client(server, "ann", "--plain")
    ann.see("Connected")
    ann.type("gr\udcfc\udcdfe\r")
    ann.see("ann: gr\ufffd\ufffde")
    ann.type("\x04")
    ann.ended()
    ann = open_client(server, "ann")
    ann.see("1 here")
    ann.type("sch\udcf6n")
    ann.see("› sch\ufffdn")
    ann.type("er Tag\r")
    ann.see("✓ sch\ufffdner Tag", not_="fault")
