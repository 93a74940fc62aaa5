"""Who sees what: a model of rooms, private talk, changes and restarts beside the real chat.

After any walk through joins, losses, rooms, invitations, edits and restarts, with the index or
without, everybody gets just what was said where they were: live, replayed, in pages and by search.
"""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from framing.events import Error, History, Message, Ok, Welcome
from framing.requests import (
    Edit,
    Enter,
    Invite,
    Join,
    Leave,
    PageOf,
    Redact,
    Say,
    Search,
)
from tests.parts.house import Client, House

NICKS = ["ann", "bob", "cyd", "eve"]
ROOMS = ["#open", "#Closed"]
WHERE = ["#lobby", *ROOMS, *(f"@{nick}" for nick in NICKS)]


@dataclass
class Room:
    owner: str
    private: bool
    made: int = 0
    since: dict[str, int] = field(default_factory=dict)
    invited: set[str] = field(default_factory=set)

    def lets_in(self, nick: str) -> bool:
        return not self.private or nick == self.owner or nick in self.invited


@dataclass
class Said:
    seq: int
    by: str
    to: str
    text: str
    redacted: bool = False
    changed: bool = False


class Everything(RuleBasedStateMachine):
    """Persons are nicks here: each keeps its token."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="parley-model-"))
        self.house = House(self.place)
        self.online: dict[str, Client] = {}
        self.tokens: dict[str, str] = {}
        self.cursor: dict[str, int] = {}
        self.rooms: dict[str, Room] = {}
        self.said: dict[int, Said] = {}
        self.dropped: dict[int, Said] = {}
        self.count = 0

    def teardown(self) -> None:
        self.house.close()
        shutil.rmtree(self.place)

    # What the model knows

    def floor(self, nick: str, to: str) -> int | None:
        """The seq after which ``nick`` may see what was said to a room; None: nothing."""
        if to == "#lobby":
            return 0
        room = self.rooms.get(to)
        if room is None or nick not in room.since:
            return None
        return room.since[nick] - 1 if room.private else room.made

    def sees(self, nick: str, said: Said) -> bool:
        if said.to.startswith("@"):
            return nick in (said.by, said.to[1:])
        floor = self.floor(nick, said.to)
        return floor is not None and said.seq > floor

    def visible(self, nick: str, where: str) -> list[Said]:
        found = []
        for said in self.said.values():
            if where.startswith("@"):
                pair = {said.by, said.to.removeprefix("@")}
                if said.to.startswith("@") and pair == {nick, where[1:]}:
                    found.append(said)
            elif said.to == where and self.sees(nick, said):
                found.append(said)
        return found

    # What happens

    def answers(self, nick: str) -> list[object]:
        """All that has come; what was heard must have been for these ears."""
        events: list[object] = list(self.online[nick].events())
        for event in events:
            messages = [event] if isinstance(event, Message) else []
            if isinstance(event, History):
                messages = event.messages
            for message in messages:
                seq = message.edit_of or message.redact_of or message.seq
                said = self.said.get(seq) or self.dropped.get(seq)
                if said is not None and said.to in self.rooms and isinstance(event, Message):
                    continue  # one may have left since: what was heard then is checked by say
                assert said is None or self.sees(nick, said), (nick, message)
        return events

    def ask(self, nick: str, request: object) -> object:
        """Ask, and return the answer."""
        self.house.ask(self.online[nick], request)  # type: ignore[arg-type]
        self.house.quiet()
        answers = [
            event
            for event in self.answers(nick)
            if getattr(event, "ref", None) == "r" or isinstance(event, Error)
        ]
        assert len(answers) == 1, answers
        return answers[0]

    def everybody_hears(self, seq: int, said: Said, own: str) -> None:
        """The message or change ``seq`` has come to all that may see it, once, and to no other."""
        for nick in self.online:
            if nick == own:
                continue
            came = [e for e in self.answers(nick) if isinstance(e, Message) and e.seq == seq]
            assert len(came) == self.sees(nick, said), (nick, seq, said)

    def drain(self) -> None:
        for nick in self.online:
            list(self.online[nick].events())

    @initialize(others=st.sets(st.sampled_from(NICKS[1:])))
    def begin(self, others: set[str]) -> None:
        """Somebody has a private room and has talked there: from here privacy gets interesting."""
        self.join("ann")
        for nick in sorted(others):
            self.join(nick)
        self.go_in("ann", "#Closed")
        self.speak("ann", "#closed")

    @precondition(lambda self: "#closed" in self.rooms and "ann" in self.online)
    @rule(other=st.sampled_from(NICKS[1:]))
    def bring_in(self, other: str) -> None:
        """What makes a difference: somebody comes in after something was said."""
        room = self.rooms["#closed"]
        if "ann" in room.since and other in self.online:
            assert isinstance(self.ask("ann", Invite("r", "#closed", other)), Ok)
            room.invited.add(other)
            self.go_in(other, "#Closed")

    @rule(nick=st.sampled_from(NICKS))
    def join(self, nick: str) -> None:
        if nick in self.online:
            return
        client = self.house.connect()
        since = self.cursor.get(nick)
        self.house.ask(client, Join(nick, 1, 0.0, self.tokens.get(nick), since))
        self.house.quiet()
        events = list(client.events())
        self.online[nick] = client
        [welcome] = [event for event in events if isinstance(event, Welcome)]
        if welcome.token is not None:
            self.tokens[nick] = welcome.token
        mine = [name for name, room in self.rooms.items() if nick in room.since]
        assert sorted(welcome.rooms) == sorted(["#lobby", *mine])
        replayed = [m for e in events if isinstance(e, History) for m in e.messages]
        heard = [m.seq for m in replayed if not (m.edit_of or m.redact_of)]
        expected = [s.seq for s in self.said.values() if self.sees(nick, s)]
        if since is None:
            # The last fifty records, of which some may be changes.
            assert heard == expected[len(expected) - len(heard) :]
            assert len(heard) == len(expected) or len(replayed) == 50
        else:
            assert heard == [seq for seq in expected if seq > since]
        for message in replayed:
            seq = message.edit_of or message.redact_of or message.seq
            said = self.said.get(seq) or self.dropped[seq]
            assert self.sees(nick, said)
            if said.redacted:
                assert message.text == ""
            elif not (message.edit_of or message.redact_of):
                assert message.text == said.text

    @precondition(lambda self: self.online)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        self.drain()
        self.cursor[nick] = self.house.log.seq
        self.house.lose(self.online.pop(nick))

    @precondition(lambda self: self.online)
    @rule(data=st.data(), room=st.sampled_from(ROOMS))
    def enter(self, data: st.DataObject, room: str) -> None:
        self.go_in(data.draw(st.sampled_from(sorted(self.online))), room)

    def go_in(self, nick: str, room: str) -> None:
        self.drain()
        private = room == "#Closed"
        answer = self.ask(nick, Enter("r", room.lower(), private))
        known = self.rooms.get(room.lower())
        if known is None:
            known = self.rooms[room.lower()] = Room(nick, private)
        if nick in known.since:
            assert isinstance(answer, Ok)
        elif known.lets_in(nick):
            assert isinstance(answer, Ok) and answer.seq is not None
            known.since[nick] = answer.seq
            known.made = known.made or answer.seq - 1
        else:
            assert isinstance(answer, Error) and answer.error == "FORBIDDEN"

    @precondition(lambda self: self.online and self.rooms)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        name = data.draw(st.sampled_from(sorted(self.rooms)))
        answer = self.ask(nick, Leave("r", name))
        inside = self.rooms[name].since.pop(nick, None) is not None
        assert isinstance(answer, Ok if inside else Error)
        if not self.rooms[name].since:
            del self.rooms[name]

    @precondition(lambda self: self.online and self.rooms and self.tokens)
    @rule(data=st.data())
    def invite(self, data: st.DataObject) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        other = data.draw(st.sampled_from(sorted(self.tokens)))
        name = data.draw(st.sampled_from(sorted(self.rooms)))
        answer = self.ask(nick, Invite("r", name, other))
        if nick in self.rooms[name].since:
            assert isinstance(answer, Ok)
            self.rooms[name].invited.add(other)
        else:
            assert isinstance(answer, Error)

    @precondition(lambda self: self.online)
    @rule(data=st.data(), where=st.sampled_from(WHERE))
    def say(self, data: st.DataObject, where: str) -> None:
        self.speak(data.draw(st.sampled_from(sorted(self.online))), where.lower())

    def speak(self, nick: str, where: str) -> None:
        self.drain()
        self.count += 1
        ref = f"m{self.count}"
        text = f"common w{self.count}"
        self.house.ask(self.online[nick], Say(ref, text, where))
        self.house.quiet()
        events = list(self.online[nick].events())
        [answer] = [e for e in events if isinstance(e, (Ok, Error)) and e.ref == ref]
        if where.startswith("@"):
            may = where[1:] in self.tokens
        else:
            may = self.floor(nick, where) is not None
        assert isinstance(answer, Ok if may else Error), (nick, where, answer)
        if isinstance(answer, Ok):
            assert answer.seq is not None
            said = self.said[answer.seq] = Said(answer.seq, nick, where, text)
            self.everybody_hears(answer.seq, said, nick)

    @precondition(lambda self: self.online and self.said)
    @rule(data=st.data(), redact=st.booleans())
    def change(self, data: st.DataObject, redact: bool) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        said = self.said[data.draw(st.sampled_from(sorted(self.said)))]
        self.drain()
        self.count += 1
        ref, text = f"c{self.count}", f"common changed{self.count}"
        request = Redact(ref, said.seq) if redact else Edit(ref, said.seq, text)
        self.house.ask(self.online[nick], request)
        self.house.quiet()
        events = list(self.online[nick].events())
        [answer] = [e for e in events if isinstance(e, (Ok, Error)) and e.ref == ref]
        if said.by == nick and self.sees(nick, said) and not said.redacted:
            assert isinstance(answer, Ok) and answer.seq is not None
            said.changed, said.redacted = True, redact
            said.text = "" if redact else text
            self.everybody_hears(answer.seq, said, nick)
        else:
            assert isinstance(answer, Error)
            hidden = not self.sees(nick, said) or said.redacted
            assert answer.error == ("NO_SUCH_MESSAGE" if hidden else "FORBIDDEN")

    @rule(drop=st.booleans())
    def rotate(self, drop: bool) -> None:
        """history.json is closed, or the oldest file is dropped with what was said in it; who is
        who and who is in which room stay."""
        self.house.quiet()
        if not drop:
            self.house.rotate()
            return
        self.house.drop_oldest()
        for seq in [seq for seq in self.said if seq <= self.house.index.floor]:
            self.dropped[seq] = self.said.pop(seq)

    @precondition(lambda self: self.online and self.dropped)
    @rule(data=st.data(), redact=st.booleans())
    def change_what_is_dropped(self, data: st.DataObject, redact: bool) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        seq = data.draw(st.sampled_from(sorted(self.dropped)))
        self.drain()
        answer = self.ask(nick, Redact("r", seq) if redact else Edit("r", seq, "text"))
        assert isinstance(answer, Error) and answer.error == "NO_SUCH_MESSAGE"

    @rule(how=st.sampled_from(["crash", "restart", "without index"]))
    def restart(self, how: str) -> None:
        self.drain()
        for nick in self.online:
            self.cursor[nick] = self.house.log.seq
        self.online.clear()
        self.house.clients.clear()
        if how == "without index":
            self.house.log.close()
            self.house.index.close()
            for path in self.place.glob("history.index*"):
                path.unlink()
            self.house._open()
        elif how == "crash":
            self.house.crash()
        else:
            self.house.restart()

    # What must always hold

    @precondition(lambda self: self.online)
    @rule(data=st.data(), where=st.sampled_from(WHERE))
    def page(self, data: st.DataObject, where: str) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        where = where.lower()
        self.drain()
        answer = self.ask(nick, PageOf("r", where))
        if where.startswith("#") and self.floor(nick, where) is None:
            room = self.rooms.get(where)
            word = "FORBIDDEN" if room is not None and room.lets_in(nick) else "NO_SUCH_ROOM"
            assert isinstance(answer, Error) and answer.error == word
            return
        assert isinstance(answer, History) and answer.end
        page = [m for m in answer.messages if not (m.edit_of or m.redact_of)]
        expected = self.visible(nick, where)
        assert [(m.seq, m.text, m.redacted, m.changed is not None) for m in page] == [
            (s.seq, s.text, s.redacted, s.changed) for s in expected
        ]
        gone = {said.seq for said in self.said.values() if said.redacted}
        assert all(not m.text for m in answer.messages if (m.edit_of or m.redact_of) in gone)

    @precondition(lambda self: self.online)
    @rule(data=st.data(), where=st.none() | st.sampled_from(WHERE), word=st.integers(0, 40))
    def search(self, data: st.DataObject, where: str | None, word: int) -> None:
        nick = data.draw(st.sampled_from(sorted(self.online)))
        where = where.lower() if where is not None else None
        text = f"w{word}" if word else "common"
        self.drain()
        answer = self.ask(nick, Search("r", text, where, limit=500))
        if where is not None and where.startswith("#") and self.floor(nick, where) is None:
            assert isinstance(answer, Error)
            return
        assert isinstance(answer, History) and answer.end
        all_seen = [s for s in self.said.values() if self.sees(nick, s)]
        expected = all_seen if where is None else self.visible(nick, where)
        assert [(m.seq, m.text) for m in answer.messages] == [
            (s.seq, s.text) for s in expected if text in s.text.split()
        ]

    @invariant()
    def those_online_in_a_room_are_counted(self) -> None:
        hall = self.house.chat._hall
        for room in (hall.rooms.get(name) for name in ROOMS):
            members = () if room is None else room.members
            here = [person for person in members if hall.people.by_name(person) is not None]
            assert room is None or room.online == len(here)

    @invariant()
    def nothing_is_left_undone(self) -> None:
        assert not self.house._parked


Everything.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestEverything = Everything.TestCase
