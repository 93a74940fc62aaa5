"""Messages that are sent again: answered in their turn, and not written twice."""

import sys
from pathlib import Path
from types import FrameType

import pytest

from framing.events import AnyEvent, Error, Message, Ok, Pong, Welcome
from framing.requests import Join, Ping, Redact, Say
from parley.server.chat import answers
from parley.server.ground.limits import Rate
from tests.parts.house import Client, House


def joined(house: House, nick: str, id_: int = 1) -> Client:
    client = house.connect()
    house.ask(client, Join(nick, id_, 0.0, bot=True))
    house.quiet()
    list(client.events())
    return client


def asked(house: House, client: Client, *requests: Say | Redact | Ping) -> list[AnyEvent]:
    """Ask in one tick. Return what the client is told."""
    house.ask(client, *requests)
    house.tick()
    return list(client.events())


def shown(events: list[AnyEvent]) -> list[object]:
    """Return the seq of each ``ok``, and the ref, or the word, of all else."""
    return [
        event.seq
        if isinstance(event, Ok)
        else event.ref
        if isinstance(event, Pong)
        else event.error
        for event in events
        if isinstance(event, (Ok, Pong, Error))
    ]


def flushed_or_not(house: House, flushed: bool) -> None:
    if flushed:
        house.index.flush()


@pytest.mark.parametrize("flushed", [False, True])
def test_they_are_answered_in_the_order_of_what_was_asked(house: House, flushed: bool) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    asked(house, ann, Say("old", "old"), Say("older", "older"))
    first, second = (said.seq for said in house.said)
    flushed_or_not(house, flushed)
    list(bob.events())
    requests = (
        *(Say("old", "old"), Ping("a"), Say("new", "new"), Ping("b")),
        *(Say("older", "older"), Ping("c"), Say("newer", "newer"), Ping("d")),
    )
    told = shown(asked(house, ann, *requests))
    third, fourth = (said.seq for said in house.said[2:])
    assert told == [first, "a", third, "b", second, "c", fourth, "d"]
    heard = [event.text for event in bob.events() if isinstance(event, Message)]
    assert heard == ["new", "newer"]
    assert shown(asked(house, ann, Ping("later"))) == ["later"]


def test_of_many_at_once_each_is_known(house: House) -> None:
    clients = [joined(house, f"c{number}") for number in range(75)]
    for client in clients:
        house.ask(client, Say("r1", "one"), Say("r2", "two"))
    house.tick()
    house.index.flush()
    seqs = [shown(list(client.events())) for client in clients]
    for number, client in enumerate(clients):
        if number % 3:
            house.ask(client, Say("r2", "two"), Say(f"new{number}", "new"))
    house.tick()
    for number, (client, (_, second)) in enumerate(zip(clients, seqs, strict=True)):
        told = shown(list(client.events()))
        assert told[:1] == ([second] if number % 3 else [])
    assert len(house.said) == 150 + 50


@pytest.mark.parametrize("flushed", [False, True])
def test_a_ref_that_was_used_for_another_text_is_refused(house: House, flushed: bool) -> None:
    ann = joined(house, "ann")
    asked(house, ann, Say("r", "one"))
    flushed_or_not(house, flushed)
    assert shown(asked(house, ann, Say("r", "two"), Ping("p"))) == ["BAD_REQUEST", "p"]
    assert [said.message.text for said in house.said] == ["one"]


def test_twice_in_one_tick_is_answered_twice(house: House) -> None:
    ann = joined(house, "ann")
    (seq,) = shown(asked(house, ann, Say("r", "one")))
    house.ask(ann, Say("r", "one"), Say("r", "one"))
    house.tick()
    assert shown(list(ann.events())) == [seq, seq]


def test_the_answer_comes_though_the_log_can_write_nothing(house: House) -> None:
    ann = joined(house, "ann")
    (seq,) = shown(asked(house, ann, Say("r", "one")))
    house.store_fails = True
    told = shown(asked(house, ann, Say("new", "new"), Say("r", "one"), Ping("p")))
    assert told == ["STORE_UNAVAILABLE", seq, "p"]


def test_one_that_cannot_be_read_back_is_not_said_again(house: House) -> None:
    ann = joined(house, "ann")
    asked(house, ann, Say("r", "one"))
    path = house.data / "history.json"
    path.write_bytes(path.read_bytes().replace(b'"text":"one"', b'"text":"\xff\xfe\xfd"'))
    told = shown(asked(house, ann, Say("r", "one"), Ping("p")))
    assert told == ["STORE_UNAVAILABLE", "p"]
    assert len(house.said) == 1


def test_to_send_again_takes_nothing_of_what_one_may_say(tmp_path: Path) -> None:
    house = House(tmp_path, Rate(0.001, 3))
    ann = joined(house, "ann")
    (seq,) = shown(asked(house, ann, Say("r", "one")))
    for _ in range(5):
        assert shown(asked(house, ann, Say("r", "one"))) == [seq]
    assert shown(asked(house, ann, *[Say("r", "one") for _ in range(5)])) == [seq] * 5
    second, third = shown(asked(house, ann, Say("s", "two"), Say("t", "three")))
    again = [Say("t", "three"), Say("r", "one"), Say("s", "two"), Say("r", "one")]
    assert shown(asked(house, ann, *again)) == ["LIMIT_EXCEEDED"] * 4
    house.mono += 1100
    assert shown(asked(house, ann, *again)) == [third, seq, second, seq]
    assert shown(asked(house, ann, *again, Say("n", "new")))[4] == house.said[-1].seq
    assert shown(asked(house, ann, Say("u", "four"))) == ["LIMIT_EXCEEDED"]
    house.close()


def test_of_a_nick_that_two_have_held_what_the_later_one_said_counts(house: House) -> None:
    bob = joined(house, "bob")
    for holder in range(2):
        ann = joined(house, "ann")
        ((seq,), again) = (shown(asked(house, ann, Say("r", "psst", "@bob"))) for _ in range(2))
        assert again == [seq]
        house.index.flush()
        assert shown(asked(house, ann, Say("r", "psst", "@bob"))) == [seq]
        house.lose(ann)
        assert len(house.said) == holder + 1
    assert len([event for event in bob.events() if isinstance(event, Message)]) == 2


def test_who_is_evicted_behind_it_is_answered_before(house: House) -> None:
    first, second = house.connect(), house.connect()
    house.ask(first, Join("ann", 1, 0.0, bot=True))
    house.quiet()
    token = next(event.token for event in first.events() if isinstance(event, Welcome))
    (seq,) = shown(asked(house, first, Say("r", "one")))
    house.ask(first, Say("r", "one"))
    house.ask(second, Join("ann", 1, 0.0, token, bot=True), Say("r", "one"))
    house.tick()
    assert shown(list(first.events())) == [seq, "EVICTED"]
    assert shown(list(second.events())) == [seq]


def lines_run(house: House) -> int:
    """End a tick's requests. Return how many lines that took of what keeps answers in order."""
    count = 0

    def seen(frame: FrameType, event: str, arg: object) -> object:
        nonlocal count
        if frame.f_code.co_filename != answers.__file__:
            return None
        count += 1
        return seen

    before = sys.gettrace()
    sys.settrace(seen)  # type: ignore[arg-type]
    try:
        house.log.withdraw(house.chat.sent_again(house.moment))
    finally:
        sys.settrace(before)
    return count


def test_what_others_have_said_makes_no_answer_slower(house: House) -> None:
    clients = [joined(house, f"c{number}") for number in range(80)]
    for client in clients:
        house.ask(client, Say("r", "old"))
    house.tick()
    took = []
    for many in (20, 80):
        for client in clients[:many]:
            house.ask(client, Say(f"new{many}", "new"))
        for client in reversed(clients[:many]):
            house.ask(client, Say("r", "old"))
        took.append(lines_run(house))
        house.tick()
    assert took[1] < 5 * took[0]


def test_what_could_not_be_taken_back_can_be_in_a_later_tick(house: House) -> None:
    ann = joined(house, "ann")
    asked(house, ann, Say("r", "one"))
    seq = house.said[-1].seq
    house.store_fails = True
    assert shown(asked(house, ann, Redact("x", seq))) == ["STORE_UNAVAILABLE"]
    house.store_fails = False
    assert shown(asked(house, ann, Redact("y", seq))) == [seq + 1]
