"""What is wrong with a file, a name or a folder is said in words that tell what to do."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Open
from tests.client.lying import DATA, client, command, honest, lying
from tests.conftest import ROOT, ChatServer

AS_OTHERS = (
    ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
)
"""Root, for whom permissions count too."""

FAULTY = ROOT / "tests" / "client" / "faulty.py"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloads"
    made.mkdir()
    return made


@pytest.mark.parametrize(
    "quic",
    [
        {"port": 2**70, "fingerprint": "a" * 64}, {"port": 0, "fingerprint": "a" * 64},
        {"port": 70000, "fingerprint": "a" * 64}, {"port": 9, "fingerprint": "zz"},
        {"port": 9, "fingerprint": "A" * 64}, {"port": 9, "fingerprint": "a" * 64 + "\n"},
    ],
    ids=str,
)  # fmt: skip
def test_a_ticket_for_no_port_is_refused(folder: Path, quic: dict[str, Any]) -> None:
    with lying(honest, quic=quic) as server:
        done = client(server, "--get", "a.txt", "--downloads", str(folder), "--udp", "on")
    assert done.returncode == 4
    assert "chat_client: a.txt: the server sent something that is no event: " in done.stderr
    assert "Traceback" not in done.stderr and list(folder.iterdir()) == []


def test_a_ticket_for_no_port_leaves_the_screen_as_it_is(open_client: Open, folder: Path) -> None:
    with lying(honest, quic={"port": 2**70, "fingerprint": "a" * 64}) as server:
        ann = open_client(server, "ann", "--downloads", str(folder), columns=120)
        ann.see("ann ●")
        ann.type("/get a.txt --udp\r")
        ann.see("/get: the server sent something that is no event: ", "ann ●")
        ann.type("/cancel\r")
        ann.see("No file is on its way.")
        ann.type("q!\r")
        assert ann.ended() == 0


def test_faults_are_said_and_the_screen_goes_on(open_client: Open, folder: Path) -> None:
    with lying(honest) as server:
        ann = open_client(server, "ann", "--downloads", str(folder), columns=120, program=FAULTY)
        ann.see("ann ●")
        ann.type("/clear\r")
        ann.see("/clear: a fault of this program: RuntimeError: boom")
        ann.type("\x1br")
        ann.see("a fault of this program: RuntimeError: boom. It goes on.")
        ann.type("/get a.txt\r")
        ann.see("a.txt: a fault of this program: RuntimeError: boom")
        ann.type("/cancel\r")
        ann.see("No file is on its way.")
        ann.type("q!\r")
        assert ann.ended() == 0


def test_what_cannot_be_shared_is_said_on_the_screen(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    bob = server.joined("bob")
    os.mkfifo(tmp_path / "pipe")
    ann = open_client(server, "ann", columns=190)
    ann.see("ann ●")
    for path, said in (
        ("~nosuchuser/x", "~nosuchuser/x: there is nobody of that name here."),
        (str(tmp_path), f"{tmp_path} is no plain file."),
        (str(tmp_path / "pipe"), f"{tmp_path}/pipe is no plain file."),
        ("/dev/zero", "/dev/zero is no plain file."),
        ("/proc/cpuinfo", "/proc/cpuinfo: its size is not known: copy it first"),
        ("x" * 300, "File name too long."),
    ):
        ann.type(f"/put {path}\r")
        ann.see(said)
    ann.type("what is typed then is said\r")
    assert bob.until("message")["text"] == "what is typed then is said"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("~nosuchuser/x", "x: ~nosuchuser/x: there is nobody of that name here"),
        ("/", "/: / is no plain file"),
        ("/dev/zero", "zero: /dev/zero is no plain file"),
        ("/proc/cpuinfo", "cpuinfo: /proc/cpuinfo: its size is not known: copy it first"),
    ],
)
def test_what_cannot_be_shared_is_said_without_a_screen(path: str, said: str) -> None:
    with lying(honest) as server:
        done = client(server, "--put", path)
    assert (done.returncode, done.stderr) == (4, f"chat_client: {said}\n")


def test_a_name_that_is_no_text_is_not_shared(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.txt"
    Path(os.fsdecode(path)).write_bytes(b"x")
    with lying(honest) as server:
        done = client(server, "--put", os.fsdecode(path))
    assert done.returncode == 4
    assert done.stderr == ("chat_client: <U+DCFF>.txt: a file's name is text in UTF-8: rename it\n")


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    long = tmp_path / ("x" * 300)
    with lying(honest) as server:
        for folder, said in ((file, f"{file} is no folder"), (long, f"{long}: File name too long")):
            done = client(server, "--get", "a.txt", "--downloads", str(folder))
            assert (done.returncode, done.stderr) == (4, f"chat_client: a.txt: {said}\n")


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="no setpriv")
def test_a_folder_that_one_may_not_use_is_said(tmp_path: Path) -> None:
    closed, readable = tmp_path / "closed", tmp_path / "readable"
    closed.mkdir(mode=0o000)
    readable.mkdir(mode=0o500)
    with lying(honest) as server:
        for folder, said in (
            (readable, f"cannot write in {readable}: choose another with --downloads"),
            (closed, f"cannot look into {closed}: choose another with --downloads"),
            (closed / "in", f"cannot look into {closed}/in: choose another with --downloads"),
        ):
            get = command(server, "--get", "a.txt", "--downloads", str(folder))
            done = subprocess.run(
                [*AS_OTHERS, *get], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=60,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (4, f"chat_client: a.txt: {said}\n")


def test_the_name_that_is_offered_is_one_that_is_taken(open_client: Open, folder: Path) -> None:
    name = f"a.{'x' * 198}"
    (folder / name).write_bytes(b"mine")
    with lying(honest) as server:
        ann = open_client(server, "ann", "--downloads", str(folder))
        ann.see("ann ●")
        ann.type(f"/get {name}\r")
        line = ann.see("is there already. Save as (").splitlines()[-1]
        assert line.startswith("a.xxx") and line.endswith("…):")
        ann.type(".hidden\r")
        ann.see("· .hidden: a file's name does not begin", "Save as (")
        ann.type("\r")
        ann.see("is right")
    other, mine = sorted(folder.iterdir(), key=lambda path: path.read_bytes() == b"mine")
    assert mine.name == name
    assert other.name == f"a.{'x' * 194} (1)" and other.read_bytes() == DATA


def test_questions_wait_for_one_another(open_client: Open, folder: Path) -> None:
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_bytes(b"mine")
    with lying(honest) as server:
        ann = open_client(server, "ann", "--downloads", str(folder), columns=120)
        ann.see("ann ●")
        ann.type("/get a.txt\r/get b.txt\r")
        shown = ann.see("is there already. Save as (")
        first, second = "ab" if "a.txt is there" in shown else "ba"
        ann.type("\x1b")
        ann.see(f"{first}.txt was not fetched.", f"{second}.txt is there already. Save as (")
        ann.type("\r")
        ann.see(f"{second}.txt is here: ")
    assert (folder / f"{second} (1).txt").read_bytes() == DATA
    assert not (folder / f"{first} (1).txt").exists()
