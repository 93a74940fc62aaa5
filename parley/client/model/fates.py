"""What becomes of own messages, as it is shown: on the way, stored, refused."""

from framing.names import key
from parley.client.ground.clean import REASON_CHARS, clean, clean_text
from parley.client.ground.times import in_own_time
from parley.client.model.conversation import Conversation, Entry, Fate, Kind
from parley.client.session.happenings import Dropped, Failed, Queued, Stored


class Fates:
    """The own messages whose fate is open, or refused: by ref, each with its conversation."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[Conversation, Entry]] = {}

    @property
    def open(self) -> list[tuple[Conversation, Entry]]:
        """Those that are not acknowledged, and those that were refused."""
        return list(self._open.values())

    def place(self, name: str) -> Conversation | None:
        """Return the conversation of this name if the fate of anything in it is open."""
        places = (place for place, _ in self._open.values() if key(place.name) == key(name))
        return next(places, None)

    def queued(self, event: Queued, where: Conversation, nick: str) -> Entry:
        """Return the entry of a message that is to be sent. A retry takes the place of what was
        refused."""
        entry = Entry(Kind.SAID, event.time, clean_text(event.text), nick, event.to)
        entry.ref = event.ref
        entry.fate = Fate.SENT
        for ref, (place, earlier) in list(self._open.items()):
            again = place is where and earlier.fate is Fate.FAILED and earlier.text == entry.text
            if again and event.time == earlier.time:
                del self._open[ref]
                place.remove(earlier)
        self._open[event.ref] = where, entry
        return entry

    def stored(self, event: Stored) -> None:
        """One is in the log."""
        if event.ref in self._open:
            where, entry = self._open.pop(event.ref)
            where.stored(entry, event.seq, event.time)

    def failed(self, event: Failed) -> Conversation | None:
        """One was refused. Return its conversation."""
        if event.ref not in self._open:
            return None
        where, entry = self._open[event.ref]
        entry.fate, entry.why = Fate.FAILED, clean(in_own_time(event.text[:REASON_CHARS]))
        where.version += 1
        return where

    def dropped(self, event: Dropped) -> None:
        """One is not to be sent, or not again."""
        if event.ref in self._open:
            where, entry = self._open.pop(event.ref)
            where.remove(entry)
