"""SIGTERM or ctrl+c while something is being written, once and twice: all that is acknowledged is
there, everybody is told, and the exit is in order and in time.

The disk is slow (``strace`` delays each sync), so that the signal comes during a write.
"""

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import ChatServer, Make
from tests.faults.killing import traced
from tests.wire import Wire, frame

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")

SLOW = ("-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=400000")


def in_a_write(server: ChatServer) -> None:
    """Wait until the server is in a sync."""
    call = Path(f"/proc/{server.pid}/syscall")
    deadline = time.monotonic() + 20
    while not call.read_text().startswith("75 "):  # fdatasync on x86-64
        assert time.monotonic() < deadline
        time.sleep(0.001)


def after(wire: Wire) -> dict[str, int]:
    """Return what is acknowledged from now on to the end of the connection."""
    wire.sock.settimeout(20)
    return {e["ref"]: e["seq"] for e in wire.ended(20) if e["purpose"] == "ok" and e.get("seq")}


def say_many(wire: Wire, prefix: str) -> None:
    """Say much without waiting for the answers."""
    for number in range(20):
        ref = f"{prefix}{number}"
        wire.raw(frame(b'{"purpose":"message","ref":"%b","text":"%b"}' % ((ref.encode(),) * 2)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_during_a_write(make_server: Make, number: int, times: int) -> None:
    server = make_server("--rate", "0", "--grace", "60" if times == 2 else "2").start()
    wires = [server.joined(nick) for nick in ("ann", "bob", "cyd")]
    with traced(server, *SLOW):
        for wire, prefix in zip(wires, "abc", strict=True):
            say_many(wire, prefix)
        in_a_write(server)
        server.signal(number)
        if times == 2:
            wires[0].until("shutdown", patience=20)
            say_many(wires[0], "late")
            server.signal(number)
        acknowledged: dict[str, int] = {}
        for wire in wires:
            for event in wire.passed:
                if event["purpose"] == "ok" and event.get("seq"):
                    acknowledged[event["ref"]] = event["seq"]
            acknowledged |= after(wire)
        assert server.wait(20) == 0
    for wire in wires:
        assert any(event["purpose"] == "shutdown" for event in wire.passed), "nobody told them"
    stored = {r["ref"]: r["seq"] for r in server.records if r["purpose"] == "message"}
    assert acknowledged and acknowledged.items() <= stored.items()
    assert not any(ref.startswith("late") for ref in stored)
    assert not list(server.data.glob("*.torn-*"))
    server.start()
    assert {r["ref"] for r in server.records if r["purpose"] == "message"} == set(stored)


def test_a_signal_while_it_starts_ends_it_in_order(make_server: Make) -> None:
    server = make_server()
    accounts = ",".join(f'"user{n}":"password{n}"' for n in range(200))  # half a minute's work
    (server.data / "users.json").write_text("{" + accounts + "}")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)):
        server.launch()
        lock = server.data / "users.json.lock"
        deadline = time.monotonic() + 20
        while not lock.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        server.signal(number)
        assert server.wait(20) == code
        assert "Traceback" not in server.said
        assert "password7" in (server.data / "users.json").read_text()
        lock.unlink()
