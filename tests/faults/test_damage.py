"""Files of state that are cut or garbled anywhere: refused with the place and left as they are, or
made again where they are derived; nothing that was acknowledged is cut off silently.

What a torn end of history.json does is in ``tests/parts/test_log.py``, byte by byte.
"""

import contextlib
import itertools
import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.server.accounts.accounts import Accounts, AccountsError
from tests.conftest import ChatServer, Make
from tests.files.carrying import Carrying, bring, fetch, sha256
from tests.parts.house import House
from tests.server.test_retention import all_pages, closed, talk_until
from tests.server.test_rooms import ask


@contextlib.contextmanager
def changed_by_the_disk(path: Path, part: bytes) -> Iterator[int]:
    """Give the first ``part`` of a file of records other bytes for as long as this lasts. Yield
    where its record begins."""
    whole = path.read_bytes()
    at = whole.index(part)

    def write(data: bytes) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    write(b"\xff" * len(part))
    yield whole.rindex(b"{", 0, at)
    write(part)


def test_users_json_cut_anywhere_is_refused_and_left_alone(tmp_path: Path, demo_users: str) -> None:
    path = tmp_path / "users.json"
    whole = demo_users.encode()
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(AccountsError, match=r"line \d+, column \d+|truncated"):
            Accounts(path)
        assert path.read_bytes() == whole[:size]


def test_users_json_garbled_anywhere_loses_no_account_silently(
    tmp_path: Path, demo_users: str
) -> None:
    path = tmp_path / "users.json"
    dice = random.Random(3)
    whole = demo_users.encode()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([dice.choice(b'\x00\xff{}"x,')]) + whole[at + 1 :])
        try:
            accounts = Accounts(path)
        except AccountsError:
            continue
        assert len(accounts) == 3


def test_the_program_refuses_a_damaged_users_json_and_starts_with_it_mended(
    server: ChatServer, demo_users: str
) -> None:
    assert server.stop() == 0
    path = server.data / "users.json"
    path.write_text(demo_users[:-40])
    server.launch()
    assert server.wait() == 1 and "users.json" in server.said and "Traceback" not in server.said
    assert path.read_text() == demo_users[:-40]
    path.write_text(demo_users)
    server.start()
    assert server.wire().login("Alice", "123")["purpose"] == "welcome"


def test_an_index_garbled_anywhere_is_made_again_or_still_right(
    server: ChatServer, tmp_path: Path
) -> None:
    ann = server.joined("ann")
    said = [f"word{number} " + "x" * 50 for number in range(60)]
    for text in said:
        ann.say(text)
    assert server.stop() == 0
    dice = random.Random(5)
    whole = (server.data / "history.index").read_bytes()
    for _ in range(60):
        data = tmp_path / "copy"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        shutil.copy(server.data / "history.json", data)
        size = dice.choice([0, 100, len(whole) // 2, len(whole) - 1, len(whole), len(whole)])
        garbled = bytearray(whole[:size])
        for _ in range(dice.randrange(1, 30) if size else 0):
            garbled[dice.randrange(size)] = dice.randrange(256)
        (data / "history.index").write_bytes(garbled)
        try:
            house = House(data)
        except (sqlite3.DatabaseError, UnicodeDecodeError):
            continue  # the program makes it again: the next test
        house.quiet()
        house.log.close()
        house.index.db.close()
        assert [r["text"] for r in json.loads((data / "history.json").read_text())[1:]] == said


def test_what_the_disk_has_changed_while_it_runs_is_refused_to_who_asks_for_it_alone(
    server: ChatServer,
) -> None:
    ann = server.joined("ann")
    for text in ("first", "second", "third"):
        ann.say(text)
    with changed_by_the_disk(server.data / "history.json", b'"first"') as record:
        for _ in range(2):
            ann.send(purpose="history", ref="h", **{"with": "#lobby"}, limit=10)
            refused = ann.error("STORE_UNAVAILABLE")
            assert "tell whoever runs this server" in refused["text"]
            assert "retry_after" not in refused
        ann.send(purpose="history", ref="ok", **{"with": "#lobby"}, limit=2)
        assert [one["text"] for one in ann.until("history")["messages"]] == ["second", "third"]
        assert ann.say("fourth")["purpose"] == "ok"
        assert server.said.count("cannot be read") == 1
        assert f"history.json at byte {record}" in server.said


def test_what_cannot_be_read_is_left_out_of_what_somebody_has_missed(server: ChatServer) -> None:
    ann = server.joined("ann")
    for text in ("first", "second", "third"):
        ann.say(text)
    with changed_by_the_disk(server.data / "history.json", b'"second"'):
        bob = server.wire()
        bob.send(purpose="join", nick="bob", id=1, time=0)
        assert "tell whoever runs this server" in bob.error("STORE_UNAVAILABLE")["text"]
        page = bob.until("history")
        assert [one["text"] for one in page["messages"]] == ["first", "third"] and page["end"]
        ann.say("fourth")
        assert bob.until("message")["text"] == "fourth"


def test_an_index_that_leads_elsewhere_is_made_again(server: ChatServer) -> None:
    ann = server.joined("ann")
    ann.send(purpose="enter", ref="e", room="#lab")
    ann.until("ok", ref="e")
    assert server.stop() == 0
    with contextlib.closing(sqlite3.connect(server.data / "history.index")) as index:
        index.execute("UPDATE place SET start = start + 1 WHERE seq IN (SELECT seq FROM deed)")
        index.commit()
    server.start()
    assert "making it again" in server.said
    bob = server.joined("bob")
    bob.send(purpose="rooms", ref="r")
    assert "#lab" in {room["room"] for room in bob.until("rooms")["rooms"]}


def test_history_damaged_before_its_tail_is_refused_in_each_of_its_files(
    make_server: Make,
) -> None:
    server = make_server("--keep", "4K").start()
    ann = server.joined("ann")
    token = ann.passed[0]["token"]
    said: list[str] = []
    talk_until(ann, said, server.data, 2)
    for number in range(5):
        said.append(f"last {number}")
        ann.say(said[-1])
    assert server.stop() == 0
    each = itertools.cycle(("garbage", "a lost page", "a record less"))
    for path in [*closed(server.data), server.data / "history.json"]:
        whole = path.read_bytes()
        line = whole.index(b"\n{", 2) + 1
        kinds = {
            "garbage": whole[:line] + b"garbage" + whole[line + 7 :],
            "a lost page": whole[:line].ljust(line + 100, b"\0") + whole[line + 100 :],
            "a record less": whole[: whole.index(b"\n{", 1)] + whole[line - 1 :],
        }
        if path.name != "history.json":
            kinds = {kind: kinds[kind] for kind in [next(each)]}
        for kind, damaged in kinds.items():
            path.write_bytes(damaged)
            if kind == "garbage":
                for derived in server.data.glob("history.index*"):
                    derived.unlink()
            before = len(server.said)
            server.launch()
            assert server.wait() == 1, kind
            assert f"{path.name} is damaged at line" in server.said[before:], kind
            assert "byte" in server.said[before:]
            assert path.read_bytes() == damaged, kind
            assert not list(server.data.glob("*.torn-*"))
        path.write_bytes(whole)
    server.start()
    ann = server.wire()
    ann.join("ann", token=token, bot=True)
    assert all_pages(ann) == said


def test_an_upload_whose_part_was_garbled_is_not_shared(server: ChatServer) -> None:
    ann = server.joined("ann")
    data = b"what was announced\n" * 5000
    ticket = ask(ann, "put", name="a", size=len(data), sha256=sha256(data))
    carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"], offset=0)
    carrying.event()
    carrying.sock.sendall(data[:40_000])
    [part] = (server.data / "files" / ".parts").iterdir()
    while part.stat().st_size < 40_000:
        pass
    server.kill()
    garbled = bytearray(part.read_bytes())
    garbled[1000] ^= 1
    part.write_bytes(garbled)
    server.start()
    ann = server.joined("ann2")
    assert bring(server, ann, "b", data)["sha256"] == sha256(data)
    assert fetch(server, server.joined("bob"), "b") == data
    assert not (server.data / "files" / "a").exists()


def test_a_secret_that_is_too_short_is_said(server: ChatServer) -> None:
    assert server.stop() == 0
    path = server.data / "server.secret"
    path.write_bytes(path.read_bytes()[:10])
    server.launch()
    assert server.wait() == 1
    assert "too short to be a secret; delete it" in server.said
    path.unlink()
    server.start()
