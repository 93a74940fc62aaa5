"""A server that lies about files: nothing is written elsewhere, nothing is written over, nothing
hangs, and what went wrong is said."""

import hashlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Open
from tests.client.lying import DATA, client, honest, lying, ok
from tests.conftest import ROOT, ChatServer
from tests.files.carrying import sha256


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloads"
    made.mkdir()
    return made


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    "told",
    [
        {"name": "../a.txt"}, {"name": "Makefile"}, {"name": "/tmp/a.txt"},
        {"name": "a.txt\x1b[2J"}, {"name": ""}, {"name": "x" * 5000}, {"sha256": ""},
        {"sha256": "\0abc"}, {"sha256": "../../../" + "a" * 55}, {"sha256": "A" * 64},
        {"purpose": "ok"},
    ],
    ids=str,
)  # fmt: skip
def test_a_ticket_for_something_else_is_not_taken(folder: Path, told: dict[str, Any]) -> None:
    with lying(honest, **told) as server:
        done = client(server, "--get", "a.txt", "--downloads", str(folder))
    assert done.returncode == 4 and "Traceback" not in done.stderr
    assert done.stderr.startswith("chat_client: a.txt: the server")
    assert "\x1b" not in done.stderr
    assert list(folder.iterdir()) == [] and server.carried == 0


def test_wrong_bytes_get_no_name(folder: Path) -> None:
    with lying(honest, sha256=sha256(b"other")) as server:
        done = client(server, "--get", "a.txt", "--downloads", str(folder))
    assert done.returncode == 4 and "SHA-256 is another; it was deleted" in done.stderr
    assert list(folder.iterdir()) == []


def evil(part: Path) -> None:
    """Write over the beginning, as a program does that knows nothing of downloads."""
    before = part.stat().st_mtime_ns
    while part.stat().st_mtime_ns == before:  # clocks of file systems are coarse
        with part.open("r+b") as file:
            file.write(b"EVIL")


def replace(part: Path) -> None:
    part.unlink()
    part.write_bytes(b"another")


CHANGES: dict[str, Callable[[Path], None]] = {
    "bytes": evil,
    "shorter": lambda part: os.truncate(part, 0),
    "gone": Path.unlink,
    "another": replace,
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_on_the_disk_meanwhile_gets_no_name(folder: Path, what: str) -> None:
    carried = 0

    def carry(sock: socket.socket, event: dict[str, Any]) -> None:
        nonlocal carried
        carried += 1
        if carried == 1:
            ok(sock, offset=0, size=len(DATA))
            sock.sendall(DATA[:100_000])
            return
        if carried == 2:
            [part] = folder.iterdir()
            CHANGES[what](part)
        honest(sock, event)

    with lying(carry) as server:
        done = client(server, "--get", "a.txt", "--downloads", str(folder))
        assert done.returncode == 4
        text = "chat_client: a.txt: what had come was changed meanwhile: fetch it again\n"
        assert done.stderr == text and not (folder / "a.txt").exists()
        if what != "another":
            done = client(server, "--get", "a.txt", "--downloads", str(folder))
            assert (done.returncode, done.stderr) == (0, "")
            assert (folder / "a.txt").read_bytes() == DATA


def test_what_is_only_touched_meanwhile_is_whole(folder: Path) -> None:
    carried = 0

    def carry(sock: socket.socket, event: dict[str, Any]) -> None:
        nonlocal carried
        carried += 1
        if carried == 1:
            ok(sock, offset=0, size=len(DATA))
            sock.sendall(DATA[:100_000])
            return
        [part] = folder.iterdir()
        part.touch()
        honest(sock, event)

    with lying(carry) as server:
        done = client(server, "--get", "a.txt", "--downloads", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "a.txt").read_bytes() == DATA


@pytest.mark.parametrize("how", ["reset", "ended"])
def test_connections_that_break_again_and_again_are_borne(folder: Path, how: str) -> None:
    def breaks(sock: socket.socket, event: dict[str, Any]) -> None:
        ok(sock, offset=event.get("offset", 0), size=len(DATA))
        sock.sendall(DATA[event.get("offset", 0) : event.get("offset", 0) + 35_000])
        if how == "reset":
            # What it has not read by now is lost with the reset: let it read first.
            threading.Event().wait(0.3)
            reset(sock)

    with lying(breaks) as server:
        done = client(server, "--get", "a.txt", "--downloads", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "a.txt").read_bytes() == DATA
    assert server.carried >= 6


@pytest.mark.parametrize("offset", [-1, 1, 2**62])
def test_an_upload_begins_where_it_was_offered_or_before(tmp_path: Path, offset: int) -> None:
    (tmp_path / "a.txt").write_bytes(b"12345")
    with lying(lambda sock, _: ok(sock, offset=offset, size=5)) as server:
        done = client(server, "--put", str(tmp_path / "a.txt"))
    assert done.returncode == 4 and "makes no sense" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_downloads_of_one_file_do_not_meet(server: ChatServer, folder: Path) -> None:
    shelf = server.data / "files"
    shelf.mkdir()
    (shelf / "big.bin").write_bytes(os.urandom(1 << 20) * 200)
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(server.port)]
    command += ["--get", "big.bin", "--downloads", str(folder)]
    where = command[:4]
    first = subprocess.Popen(
        [*where, "ann", "1", *command[4:]], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not any(path.stat().st_size for path in folder.glob(".*.part")):
        assert first.poll() is None
    os.kill(first.pid, signal.SIGSTOP)
    second = subprocess.run(
        [*where, "bob", "1", *command[4:]], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    os.kill(first.pid, signal.SIGCONT)
    assert second.returncode == 4 and "is being fetched already" in second.stderr
    assert first.wait(60) == 0
    assert (folder / "big.bin").read_bytes() == (shelf / "big.bin").read_bytes()


def test_a_full_disk_is_said_at_once(server: ChatServer, folder: Path) -> None:
    shelf = server.data / "files"
    shelf.mkdir()
    (shelf / "big.bin").write_bytes(bytes(5_000_000))
    command = ["prlimit", "--fsize=1000000", sys.executable, str(ROOT / "chat_client.py")]
    done = subprocess.run(
        [*command, "localhost", str(server.port), "ann", "1", "--get", "big.bin", "--downloads",
         str(folder)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr == f"chat_client: big.bin: {folder / 'big.bin'}: File too large\n"
    assert not (folder / "big.bin").exists()


def test_what_lies_in_the_way_is_not_touched(folder: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    tag = hashlib.sha256(b"a.txt").hexdigest()[:8]
    part = folder / f".a.txt.{tag}.{sha256(DATA)[:12]}.part"
    with lying(honest) as server:
        for kind in ("hard link", "symbolic link", "pipe"):
            if kind == "hard link":
                os.link(precious, part)
            elif kind == "symbolic link":
                part.symlink_to(precious)
            else:
                os.mkfifo(part)
            done = client(server, "--get", "a.txt", "--downloads", str(folder))
            assert done.returncode == 4 and part.name in done.stderr
            part.unlink()
        (folder / "a.txt").symlink_to(precious)
        done = client(server, "--get", "a.txt", "--downloads", str(folder))
        assert done.returncode == 4 and "nothing is written over" in done.stderr
    assert precious.read_bytes() == b"precious"


def test_a_device_is_not_shared(server: ChatServer) -> None:
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(server.port), "ann"]
    done = subprocess.run(
        [*command, "1", "--put", "/dev/zero"], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 4 and "/dev/zero is no plain file" in done.stderr


def test_servers_that_stall_keep_nobody_from_coming_back(open_client: Open, folder: Path) -> None:
    def stall(sock: socket.socket, _event: dict[str, Any]) -> None:
        threading.Event().wait(60)

    with lying(stall) as server:
        ann = open_client(
            server,
            "ann",
            "--downloads",
            str(folder),
            columns=120,
        )
        ann.see("ann ●")
        for number in range(8):
            ann.type(f"/get file{number}\r")
            ann.see(f"file{min(number, 2)}")
        ann.see("and 5 more: /cancel NAME ends one")
        ann.type("/reconnect\r")
        ann.see("ann ●")
        ann.type("/cancel\r")
        ann.see("file0 was broken off", "file7 was broken off", not_="✗ cancel")
        ann.type("q!\r")
        assert ann.ended() == 0
