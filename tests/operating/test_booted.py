"""The units under a systemd that has truly booted: what it does for the service, not what its
protocols say. Needs root and systemd-nspawn, and is run by hand:

    pytest -m long tests/operating/test_booted.py
"""

import errno
import os
import shutil
import threading
from collections.abc import Iterator

import pytest

from tests.conftest import until
from tests.faults.powercut import library
from tests.operating.booted import Booted
from tests.operating.test_units import live_a_day
from tests.wire import Wire

PROGRAM = "/opt/parley/bin/chat-server"

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("systemd-nspawn") is None,
        reason="needs root and systemd-nspawn",
    ),
]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A booted machine."""
    booted = Booted(tmp_path_factory.mktemp("machine") / "root")
    try:
        booted.boot()
        yield booted
    finally:
        booted.end()


@pytest.fixture
def booted(machine: Booted) -> Iterator[Booted]:
    """The service on it, not started, with nothing but its units."""
    machine.settings("")
    yield machine
    for wire in machine.wires:
        wire.close()
    machine.wires.clear()
    machine.run("systemctl stop parley.socket parley.service")
    assert "Traceback" not in machine.said


def test_what_they_take_from_it_it_does_not_need(booted: Booted) -> None:
    live_a_day(booted.begin())
    status = booted.run(f"cat /proc/{booted.pid}/status")
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    assert booted.known("User") == "parley"
    assert booted.run("stat -c %U:%a /var/lib/parley") == "parley:700"


def test_tls_by_the_configuration_file(booted: Booted) -> None:
    as_parley = "setpriv --reuid=parley --regid=parley --clear-groups"
    made = booted.run(f"{as_parley} {PROGRAM} --data /var/lib/parley --make-cert")
    assert "tls.crt" in made, made
    config = booted.root / "etc/parley/server.conf"
    config.parent.mkdir(exist_ok=True)
    here = "/var/lib/parley/tls"
    config.write_text(f"tls-cert = {here}.crt\ntls-key = {here}.key\n")
    try:
        booted.begin()
        assert "tls=sha256:" in booted.said.splitlines()[-2]
        assert booted.run("systemctl reload parley") == ""
        until(lambda: "certificate has been read again" in booted.said, "it is not read")
        assert booted.known("ActiveState") == "active"
    finally:
        config.unlink()


def test_a_restart_refuses_nobody(booted: Booted) -> None:
    booted.begin()
    refused: list[Exception] = []
    joined = 0
    done = threading.Event()

    def come_and_go() -> None:
        nonlocal joined
        while not done.is_set():
            try:
                wire = Wire(booted.port)
                wire.join(f"n{joined}", bot=True)
                wire.close()
            except (OSError, AssertionError) as problem:
                refused.append(problem)
                return
            joined += 1

    def restart_once_somebody_has_come() -> None:
        before, pid = joined, booted.pid
        until(lambda: joined > before or refused, "nobody comes in")
        booted.run("systemctl restart parley.service")
        assert booted.pid != pid

    coming = threading.Thread(target=come_and_go)
    coming.start()
    try:
        for _ in range(3):
            restart_once_somebody_has_come()
    finally:
        done.set()
        coming.join()
    assert not refused and joined > 3
    assert booted.known("Result") == "success"


def test_a_loop_that_stands_still_is_started_again(booted: Booted) -> None:
    booted.settings("WatchdogSec=2")
    booted.begin()
    ann = booted.joined("ann")
    ann.say("before")
    pid = booted.pid
    booted.run(f"kill -s STOP {pid}")
    until(lambda: booted.known("NRestarts") == "1", "it is not started again")
    until(lambda: booted.known("ActiveState") == "active", "it does not start")
    assert "Watchdog timeout" in booted.said and booted.pid != pid
    assert "before" in booted.messages
    assert booted.joined("bob").say("after")


def test_a_disk_that_failed_is_not_tried_again_by_anybody(booted: Booted) -> None:
    shutil.copy(library(booted.root.parent), booted.root / "opt/disk.so")
    faults = booted.root / "opt/faults"
    faults.write_text("")
    disk = "DISK_ROOT=/var/lib/parley DISK_FAULTS=/opt/faults"
    booted.settings(f"Environment=LD_PRELOAD=/opt/disk.so {disk}")
    booted.begin()
    ann = booted.joined("ann")
    ann.say("before")
    faults.write_text(f"sync history.json$ {errno.EIO}")
    ann.send(purpose="message", ref="r", text="not acknowledged")
    assert not [event for event in ann.ended() if event["purpose"] == "ok"]
    until(lambda: booted.known("ActiveState") == "failed", "it has not failed")
    assert booted.known("ExecMainStatus") == str(os.EX_IOERR)
    # Restart= leaves it alone, and so does the socket: clients that come back would start it else.
    until(lambda: booted.known("ActiveState", "parley.socket") == "inactive", "the port is open")
    with pytest.raises(ConnectionRefusedError):
        Wire(booted.port)
    assert booted.known("NRestarts") == "0"
    faults.write_text("")
    assert booted.run("systemctl start parley") == ""  # somebody has looked
    assert booted.joined("bob").say("after")
    assert "before" in booted.messages
