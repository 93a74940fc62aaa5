"""Whoever leaves or cancels waits for no file: not for the server, not for the disk."""

import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Open
from tests.client.lying import DATA, begun, command, honest, lying, ok
from tests.conftest import ROOT

LARGE = 100_000_000
HUGE = 1 << 40


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloads"
    made.mkdir()
    return made


def interrupted(process: subprocess.Popen[str]) -> str:
    """Press Ctrl+C and return what is said."""
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=15)
    finally:
        process.kill()
    assert process.returncode == 130
    return said


def test_an_upload_ends_with_the_program(tmp_path: Path) -> None:
    source = tmp_path / "large.bin"
    source.write_bytes(b"")
    with source.open("r+b") as file:
        file.truncate(LARGE)
    some, on, rest = threading.Event(), threading.Event(), threading.Event()
    came = 0

    def slowly(sock: socket.socket, _event: dict[str, Any]) -> None:
        nonlocal came
        ok(sock, offset=0, size=LARGE)
        came += len(sock.recv(65536))
        some.set()
        on.wait(30)
        while data := sock.recv(1 << 20):
            came += len(data)
        rest.set()

    with lying(slowly) as server:
        client = begun(server, "--put", str(source))
        assert some.wait(30)
        assert interrupted(client) == "chat_client: interrupted\n"
        on.set()
        assert rest.wait(30)
    assert came < LARGE


def test_a_download_from_a_server_that_stalls_ends_with_the_program(folder: Path) -> None:
    stalls = threading.Event()

    def stall(sock: socket.socket, _event: dict[str, Any]) -> None:
        ok(sock, offset=0, size=len(DATA))
        sock.sendall(DATA[:1000])
        stalls.set()
        threading.Event().wait(60)

    with lying(stall) as server:
        client = begun(server, "--get", "a.txt", "--downloads", str(folder))
        assert stalls.wait(30)
        assert interrupted(client) == "chat_client: interrupted\n"


def test_a_file_that_is_compared_is_cancelled_and_left(open_client: Open, folder: Path) -> None:
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(HUGE)
    with lying(honest, size=HUGE) as server:
        ann = open_client(server, "ann", "--downloads", str(folder), columns=120)
        ann.see("ann ●")
        ann.type("/get huge.bin\r")
        ann.see("↓ huge.bin", "checking 0 %")
        ann.type("/cancel\r")
        ann.see("huge.bin was not fetched.", not_="↓ huge.bin")
        ann.type("/get huge.bin\r")
        ann.see("↓ huge.bin", "checking 0 %")
        ann.type("q!\r")
        assert ann.ended() == 0


def test_a_ticket_that_does_not_come_is_said_and_cancelled(open_client: Open, folder: Path) -> None:
    with lying(honest, mute=True) as server:
        ann = open_client(server, "ann", "--downloads", str(folder), columns=120)
        ann.see("ann ●")
        ann.type("/get a.txt\r")
        ann.see("a.txt: the server is still reading it through.", "↓ a.txt")
        ann.type("/cancel a.txt\r")
        ann.see("a.txt was not fetched.", not_="↓ a.txt")
        ann.type("q!\r")
        assert ann.ended() == 0
        client = begun(server, "--get", "a.txt", "--downloads", str(folder))
        assert client.stderr is not None
        line = client.stderr.readline()
        assert line == "chat_client: a.txt: the server is still reading it through\n"
        assert interrupted(client) == "chat_client: interrupted\n"


def test_a_ticket_is_not_waited_for_without_end(folder: Path) -> None:
    program = (
        "import sys; from chat_client import main; from parley.client.files import work; "
        "work._ANSWER = 2.0; sys.exit(main(sys.argv[1:]))"
    )
    with lying(honest, mute=True) as server:
        arguments = command(server, "--get", "a.txt", "--downloads", str(folder))[2:]
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, cwd=ROOT,
        )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.endswith("chat_client: a.txt: the server does not answer\n")
