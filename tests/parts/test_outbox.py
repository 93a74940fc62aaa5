"""The outbox gives everybody exactly what was said to them, in order, from shared bytes."""

from hypothesis import given
from hypothesis import strategies as st

from framing.frames import encode_frame
from parley.server.chat.outbox import Audience, Outbox
from parley.server.chat.session import Session
from parley.server.web.websocket import WebSocketDoor, encode_text

PEOPLE = 5
ROOMS = 3
FRAMES = encode_frame, encode_text  # as two doors have it

rooms_strategy = st.lists(st.sets(st.integers(0, PEOPLE - 1)), min_size=ROOMS, max_size=ROOMS)
acts_strategy = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, ROOMS - 1), st.none()),
        st.tuples(st.just("tell"), st.integers(0, PEOPLE - 1), st.none()),
        st.tuples(
            st.sampled_from(["instead", "hushed", "enter", "leave"]),
            st.integers(0, ROOMS - 1),
            st.integers(0, PEOPLE - 1),
        ),
    ),
    max_size=30,
)


@given(rooms=rooms_strategy, turns=st.lists(acts_strategy, max_size=3))
def test_everybody_gets_what_a_queue_of_their_own_would_hold(
    rooms: list[set[int]], turns: list[list[tuple[str, int, int | None]]]
) -> None:
    outbox = Outbox()
    people = [Session("", FRAMES[i % 2]) for i in range(PEOPLE)]
    audiences = [Audience() for _ in range(ROOMS)]
    for audience, members in zip(audiences, rooms, strict=True):
        audience.members = {people[i]: None for i in members}
    number = 0
    for acts in turns:
        queues: list[list[bytes]] = [[] for _ in people]
        for act, target, sender in acts:
            number += 1
            body = b'{"n":%d}' % number
            if act == "tell":
                outbox.tell(people[target], body)
                queues[target].append(body)
                continue
            if act == "enter" and sender is not None:
                outbox.enter(audiences[target], people[sender])
                rooms[target].add(sender)
                continue
            if act == "leave" and sender is not None:
                outbox.leave(audiences[target], people[sender])
                rooms[target].discard(sender)
                continue
            place = outbox.say(audiences[target], body)
            for i in rooms[target]:
                if i != sender:
                    queues[i].append(body)
            if act == "hushed" and sender is not None:
                outbox.replace(people[sender], place, None)
            elif sender is not None:
                reply = b'{"ok":%d}' % number
                outbox.replace(people[sender], place, reply)
                queues[sender].append(reply)
        letters, shares = outbox.flush()
        got = {id(one): b"".join(share.buffers) for share in shares for one in share.recipients}
        assert all(letters.bodies)
        got |= {id(one): body for one, body in zip(*letters, strict=True)}
        count = sum(len(s.recipients) for s in shares) + len(letters.recipients)
        assert len(got) == count, "somebody has two shares"
        for share in shares:
            assert share.size == sum(map(len, share.buffers)) > 0
        for person, queue in zip(people, queues, strict=True):
            assert got.get(id(person), b"") == b"".join(map(person.frame, queue))
        assert outbox.empty
        assert all(person.patches is None for person in people)


def test_those_who_hear_the_same_share_one_object() -> None:
    outbox = Outbox()
    room = Audience()
    people = [Session("", encode_frame) for _ in range(100)]
    room.members = dict.fromkeys(people)
    place = outbox.say(room, b'{"a":1}')
    outbox.say(room, b'{"b":2}')
    outbox.replace(people[0], place, b'{"ok":1}')
    shares = {id(one): share.buffers for share in outbox.flush()[1] for one in share.recipients}
    whole = shares[id(people[1])][0]
    assert all(shares[id(person)][0] is whole for person in people[1:])
    mine = shares[id(people[0])]
    assert any(isinstance(part, memoryview) and part.obj is whole for part in mine)


def test_two_doors_have_one_object_each() -> None:
    outbox = Outbox()
    room = Audience()
    people = [Session("", (encode_frame, WebSocketDoor().frame)[i % 2]) for i in range(100)]
    room.members = dict.fromkeys(people)
    outbox.say(room, b'{"a":1}')
    outbox.say(room, b'{"b":2}')
    letters, shares = outbox.flush()
    assert not letters.recipients
    assert [len(share.recipients) for share in shares] == [50, 50]
    assert [share.buffers for share in shares] == [
        [b'$7{"a":1}$$7{"b":2}$'],
        [b'\x81\x07{"a":1}\x81\x07{"b":2}'],
    ]
