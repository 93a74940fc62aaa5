"""Everybody hears everything, whatever the kernel lets the server send by."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import ChatServer, Make
from tests.parts.test_ring import ring_or_skip

HEARERS = 80
UNUSABLE = "io_uring cannot be used: Operation not permitted"
ENDED = "io_uring does not go on: Cannot allocate memory"
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def traced(calls: Path, *faults: str) -> tuple[str, ...]:
    """Return what to start a server under, so that its calls of the ring stand in ``calls``, and
    ``faults`` befall them."""
    injected = [word for fault in faults for word in ("-e", f"inject={fault}")]
    trace = "trace=io_uring_setup,io_uring_enter,sendto"
    return ("strace", "-D", "-f", "-qq", "-o", str(calls), "-e", trace, *injected)


def said_to_all(server: ChatServer) -> None:
    """Let one say something to many, who all hear it, once and in order."""
    wires = [server.joined(f"hearer{number}", bot=True) for number in range(HEARERS)]
    texts = [f"number {number}" for number in range(6)]
    for text in texts:
        wires[0].say(text)
    for wire in wires[1:]:
        assert [wire.until("message")["text"] for _ in texts] == texts


@needs_strace
@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ((), ""),
        (("io_uring_setup:error=EPERM",), UNUSABLE),
        (("io_uring_enter:error=EPERM",), UNUSABLE),
        (("io_uring_enter:error=ENOMEM:when=6+",), ENDED),
        (("io_uring_enter:error=EINTR:when=3+2",), ""),
    ],
)
def test_all_hear_all(
    make_server: Make, tmp_path: Path, faults: tuple[str, ...], told: str
) -> None:
    ring_or_skip().close()
    calls = tmp_path / "calls"
    server = make_server("--rate", "0", prefix=traced(calls, *faults)).start()
    said_to_all(server)
    assert server.said.count(told or "io_uring") == (1 if told else 0)
    assert server.stop() == 0
    assert ("io_uring_enter" in calls.read_text()) is (UNUSABLE not in told or "enter" in faults[0])


@needs_strace
def test_who_wants_no_ring_has_none(make_server: Make, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    server = make_server("--rate", "0", "--no-io-uring", prefix=traced(calls)).start()
    said_to_all(server)
    assert server.stop() == 0
    assert "io_uring" not in calls.read_text()
    assert "sendto" in calls.read_text()


def test_a_python_without_ctypes_will_do(make_server: Make, tmp_path: Path) -> None:
    (tmp_path / "_ctypes.py").write_text("raise ImportError")
    server = make_server("--rate", "0", env={"PYTHONPATH": str(tmp_path)}).start()
    said_to_all(server)
    assert server.said.count("io_uring cannot be used: this Python has no ctypes") == 1
    assert server.stop() == 0
