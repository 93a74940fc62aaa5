"""The units in contrib/systemd, as far as they can be tried without a systemd that runs: systemd's
own checks of them, and whether the server can live with what they take from it."""

import ctypes
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, ChatServer, Make
from tests.files.carrying import bring
from tests.operating.conftest import ask
from tests.server.test_rooms import ask as request
from tests.wire import keys

UNITS = ROOT / "contrib" / "systemd"
SET_MDWE = 65  # PR_SET_MDWE, since Linux 6.3
REFUSE_EXEC_GAIN = 1


def analyze(*arguments: str) -> str:
    """Return what systemd-analyze says, which must be content."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A copy of the units that names a program which is here."""
    service = (UNITS / "parley.service").read_text()
    program = "/opt/parley/bin/chat-server"
    assert program in service
    (tmp_path / "parley.service").write_text(service.replace(program, sys.executable))
    (tmp_path / "parley.socket").write_text((UNITS / "parley.socket").read_text())
    return tmp_path


def test_systemd_finds_nothing_wrong_with_them(units: Path) -> None:
    for name in ("parley.service", "parley.socket"):
        said = analyze("verify", "--man=no", str(units / name))
        assert "parley" not in said, said


def test_little_is_left_to_whoever_breaks_in(units: Path) -> None:
    said = analyze("security", "--offline=yes", str(units / "parley.service"))
    found = re.search(r"exposure level for parley.service: ([\d.]+)", said)
    assert found and float(found[1]) < 1.5, said


def test_their_options_are_options(units: Path, make_server: Make) -> None:
    line = re.search(r"^ExecStart=\S+ (.*)$", (units / "parley.service").read_text(), re.MULTILINE)
    assert line
    options = line[1].replace("%S/parley", "DATA").replace(":10501", ":0").split()
    assert options[:2] == ["--data", "DATA"]
    live_a_day(make_server(*options[2:]).start())


def test_a_disk_that_failed_is_not_tried_again(units: Path) -> None:
    service = (units / "parley.service").read_text()
    assert re.findall(r"^Restart=(.*)$", service, re.MULTILINE) == ["on-failure"]
    never = re.findall(r"^RestartPreventExitStatus=(.*)$", service, re.MULTILINE)
    assert never == [str(os.EX_IOERR)]


def live_a_day(server: ChatServer) -> None:
    """Let the server do most of what it can."""
    ann, alice = server.joined("ann"), server.joined("alice")
    register = {"purpose": "register", "ref": "r", **keys("secret")}
    alice.send(**register)
    assert alice.until("ok", ref="r")
    assert request(ann, "enter", room="#lab")["purpose"] == "ok"
    assert ann.say("hello")
    assert request(ann, "search", text="hello")["messages"]
    assert bring(server, ann, "a.bin", os.urandom(200_000))["purpose"] == "ok"
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(server.port)]
    for udp in ("on", "off"):
        fetch = ["bob", "1", "--get", "a.bin", "--udp", udp, "--downloads", str(server.data / udp)]
        env = {**os.environ, "PARLEY_CONFIG_DIR": str(server.data / "config")}
        done = subprocess.run([*command, *fetch], capture_output=True, text=True, env=env)
        assert done.returncode == 0, done.stderr
    assert ask(server, "/metrics").status == 200
    assert ask(server, "/readyz").status == 200


def allowed() -> set[str]:
    """Return the system calls that the unit allows."""
    sets: dict[str, list[str]] = {}
    name = ""
    for line in analyze("syscall-filter").splitlines():
        word = line.strip()
        if word.startswith("@") and not line.startswith(" "):
            name = word
            sets[name] = []
        elif word and not word.startswith("#"):
            sets[name].append(word)

    def expand(word: str) -> set[str]:
        if not word.startswith("@"):
            return {word}
        return set().union(*map(expand, sets[word]))

    calls: set[str] = set()
    unit = (UNITS / "parley.service").read_text()
    for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
        named = set().union(*map(expand, line.removeprefix("~").split()))
        calls = calls - named if line.startswith("~") else calls | named
    return calls


def test_it_needs_no_system_call_that_they_refuse(make_server: Make, tmp_path: Path) -> None:
    traced = tmp_path / "calls"
    # -D: the tracer is the child, so that signals reach the server.
    prefix = ("strace", "-D", "-f", "-c", "-qq", "-o", str(traced))
    server = make_server("--metrics", "0", "--keep", "1K", prefix=prefix).start()
    live_a_day(server)
    assert server.stop() == 0
    deadline = time.monotonic() + 20
    while not (traced.exists() and "total" in traced.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    rows = [line.split() for line in traced.read_text().splitlines()]
    calls = {row[-1] for row in rows if row and row[0][0].isdigit()} - {"total"}
    assert {"fdatasync", "accept4", "sendfile", "pidfd_open", "execve"} <= calls
    # SQLite gives its files to the database's owner, but only as root (robustFchown).
    assert calls - allowed() <= ({"fchown"} if os.geteuid() == 0 else set())


@pytest.mark.skipif(
    ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0, reason="the kernel is older than Linux 6.3"
)
def test_it_needs_no_memory_that_is_written_and_run(make_server: Make, tmp_path: Path) -> None:
    refusing = tmp_path / "refusing.py"
    refusing.write_text(
        f"import ctypes, os, sys\n"
        f"assert ctypes.CDLL(None).prctl({SET_MDWE}, {REFUSE_EXEC_GAIN}, 0, 0, 0) == 0\n"
        f"os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    server = make_server("--metrics", "0", prefix=(sys.executable, str(refusing)))
    live_a_day(server.start())
    assert server.stop() == 0
