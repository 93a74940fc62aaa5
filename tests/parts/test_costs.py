"""What one person asks for costs everybody no more than a page does, however it was prepared."""

from dataclasses import replace
from pathlib import Path

import pytest

from framing.events import Acts as ActsTold
from framing.events import HasRead, History
from framing.filenames import NAME_CHARS, FileNameError, name_key, plain_name
from framing.limits import FRAME, PAGE
from framing.requests import (
    Edit,
    Enter,
    Get,
    Invite,
    Join,
    ListActs,
    Login,
    PageOf,
    Read,
    Redact,
    Say,
    Search,
)
from parley.server.accounts.scram import Exchange, ScramError, Verifier
from parley.server.chat.bans import Bans
from parley.server.files.shelf import public_id
from parley.server.ground.bounds import Acts, Bounds
from parley.server.ground.limits import Rate
from parley.server.index.archive import Archive
from parley.server.index.streams import Stream, inbox_stream
from parley.server.index.words import WORDS_ASKED, too_costly
from parley.server.log.log import Span
from parley.server.log.records import Deed
from tests.parts.house import Client, House

LONG = "x" * 15_000


@pytest.fixture
def read(house: House, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each reading of the log."""
    sizes: list[int] = []
    reading = house.log.read

    def counted(spans: list[Span]) -> object:
        sizes.append(sum(span.length for span in spans))
        return reading(spans)

    monkeypatch.setattr(house.log, "read", counted)
    return sizes


def joined(house: House, nick: str, bot: bool = True) -> Client:
    client = house.connect()
    house.ask(client, Join(nick, 1, 0.0, bot=bot))
    house.quiet()
    list(client.events())
    return client


def changed(house: House, client: Client, count: int, text: str) -> list[int]:
    """Say so many short messages, and give each this text. Return their seqs."""
    seqs = []
    for number in range(count):
        house.ask(client, Say(f"s{number}", "short word"))
        house.tick()
        seqs.append(house.index.seq)
    for number, seq in enumerate(seqs):
        house.ask(client, Edit(f"e{number}", seq, text))
        house.tick()
    house.quiet()
    list(client.events())
    return seqs


def page(house: House, client: Client, request: PageOf | Search) -> History:
    house.ask(client, request)
    house.quiet()
    (found,) = [event for event in client.events() if isinstance(event, History)]
    return found


@pytest.mark.parametrize("forth", [True, False])
def test_of_messages_that_became_long_no_more_is_read_than_a_page(
    house: House, read: list[int], forth: bool
) -> None:
    ann = joined(house, "ann")
    seqs = changed(house, ann, 40, LONG)
    read.clear()
    found: list[int] = []
    end = False
    while not end:
        if forth:
            request = PageOf("p", "#lobby", after=found[-1] if found else 0, limit=PAGE)
        else:
            request = PageOf("p", "#lobby", before=found[0] if found else None, limit=PAGE)
        told = page(house, ann, request)
        end = told.end
        got = [message.seq for message in told.messages if message.edit_of is None]
        found = [*found, *got] if forth else [*got, *found]
        if not got:
            edges = [message.seq for message in told.messages]
            found = [*found, edges[-1]] if forth else [edges[0], *found]
    assert set(seqs) <= set(found)
    assert max(read) < FRAME + 2 * len(LONG)


@pytest.mark.parametrize("to", ["#lobby", "@bob"])
def test_what_came_last_is_found_without_a_look_at_all_before(house: House, to: str) -> None:
    ann, _ = joined(house, "ann"), joined(house, "bob")
    for number in range(2000):
        house.ask(ann, Say(f"s{number}", "word", to))
        house.tick()
    house.quiet()
    house.index.commit()
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    house.index.db.set_progress_handler(step, 1)
    streams = [Stream("#lobby"), Stream(inbox_stream(ann.session.person))]
    found, end = Archive(house.log, house.index).after(streams, house.index.seq - 5, 500)
    assert len(found) == 5 and end
    assert steps < 2000


def test_a_search_reads_a_few_frames_at_most_and_finds_all(house: House, read: list[int]) -> None:
    ann = joined(house, "ann")
    for number in range(60):
        house.ask(ann, Say(f"r{number}", f"word {LONG}"))
        house.tick()
    house.quiet()
    read.clear()
    found = 0
    before = None
    while True:
        told = page(house, ann, Search("s", "word", before=before, limit=PAGE))
        found += len(told.messages)
        if told.end:
            break
        before = told.messages[0].seq
    assert found == 60
    assert max(read) < 5 * FRAME


def test_changes_of_what_one_may_not_see_are_passed_over_at_once(
    house: House, read: list[int]
) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    house.ask(ann, Enter("e", "#den", private=True))
    house.quiet()
    house.ask(ann, Say("before", "before bob", "#den"))
    house.quiet()
    seq = house.index.seq
    house.ask(ann, Invite("i", "#den", "bob"))
    house.quiet()
    house.ask(bob, Enter("e", "#den"))
    house.quiet()
    for number in range(700):
        house.ask(ann, Edit(f"e{number}", seq, f"changed {number}"))
        house.tick()
    house.ask(ann, Say("after", "after bob", "#den"))
    house.quiet()
    list(bob.events())
    read.clear()
    told = page(house, bob, PageOf("p", "#den", after=0, limit=PAGE))
    assert [message.text for message in told.messages] == ["after bob"] and told.end
    assert len(read) == 1


def test_a_search_has_so_many_words_whatever_script_or_marks_they_stand_in() -> None:
    for text in ("\u4e00" * WORDS_ASKED, "a " * WORDS_ASKED, '"' + "a." * WORDS_ASKED + '"'):
        assert too_costly(text) is None
    for text in ("\u4e00" * (WORDS_ASKED + 1), "a." * (WORDS_ASKED + 1), 'a"b"' * WORDS_ASKED):
        assert "at most" in str(too_costly(text))


def test_a_name_that_is_none_is_not_composed(house: House) -> None:
    marks = "a" + "\u0315" * 30_000 + "\u0316" * 30_000  # to be put in order, each past all others
    with pytest.raises(FileNameError, match="that is a path"):
        plain_name("there/it")
    with pytest.raises(FileNameError, match="at most"):
        plain_name(marks)
    assert len(name_key(marks)) <= 2 * NAME_CHARS
    ann = joined(house, "ann")
    known = public_id.cache_info().currsize
    house.ask(ann, Get("g", marks))
    house.quiet()
    assert public_id.cache_info().currsize == known


@pytest.mark.parametrize("name", ["\ufdfa" * 1000, "bob", "a" * 4000])
def test_a_name_to_log_in_with_is_compared_before_it_is_prepared(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(_: str) -> str:
        raise AssertionError("prepared")

    monkeypatch.setattr("scramp.core.saslprep", prepare)
    login = Login("ann", 1, 0.0, "SCRAM-SHA-256", "n,,n=ann,r=x")
    exchange = Exchange(login, Verifier(4096, b"0123456789abcdef", b"x" * 32, b"y" * 32))
    with pytest.raises(ScramError):
        exchange.challenge(f"n,,n={name},r=nonce")


def test_nobody_is_flooded_with_what_another_has_read(tmp_path: Path) -> None:
    house = House(tmp_path, Rate(100, 100))
    house.chat.reload(None, None, replace(Bounds(), queries=Acts(3, 3)))
    ann, bob = joined(house, "ann"), joined(house, "bob")
    bob.session.account = True  # whose read marks are kept
    for number in range(20):
        house.ask(ann, Say(f"r{number}", "psst", "@bob"))
        house.quiet()
    list(ann.events())
    for seq in range(house.index.seq - 19, house.index.seq + 1):
        house.ask(bob, Read("@ann", seq, show=True))
        house.tick(0.001)
    assert len([event for event in ann.events() if isinstance(event, HasRead)]) == 3
    house.close()


def test_the_list_of_acts_names_no_private_room(house: House) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    house.ask(ann, Enter("e", "#den", private=True))
    house.quiet()
    house.ask(ann, Invite("i", "#den", "bob"))
    house.quiet()
    house.ask(bob, Enter("e", "#den"))
    house.quiet()
    house.ask(bob, Say("s", "secret", "#den"))
    house.quiet()
    ann.session.role = "admin"
    house.ask(ann, Redact("r", house.index.seq))
    house.quiet()
    list(ann.events())
    house.ask(ann, ListActs("a"))
    house.quiet()
    (told,) = [event for event in ann.events() if isinstance(event, ActsTold)]
    assert [act.text for act in told.acts] == [f"message {house.said[-2].seq} in a private room"]


def test_who_is_muted_is_looked_for_among_those_of_the_same_slot_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    slot = Deed.slot.fget  # type: ignore[attr-defined]

    def counted(deed: Deed) -> str:
        asked.append(deed.do)
        return str(slot(deed))

    monkeypatch.setattr(Deed, "slot", property(counted))
    bans = Bans()
    for number in range(200):
        for do in ("mute", "ban", "mute"):
            bans.apply(Deed(0, 0.0, do, "mod", "mod", who=f"~{number}", whom=f"n{number}"))
    assert len(asked) <= 2 * 600
