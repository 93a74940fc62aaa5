"""Private conversations in the index: kept once, seen from both sides, gone when dropped."""

from framing.events import History
from framing.limits import MAX_SEQ
from framing.requests import Edit, Join, PageOf, Redact, Say, Search
from parley.server.index.lookup import Lookup
from parley.server.index.streams import Stream, inbox_stream, private_stream
from parley.server.index.words import private_question
from tests.parts.house import Client, House


def joined(house: House, nick: str) -> Client:
    client = house.connect()
    house.ask(client, Join(nick, 1, 0.0))
    house.quiet()
    list(client.events())
    return client


def say(house: House, client: Client, to: str, text: str) -> None:
    house.ask(client, Say(f"{to} {text}", text, to))
    house.quiet()


def found(house: House, client: Client, request: PageOf | Search) -> list[str]:
    list(client.events())
    house.ask(client, request)
    house.quiet()
    (page,) = [event for event in client.events() if isinstance(event, History)]
    return [message.text for message in page.messages]


def rows(house: House, table: str) -> int:
    house.index.flush()
    return int(house.index.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def kept(house: House) -> int:
    """Count the messages that are in the index."""
    house.index.flush()
    return int(house.index.db.execute("SELECT count(*) FROM place WHERE room").fetchone()[0])


def test_a_private_message_stands_once_and_is_seen_by_both(house: House) -> None:
    ann, bob, eve = (joined(house, nick) for nick in ("ann", "bob", "eve"))
    say(house, ann, "@bob", "one secret")
    say(house, bob, "@Ann", "two secret")
    say(house, ann, "@ann", "three secret")
    assert kept(house) == 3
    for client, other, texts in (
        (ann, "@bob", ["one secret", "two secret"]),
        (bob, "@ann", ["one secret", "two secret"]),
        (ann, "@ann", ["three secret"]),
        (eve, "@ann", []),
        (eve, "@bob", []),
    ):
        assert found(house, client, PageOf("p", other)) == texts
        assert found(house, client, Search("s", "secret", other)) == texts
    everything = ["one secret", "two secret", "three secret"]
    assert found(house, ann, Search("all", "secret")) == everything
    assert found(house, bob, Search("all", "secret")) == everything[:2]
    assert found(house, eve, Search("all", "secret")) == []


def test_who_has_a_nick_now_sees_nothing_of_who_had_it_before(house: House) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    say(house, ann, "@bob", "for the first bob")
    house.lose(bob)
    again = joined(house, "bob")
    say(house, ann, "@bob", "for the second bob")
    assert found(house, again, PageOf("p", "@ann")) == ["for the second bob"]
    assert found(house, ann, PageOf("p", "@bob")) == ["for the first bob", "for the second bob"]


def test_a_conversation_of_which_nothing_is_left_leaves_nothing(house: House) -> None:
    people = [joined(house, f"p{number}") for number in range(6)]
    for one in people:
        for number in range(6):
            say(house, one, f"@p{number}", "long ago")
    last = rows(house, "stream")
    assert rows(house, "seen") == 15 * 2 + 6
    house.rotate()
    house.drop_oldest()
    assert rows(house, "seen") == kept(house) == 0
    say(house, people[0], "@p1", "since then")
    assert found(house, people[1], PageOf("p", "@p0")) == ["since then"]
    assert found(house, people[1], Search("s", "since")) == ["since then"]
    assert found(house, people[1], Search("s", "ago")) == []
    # A number that somebody may still look for is not another conversation's.
    (number,) = house.index.db.execute("SELECT max(room) FROM place").fetchone()
    assert number > last


def test_what_is_left_of_a_conversation_stays(house: House) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    say(house, ann, "@bob", "before")
    house.rotate()
    say(house, bob, "@ann", "after")
    house.rotate()
    house.drop_oldest()
    assert found(house, ann, PageOf("p", "@bob")) == ["after"]
    assert found(house, ann, Search("s", "after")) == ["after"]


def test_what_was_missed_does_not_cost_by_conversations(house: House) -> None:
    ann = joined(house, "ann")
    asked = []
    for number in range(60):
        guest = joined(house, f"guest{number}")
        say(house, guest, "@ann", f"help {number}")
        house.lose(guest)
        if number in (9, 59):
            statements: list[str] = []
            house.index.flush()
            house.index.db.set_trace_callback(statements.append)
            lookup = Lookup(house.index)
            streams = [Stream(inbox_stream(ann.session.person))]
            assert len(lookup.after(streams, 0, 500, 60_000).spans) == number + 1
            assert len(lookup.newest(streams, MAX_SEQ, 5, 60_000).spans) == 5
            assert lookup.before_newest(streams, 5) > 0
            house.index.db.set_trace_callback(None)
            asked.append(len(statements))
    assert asked[0] == asked[1]


def test_that_something_was_taken_back_comes_to_the_inbox_and_no_search_finds_it(
    house: House,
) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    say(house, ann, "@bob", "kept")
    say(house, ann, "@bob", "oops")
    seq = house.index.seq
    house.ask(ann, Redact("back", seq))
    house.quiet()
    lookup = Lookup(house.index)
    for one in (ann, bob):
        streams = [Stream(inbox_stream(one.session.person))]
        for page in (
            lookup.after(streams, seq, 10, 60_000),
            lookup.newest(streams, MAX_SEQ, 1, 60_000),
        ):
            assert [record.seq for record in house.log.read(page.spans)] == [seq + 1]
    assert found(house, bob, Search("by", "", None, "ann")) == ["kept"]
    assert found(house, bob, Search("with", "", "@ann")) == ["kept"]
    house.rotate()
    house.drop_oldest()
    assert kept(house) == 0
    for one in (ann, bob):
        number = house.index.tables.number(inbox_stream(one.session.person))
        assert number is not None
        query = "SELECT count(*) FROM words WHERE words MATCH ?"
        left = house.index.db.execute(query, (private_question(number),)).fetchone()
        assert left == (0,)


def test_a_nick_that_many_have_had_is_one_stream(house: House) -> None:
    ann = joined(house, "ann")
    said = []
    for number in range(12):
        guest = joined(house, "guest")
        for part in range(7):
            said.append(f"{number}.{part}")
            say(house, guest, "@ann", said[-1])
            say(house, ann, "@guest", "yes " + said[-1])
            said.append("yes " + said[-1])
        house.lose(guest)
    assert found(house, ann, PageOf("p", "@guest", limit=500)) == said
    assert found(house, ann, PageOf("p", "@guest", limit=100)) == said[-100:]
    assert found(house, ann, PageOf("p", "@guest", after=0, limit=100)) == said[:100]


def test_what_is_changed_in_private_comes_again_and_is_not_more_to_be_read(house: House) -> None:
    ann, bob = joined(house, "ann"), joined(house, "bob")
    say(house, ann, "@bob", "first")
    say(house, ann, "@bob", "second")
    last = house.index.seq
    house.ask(ann, Edit("e", last - 1, "first, mended"), Redact("r", last))
    house.quiet()
    stream = Stream(private_stream(bob.session.person, "ann"))
    lookup = Lookup(house.index)
    assert lookup.unread(bob.session.person, stream, 100) == 2
    assert lookup.unread(bob.session.person, stream, 1) == 1
    spans = lookup.after([stream], last, 10, 60_000).spans
    assert [record.seq for record in house.log.read(spans)] == [last + 1, last + 2]
    assert found(house, bob, PageOf("p", "@ann")) == ["first, mended", ""] * 2
    assert found(house, bob, Search("s", "mended", "@ann")) == ["first, mended"]
    assert found(house, bob, Search("s", "second", "@ann")) == []
