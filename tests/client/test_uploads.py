"""What a server says while it is brought a file is heard at once, and never piles up."""

import hashlib
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.client.lying import client, lying, ok
from tests.client.lying_quic import LyingQuic, Upload, answer

LARGE = 300_000_000

ANSWERS = {
    "error": (
        answer(purpose="error", code=403, error="FORBIDDEN", text="not from you"),
        "large.bin: not from you",
    ),
    "ok": (answer(purpose="ok", sha256="a" * 64), "the server's answer makes no sense"),
    "flood": (b"x" * (1 << 19), "the server's answer makes no sense"),
}


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))


def sparse(path: Path, size: int) -> str:
    with path.open("wb") as file:
        file.truncate(size)
    return str(path)


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_in_the_midst_of_an_upload_ends_it(tmp_path: Path, what: str) -> None:
    said, shown = ANSWERS[what]

    def carry(sock: socket.socket, _event: dict[str, Any]) -> None:
        ok(sock, offset=0, size=LARGE)
        sock.recv(65536)
        sock.sendall(said)
        while what == "flood":
            sock.sendall(said)
        threading.Event().wait(60)  # nothing is taken any more

    with lying(carry) as server:
        done = client(server, "--put", sparse(tmp_path / "large.bin", LARGE))
    assert done.returncode == 4 and shown in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_in_the_midst_of_an_upload_over_udp_ends_it(tmp_path: Path, what: str) -> None:
    said, shown = ANSWERS[what]
    told: set[Upload] = set()

    def then(upload: Upload) -> None:
        if upload not in told or (what == "flood" and upload.waiting < len(said)):
            told.add(upload)
            upload.say(said)

    path = sparse(tmp_path / "large.bin", LARGE)
    with LyingQuic(LARGE, then) as quic, lying(lambda *_: None, quic=quic.told) as server:
        done = client(server, "--put", path, "--udp", "on")
        assert quic.came < LARGE
    assert done.returncode == 4 and shown in done.stderr
    assert "Traceback" not in done.stderr


def test_streams_that_nobody_asked_for_are_passed_over(tmp_path: Path) -> None:
    size = 5_000_000
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(size))
    aside: set[Upload] = set()

    def then(upload: Upload) -> None:
        if upload not in aside:
            aside.add(upload)
            other = upload.quic.get_next_available_stream_id()
            upload.quic.send_stream_data(other, b"x" * 1_000_000)
        if upload.came == size:
            upload.say(answer(purpose="ok", sha256=hashlib.sha256(bytes(size)).hexdigest()))

    with LyingQuic(size, then) as quic, lying(lambda *_: None, quic=quic.told) as server:
        done = client(server, "--put", str(path), "--udp", "on")
    assert (done.returncode, done.stderr) == (0, "")
