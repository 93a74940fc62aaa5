"""SIGTERM or ctrl+c while something is being written, once and twice: all that is acknowledged is
there, everybody is told, and the exit is in order and in time.

The disk is slow (``strace`` delays each sync), so that the signal comes during a write.
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, ChatServer, Make
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


@pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.long), 2])
def test_a_disk_that_takes_long_for_the_index_holds_up_nobody_for_long(
    make_server: Make, times: int
) -> None:
    server = make_server().start()
    ann = server.joined("ann")
    ann.say("before")
    ann.close()
    # The index is synced by a process of its own; nothing else here is synced by this call.
    with traced(server, "-o", "/dev/null", "-e", "trace=fsync",
                "-e", "inject=fsync:delay_enter=120000000"):  # fmt: skip
        server.signal(signal.SIGTERM)
        server.wait_for("waiting for the disk")
        if times == 2:
            server.signal(signal.SIGTERM)
        assert server.wait(60 if times == 1 else 8) == 0  # less than it waits by itself
    assert "after a reboot it is made again" in server.said
    server.start()
    bob = server.joined("bob")
    bob.send(purpose="search", ref="s", text="before")
    assert [m["text"] for m in bob.until("history", ref="s")["messages"]] == ["before"]
    assert "the index of" not in server.said, "on this boot it is as good as before"
    bob.close()
    assert server.stop() == 0
    assert server.said.count("after a reboot it is made again") == 1


def test_nothing_is_looked_through_once_all_is_closed(tmp_path: Path) -> None:
    script = (
        "import atexit, chat_server, gc, sys\n"
        "atexit.register(lambda: print(gc.get_freeze_count(), len(gc.get_objects())))\n"
        "sys.exit(chat_server.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", script, "0", "--data", str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            assert line, "it did not start"
        process.send_signal(signal.SIGTERM)
        left_alone, looked_at = map(int, process.stdout.read().split())
        process.stderr.read()
    assert process.returncode == 0
    assert looked_at < left_alone / 10
