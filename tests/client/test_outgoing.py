"""Own messages on their way: whatever the server answers, in order and within its rate."""

from hypothesis import given
from hypothesis import strategies as st

from framing.events import Limits
from parley.client.ground.store import Waiting
from parley.client.session.outgoing import IN_FLIGHT, Outgoing


def limits(rate: float = 0.0, burst: int = 1) -> Limits:
    return Limits(65536, 16000, 500, rate, burst, 90.0)


def messages(count: int) -> list[Waiting]:
    return [Waiting(f"r{number}", "#lobby", "x", 0.0) for number in range(count)]


def test_a_window_is_sent_and_the_next_when_one_is_acknowledged() -> None:
    outgoing = Outgoing()
    outgoing.add(messages(20))
    outgoing.connected(limits(), 0.0)
    sent, again = outgoing.due(0.0)
    assert [m.ref for m in sent] == [f"r{i}" for i in range(IN_FLIGHT)] and again is None
    assert outgoing.due(0.0) == ([], None)
    outgoing.stored("r0")
    assert [m.ref for m in outgoing.due(0.0)[0]] == [f"r{IN_FLIGHT}"]


def test_the_servers_rate_is_kept_to_one_by_one() -> None:
    outgoing = Outgoing()
    outgoing.add(messages(20))
    outgoing.connected(limits(10.0, 3), 100.0)
    for number in range(3):
        assert [m.ref for m in outgoing.due(100.0)[0]] == [f"r{number}"]
        assert outgoing.due(100.0) == ([], None)
        outgoing.stored(f"r{number}")
    sent, again = outgoing.due(100.0)
    assert sent == [] and again is not None and abs(again - 0.1) < 1e-9
    assert [m.ref for m in outgoing.due(100.11)[0]] == ["r3"]


def test_after_a_refusal_for_now_they_go_one_by_one_and_none_overtakes() -> None:
    outgoing = Outgoing()
    outgoing.add(messages(3))
    outgoing.connected(limits(), 0.0)
    outgoing.due(0.0)
    for ref in ("r0", "r1", "r2"):
        outgoing.put_off(ref, 1.0, 0.0)
    assert outgoing.due(0.5) == ([], 0.5)
    assert [m.ref for m in outgoing.due(1.0)[0]] == ["r0"]
    assert outgoing.due(1.0) == ([], None)
    outgoing.stored("r0")
    assert [m.ref for m in outgoing.due(1.0)[0]] == ["r1", "r2"]


def test_what_is_refused_for_good_waits_for_a_retry_under_a_new_ref() -> None:
    outgoing = Outgoing()
    outgoing.add(messages(1))
    outgoing.connected(limits(), 0.0)
    outgoing.due(0.0)
    outgoing.fail("r0", "no such nick")
    assert outgoing.due(9.0) == ([], None) and len(outgoing.refused) == 1
    later = Outgoing()
    later.add(outgoing.all)
    assert later.due(0.0) == ([], None) and len(later.refused) == 1
    assert outgoing.retry("nothing", "x") is None
    again = outgoing.retry("r0", "new")
    assert again is not None and outgoing.waiting == [again]
    assert [m.ref for m in outgoing.due(9.0)[0]] == ["new"]


@given(st.lists(st.sampled_from(["ack", "put off", "break"]), max_size=60), st.integers(0, 15))
def test_everything_is_stored_once_and_in_order_whatever_happens(
    answers: list[str], count: int
) -> None:
    outgoing = Outgoing()
    outgoing.add(messages(count))
    outgoing.connected(limits(), 0.0)
    stored: list[str] = []
    in_flight: list[str] = []
    now = 0.0
    for answer in [*answers, *["ack"] * 200]:
        sent, again = outgoing.due(now)
        in_flight += [m.ref for m in sent]
        if again is not None:
            now += again
        if not in_flight:
            continue
        if answer == "break":
            in_flight.clear()
            outgoing.connected(limits(), now)
        elif answer == "ack":
            outgoing.stored(in_flight[0])
            stored.append(in_flight.pop(0))
        else:  # the server refuses all that is in flight
            for ref in in_flight:
                outgoing.put_off(ref, 1.0, now)
            in_flight.clear()
    assert stored == [f"r{number}" for number in range(count)]
    assert not outgoing
