"""What a conversation holds, without a screen."""

from dataclasses import replace

import pytest

from framing.events import (
    Arrival,
    HasRead,
    History,
    Joined,
    Left,
    Limits,
    Message,
    Roster,
    User,
    Welcome,
)
from parley.client.commands.face import UsageError
from parley.client.commands.searching import parse_search
from parley.client.model import conversation as rooms
from parley.client.model.awaited import AWAITED_FOR
from parley.client.model.entries import mentions
from parley.client.model.model import Model
from parley.client.session.happenings import Dropped, Failed, Queued, Stored


def message(seq: int, text: str, from_: str = "bob", **fields: object) -> Message:
    return Message(seq, from_, 1, "#lobby", text, 1e9 + seq, len(text), **fields)  # type: ignore[arg-type]


def private(seq: int, text: str, from_: str = "bob", to: str = "@ann") -> Message:
    return Message(seq, from_, 1, to, text, 1e9 + seq, len(text))


def test_places_of_another_log_mean_nothing() -> None:
    model = Model("ann")
    model.take([message(seq, f"old {seq}") for seq in (5, 6, 7)], 0.0)
    assert model.lobby.oldest == 5
    model.lobby.forget_places()
    assert [entry.seq for entry in model.lobby.entries] == [0, 0, 0]
    assert model.lobby.newest == 0
    model.take([message(1, "new")], 0.0)
    assert [entry.text for entry in model.lobby.entries] == ["old 5", "old 6", "old 7", "new"]


def test_very_much_lets_the_oldest_go_and_pages_bring_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "MOST_CHARS", 1000)
    model = Model("ann")
    model.lobby.complete = True
    for seq in range(1, 101):
        model.take([message(seq, "x" * 50)], 0.0)
    kept = [entry.seq for entry in model.lobby.entries]
    assert kept == list(range(kept[0], 101)) and 10 <= len(kept) <= 21
    assert not model.lobby.complete and model.lobby.oldest == kept[0]
    assert model.lobby.prepended == -(kept[0] - 1)
    model.attend(False)  # nobody looks, the end is in sight
    for seq in range(101, 201):
        model.take([message(seq, "x" * 50)], 0.0)
    assert 10 <= len(model.lobby.entries) <= 21 and model.lobby.unread == 100
    kept = [entry.seq for entry in model.lobby.entries]
    model.attend(False, following=False)  # who reads further up loses nothing
    for seq in range(201, 301):
        model.take([message(seq, "x" * 50)], 0.0)
    assert model.lobby.entries[0].seq == kept[0]


def test_an_own_message_on_its_way_stays_however_much_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rooms, "MOST_CHARS", 1000)
    model = Model("ann")
    model.take([Queued("a", "#lobby", "mine", 1e9)], 0.0)
    for seq in range(1, 101):
        model.take([message(seq, "x" * 50)], 0.0)
    [kept] = [entry.seq for entry in model.lobby.entries if entry.text == "mine"]
    assert kept == 0 and len(model.lobby.entries) <= 22
    model.take([Stored("a", 101, 1e9)], 0.0)
    assert [entry.seq for entry in model.lobby.entries[-2:]] == [100, 101]
    assert model.lobby.prepended + 101 == len(model.lobby.entries)


def test_a_change_of_what_is_not_here_is_no_entry() -> None:
    model = Model("ann")
    model.take([message(5, "here"), message(6, "new text", edit_of=2)], 0.0)
    assert [entry.text for entry in model.lobby.entries] == ["here"]
    model.take([message(7, "", redact_of=5)], 0.0)
    [entry] = model.lobby.entries
    assert entry.redacted and entry.text == "" and not entry.changed


def test_an_own_message_stands_where_it_was_stored() -> None:
    model = Model("ann")
    model.take([Queued("a", "#lobby", "mine", 1e9), Queued("b", "#lobby", "mine too", 1e9)], 0.0)
    model.take([message(1, "first"), message(2, "second"), Stored("a", 3, 1e9)], 0.0)
    assert [entry.text for entry in model.lobby.entries] == ["first", "second", "mine", "mine too"]
    model.take([Stored("b", 4, 1e9), message(5, "last")], 0.0)
    assert [entry.seq for entry in model.lobby.entries] == [1, 2, 3, 4, 5]


def test_what_was_read_elsewhere_is_no_longer_counted() -> None:
    model = Model("ann")
    model.attend(False)
    said = [message(1, "one"), message(2, "ann: two"), message(3, "three", from_="ann")]
    model.take([*said, message(4, "four")], 0.0)
    assert model.lobby.unread == 3
    model.take([HasRead("#lobby", 2)], 0.0)
    assert model.lobby.unread == 1
    model.take([HasRead("#LOBBY", 9)], 0.0)
    assert model.lobby.unread == 0


def test_what_is_refused_after_its_conversation_was_closed_brings_it_again() -> None:
    model = Model("ann")
    mine = Queued("a", "@bob", "mine", 1e9)
    model.take([private(1, "old"), mine, Queued("b", "@bob", "too", 2e9)], 0.0)
    model.take_out("@Bob")
    assert "@bob" not in model.conversations
    model.take([Failed("a", "no"), Failed("b", "no")], 0.0)
    there = model.conversations["@bob"]
    assert [entry.text for entry in there.entries] == ["mine", "too"] and not there.complete
    model.take_out("@bob")
    model.take([replace(mine, ref="c"), Stored("c", 9, 1e9), Dropped("b")], 0.0)  # /retry, /drop
    assert [entry.seq for entry in model.conversations["@bob"].entries] == [9]
    assert not model.fates.open
    page = History([private(1, "old"), private(9, "mine", "ann", "@bob")], True)
    model.older(model.conversations["@bob"], page)
    assert [entry.text for entry in model.conversations["@bob"].entries] == ["old", "mine"]


def test_who_comes_as_another_spelling_of_the_same_nick_is_the_same() -> None:
    model = Model("Ann")
    model.attend(False)
    psst = private(2, "psst, Ann", "ann", "@bob")
    model.take([message(1, "Ann is here", from_="ann"), psst], 0.0)
    assert list(model.conversations) == ["#lobby", "@bob"]
    assert model.unread == model.alerts == 0
    assert not any(e.mention for c in model.conversations.values() for e in c.entries)
    model.take([message(3, "three")], 0.0)
    model.take([message(4, "four", from_="ann")], 0.0)
    model.take([HasRead("#lobby", 3)], 0.0)
    assert model.unread == 0


def test_who_leaves_a_room_gives_no_reason() -> None:
    model = Model("ann")
    model.take([Left("bob", 1, 1e9, "left", "#lobby"), Left("cyd", 1, 1e9, "odd", "#lobby")], 0.0)
    assert [entry.text for entry in model.lobby.entries] == ["bob left, cyd left (odd)"]


def test_another_window_of_somebody_who_is_here_is_no_coming_or_going() -> None:
    model = Model("ann")
    model.take([Joined("bob", 1, 1e9), Joined("bob", 2, 1e9)], 0.0)
    model.take([Left("bob", 1, 1e9, "disconnect")], 0.0)
    assert [entry.text for entry in model.lobby.entries] == ["bob joined"]
    assert [person.nick for person in model.people.online] == ["bob"]
    model.take([Left("bob", 2, 1e9, "disconnect")], 0.0)
    assert [entry.text for entry in model.lobby.entries] == ["bob joined, bob left"]
    assert not model.people.online
    many = [Arrival("cyd", 1), Arrival("cyd", 2)]
    model.take([Roster(many, [], 1, 1e9), Joined("ann", 2, 1e9)], 0.0)
    assert [e.text for e in model.lobby.entries] == ["bob joined, bob left, cyd joined, ann joined"]


def welcome(time: float, *here: User) -> Welcome:
    limits = Limits(65536, 16000, 500, 10.0, 40, 90.0)
    users = [User("ann", "online", time, [1]), *here]
    return Welcome("ann", 1, 9, "", 1, "", "", ["#lobby"], users, len(users), {}, limits, "", time)


def told_of(model: Model) -> list[str]:
    """What the lobby says of comings and goings, one by one."""
    lines = [e.text for e in model.lobby.entries if e.kind is rooms.Kind.COMINGS]
    return [each for line in lines for each in line.split(", ")]


def test_who_was_here_when_the_connection_was_lost_only_comes_back() -> None:
    model = Model("ann")
    before = [User(nick, "online", 1e9, [1]) for nick in ("Bob", "cyd", "dan", "eve")]
    model.take([welcome(1e9, *before), Joined("ann", 2, 1e9)], 0.0)
    assert told_of(model) == ["ann joined"]  # in another window
    again = 2e9
    model.take([welcome(again), Joined("bob", 1, again), Joined("ann", 2, again)], 0.0)
    model.take([Roster([Arrival("cyd", 7), Arrival("zoe", 1)], [], 4, again)], 0.0)
    assert told_of(model) == ["ann joined", "zoe joined"]
    assert [p.nick for p in model.people.online] == ["ann", "Bob", "cyd", "zoe"]
    # Who goes now, and comes again, does; so does who comes in as oneself and was not here.
    model.take([Left("bob", 1, again, "left"), Joined("bob", 1, again), Joined("ann", 3, again)], 0)
    assert told_of(model)[2:] == ["bob left", "bob joined", "ann joined"]
    # The server falls again before dan is back.
    model.take([welcome(again + 9), Joined("dan", 1, again + 19)], 0.0)
    assert told_of(model)[5:] == []
    late = again + 9 + AWAITED_FOR
    model.take([Joined("cyd", 7, late - 1), Joined("eve", 1, late)], 0.0)
    assert told_of(model)[5:] == ["eve joined"]
    assert [p.nick for p in model.people.online] == ["ann", "cyd", "dan", "eve"]


def test_an_accounts_unread_conversation_has_the_nick_as_it_is_written() -> None:
    model = Model("bob")
    limits = Limits(65536, 16000, 500, 10.0, 40, 90.0)
    users = [User("Alice", "online", 1e9, [1])]
    unread = {"@alice": 2, "@zed": 1}
    told = Welcome("bob", 1, 9, "", 1, "", "", ["#lobby"], users, 1, unread, limits, "", 1e9, True)
    model.take([told], 0.0)
    assert [c.name for c in model.conversations.values()] == ["#lobby", "@Alice", "@zed"]


@pytest.mark.parametrize(
    ("text", "named"),
    [("ann", True), ("Ann: hi", True), ("(ann)", True), ("joanna", False), ("ann_b", False),
     ("ann-marie", False), ("hi ann!", True), ("", False)],
)  # fmt: skip
def test_a_mention_is_a_word_of_its_own(text: str, named: bool) -> None:
    assert mentions(text, "ann") == named


def test_a_search_as_people_type_it() -> None:
    request = parse_search('"red key" from:@bob in:lab http://x before:2026-11-21')
    assert (request.text, request.from_, request.with_) == ('"red key" http://x', "bob", "#lab")
    assert request.until is not None and request.since is None
    assert parse_search("in:@eve x").with_ == "@eve"
    with pytest.raises(UsageError):
        parse_search("x after:soon")
