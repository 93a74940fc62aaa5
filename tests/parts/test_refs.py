"""Which refs were used: what was sent again is known, and what was not is new, whatever the order
of the refs and whatever happens to the index meanwhile."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framing.events import Ok
from framing.requests import Join, Say
from parley.server.index import index, refs, tables
from parley.server.index.errors import IndexUnavailableError
from parley.server.index.refs import Refs
from parley.server.log.log import Log, Span
from parley.server.log.records import Guest, Record, Said
from tests.parts.house import Client, House
from tests.parts.test_index import full_disk

NAMES = ("", "x-", "x-1", "y", "é\U0010ffff")
REFS = st.builds("{}{}".format, st.sampled_from(NAMES), st.integers(0, 30)).filter(bool)
SAID = st.lists(st.tuples(st.integers(1, 2), REFS), min_size=1, max_size=6, unique=True)
BETWEEN = st.sampled_from(
    ["nothing", "nothing", "flush", "commit", "full", "restart", "crash", "anew", "rotate", "drop"]
)


class Ann:
    """Somebody with two windows, who comes back when the server does."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.token: str | None = None
        self.known: dict[tuple[int, str], int] = {}
        self.windows: dict[int, Client] = {}

    def come(self) -> None:
        for id_ in (1, 2):
            self.windows[id_] = client = self.house.connect()
            self.house.ask(client, Join("ann", id_, 0.0, token=self.token, bot=True))
            self.house.quiet()
            for event in client.events():
                self.token = getattr(event, "token", None) or self.token

    def say(self, said: list[tuple[int, str]]) -> None:
        """Say all in one tick, and look at the answers."""
        for id_, ref in said:
            self.house.ask(self.windows[id_], Say(ref, f"text of {ref}"))
        self.house.tick()
        newest = 0
        for id_, client in self.windows.items():
            answers = [event for event in client.events() if isinstance(event, Ok)]
            refs = [ref for by, ref in said if by == id_]
            assert [ok.ref for ok in answers] == refs
            for ok in answers:
                known = self.known.setdefault((id_, ok.ref or ""), ok.seq or 0)
                assert ok.seq == known
                newest = max(newest, known)
        assert newest <= self.house.log.seq
        assert len(set(self.known.values())) == len(self.known), "two messages have one seq"

    def forget(self, floor: int) -> None:
        self.known = {sent: seq for sent, seq in self.known.items() if seq > floor}


def happens(house: House, ann: Ann, what: str) -> None:
    if what == "flush":
        house.index.flush()
        if house.index.full:
            house.index.commit()
    elif what == "commit":
        house.index.commit()
    elif what == "full":
        with full_disk(), contextlib.suppress(IndexUnavailableError):
            house.index.commit()
    elif what == "rotate":
        house.rotate()
    elif what == "drop":
        house.drop_oldest()
        ann.forget(house.index.floor)
    elif what != "nothing":
        if what == "crash":
            house.crash()
        else:
            house.restart(anew=what == "anew")
        ann.come()


@given(
    st.lists(st.tuples(SAID, BETWEEN), max_size=14),
    st.sampled_from([1, 20_000]),
    st.sampled_from([1, 8, 65_536]),
)
def test_what_was_sent_is_known_and_nothing_else(
    steps: list[tuple[list[tuple[int, str]], str]], kept: int, gathered: int
) -> None:
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_KEPT", kept)  # threads in memory
        patch.setattr(refs, "_KEPT", kept)  # and senders
        patch.setattr(refs, "_GATHERED", gathered)
        patch.setattr(refs, "_AT_ONCE", min(gathered, 3))
        patch.setattr(index, "_COMMIT_AT", min(gathered, 5))
        patch.setattr(index, "_READ_AT_ONCE", min(gathered, 5))  # by a start
        house = House(Path(place))
        ann = Ann(house)
        ann.come()
        for said, what in steps:
            ann.say(said)
            happens(house, ann, what)
        for sent in list(ann.known):
            ann.say([sent])
        house.close()


def test_what_was_not_written_in_the_end_stays_gathered() -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        Refs.make(db)
        gathered = Refs(db, up_to=0)
        ann = gathered.sender_made("ann", 1)
        gathered.committed()
        ann.gathered |= {"a": 1, "b": 2}
        db.execute("BEGIN")
        assert (gathered.write_on(2), gathered.write_on(2)) == (True, False)
        assert (ann.gathered, gathered.up_to) == ({}, 2)
        ann.gathered["b"] = 3  # somebody else's by then, who has the same nick and id
        db.execute("ROLLBACK")
        gathered.forget()
        assert (ann.gathered, gathered.up_to) == ({"a": 1, "b": 3}, 0)
        assert gathered.find(("ann", 1, "b")) == 3
        db.execute("BEGIN")
        gathered.write_on(3)
        ann.gathered["b"] = 4
        gathered.write_on(4)
        db.execute("ROLLBACK")
        gathered.forget()
        assert gathered.find(("ann", 1, "b")) == 4


def test_a_start_reads_messages_alone_and_few_at_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = Ann(house)
    ann.come()
    for number in range(20):
        house.log.append(Guest(0, 1.0, f"guest{number}", f"{number:064}"))
        house.index.add(house.log.commit(0.0))
        ann.say([(1, f"r{number}")])
    house.index.commit()
    read, sizes = Log.read, []

    def seen(log: Log, spans: Sequence[Span]) -> list[Record]:
        records = read(log, spans)
        if any(isinstance(record, Said) for record in records):
            assert all(isinstance(record, Said) for record in records)
            sizes.append(len(records))
        return records

    with monkeypatch.context() as patch:
        patch.setattr(Log, "read", seen)
        patch.setattr(index, "_READ_AT_ONCE", 8)
        house.crash()
    assert sizes == [8, 8, 4]
    ann.come()
    ann.say([(1, f"r{number}") for number in range(20)])


@pytest.mark.parametrize("place", ["NULL", "'none'", "CAST(x'ff' AS TEXT)", "1.5", "-3"])
def test_a_start_passes_over_a_place_that_is_none(house: House, place: str) -> None:
    ann = Ann(house)
    ann.come()
    ann.say([(1, "a"), (1, "b"), (1, "c")])
    house.index.commit()
    house.index.db.execute(f"UPDATE place SET start = {place} WHERE seq = 3")
    house.crash()
    ann.come()
    del ann.known[1, "b"]
    ann.say([(1, "a"), (1, "c")])


def test_a_start_ends_though_the_places_of_messages_lead_back(tmp_path: Path) -> None:
    house = House(tmp_path)
    ann = Ann(house)
    ann.come()
    ann.say([(1, "a"), (1, "b"), (1, "c")])
    house.index.commit()
    house.log.files.close()
    house.index.db.close()
    path = house.data / "history.index"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'place'")
        ((size,),) = db.execute("PRAGMA page_size")
    whole = bytearray(path.read_bytes())
    at = (page - 1) * size
    cells = int.from_bytes(whole[at + 3 : at + 5], "big")
    last = at + 8 + 2 * (cells - 1)  # https://www.sqlite.org/fileformat.html, B-tree pages
    seq = at + int.from_bytes(whole[last : last + 2], "big") + 1
    assert whole[seq] == house.log.seq
    whole[seq] = 1
    path.write_bytes(whole)
    with pytest.raises(sqlite3.DatabaseError, match="ascend"):
        House(tmp_path)
