"""What people have read outlives the index, when that has to be made anew."""

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import chat_server
from framing.requests import Join, Say
from parley.server.index.file import give_up
from parley.server.index.index import Index
from parley.server.operating import reporting
from tests.conftest import ROOT
from tests.parts.house import House
from tests.parts.test_index import full_disk


def read_by_ann(house: House) -> list[int | None]:
    return [house.index.read.up_to("Ann", stream) for stream in ("#lobby", "@~1 Ann", "seen")]


def say(house: House, count: int) -> None:
    client = house.connect()
    house.ask(client, Join("bob", 1, 0.0))
    house.quiet()
    for number in range(count):
        house.ask(client, Say(f"r{number}", f"text {number}"))
        house.quiet()


@pytest.fixture
def marked(house: House) -> House:
    say(house, 5)
    house.index.read.move("Ann", "#lobby", 3)
    house.index.read.move("Ann", "@~1 Ann", 2)
    house.index.read.move("Ann", "seen", 1_000_000)  # no seq
    house.index.commit()
    return house


def test_another_version_takes_them_over(marked: House) -> None:
    marked.index.db.execute("UPDATE meta SET value = -1 WHERE name = 'version'")
    marked.crash()
    assert not marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_they_are_read_from_a_file_that_was_open_when_the_machine_died(marked: House) -> None:
    marked.index.db.execute("UPDATE meta SET value = 'an earlier boot' WHERE name = 'boot'")
    marked.crash()
    assert not marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_of_an_older_history_that_is_put_back_nothing_is_read_that_is_not_there(
    marked: House,
) -> None:
    marked.log.close()
    marked.index.close()
    path = marked.data / "history.json"
    lines = path.read_bytes().split(b",\n")
    path.write_bytes(b",\n".join(lines[:2]) + b"\n]\n")
    marked._open()
    assert not marked.trusted
    assert marked.log.seq == 2
    assert read_by_ann(marked) == [2, 2, 1_000_000]


def test_what_is_given_up_leaves_them(marked: House) -> None:
    marked.log.close()
    marked.index.close()
    give_up(marked.data / "history.index")
    marked._open()
    assert not marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]
    marked.restart()
    assert marked.trusted


@pytest.mark.parametrize("content", [b"", b"no database at all\n" * 500])
def test_where_there_are_none_there_are_none(house: House, content: bytes) -> None:
    house.log.close()
    house.index.close()
    path = house.data / "history.index"
    path.write_bytes(content)
    give_up(path)
    assert not list(house.data.glob("history.index*"))
    path.write_bytes(content)
    house._open()
    assert read_by_ann(house) == [None, None, None]


@pytest.mark.parametrize("left", [1024, 32_768])  # with that it can still be read
@pytest.mark.parametrize("deal", [give_up, lambda path: Index(path, "boot")])
def test_a_full_disk_loses_none(marked: House, deal: Callable[[Path], object], left: int) -> None:
    for number in range(2_000):
        marked.index.read.move(f"somebody {number}", "#lobby", 3)
    marked.index.commit()
    marked.index.db.execute("UPDATE meta SET value = -1 WHERE name = 'version'")
    marked.log.close()
    marked.index.db.close()
    path = marked.data / "history.index"
    with full_disk(left), pytest.raises(sqlite3.OperationalError):
        deal(path)
    assert not list(marked.data.glob("*.new*"))
    marked._open()
    assert not marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_a_damaged_index_that_cannot_be_given_up_is_said_to_be_there(
    marked: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def damaged(*_: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    marked.close()
    monkeypatch.setattr(chat_server, "start", damaged)
    monkeypatch.setattr(reporting, "set_up", lambda *_: None)
    with full_disk():
        assert chat_server.main(["--data", str(marked.data)]) == 1
    assert "It cannot be removed (disk I/O error): remove it" in capsys.readouterr().err
    marked._open()
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_a_file_of_a_kind_that_is_not_known_is_made_anew(marked: House) -> None:
    marked.close()
    path = marked.data / "history.index"
    whole = path.read_bytes()
    path.write_bytes(whole[:44] + b"\0\0\0\x09" + whole[48:])  # the format of its schema
    marked._open()
    assert not marked.trusted
    assert read_by_ann(marked) == [None, None, None]


def test_a_name_that_is_no_text_any_more_ends_no_start(marked: House) -> None:
    marked.close()
    path = marked.data / "history.index"
    path.write_bytes(path.read_bytes().replace(b"low_offset", b"\xffow_offset"))
    marked._open()
    assert not marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def damage(house: House, table: str) -> None:
    """The disk has changed the page where ``table`` begins."""
    path = house.data / "history.index"
    with contextlib.closing(sqlite3.connect(path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        ((page,),) = db.execute(query, (table,))
        ((size,),) = db.execute("PRAGMA page_size")
    whole = path.read_bytes()
    at = (page - 1) * size
    path.write_bytes(whole[:at] + b"\xff" * size + whole[at + size :])


def test_an_index_that_is_made_anew_over_them_has_the_pages_of_a_new_one(marked: House) -> None:
    query = "PRAGMA page_size"
    new = marked.index.db.execute(query).fetchall()
    marked.restart(anew=True)
    assert read_by_ann(marked) == [3, 2, 1_000_000]
    assert marked.index.db.execute(query).fetchall() == new


def test_an_index_that_turns_out_damaged_at_the_end_leaves_them(marked: House) -> None:
    marked.close()
    damage(marked, "ref")
    marked._open()
    assert marked.trusted
    client = marked.connect()
    marked.ask(client, Join("eve", 1, 0.0))
    marked.quiet()
    marked.ask(client, Say("r", "text"))
    marked.quiet()
    marked.log.close()
    with pytest.raises(sqlite3.DatabaseError, match="malformed") as found:
        marked.index.close()
    give_up(marked.data / "history.index")
    assert found.tb is not None  # in it everything is still there
    marked._open()
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_an_index_that_turns_out_damaged_at_the_start_leaves_them(marked: House) -> None:
    marked.close()
    damage(marked, "deed")
    program = [sys.executable, str(ROOT / "chat_server.py"), "0", "--data", str(marked.data)]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = ""
        for line in server.stderr:
            said += line
            if "listening on" in line:
                break
        server.terminate()
    assert "making it again" in said
    marked._open()
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_what_is_given_up_while_somebody_looks_into_it_is_not_deleted(marked: House) -> None:
    marked.close()
    path = marked.data / "history.index"
    other = sqlite3.connect(path)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    program = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(marked.data)]
    done = subprocess.run([*program, "--compact"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "another program has it open" in done.stderr
    assert "Traceback" not in done.stderr
    other.close()
    marked._open()
    assert read_by_ann(marked) == [3, 2, 1_000_000]


def test_an_index_that_somebody_looks_into_is_not_deleted(marked: House) -> None:
    marked.log.close()
    marked.index.close()
    path = marked.data / "history.index"
    other = sqlite3.connect(path)
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Index(path, "boot")
    program = [sys.executable, str(ROOT / "chat_server.py"), "0", "--data", str(marked.data)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "history.index cannot be written: another program has it open" in done.stderr
    other.close()
    marked._open()
    assert marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]
