"""The index when the disk is full: between a write and its commit, and when somebody comes in. And
by what it knows the log again."""

import contextlib
import os
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scramp import ScramClient

from framing.events import Challenge, Error, History, Message, Welcome
from framing.limits import PAGE
from framing.names import LOBBY
from framing.requests import Join, Login, PageOf, Response, Say, Search
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexUnavailableError, PastUnreadableError
from parley.server.index.index import Index
from parley.server.index.lookup import Lookup
from parley.server.index.streams import Stream, inbox_stream
from parley.server.log.log import Log
from parley.server.log.records import Origin, Said
from parley.server.log.segments import Stamp, stamp_of
from tests.parts.house import Client, House


@contextlib.contextmanager
def full_disk(left: int = 1024) -> Iterator[None]:
    """No file grows beyond ``left`` bytes: SQLite's log is begun anew by each of its
    transactions."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def joined(house: House, nick: str) -> Client:
    client = house.connect()
    house.ask(client, Join(nick, 1, 0.0))
    house.quiet()
    return client


def test_a_question_before_the_commit_writes_nothing(house: House) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    house.index.commit()
    house.index.db.execute("PRAGMA cache_size=10")  # pages, as few as a large index has for each
    for number in range(400):
        house.ask(ann, Say(f"r{number}", f"{number} " + "word " * 50, "@bob"))
        house.tick()
    house.index.flush()
    assert house.index.db.in_transaction
    lookup = Lookup(house.index)
    with full_disk():
        stream = Stream(inbox_stream(bob.session.person))
        assert len(lookup.after([stream], 0, 500, 1 << 30).spans) == 400
        assert lookup.find_ref("ann", 1, "r7", 1 << 60) is not None
        with pytest.raises(IndexUnavailableError):
            house.index.commit()
    assert len(lookup.after([stream], 0, 500, 1 << 30).spans) == 400


def test_what_the_log_does_not_give_back_is_left_out_when_a_write_is_taken_back(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ann = joined(house, "ann")
    house.index.commit()
    for number in range(5):
        house.ask(ann, Say(f"r{number}", f"text {number}"))
        house.tick()
    house.index.flush()
    path = house.data / "history.json"
    path.write_bytes(path.read_bytes().replace(b'"text":"text 2"', b'"text":"text \xff"'))
    with full_disk(), pytest.raises(IndexUnavailableError):
        house.index.commit()
    assert "history.json" in caplog.text
    lookup = Lookup(house.index)
    for flushed in (False, True):
        known = [lookup.find_ref("ann", 1, f"r{number}", 1 << 60) for number in range(5)]
        assert [span is not None for span in known] == [True, True, False, True, True], flushed
        house.index.commit()


def test_an_index_that_cannot_be_written_at_the_end_asks_the_log_for_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ann = joined(house, "ann")
    house.index.commit()
    house.ask(ann, Say("r", "text"))
    house.tick()
    house.index.flush()
    house.log.close()
    with full_disk():
        house.index.close()
    assert not caplog.records
    house._open()
    assert Lookup(house.index).find_ref("ann", 1, "r", 1 << 60) is not None


def add(house: House, by: str, to: str, text: str) -> None:
    """Let the index have a private message, which is not written yet."""
    message = Message(0, by, 1, f"@{to}", text, 1.0, len(text))
    house.log.append(Said(message, Origin("ref", f"~{by}", f"~{to}")))
    house.index.add(house.log.commit(0.0))


def test_the_log_is_known_by_its_time_until_somebody_writes_to_it(
    house: House, tmp_path: Path
) -> None:
    path, away = tmp_path / "history.json", tmp_path / "away"

    def known() -> Stamp | None:
        again = Index(tmp_path / "history.index", "boot")
        assert again.checkpoint is not None
        again.db.close()
        return again.checkpoint.last

    joined(house, "ann")
    house.index.commit()
    house.index.db.close()  # as if it were killed
    assert known() == stamp_of(path.stat())
    house.crash()
    joined(house, "bob")  # and killed before the index was committed
    house.index.db.close()
    assert known() != stamp_of(path.stat())
    house.crash()
    house.log.close()
    path.rename(away)
    path.write_bytes(away.read_bytes())  # another file stands there when the index is closed
    house.index.close()
    assert known() == stamp_of(away.stat()) != stamp_of(path.stat())
    house.log.files.fd = os.open(path, os.O_RDWR)
    house.crash()


def test_a_file_that_was_closed_when_the_index_could_not_be_written_is_known_later(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> None:
        raise sqlite3.OperationalError("database or disk is full")

    joined(house, "ann")
    with monkeypatch.context() as patched:
        patched.setattr(house.index, "_know_closed", refused)
        house.rotate()
    assert 1 in house.log.files.closed
    joined(house, "bob")
    house.index.commit()
    house.crash()
    assert house.trusted


def begin_again_without_an_index(house: House) -> None:
    """Start on what takes longer to be looked through than a tick."""
    for number in range(300):
        add(house, f"guest{number}", "eve", "x" * 1000)
    house.log.close()
    house.index.db.close()
    (house.data / "history.index").unlink()
    house._open()


def test_the_number_of_a_conversation_that_was_taken_back_is_never_anothers(house: House) -> None:
    begin_again_without_an_index(house)
    add(house, "ann", "bob", "secret")
    lookup = Lookup(house.index)
    assert house.index.behind
    shown = lookup.sight([Stream("@~ann bob")]).asked  # as a search holds it that is under way
    assert shown
    with full_disk(), pytest.raises(IndexUnavailableError):
        house.index.commit()
    while house.index.fill():
        pass
    assert lookup.sight([Stream("@~ann bob")]).asked == shown


def test_nor_is_it_when_the_log_does_not_give_back_what_it_was_made_for(house: House) -> None:
    add(house, "ann", "bob", "secret")
    lookup = Lookup(house.index)
    shown = lookup.sight([Stream("@~ann bob")])  # as a search holds it that is under way
    path = house.data / "history.json"
    path.write_bytes(path.read_bytes().replace(b'"text":"secret"', b'"text":"secre\xff"'))
    with full_disk(), pytest.raises(IndexUnavailableError):
        house.index.commit()
    add(house, "eve", "dan", "psst")
    assert lookup.search("", shown, "eve", range(10), 10, 60_000)[0] == []
    number = lookup.sight([Stream("@~eve dan")]).asked
    house.index.commit()
    assert lookup.sight([Stream("@~eve dan")]).asked == number


def test_a_start_on_a_disk_that_has_become_full_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined(house, "ann")
    house.log.close()
    house.index.close()
    start = Index.start

    def on_a_full_disk(index: Index, log: Log, tail: Any, trusted: bool, floor: int = 0) -> None:
        with full_disk():
            start(index, log, tail, trusted, floor)

    with monkeypatch.context() as patched, pytest.raises(IndexUnavailableError):
        patched.setattr(Index, "start", on_a_full_disk)
        house._open()
    house.crash()
    assert house.trusted


@pytest.mark.parametrize("first", [False, True])
def test_what_the_disk_has_changed_is_left_out_while_the_index_is_made(
    house: House, first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    joined(house, "ann")
    begin_again_without_an_index(house)
    path = house.data / "history.json"
    whole = path.read_bytes()
    at = whole.index(b'"purpose"') if first else whole.index(b"guest7")
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    assert house.index.behind
    while house.index.fill():
        pass
    assert not house.index.behind
    assert caplog.text.count("cannot be read") == 1
    assert f"at byte {whole.rindex(b'{', 0, at)}" in caplog.text
    left_out = [seq for seq in range(2, 302) if Lookup(house.index).at(seq) is None]
    assert left_out == ([] if first else [9])  # the first is that of ann's coming


def test_a_page_of_which_nothing_can_be_read_does_not_come_again_and_again(house: House) -> None:
    joined(house, "ann")
    for number in range(PAGE + 10):
        add(house, f"guest{number}", "eve", "text")
    house.index.commit()
    path = house.data / "history.json"
    whole = path.read_bytes()
    at, end = (whole.index(f"guest{number}".encode()) for number in (0, PAGE))
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * (end - at))
    archive, streams = Archive(house.log, house.index), [Stream(inbox_stream("~eve"))]
    page = archive.missed(streams, 0)
    assert page.messages == [] and page.told and not page.end
    while not page.end:
        page, upto = archive.missed(streams, page.upto), page.upto
        assert page.upto > upto
    assert [m.from_ for m in page.messages] == [f"guest{PAGE + n}" for n in range(1, 10)]


def test_what_the_disk_does_not_give_back_keeps_nobody_waiting_while_the_index_is_made(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = house.connect()
    house.ask(ann, Join("ann", 1, 0.0))
    house.quiet()
    token = next(event.token for event in ann.events() if isinstance(event, Welcome))
    for number in range(200):
        house.ask(ann, Say(f"r{number}", "x" * 1000))
        house.tick()
    house.rotate()
    house.ask(ann, Say("last", "behind"))
    house.quiet()
    house.log.close()
    house.index.db.close()
    (house.data / "history.index").unlink()
    house._open()
    path = house.data / "history-000001.json"
    whole = path.read_bytes()
    os.truncate(path, len(whole) // 2)
    fill = house.index.fill
    assert fill()
    with pytest.raises(PastUnreadableError, match=r"before history\.json at byte"):
        fill()
    monkeypatch.setattr(house.index, "fill", lambda: False)  # it is not time yet
    ann, bob = house.connect(), house.connect()
    house.ask(ann, Join("ann", 1, 0.0, token, since=2))
    house.ask(bob, Join("bob", 1, 0.0))
    house.tick()
    house.tick()
    assert house.chat.due is None
    came = list(ann.events())
    assert [e.retry_after for e in came if isinstance(e, Error)] == [None]
    for events in came, list(bob.events()):
        pages = [event for event in events if isinstance(event, History)]
        assert [m.text for page in pages for m in page.messages] == ["behind"]
    house.ask(ann, Say("new", "hello"), PageOf("p", LOBBY, before=100), Search("s", "behind"))
    house.tick()
    assert "hello" in [event.text for event in bob.events() if isinstance(event, Message)]
    refused = [event for event in ann.events() if isinstance(event, Error)]
    assert [(e.ref, e.error, e.retry_after) for e in refused] == [
        ("p", "STORE_UNAVAILABLE", None),
        ("s", "STORE_UNAVAILABLE", None),
    ]
    path.write_bytes(whole)
    while fill():
        pass
    house.ask(ann, PageOf("q", LOBBY, before=100))
    house.tick()
    assert [e.ref for e in ann.events() if isinstance(e, History)] == ["q"]


def asked_to_prove(house: House, client: Client) -> Response:
    """Begin a login of Ann's. Return the answer to the challenge."""
    scram = ScramClient(["SCRAM-SHA-256"], "Ann", "secret")
    house.ask(client, Login("Ann", 1, 0.0, "SCRAM-SHA-256", scram.get_client_first()))
    house.tick()
    *_, challenge = client.events()
    assert isinstance(challenge, Challenge)
    scram.set_server_first(challenge.data)
    return Response(scram.get_client_final())


def test_who_cannot_be_told_what_is_unread_is_not_half_in(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.accounts.set_password("Ann", "secret")
    client = house.connect()

    def full() -> None:
        raise IndexUnavailableError("the disk is full")

    proof = asked_to_prove(house, client)
    with monkeypatch.context() as patch, pytest.raises(IndexUnavailableError):
        patch.setattr(house.index, "flush", full)
        house.chat.receive(client.session, proof, house.moment)
    assert house.chat.present == (0, 0, 0)
    house.ask(client, asked_to_prove(house, client))
    house.quiet()
    assert any(isinstance(event, Welcome) for event in client.events())
