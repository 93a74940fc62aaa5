"""Set Parley up and use it, on a machine that has Python 3.11 or newer and nothing else.

    python3 run.py          a server on port 10500 and a client against it
    python3 run.py 10600    the same on another port
    python3 run.py test     every test

The first run makes an environment in ``.venv`` beside this file and installs Parley there
(``PARLEY_VENV`` names another place). Nothing is installed elsewhere.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - who runs this may have an older one
    sys.exit(f"run.py: Parley needs Python 3.11 or newer, and this is {sys.version.split()[0]}")

HERE = Path(__file__).resolve().parent
PORT = "10500"


def environment(extra: str) -> Path:
    """Return the environment's Python, with Parley and the packages of ``extra`` installed."""
    place = Path(os.environ.get("PARLEY_VENV") or HERE / ".venv")
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = (HERE / "setup.cfg").read_text() + extra
    stamp = place / f"parley-{extra or 'plain'}"
    # A first run that was broken off, or had no ensurepip, has left a Python without pip.
    has_pip = stamp.exists() or python.with_stem("pip").exists()
    if not python.exists() or not has_pip:
        print(f"Making an environment in {place} ...", flush=True)
        if not python.exists():
            venv.create(place)
        make_pip = [str(python), "-m", "ensurepip", "--upgrade", "--default-pip"]
        subprocess.run(make_pip, check=True, stdout=subprocess.DEVNULL)
    if not stamp.exists() or stamp.read_text() != wanted:
        print("Installing Parley (once; it may take a minute) ...", flush=True)
        target = f"{HERE}[{extra}]" if extra else str(HERE)
        pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*pip, "-e", target], check=True)
        stamp.write_text(wanted)
    return python


def chat(port: str) -> int:
    """Run a server, and a client against it until the client ends. Return its exit code."""
    python = environment("")
    shown = python.relative_to(HERE) if python.is_relative_to(HERE) else python
    # Said in the chat, since the client's screen covers what is printed here.
    joining = f"More people join with: {shown} chat_client.py localhost {port} NICK 1"
    client: subprocess.Popen[bytes] | None = None

    def leave(number: int, _frame: object) -> None:
        """End both when the window is closed: the client first, which keeps what was typed."""
        if client is None:
            sys.exit(128 + number)
        client.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            signal.signal(number, leave)
    log = HERE / "server.log"
    said_before = log.stat().st_size if log.exists() else 0  # by a server that may still run

    def said() -> str:
        return log.read_bytes()[said_before:].decode(errors="replace")

    with log.open("ab") as log_file:
        server = subprocess.Popen(
            [python, HERE / "chat_server.py", port, "--motd", joining],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            start_new_session=True,
        )
    try:
        while "listening on" not in said():
            if server.poll() is not None:
                print(said(), end="", file=sys.stderr)
                if "Address already in use" in said():
                    print("run.py: with another port: python3 run.py PORT", file=sys.stderr)
                return 1
            time.sleep(0.05)
        print(f"A server runs on port {port}; its log is {log.name}. {joining}", flush=True)
        nick = re.sub("[^A-Za-z0-9_.-]", "", os.environ.get("USER", ""))[:32] or "me"
        client = subprocess.Popen([python, HERE / "chat_client.py", "localhost", port, nick, "1"])
        return client.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def test(arguments: list[str]) -> int:
    """Run every test, two files for each core at a time, since tests wait much of theirs; or what
    the arguments say. Return pytest's exit code."""
    python = environment("test")
    how = arguments or ["-n", str(2 * (os.cpu_count() or 1)), "--dist", "loadfile"]
    return subprocess.run([python, "-m", "pytest", *how], cwd=HERE).returncode


def main() -> int:
    """Do what the command line says. Return the exit code."""
    arguments = sys.argv[1:]
    testing = arguments[:1] == ["test"]
    ports = [argument for argument in arguments if re.fullmatch("[0-9]{1,5}", argument)]
    if not testing and (arguments != ports or len(ports) > 1):
        print(__doc__)
        return 2
    try:
        return test(arguments[1:]) if testing else chat(*ports or [PORT])
    except subprocess.CalledProcessError as problem:
        print(
            f"run.py: this failed, why is said above: {shlex.join(map(str, problem.cmd))}\n"
            "The first run needs Python's venv module (on Debian and Ubuntu: the package "
            "python3-venv) and, once, a package index (https://pypi.org, or the one that "
            "PIP_INDEX_URL names).",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
