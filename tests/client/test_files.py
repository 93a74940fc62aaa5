"""Files fetched and shared from the client's three faces, over TCP and over UDP."""

import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.conftest import Open
from tests.client.test_headless import run
from tests.conftest import ROOT, ChatServer, Make
from tests.files.carrying import bring, names, put, sha256
from tests.server.test_rooms import ask

DATA = random.Random(7).randbytes(3_000_000)


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "downloads"
    made.mkdir()
    return made


@pytest.mark.parametrize("udp", ["off", "on"])
def test_a_file_is_put_and_got_without_a_screen(
    server: ChatServer, folder: Path, tmp_path: Path, udp: str
) -> None:
    ann = server.joined("ann")
    source = tmp_path / "Plan B.bin"
    source.write_bytes(DATA)
    done = run(server, "bot", "9", "--put", str(source), "--udp", udp)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert ann.until("message")["text"] == "shared Plan B.bin (3.0 MB)"
    done = run(server, "bob", "9", "--get", "plan b.bin", "--downloads", str(folder), "--udp", udp)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in folder.iterdir()] == ["Plan B.bin"]
    assert (folder / "Plan B.bin").read_bytes() == DATA
    # Once more there is nothing to do; another file of that name is not written over.
    again = run(server, "bob", "9", "--get", "Plan B.bin", "--downloads", str(folder))
    assert (again.returncode, again.stderr) == (0, "")
    (folder / "Plan B.bin").write_bytes(b"mine")
    again = run(server, "bob", "9", "--get", "Plan B.bin", "--downloads", str(folder))
    assert again.returncode == 4 and "nothing is written over" in again.stderr
    assert (folder / "Plan B.bin").read_bytes() == b"mine"


def test_what_goes_wrong_without_a_screen_is_said(server: ChatServer, tmp_path: Path) -> None:
    missing = run(server, "bot", "9", "--get", "none")
    assert missing.returncode == 4
    assert missing.stderr == "chat_client: none: there is no file 'none'\n"
    missing = run(server, "bot", "9", "--put", str(tmp_path / "none"))
    assert missing.returncode == 4
    assert missing.stderr == f"chat_client: none: {tmp_path / 'none'}: No such file or directory\n"
    missing = run(server, "bot", "9", "--put", "no-such-file")
    assert missing.stderr == "chat_client: no-such-file: No such file or directory\n"
    (tmp_path / ".hidden").write_bytes(b"x")
    refused = run(server, "bot", "9", "--put", str(tmp_path / ".hidden"))
    assert refused.returncode == 4 and "does not begin with ." in refused.stderr


def test_without_a_screen_one_puts_for_a_room_or_a_person(
    server: ChatServer, tmp_path: Path
) -> None:
    ann, eve = server.joined("ann"), server.joined("eve")
    source = tmp_path / "private.txt"
    source.write_bytes(b"psst")
    done = run(server, "bob", "9", "--put", str(source), "--to", "@ann")
    assert (done.returncode, done.stderr) == (0, "")
    assert names(ann) == ["private.txt"]
    assert names(eve) == []


def test_udp_that_does_not_get_through_is_said_and_tcp_used(
    server: ChatServer, folder: Path
) -> None:
    bring(server, server.joined("ann"), "file", DATA)
    firewall = Path(__file__).with_name("deaf.py")
    done = subprocess.run(
        [sys.executable, str(firewall), "localhost", str(server.port), "bob", "9", "--get", "file",
         "--downloads", str(folder), "--udp", "on"],
        capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "UDP does not get through: going on over TCP" in done.stderr
    assert (folder / "file").read_bytes() == DATA


def test_a_server_without_udp_offers_none(make_server: Make) -> None:
    server = make_server("--rate", "0", "--no-udp").start()
    ann = server.joined("ann")
    assert put(ann, "file", b"x")["quic"] is None
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.bind(("127.0.0.1", server.port))
    probe.close()


def test_a_shared_file_is_a_line_one_can_open(
    server: ChatServer, open_client: Open, folder: Path
) -> None:
    bob = server.joined("bob")
    ann = open_client(server, "ann", "--downloads", str(folder), columns=190)
    ann.see("ann ●")
    ann.type("/files\r")
    ann.see("Nobody has shared a file yet. /put PATH does.")
    ann.type("q")
    ann.type("/get\r")
    ann.see("Which file? None was shared here. It is typed: /get [NAME] [AS]")
    bring(server, bob, "Plan B.bin", DATA)
    ann.see("bob │ shared Plan B.bin (3.0 MB) · click or Alt+G fetches it")
    ann.click("shared Plan B.bin")
    ann.see("Plan B.bin is here: ", f"{sha256(DATA)[:16]}… is right")
    assert (folder / "Plan B.bin").read_bytes() == DATA
    ann.type("\x1bg")
    ann.see("Plan B.bin is here already: ")
    ann.type('/get "plan b.bin" another.bin\r')
    ann.wait((folder / "another.bin").exists)
    assert (folder / "another.bin").read_bytes() == DATA
    (folder / "Plan B.bin").write_bytes(b"mine")
    ann.type("/get Plan B.bin\r")
    ann.see("Plan B.bin is there already. Save as (Plan B (1).bin):")
    ann.type("\r")
    ann.wait(lambda: (folder / "Plan B (1).bin").exists())
    assert (folder / "Plan B (1).bin").read_bytes() == DATA
    assert (folder / "Plan B.bin").read_bytes() == b"mine"
    ann.type("/get Plan B.bin\r")
    ann.see("Save as (Plan B (2).bin):")
    ann.type("\x1b")
    ann.see("Plan B.bin was not fetched.")
    ann.type("/get nothing\r")
    ann.see("/get: there is no file 'nothing'")
    ann.type("/files plan\r")
    ann.see("Plan B.bin     3.0 MB  from bob, 20")
    ann.type("q")
    ask(bob, "delete_file", name="Plan B.bin")
    ann.see("bob no longer shares Plan B.bin")


@pytest.mark.parametrize("udp", ["", " --udp"])
def test_one_shares_from_the_screen(
    server: ChatServer, open_client: Open, tmp_path: Path, udp: str
) -> None:
    bob = server.joined("bob")
    source = tmp_path / "so many words.txt"
    source.write_bytes(DATA)
    ann = open_client(server, "ann", columns=190)
    ann.see("ann ●")
    ann.type(f"/put {tmp_path}/so many words.txt @bob{udp}\r")
    ann.see("so many words.txt is shared · SHA-256")
    assert bob.until("message")["to"] == "@bob"
    assert names(bob) == ["so many words.txt"]
    ann.type(f"/put {tmp_path}/none\r")
    ann.see(f"There is no file {tmp_path}/none.")
    ann.type(f"/put {tmp_path}/so many words.txt @bob\r")
    ann.see("so many words.txt: there is a file so many words.txt already")
    ann.type("/rmfile so many words.txt\r")
    ann.see("so many words.txt is no longer shared.")
    assert names(bob) == []


def test_progress_is_shown_and_one_may_break_off_and_go_on(
    server: ChatServer, open_client: Open, folder: Path
) -> None:
    shelf = server.data / "files"
    shelf.mkdir()
    with (shelf / "big.bin").open("wb") as file:
        for number in range(40):
            file.write(random.Random(number).randbytes(1 << 20) * 10)
    ann = open_client(server, "ann", "--downloads", str(folder), columns=190)
    ann.see("ann ●")
    ann.type("/get big.bin\r")
    ann.wait(lambda: any(path.stat().st_size for path in folder.glob(".*.part")))
    server.signal(signal.SIGSTOP)  # so that it is seen half way
    ann.see("↓ big.bin", "✗ cancel", "of 419.4 MB")
    ann.type("/cancel big.bin\r")
    server.signal(signal.SIGCONT)
    ann.see("big.bin was broken off; /get goes on where it stopped.", not_="↓ big.bin")
    assert not (folder / "big.bin").exists()
    ann.type("/cancel\r")
    ann.see("No file is on its way.")
    ann.type("/get big.bin\r")
    ann.see("big.bin is here:")
    assert (folder / "big.bin").read_bytes() == (shelf / "big.bin").read_bytes()
    assert [path.name for path in folder.iterdir()] == ["big.bin"]


@pytest.mark.parametrize("udp", ["", " --udp"])
def test_a_download_goes_on_by_itself_over_a_server_that_is_killed(
    make_server: Make, open_client: Open, folder: Path, udp: str
) -> None:
    server = make_server("--rate", "0")
    shelf = server.data / "files"
    shelf.mkdir(parents=True)
    size = 150_000_000
    with (shelf / "big.bin").open("wb") as file:
        for number in range(150):
            file.write(random.Random(number).randbytes(1_000_000))
    server.start()
    ann = open_client(server, "ann", "--downloads", str(folder), columns=100)
    ann.see("ann ●")
    ann.type(f"/get big.bin{udp}\r")

    def some() -> bool:
        return any(0 < path.stat().st_size < size for path in folder.glob(".*.part"))

    ann.wait(some)
    server.kill()
    ann.see("again in")
    server.start()
    ann.see("big.bin is here:", patience=60)
    assert (folder / "big.bin").read_bytes() == (shelf / "big.bin").read_bytes()


def test_a_client_that_is_killed_goes_on_in_its_next_run(server: ChatServer, folder: Path) -> None:
    shelf = server.data / "files"
    shelf.mkdir()
    with (shelf / "big.bin").open("wb") as file:
        for number in range(150):
            file.write(random.Random(number).randbytes(1_000_000))
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(server.port)]
    command += ["bob", "9", "--get", "big.bin", "--downloads", str(folder)]
    client = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while not any(path.stat().st_size for path in folder.glob(".*.part")):
        assert client.poll() is None
    client.kill()
    client.wait()
    [part] = folder.iterdir()
    assert part.name.startswith(".big.bin.") and part.name.endswith(".part")
    done = run(server, "bob", "9", "--get", "big.bin", "--downloads", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.name for path in folder.iterdir()] == ["big.bin"]
    assert (folder / "big.bin").read_bytes() == (shelf / "big.bin").read_bytes()


def test_line_by_line_files_come_and_go(
    server: ChatServer, open_client: Open, folder: Path, tmp_path: Path
) -> None:
    bob = server.joined("bob")
    bring(server, bob, "file.bin", DATA)
    ann = open_client(server, "ann", "--plain", "--downloads", str(folder), columns=190)
    ann.see("bob: shared file.bin (3.0 MB)")
    ann.type("/get\r")
    ann.see("file.bin is on its way; /cancel breaks it off.", "file.bin is here: ")
    assert (folder / "file.bin").read_bytes() == DATA
    source = tmp_path / "mine"
    source.write_bytes(b"x")
    ann.type(f"/put {source}\r")
    ann.see("mine is shared")
    assert names(bob) == ["file.bin", "mine"]


def test_names_of_files_and_paths_are_completed(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    bob = server.joined("bob")
    bring(server, bob, "Long name.txt", b"x")
    (tmp_path / "only-one-of-this").write_bytes(b"y")
    ann = open_client(server, "ann", columns=190)
    ann.see("shared Long name.txt")
    ann.type("/get lo\t")
    ann.see("#lobby › /get 'Long name.txt'")
    ann.type("\x15")
    ann.type(f"/put {tmp_path}/only\t")
    ann.see("/only-one-of-this")
