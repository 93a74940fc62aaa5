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
