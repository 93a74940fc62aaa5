"""A systemd that has truly booted, in a container, with the units of contrib/systemd as they are.

The container has this machine's /usr and Python, read-only, and its network; all else is its own,
and gone afterwards. The units' ports are others, since 10500 may be taken here: a drop-in says so,
as docs/OPERATING.md tells operators to.
"""

import shutil
import site
import subprocess
import sys
from pathlib import Path

from benchmarks.programs import free_port
from tests.conftest import ROOT, ChatServer, until

UNITS = ROOT / "contrib" / "systemd"
DROP_IN = "etc/systemd/system/parley.service.d/test.conf"
PROGRAM = """#!/bin/sh
export LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/packages PYTHONDONTWRITEBYTECODE=1
exec /opt/python/bin/python3 /opt/code/chat_server.py "$@" --metrics 127.0.0.1:{side}
"""


class Booted(ChatServer):
    """The chat server as a service of a systemd that runs below ``root``."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "var/lib/parley")
        self.root = root
        self.port = free_port()
        self._lay_out()
        self._container: subprocess.Popen[bytes] | None = None

    def _lay_out(self) -> None:
        root = self.root
        for name in ("usr", "etc/systemd/system", "var", "run", "tmp", "opt/parley/bin", "root"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("python", "packages", "code"):
            (root / "opt" / name).mkdir()
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name in ("passwd", "group"):
            (root / "etc" / name).write_text(
                f"root:x:0:{'0:root:/root:/bin/sh' * (name == 'passwd')}\n"
            )
        shutil.copy("/usr/lib/os-release", root / "etc/os-release")
        (root / "etc/machine-id").write_text(f"{'7' * 32}\n")  # else this were a first boot
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        program = root / "opt/parley/bin/chat-server"
        program.write_text(PROGRAM.format(side=free_port()))
        program.chmod(0o755)
        for name in ("parley.service", "parley.socket"):
            shutil.copy(UNITS / name, root / "etc/systemd/system")
        (root / "etc/sysusers.d").mkdir()
        shutil.copy(UNITS / "parley.sysusers", root / "etc/sysusers.d/parley.conf")
        ports = f"[Socket]\nListenStream=\nListenDatagram=\nListenStream=127.0.0.1:{self.port}\n"
        drop_in = root / "etc/systemd/system/parley.socket.d/ports.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(f"{ports}ListenDatagram=127.0.0.1:{self.port}\n")

    def boot(self) -> None:
        """Boot, and wait until units can be started."""
        bound = {"/usr": "/usr", sys.base_prefix: "/opt/python", str(ROOT): "/opt/code"}
        bound[site.getsitepackages()[0]] = "/opt/packages"
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"]
        command += [f"--directory={self.root}", "--console=pipe", "--resolv-conf=off"]
        command += [f"--bind-ro={here}:{there}" for here, there in bound.items()]
        with (self.root.parent / "boot.log").open("wb") as log:
            self._container = subprocess.Popen(
                [*command, "systemd.unit=basic.target"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self._init, "the container does not start")
        until(lambda: self.run("systemctl is-active basic.target") == "active", "it does not boot")
        self.run("systemd-sysusers")
        self.run("systemctl daemon-reload")

    @property
    def _init(self) -> str:
        """The container's process 1, as it is called here; "" if it is not there yet."""
        assert self._container is not None and self._container.poll() is None, "it ended"
        pid = self._container.pid
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return found[0] if found else ""

    def run(self, command: str) -> str:
        """Run a command in the container and return what it says."""
        inside = [
            "nsenter",
            "--target",
            self._init,
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--cgroup",
        ]
        done = subprocess.run([*inside, "sh", "-c", command], capture_output=True, text=True)
        return (done.stdout + done.stderr).strip()

    def settings(self, text: str) -> None:
        """Put lines into the service's section, beside those of the unit."""
        path = self.root / DROP_IN
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[Service]\n{text}\n")
        self.run("systemctl daemon-reload")

    def known(self, name: str, unit: str = "parley.service") -> str:
        """Return what systemd knows of a unit under this name."""
        return self.run(f"systemctl show --property={name} --value {unit}")

    @property
    def said(self) -> str:
        """All that it and systemd have said of the service."""
        return self.run("journalctl --unit=parley.service --output=cat --no-pager")

    @property
    def pid(self) -> int:
        """The server's process, as it is called in the container."""
        return int(self.known("MainPID"))

    def begin(self) -> "Booted":
        """Start it afresh, with nothing counted against it."""
        self.run("systemctl reset-failed parley.service parley.socket")
        said = self.run("systemctl restart parley.socket parley.service")
        assert self.known("ActiveState") == "active", said + self.said
        return self

    def end(self) -> None:
        """Power off."""
        for wire in self.wires:
            wire.close()
        if self._container is not None and self._container.poll() is None:
            self.run("kill -s RTMIN+4 1")  # poweroff.target
            try:
                self._container.wait(60)
            except subprocess.TimeoutExpired:
                self._container.kill()
                raise AssertionError("the container does not power off") from None
