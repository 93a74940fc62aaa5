"""A server needs no network but the one it listens on: it asks nobody for anything."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, Make


def test_it_starts_and_chats_where_there_is_only_loopback(
    make_server: Make, tmp_path: Path
) -> None:
    traced = tmp_path / "calls"
    alone = 'ip link set lo up && exec "$@"'
    strace = ("strace", "-D", "-f", "-qq", "-e", "trace=openat,connect,sendto,socket", "-o")
    prefix = ("unshare", "-rn", "sh", "-c", alone, "sh", *strace, str(traced))
    server = make_server("--metrics", "0", prefix=prefix).start()
    inside = ["nsenter", "-t", str(server.pid), "-U", "-n", "--preserve-credentials"]

    def run(*command: str) -> str:
        done = subprocess.run(
            [*inside, *command],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PARLEY_CONFIG_DIR": str(tmp_path / "config")},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    links = re.findall(r"^\d+: (\w+)", run("ip", "-o", "link"), re.MULTILINE)
    assert "lo" in links and not any(link.startswith(("e", "w")) for link in links)
    client = (sys.executable, str(ROOT / "chat_client.py"), "127.0.0.1", str(server.port))
    run(*client, "ann", "1", "--send", "no network, no trouble")
    shared = tmp_path / "plan.txt"
    shared.write_text("over QUIC")
    run(*client, "ann", "1", "--put", str(shared))
    run(*client, "bob", "1", "--get", "plan.txt", "--downloads", str(tmp_path / "got"))
    assert (tmp_path / "got" / "plan.txt").read_text() == "over QUIC"
    assert "no network, no trouble" in server.messages
    assert server.stop() == 0
    calls = traced.read_text()
    assert calls.count("openat(") > 20, "nothing was traced"
    for asked in ("resolv.conf", "nsswitch.conf", "/etc/hosts", "connect(", "AF_NETLINK"):
        assert asked not in calls, [line for line in calls.splitlines() if asked in line]
