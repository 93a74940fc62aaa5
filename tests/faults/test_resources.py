"""Attacks on what the server stands on: descriptors, the clock, its directory, users.json."""

import contextlib
import json
import os
import resource
import signal
import stat
import time
from pathlib import Path

import pytest

from tests.conftest import Make, cpu
from tests.faults.conftest import Siege
from tests.wire import texts


@pytest.mark.row(10)
def test_without_descriptors_it_does_not_spin_and_recovers(siege: Siege) -> None:
    server = siege.begin()
    first = server.joined("first")
    used = len(os.listdir(f"/proc/{server.pid}/fd"))
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 4, hard))
    wires = [server.wire() for _ in range(30)]
    before, began = cpu(server.pid), time.monotonic()
    while time.monotonic() - began < 1.5:
        first.quiet()
        time.sleep(0.1)
    spent = (cpu(server.pid) - before) / (time.monotonic() - began)
    assert spent < 0.5, "it turned without end"
    first.say("those who are in go on")
    told = 0
    for wire in wires:
        wire.sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            told += b"SERVER_FULL" in wire.sock.recv(1000)
        wire.close()
    assert told > 0
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert server.joined("late").say("hello")
            return
        except (AssertionError, OSError):
            time.sleep(0.2)
    pytest.fail("nobody was let in again")


@pytest.mark.row(10)
def test_a_small_limit_of_descriptors_is_kept_to(siege: Siege) -> None:
    server = siege.begin(prefix=("prlimit", "--nofile=64:64"))
    wires = []
    full = False
    for number in range(70):
        wire = server.wire()
        wires.append(wire)
        wire.send(purpose="join", nick=f"n{number}", id=1, time=0, bot=True)
        event = wire.recv()
        if event is None or event["purpose"] == "error":
            full = event is not None and event["error"] == "SERVER_FULL"
            break
    assert full and len(wires) > 15
    for wire in wires:
        wire.close()


@pytest.mark.row(14)
def test_a_clock_that_jumps_harms_nothing(siege: Siege) -> None:
    library = next((p for p in Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
    if library is None:
        pytest.skip("needs libfaketime")
    clock = siege.place("clock", "+0") / "clock"
    server = siege.begin(
        data=clock.parent,
        env={
            "LD_PRELOAD": str(library),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_TIMESTAMP_FILE": str(clock),
        },
    )
    ann, bob = server.joined("ann", bot=True), server.joined("bob", bot=True)
    jumps = ("+0", "-1d", "+1d", "-3000d", "+400d", "+0")
    seqs = []
    for jump in jumps:
        clock.write_text(jump)
        seqs.append(ann.say(jump)["seq"])
        ann.send(purpose="ping", ref=jump)
        ann.until("pong", ref=jump)
    assert seqs == sorted(seqs)
    assert [text for text in texts(bob.quiet()) if text in jumps] == list(jumps)
    times = [r["time"] for r in server.records if r.get("text") in jumps]
    assert times[1] < times[0] < times[2], "the clock was not faked: this test proves nothing"


@pytest.mark.row(24)
def test_a_second_server_on_the_same_data_is_refused(siege: Siege, make_server: Make) -> None:
    server = siege.begin()
    before = (server.data / "history.json").stat().st_ino
    second = make_server(data=server.data)
    for options in ((), ("--compact",)):
        second.launch(*options, port=0)
        assert second.wait() == 1
        assert "another server is running" in second.said.splitlines()[-1]
    assert (server.data / "history.json").stat().st_ino == before
    assert server.joined("ann").say("the first goes on")


@pytest.mark.row(25)
def test_users_json_is_edited_in_all_ways_while_it_runs(siege: Siege, demo_users: str) -> None:
    data = siege.place("users.json", demo_users)
    server = siege.begin(data=data)
    path = data / "users.json"

    def bob_gets_in() -> None:
        wire = server.wire()
        assert wire.login("Bob", "456")["purpose"] == "welcome"
        wire.close()

    for bad in (
        b"{", b'{"Bob": 5}', b'{"Bob": {"scram": "x"}}', b'{"a b": "x"}', b"[" * 100_000,
        demo_users.encode()[:-5], b'{"Bob": "\xff"}', b'{"Bob":"1","BOB":"2"}', b"\0" * 5000,
    ):  # fmt: skip
        path.write_bytes(bad)
        server.signal(signal.SIGHUP)
        server.wait_for("stay in force")
        assert str(path) in server.said.splitlines()[-2] + server.said.splitlines()[-1]
        bob_gets_in()
    path.unlink()
    os.mkfifo(path)
    bob_gets_in()
    path.unlink()
    path.symlink_to("/dev/zero")
    bob_gets_in()
    path.unlink()
    users = json.loads(demo_users)
    users["Dora"] = users["Bob"]
    path.write_text(json.dumps(users))
    path.chmod(0o644)
    assert server.wire().login("Dora", "456")["purpose"] == "welcome"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
