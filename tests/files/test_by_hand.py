"""What is on the shelf: put there, changed and taken away by hand, and listed."""

import os
import random
import threading
import time
import unicodedata
from typing import Any

from tests.conftest import ChatServer
from tests.files.carrying import Carrying, fetch, names, put, sha256
from tests.server.test_rooms import ask

DATA = random.Random(5).randbytes(300_000)


def test_what_is_put_there_by_hand_is_listed_and_fetched(server: ChatServer) -> None:
    ann = server.joined("ann")
    shelf = server.data / "files"
    shelf.mkdir()
    (shelf / "by hand.bin").write_bytes(DATA)
    (shelf / ".hidden").write_bytes(b"x")
    (shelf / "-rf").write_bytes(b"x")
    (shelf / "a\nb").write_bytes(b"x")
    (shelf / "folder").mkdir()
    (shelf / "link").symlink_to("/etc/passwd")
    os.mkfifo(shelf / "pipe")
    (shelf / unicodedata.normalize("NFD", "Übung")).write_bytes(b"u")
    assert names(ann) == ["by hand.bin", "Übung"]
    assert fetch(server, ann, "by hand.bin") == DATA
    assert fetch(server, ann, "übung") == b"u"
    assert ask(ann, "files")["files"][0]["sha256"] == sha256(DATA)
    for name in (".hidden", "-rf", "link", "pipe", "folder", "../users.json", "/etc/passwd"):
        assert ask(ann, "get", name=name)["error"] == "NO_SUCH_FILE", name
    assert put(ann, "BY HAND.BIN", b"x")["error"] == "FILE_EXISTS"
    # It changes, and goes again.
    (shelf / "by hand.bin").write_bytes(b"changed")
    assert fetch(server, ann, "by hand.bin") == b"changed"
    (shelf / "by hand.bin").unlink()
    assert names(ann) == ["Übung"]
    assert ask(ann, "get", name="by hand.bin")["error"] == "NO_SUCH_FILE"
    assert ask(ann, "delete_file", name="übung")["error"] == "FORBIDDEN"


def test_many_files_are_listed_by_pages(server: ChatServer) -> None:
    shelf = server.data / "files"
    shelf.mkdir()
    for number in range(620):
        (shelf / f"{number:03}-{'long ' * 20}.txt").write_bytes(b"x")
    ann = server.joined("ann")
    found: list[str] = []
    after: dict[str, Any] = {}
    while True:
        page = ask(ann, "files", **after)
        found += [file["name"] for file in page["files"]]
        if page["end"]:
            break
        after = {"after": found[-1]}
    assert found == sorted(p.name for p in shelf.iterdir())


def test_a_shelf_that_is_no_directory_is_an_empty_one(server: ChatServer) -> None:
    ann = server.joined("ann")
    (server.data / "files").write_text("not a directory")
    assert names(ann) == []
    carrying = Carrying(server.port, purpose="store", ticket=put(ann, "f", b"x")["ticket"])
    assert carrying.event()["error"] == "STORE_UNAVAILABLE"
    ann.say("still here")


def test_a_file_that_is_being_written_by_hand_is_not_given(server: ChatServer) -> None:
    ann = server.joined("ann")
    shelf = server.data / "files"
    shelf.mkdir()
    done = threading.Event()

    def write() -> None:
        with (shelf / "growing").open("ab") as file:
            while not done.is_set():
                file.write(b"x" * 300_000)
                file.flush()
                time.sleep(0.001)

    # So much that it cannot be read through between two writes.
    (shelf / "growing").write_bytes(bytes(60_000_000))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        answer = ask(ann, "get", name="growing")
        assert answer["error"] == "STORE_UNAVAILABLE" and "being written" in answer["text"]
    finally:
        done.set()
        writer.join()
    while ask(ann, "get", name="growing")["purpose"] == "error":
        time.sleep(0.1)
    assert len(fetch(server, ann, "growing")) == (shelf / "growing").stat().st_size


def test_where_files_come_and_go_all_the_time_everybody_is_told_which_there_are(
    server: ChatServer,
) -> None:
    clients = [server.joined(f"n{number}") for number in range(120)]
    directory = server.data / "files"
    directory.mkdir(exist_ok=True)
    over = threading.Event()

    def come_and_go() -> None:
        while not over.wait(0.002):
            (directory / "odd").write_bytes(b"odd")
            (directory / "odd").unlink()

    busy = threading.Thread(target=come_and_go)
    busy.start()
    try:
        for client in clients:
            client.send(purpose="files", ref="f")
        for client in clients:
            assert client.until("files")["end"]
    finally:
        over.set()
        busy.join()
