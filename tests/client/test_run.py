"""``run.py``: one command, and one is in."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.terminal import Terminal
from tests.conftest import ROOT

Run = Callable[[int], Terminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Run]:
    """Run it on a port, with an environment that is there already, and data of its own."""
    place = tmp_path / "env"
    python = place / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (place / "parley-plain").write_text((ROOT / "setup.cfg").read_text())
    opened: list[Terminal] = []

    def start(port: int) -> Terminal:
        terminal = Terminal(
            tmp_path,
            str(port),
            columns=200,
            program=ROOT / "run.py",
            PARLEY_VENV=str(place),
            PARLEY_DATA=str(tmp_path / "data"),
            USER="ann",
        )
        opened.append(terminal)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


def test_one_is_in_and_told_how_others_get_in(start: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ann = start(port)
    ann.see("ann ●", "More people join with:", f"chat_client.py localhost {port} NICK 1")
    ann.type("q!\r")
    assert ann.ended() == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_port_that_is_taken_is_told_with_the_way_out(start: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ann = start(taken.getsockname()[1])
        assert ann.ended() == 1
    assert "Address already in use" in ann.text
    assert "python3 run.py PORT" in ann.text


def test_who_starts_it_twice_is_not_sent_to_another_port(start: Run) -> None:
    """The data is in use: another port would end the same way."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ann = start(port)
    ann.see("ann ●")
    again = start(port)
    assert again.ended() == 1
    assert "another server is running on" in again.text
    assert "run.py PORT" not in again.text
    assert f"listening on 127.0.0.1:{port} " in (ROOT / "server.log").read_text()  # still its log
    ann.type("q!\r")
    assert ann.ended() == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_window_that_is_closed_ends_the_server_too(start: Run, number: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ann = start(port)
    ann.see("ann ●")
    os.kill(ann.pid, number)
    assert ann.ended() == 128 + number
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_an_environment_that_was_begun_only_is_made_again(tmp_path: Path, start: Run) -> None:
    """As after Ctrl+C, or without the package python3-venv: there is a Python, but no pip."""
    (tmp_path / "env/parley-plain").unlink()
    (tmp_path / "env/bin/python").write_text('#!/bin/sh\necho "asked $2" >&2\nexec sleep 60\n')
    ann = start(10500)
    ann.see("Making an environment", "asked ensurepip")
    ann.type("\x03")
    assert ann.ended() == 130
    assert "Traceback" not in ann.text


def test_an_older_python_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 9, 2)")
    done = subprocess.run(
        [sys.executable, ROOT / "run.py", "neither a port nor a test"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("run.py: Parley needs Python 3.11 or newer")


@pytest.mark.parametrize("program", ["chat_server.py", "chat_client.py"])
def test_who_has_not_installed_it_is_told_how(program: str) -> None:
    bare = [sys.executable, "-S", str(ROOT / program)]  # a Python without packages
    done = subprocess.run(bare, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and "source .venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_cannot_be_installed_is_said_in_words(tmp_path: Path, start: Run) -> None:
    (tmp_path / "env/parley-plain").unlink()
    (tmp_path / "env/bin/python").write_text("#!/bin/sh\necho no index here >&2\nexit 1\n")
    (tmp_path / "env/bin/pip").touch()
    ann = start(10500)
    assert ann.ended() == 1
    assert "no index here" in ann.text
    assert "-m pip install" in ann.text and "needs Python's venv module" in ann.text
    assert "Traceback" not in ann.text
