"""The client and whom it trusts: on the screen, line by line, and without either."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.badnet import Network, Weather, why_not
from tests.client.terminal import Terminal
from tests.conftest import ROOT, ChatServer, Make
from tests.tls.conftest import Certified, joined

FACES = [(), ("--plain",)]
IN = {(): "1 here", ("--plain",): "Connected as ann"}
"""What shows that one has come in."""


def fingerprint(certified: Certified) -> str:
    return hashlib.sha256(certified.der).hexdigest()


def refused(terminal: Terminal, words: str, face: tuple[str, ...] = ()) -> None:
    """See that it says why it goes no further. The screen waits until the person has read that."""
    terminal.see(words)
    if not face:
        terminal.type("q!\r")
    assert terminal.ended() == 4


class Person:
    """Somebody with a configuration of their own, at ``port``."""

    def __init__(self, place: Path, port: int) -> None:
        self.config = place / "config"
        self.port = port
        self._opened: list[Terminal] = []

    def without_screen(self, *options: str) -> Any:
        """Send a line. Return how that ended."""
        command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(self.port)]
        env = {**os.environ, "PARLEY_CONFIG_DIR": str(self.config)}
        more = ["ann", "1", "--send", "hello", *options]
        return subprocess.run(
            [*command, *more], capture_output=True, text=True, timeout=60, env=env
        )

    def screen(self, *options: str) -> Terminal:
        """Open the client in a terminal."""
        where = ("localhost", str(self.port), "ann", "1")
        made = Terminal(self.config, *where, *options, columns=160)
        self._opened.append(made)
        return made

    def close(self) -> None:
        for terminal in self._opened:
            terminal.close()


@pytest.fixture
def ann(tls_server: ChatServer, tmp_path: Path) -> Any:
    made = Person(tmp_path, tls_server.port)
    yield made
    made.close()


def test_without_a_screen_an_unknown_certificate_is_refused_and_its_fingerprint_told(
    ann: Person, certified: Certified, tls_server: ChatServer
) -> None:
    done = ann.without_screen()
    assert done.returncode == 4
    assert fingerprint(certified) in done.stderr and "--fingerprint" in done.stderr
    done = ann.without_screen("--fingerprint", "0" * 64)
    assert done.returncode == 4 and "is not the one given" in done.stderr
    assert not [record for record in tls_server.records if record.get("from")]

    colons = fingerprint(certified).upper()
    colons = "SHA256:" + ":".join(colons[at : at + 2] for at in range(0, 64, 2))
    done = ann.without_screen("--fingerprint", colons)
    assert (done.returncode, done.stderr) == (0, "")
    done = ann.without_screen()  # it is known now
    assert (done.returncode, done.stderr) == (0, "")
    assert tls_server.messages == ["hello", "hello"]


def test_a_ca_vouches_for_one_host_and_no_other(
    make_server: Make, tls_server: ChatServer, ann: Person, certified: Certified, tmp_path: Path
) -> None:
    done = ann.without_screen("--ca", str(certified.ca))
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "other").mkdir()
    other = Certified(tmp_path / "other", "elsewhere.example")
    for ca in (other.ca, tmp_path / "none.pem", certified.key):
        done = ann.without_screen("--ca", str(ca))
        assert done.returncode == 4 and str(ca) in done.stderr, done.stderr
    ann.port = make_server(*other.options).start().port
    done = ann.without_screen("--ca", str(other.ca))
    assert done.returncode == 4 and "not valid for 'localhost'" in done.stderr


@pytest.mark.parametrize("face", FACES, ids=["screen", "plain"])
def test_a_person_is_shown_the_fingerprint_once(
    ann: Person, tls_server: ChatServer, certified: Certified, face: tuple[str, ...]
) -> None:
    terminal = ann.screen(*face)
    terminal.see(fingerprint(certified), "Type yes to trust it")
    terminal.type("no\r")
    refused(terminal, "is not trusted", face)
    terminal = ann.screen(*face)
    terminal.see(fingerprint(certified), "Type yes to trust it")
    terminal.type("yes\r")
    terminal.see(IN[face])
    terminal.type("I trust you\r")
    terminal.wait(lambda: tls_server.messages == ["I trust you"])
    terminal.type("q!\r")
    assert terminal.ended() == 0
    done = ann.without_screen()
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("face", FACES, ids=["screen", "plain"])
def test_another_certificate_is_refused_loudly_until_a_person_says_so(
    ann: Person, tls_server: ChatServer, certified: Certified, face: tuple[str, ...]
) -> None:
    before = fingerprint(certified)
    assert ann.without_screen("--fingerprint", before).returncode == 0
    tls_server.stop()
    certified.renew("localhost")
    tls_server.start()
    done = ann.without_screen()
    assert done.returncode == 4
    assert "HAS CHANGED" in done.stderr and before in done.stderr
    assert fingerprint(certified) in done.stderr
    terminal = ann.screen(*face)
    terminal.see("HAS CHANGED", fingerprint(certified), "Type replace to trust it")
    terminal.type("yes\r")  # a habit is no answer
    refused(terminal, "is not trusted", face)
    terminal = ann.screen(*face)
    terminal.see("HAS CHANGED", "Type replace to trust it")
    terminal.type("replace\r")
    terminal.see(IN[face])
    terminal.type("the new one\r")
    terminal.wait(lambda: tls_server.messages == ["hello", "the new one"])
    terminal.type("q!\r")
    assert terminal.ended() == 0
    assert ann.without_screen().returncode == 0


def test_a_running_client_comes_back_over_tls_and_refuses_another(
    ann: Person, tls_server: ChatServer, certified: Certified
) -> None:
    terminal = ann.screen("--fingerprint", fingerprint(certified))
    terminal.see("1 here")
    tls_server.kill()
    terminal.type("said meanwhile\r")
    tls_server.start()
    terminal.wait(lambda: "said meanwhile" in tls_server.messages)
    tls_server.kill()
    certified.renew("localhost")
    tls_server.start()
    refused(terminal, "is not the one given")


def test_a_server_that_once_spoke_tls_is_never_spoken_to_without(
    ann: Person, tls_server: ChatServer, certified: Certified
) -> None:
    assert ann.without_screen("--fingerprint", fingerprint(certified)).returncode == 0
    tls_server.stop()
    tls_server.options = ()
    tls_server.start()
    heard = len(tls_server.said)
    done = ann.without_screen("--wait", "1")
    assert done.returncode == 3
    assert "as it did before: somebody may be in between" in done.stderr
    assert "joined" not in tls_server.said[heard:]
    done = ann.without_screen("--no-tls")  # unless one says so
    assert (done.returncode, done.stderr) == (0, "")


def test_who_wants_tls_never_begins_without(server: ChatServer, tmp_path: Path) -> None:
    done = Person(tmp_path, server.port).without_screen("--tls", "--wait", "1")
    assert done.returncode == 3 and "does not speak it" in done.stderr
    server.wait_for("it speaks TLS, and this port does not")
    assert "joined" not in server.said


def test_who_wants_none_is_told_that_there_is_only_tls(ann: Person) -> None:
    done = ann.without_screen("--no-tls")
    assert done.returncode == 4 and "leave out --no-tls" in done.stderr
    done = ann.without_screen("--no-tls", "--fingerprint", "0" * 64)
    assert done.returncode == 2


@pytest.mark.skipif(why_not() is not None, reason=str(why_not()))
def test_before_a_password_goes_to_another_machine_in_the_clear_one_is_told(
    tmp_path: Path, demo_users: str, certified: Certified
) -> None:
    words = "is not encrypted"
    data = tmp_path / "far"
    data.mkdir()
    (tmp_path / "password").write_text("123\n")
    with Network(Weather()) as network:
        host = network.addresses[0]
        prefix = tuple(network.inside(0))

        def run(port: int, *options: str) -> "subprocess.CompletedProcess[str]":
            program = [*network.inside(1), sys.executable, str(ROOT / "chat_client.py")]
            where = [host, str(port), "Zoe", "1", "--send", "hello"]
            more = ["--password-file", str(tmp_path / "password"), *options]
            env = {**os.environ, "PARLEY_CONFIG_DIR": str(tmp_path / "config")}
            return subprocess.run(
                [*program, *where, *more], capture_output=True, text=True, timeout=60, env=env
            )

        accounts = demo_users.replace("Alice", "Zoe").replace("Bob", "Yan").replace("Charlie", "X")
        (data / "users.json").write_text(accounts)
        server = ChatServer(data, "--host", host, prefix=prefix).start()
        try:
            done = run(server.port)
            assert done.returncode == 0 and done.stderr.count(words) == 1
            assert server.messages == ["hello"]
            server.stop()
            server.options = (*server.options, *certified.options)
            server.start()
            done = run(server.port, "--fingerprint", fingerprint(certified))
            assert (done.returncode, done.stderr) == (0, "")
        finally:
            server.end()


def test_on_this_machine_nothing_is_said_of_that(
    accounts_server: ChatServer, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("123\n")
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost"]
    more = [str(accounts_server.port), "Alice", "1", "--send", "hello"]
    env = {**os.environ, "PARLEY_CONFIG_DIR": str(tmp_path / "config")}
    done = subprocess.run(
        [*command, *more, "--password-file", str(tmp_path / "password")],
        capture_output=True, text=True, timeout=60, env=env,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_two_faces_talk_over_tls(ann: Person, tls_server: ChatServer, certified: Certified) -> None:
    terminal = ann.screen("--ca", str(certified.ca))
    terminal.see("1 here")
    bob = joined(tls_server, certified.context(), "bob")
    bob.say("hello, ann")
    terminal.see("hello, ann")
    terminal.type("hello, bob\r")
    assert bob.until("message")["text"] == "hello, bob"
    terminal.see("✓ hello, bob")
