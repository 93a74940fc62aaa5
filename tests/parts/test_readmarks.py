"""What people have read outlives the index, when that has to be made anew."""

import sqlite3
import subprocess
import sys

import pytest

from framing.requests import Join, Say
from parley.server.index.file import give_up
from parley.server.index.index import Index
from tests.conftest import ROOT
from tests.parts.house import House


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


def test_an_index_that_turns_out_damaged_at_the_start_leaves_them(marked: House) -> None:
    query = "SELECT rootpage FROM sqlite_master WHERE name = 'deed'"
    ((page,),) = marked.index.db.execute(query)
    marked.close()
    path = marked.data / "history.index"
    whole = path.read_bytes()
    at = (page - 1) * 4096
    path.write_bytes(whole[:at] + b"\xff" * 4096 + whole[at + 4096 :])
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
    assert "history.index: another program has it open" in done.stderr
    other.close()
    marked._open()
    assert marked.trusted
    assert read_by_ann(marked) == [3, 2, 1_000_000]
