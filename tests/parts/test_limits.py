"""Limits: buckets, addresses, turns, and what waits in all."""

import ipaddress
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framing.events import Error
from framing.requests import Join, Say
from parley.server.chat.addresses import Addresses, network_of
from parley.server.ground.bounds import Acts, Bounds
from parley.server.ground.limits import Rate
from parley.server.net.backlog import Backlog
from parley.server.options import parse, shown
from parley.server.turns import Turns
from tests.conftest import ROOT
from tests.parts.house import House


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::6", "2001:db8:1:3::/64"), ("fe80::1%eth0", "fe80::/64"), ("a", "a"),
    ],
)  # fmt: skip
def test_one_address_is_what_one_person_can_have_all_of(address: str, network: str) -> None:
    assert network_of(address) == network


def test_connections_are_counted_and_given_back_and_none_is_left_over() -> None:
    bounds = replace(Bounds(), address_clients=3, address_newcomers=2)
    addresses = Addresses(bounds)
    a, b = "2001:db8::1", "2001:db8::2"  # the same house
    assert addresses.connect(a) and addresses.connect(b)
    assert not addresses.connect(a), "two that have not joined are enough"
    addresses.arrived(a)
    assert addresses.connect(b)
    addresses.arrived(b)
    assert not addresses.connect(a), "three are enough"
    assert addresses.connect("2001:db8:0:1::1")
    addresses.disconnect(a, arrived=True)
    assert addresses.connect(a)
    for _ in range(5000):
        assert addresses.connect("127.0.0.1") and addresses.connect("::1")
    addresses.bounds = replace(bounds, exempt=())
    assert not addresses.connect("127.0.0.1") and not addresses.connect("::1")


def test_what_is_exempt_is_named_by_network() -> None:
    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("2001:db8::/32"))
    bounds = replace(Bounds(), exempt=networks, address_joins=Acts(1, 100))
    addresses = Addresses(bounds)
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8:5::1"):
        assert [addresses.join(address, 0.0) for _ in range(3)] == [0, 0, 0]
    for address in ("10.2.0.1", "127.0.0.1", "2001:db9::1"):
        assert addresses.join(address, 0.0) == 0 < addresses.join(address, 0.0) <= 100


def test_a_login_counts_until_it_succeeds_at_every_door_together() -> None:
    addresses = Addresses(replace(Bounds(), address_logins=Acts(5, 50), account_logins=Acts(2, 10)))
    assert not addresses.try_login("1.1.1.1", "ann", 0.0)
    assert not addresses.try_login("2.2.2.2", "ann", 0.0)
    assert addresses.try_login("3.3.3.3", "ann", 0.0) == pytest.approx(5)
    addresses.logged_in("1.1.1.1", "ann", 0.0)
    assert not addresses.try_login("3.3.3.3", "ann", 0.0)
    for name in "bcd":  # what was refused for the account's sake counts for the address
        assert not addresses.try_login("3.3.3.3", name, 0.0)
    assert addresses.try_login("3.3.3.3", "f", 0.0) == pytest.approx(10)
    assert not addresses.try_login("3.3.3.3", "f", 10.1)


def test_who_tries_at_an_account_keeps_nobody_out_where_they_were_before() -> None:
    addresses = Addresses(replace(Bounds(), address_logins=Acts(9, 9), account_logins=Acts(2, 10)))
    assert not addresses.try_login("1.1.1.1", "ann", 0.0)
    addresses.logged_in("1.1.1.1", "ann", 0.0)
    for _ in range(2):
        assert not addresses.try_login("6.6.6.6", "ann", 1.0)
    assert addresses.try_login("6.6.6.6", "ann", 1.0) > 0
    assert addresses.try_login("2.2.2.2", "ann", 1.0) > 0
    assert not addresses.try_login("1.1.1.1", "ann", 1.0)
    for _ in range(8):
        assert not addresses.try_login("1.1.1.1", "ann", 1.0)
    assert addresses.try_login("1.1.1.1", "ann", 1.0) > 0  # but there too not for ever


def test_limits_that_are_changed_hold_from_then_on() -> None:
    addresses = Addresses(replace(Bounds(), address_guests=Acts(1, 1000)))
    assert not addresses.bring_guest("1.1.1.1", 0.0)
    assert addresses.bring_guest("1.1.1.1", 0.0) > 900
    addresses.bounds = replace(Bounds(), address_guests=Acts(0))
    assert not addresses.bring_guest("1.1.1.1", 0.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 9)) | st.none(), max_size=60
    )
)
def test_whose_turn_it_is(acts: list[tuple[int, bool, int] | None]) -> None:
    """Against a list that is searched through: moderators, then who waits longest since their last
    answer, then who came first."""
    turns: Turns[int] = Turns()
    waiting: list[tuple[bool, int, int]] = []
    for number, act in enumerate(acts):
        if act is not None:
            last, moderates, _ = act
            turns.add(number, last, moderates)
            waiting.append((not moderates, last, number))
        elif waiting:
            first = min(waiting)
            waiting.remove(first)
            assert turns.next() == first[2]
        assert bool(turns) == bool(waiting)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=80))
def test_what_many_wait_for_counts_once(acts: list[tuple[int, int, bool]]) -> None:
    whole = [bytes([n]) * (n + 1) * 100 for n in range(4)]
    backlog = Backlog()
    held: list[tuple[int, bytes | memoryview]] = []
    for buffer, holder, keeps in acts:
        if keeps:
            kept = memoryview(whole[buffer])[holder:] if holder else whole[buffer]
            backlog.hold(kept)
            held.append((buffer, kept))
        elif held:
            backlog.release(held.pop(holder % len(held))[1])
        assert backlog.size == sum(len(whole[b]) + 200 for b in {b for b, _ in held})


def test_the_page_and_the_options_say_what_holds() -> None:
    page = (ROOT / "docs" / "RELIABILITY.md").read_text()
    for bound in fields(Bounds):
        name = f"--{bound.name.replace('_', '-')}"
        row = f"| `{name}` | {shown(bound.default)} | {bound.metadata['reason']} |"
        assert row in page, f"docs/RELIABILITY.md has not: {row}"
        assert getattr(parse([name, shown(bound.default)]).bounds, bound.name) == bound.default
    assert parse([]).bounds == Bounds()
    assert parse(["--exempt", "none", "--queries", "0"]).bounds.exempt == ()


def test_who_is_to_wait_is_told_a_time_after_which_it_is_not_refused(tmp_path: Path) -> None:
    house = House(tmp_path, Rate(2, 1))
    ann = house.connect()
    house.ask(ann, Join("ann", 1, 0.0))
    house.quiet()
    house.ask(ann, Say("first", "x"))
    house.tick(0.4996)
    house.ask(ann, Say("early", "x"))
    house.tick(0.0)
    told = [event for event in ann.events() if isinstance(event, Error)]
    assert [error.error for error in told] == ["LIMIT_EXCEEDED"]
    wait = told[0].retry_after
    assert wait is not None and wait > 0
    house.tick(wait)
    house.ask(ann, Say("again", "x"))
    house.tick()
    assert [event for event in ann.events() if isinstance(event, Error)] == []
    house.close()
