"""A model of the chat, driven at random: nobody misses, doubles, or sees what is not theirs."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from framing.events import Error, History, Message, Ok, Welcome
from framing.requests import Join, PageOf, Say
from tests.parts.house import Client, House

NICKS = ["ann", "Bob", "cy"]


class Told(NamedTuple):
    """A message that was acknowledged: who said it, to whom (a person, or None for all)."""

    seq: int
    person: str
    to: str | None
    text: str


class Device:
    """A client program: it keeps its token and cursor over connections, as a good one does."""

    def __init__(self, nick: str, id_: int) -> None:
        self.nick = nick
        self.id = id_
        self.token: str | None = None
        self.person: str | None = None
        self.cursor: int | None = None
        self.client: Client | None = None
        self.seen: dict[int, str] = {}
        self.unanswered: dict[str, tuple[str, str]] = {}  # ref: (to, text)
        self.sent: dict[str, tuple[int, str, str]] = {}  # ref: (seq, to, text)
        self.joined = False
        self.complete_from: int | None = None


class ChatModel(RuleBasedStateMachine):
    """Devices join, talk, vanish and come back; the server stops, crashes, loses its index."""

    @initialize()
    def start(self) -> None:
        self._dir = tempfile.TemporaryDirectory()
        self.house = House(Path(self._dir.name))
        self.devices = [Device(nick, id_) for nick in NICKS for id_ in (1, 2)]
        self.holders: dict[str, str] = {}  # nick key: person who held it last
        self._told: dict[int, Told] = {}
        self.refs = 0
        for which in (0, 2, 4):
            self.join(which, with_token=True, share=False)

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.everything_is_there_once_all_is_quiet()
            self.house.close()
            self._dir.cleanup()

    # What devices do

    @rule(which=st.integers(0, 5), with_token=st.booleans(), share=st.booleans())
    def comes(self, which: int, with_token: bool, share: bool) -> None:
        self.join(which, with_token, share)

    @rule(which=st.integers(0, 5), speaker=st.integers(0, 5))
    def comes_as_a_bot_while_somebody_speaks(self, which: int, speaker: int) -> None:
        self._listen()
        self.say(speaker, "#lobby")  # in the same tick as the join
        self.join(which, with_token=True, share=True, bot=True)

    def join(self, which: int, with_token: bool, share: bool, bot: bool = False) -> None:
        device = self.devices[which]
        if device.client is not None:
            return
        if share:  # the other device of the same nick gives its token
            other = self.devices[which ^ 1]
            if other.token is not None and other.token != device.token:
                self._become(device, other.token, other.person)
        if not with_token and device.token is not None:
            self._become(device, None, None)
        client = self.house.connect()
        bot = bot and device.cursor is None
        since = device.cursor
        self.house.ask(client, Join(device.nick, device.id, 0.0, device.token, since, bot))
        self.house.quiet()
        first, *rest = client.events()
        if isinstance(first, Error):
            assert first.error == "USER_IN_USE"
            taken = [d for d in self.devices if d.joined and d.nick == device.nick]
            assert taken and all(d.person != device.person for d in taken)
            self.house.lose(client)
            return
        assert isinstance(first, Welcome)
        others = {d.person for d in self.devices if d.joined and d.nick == device.nick}
        assert len(others) <= 1
        if first.token is not None:
            assert device.token is None, "a good token was not taken"
            assert not others, "somebody came in under the nick of another who is online"
            device.token = first.token
        device.person = client.session.person
        self.holders[device.nick.lower()] = device.person
        for ghost in self.devices:
            assert (
                ghost is device
                or not ghost.joined
                or (ghost.nick, ghost.id)
                != (
                    device.nick,
                    device.id,
                )
            )
        if bot:
            device.complete_from, device.cursor = first.seq + 1, first.seq
        elif device.cursor is None:
            visible = [t.seq for t in self.told.values() if self._may_see(device, t)]
            expected = sorted(visible)[-50:]
            device.complete_from = expected[0] if expected else first.seq + 1
            device.cursor = device.complete_from - 1
        device.client = client
        device.joined = True
        self._hear(device, rest)
        for ref, (to, text) in list(device.unanswered.items()):
            self.house.ask(client, Say(ref, text, to))

    def _become(self, device: Device, token: str | None, person: str | None) -> None:
        """Another person takes up the device: nothing of the first stays on it."""
        device.token, device.person, device.cursor = token, person, None
        device.seen, device.unanswered, device.sent = {}, {}, {}
        device.complete_from = None

    @rule(which=st.integers(0, 5), to=st.sampled_from(["#lobby", *(f"@{n}" for n in NICKS)]))
    def say(self, which: int, to: str) -> None:
        device = self.devices[which]
        if not device.joined:
            return
        assert device.client is not None
        self.refs += 1
        ref, text = f"r{self.refs}", f"text {self.refs} of {device.nick} {device.id}"
        device.unanswered[ref] = (to, text)
        self.house.ask(device.client, Say(ref, text, to))

    @rule(which=st.integers(0, 5), data=st.data())
    def say_again(self, which: int, data: st.DataObject) -> None:
        device = self.devices[which]
        if not device.joined or not device.sent:
            return
        assert device.client is not None
        ref = data.draw(st.sampled_from(sorted(device.sent)))
        _, to, text = device.sent[ref]
        self.house.ask(device.client, Say(ref, text, to))

    @rule(which=st.integers(0, 5))
    def vanish(self, which: int) -> None:
        device = self.devices[which]
        if device.joined:
            assert device.client is not None
            self.house.lose(device.client)
            device.client, device.joined = None, False

    @rule(which=st.integers(0, 5))
    def stall(self, which: int) -> None:
        device = self.devices[which]
        if device.joined:
            assert device.client is not None
            device.client.session.congested = not device.client.session.congested

    @rule(which=st.integers(0, 5), nick=st.sampled_from(["#lobby", *(f"@{n}" for n in NICKS)]))
    def page(self, which: int, nick: str) -> None:
        device = self.devices[which]
        if not device.joined:
            return
        assert device.client is not None
        self.house.tick()
        self._listen()
        self.house.ask(device.client, PageOf("page", nick))
        self.house.quiet()
        for event in device.client.events():
            if isinstance(event, History) and event.ref == "page":
                for message in event.messages:
                    assert self._may_see(device, self.told[message.seq])
                got = [m.seq for m in event.messages]
                if nick == "#lobby":
                    expected = sorted(t.seq for t in self.told.values() if t.to is None)
                    assert got == expected[-500:]
                    assert event.end == (len(expected) <= 500)
            else:
                self._hear(device, [event])
        self._listen()

    # What befalls the server

    @rule()
    def tick(self) -> None:
        self.house.tick()

    @rule()
    def no_room_on_the_disk(self) -> None:
        self.house.store_fails = True
        self.house.tick()
        self.house.store_fails = False

    @rule()
    def rotate(self) -> None:
        self.house.rotate()

    @rule(index=st.booleans(), crash=st.booleans())
    def restart(self, index: bool, crash: bool) -> None:
        if crash:
            self.house.crash()
        else:
            self._listen()
            self.house.restart()
        for device in self.devices:
            device.client, device.joined = None, False
        if not index:
            self.house.close()
            for path in self.house.data.glob("history.index*"):
                path.unlink()
            self.house._open()

    # What must hold

    @property
    def told(self) -> dict[int, Told]:
        """All that stands in the log, by seq."""
        while len(self._told) < len(self.house.said):
            record = self.house.said[len(self._told)]
            message, origin = record.message, record.origin
            told = Told(message.seq, origin.by, origin.for_, message.text)
            self._told[message.seq] = told
        return self._told

    def _may_see(self, device: Device, told: Told) -> bool:
        return told.to is None or device.person in (told.person, told.to)

    def _hear(self, device: Device, events: Sequence[object]) -> None:
        for event in events:
            if isinstance(event, Ok) and event.seq is not None:
                assert event.ref is not None
                if event.ref in device.unanswered:
                    to, text = device.unanswered.pop(event.ref)
                    self._check_new(device, event.seq, to, text)
                    device.sent[event.ref] = event.seq, to, text
                else:
                    assert device.sent[event.ref][0] == event.seq, "a ref got a second place"
            elif isinstance(event, Message):
                self._see(device, event)
            elif isinstance(event, History) and event.replay:
                for message in event.messages:
                    self._see(device, message)
            elif isinstance(event, Error):
                assert event.error in ("STORE_UNAVAILABLE", "NO_SUCH_NICK"), event
                assert event.ref is not None
                to, text = device.unanswered.pop(event.ref, ("", ""))
                if event.error == "NO_SUCH_NICK":
                    assert to[1:].lower() not in self.holders

    def _check_new(self, device: Device, seq: int, to: str, text: str) -> None:
        assert device.person is not None
        told = self.told[seq]
        assert (told.seq, told.person, told.text) == (seq, device.person, text)
        assert (told.to is None) == (to == "#lobby")

    def _see(self, device: Device, message: Message) -> None:
        assert device.cursor is not None
        assert message.seq > device.cursor, "a message came twice or out of order"
        device.cursor = message.seq
        device.seen[message.seq] = message.text

    def _listen(self) -> None:
        for device in self.devices:
            if device.joined:
                assert device.client is not None
                self._hear(device, list(device.client.events()))

    @invariant()
    def nobody_has_seen_what_is_not_theirs(self) -> None:
        if not hasattr(self, "house"):
            return
        self._listen()
        for device in self.devices:
            for seq, text in device.seen.items():
                told = self.told.get(seq)
                if told is not None:
                    assert told.text == text
                    assert self._may_see(device, told), "a private message was seen by another"

    @rule()
    def everything_is_there_once_all_is_quiet(self) -> None:
        for device in self.devices:
            if device.client is not None:
                device.client.session.congested = False
        self.house.quiet()
        self._listen()
        for device in self.devices:
            if not device.joined:
                continue
            assert not device.unanswered, "a message was neither stored nor refused"
            mine = {seq for seq, _, _ in device.sent.values()}
            for told in self.told.values():
                if self._may_see(device, told) and told.seq >= (device.complete_from or 0):
                    assert told.seq in device.seen or told.seq in mine, "a message is missing"


TestChatModel = ChatModel.TestCase
TestChatModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
