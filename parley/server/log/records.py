"""What the log keeps: one type for each kind of record, and its line in ``history.json``.

A record of something said is the wire's own ``message`` with three fields
more: ``ref`` and the *persons* it came from (``by``) and went to (``for``). Its
line therefore begins with the very bytes that are sent to the clients: the text
is encoded once, for the disk and for everybody.

A *person* is who stands behind a nick: ``~`` and the seq of the record that
brought in a guest, or the name an account was given when it was made. A guest
nick may be taken by somebody else later, a person may not: what is private is
bound to persons.

No file is touched here.
"""

import msgspec

from framing.events import FileFacts, Message
from framing.names import key

Sent = tuple[str, int, str]
"""What tells a message from all others that were ever sent: the key of its sender's nick, their id,
and the ref they gave it."""


class Origin(msgspec.Struct, omit_defaults=True, gc=False):
    """What a record of something said has beside the message itself."""

    ref: str
    by: str
    for_: str | None = msgspec.field(name="for", default=None)


class Said(msgspec.Struct, gc=False):
    """Something said. ``message.seq`` is 0 until the log has given it a place."""

    message: Message
    origin: Origin

    @property
    def seq(self) -> int:
        """Place in the log."""
        return self.message.seq

    @property
    def sent(self) -> Sent:
        """What tells it from all others."""
        return key(self.message.from_), self.message.id, self.origin.ref

    def place(self, seq: int) -> None:
        """Take the place ``seq``."""
        self.message.seq = seq


class Guest(msgspec.Struct, tag_field="purpose", tag="guest", omit_defaults=True, gc=False):
    """A guest came to hold a nick: a new one, or (``person`` is set) an earlier holder again.

    ``token`` is the SHA-256, in hex, of what proves this guest to be the same person.
    """

    seq: int
    time: float
    nick: str
    token: str
    person: str | None = None

    def place(self, seq: int) -> None:
        """Take the place ``seq``."""
        self.seq = seq

    @property
    def who(self) -> str:
        """The person this guest is."""
        return self.person or f"~{self.seq}"


class SharedFile(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A file on the shelf, in the conversation ``to``. ``size`` is in bytes, ``sha256`` in hex;
    ``part`` is the name under which it was gathered, ``payer`` what stands for the network from
    which a guest brought it."""

    id: str
    name: str
    size: int
    sha256: str
    to: str
    part: str = ""
    payer: str = ""


class Deed(msgspec.Struct, tag_field="purpose", tag="deed", omit_defaults=True, gc=False):
    """Something done to a room or to a person, by ``nick`` (the person ``by``).

    To a room: ``make``, ``enter``, ``leave``, ``invite``, ``topic``. To a person: ``kick``,
    ``ban``, ``unban``, ``mute``, ``unmute``, ``redact``. To a file: ``share``, ``unshare``,
    ``take`` (what a moderator takes away). ``who`` and ``whom`` are the person and
    the nick it is done to; ``until`` is in UTC seconds, None for ever.
    """

    seq: int
    time: float
    do: str
    by: str
    nick: str
    room: str | None = None
    who: str | None = None
    whom: str | None = None
    text: str | None = None
    until: float | None = None
    addresses: list[str] | None = None
    private: bool = False
    locked: bool = False
    ref: str | None = None
    file: SharedFile | None = None

    def place(self, seq: int) -> None:
        """Take the place ``seq``."""
        self.seq = seq

    @property
    def slot(self) -> str:
        """What of the state this settles: a later deed of the same slot makes this one void."""
        if self.file is not None:
            return f"file {self.file.id}"
        subject = (self.room or "").lower()
        kind = _SLOTS.get(self.do, self.do)
        if kind in ("member", "invite"):
            return f"{kind} {subject} {self.who}"
        if self.room is not None:
            return f"{kind} {subject}"
        return f"{kind} {self.who or ''} {(self.whom or '').lower()}"

    @property
    def ends(self) -> bool:
        """Whether it ends what its slot was: nothing is left to be known of it."""
        return self.do in ("leave", "unban", "unmute", "kick", "redact", "unshare", "take")

    @property
    def moderates(self) -> bool:
        """Whether it is an act of moderation."""
        return self.do in ("kick", "ban", "unban", "mute", "unmute", "redact", "take")


class Dropped(msgspec.Struct, tag_field="purpose", tag="dropped", gc=False):
    """The first line of the file of what outlives dropped messages: all up to ``seq`` is dropped,
    with the numbered files up to ``segment``."""

    seq: int
    time: float
    segment: int


_SLOTS = {"enter": "member", "leave": "member", "unban": "ban", "unmute": "mute"}

Mark = Guest | Deed
"""A record that is nothing said."""

Record = Said | Guest | Deed


class _SaidLine(msgspec.Struct, tag_field="purpose", tag="message", gc=False):
    """The fields of ``Message`` and ``Origin`` as they stand in one line."""

    seq: int
    from_: str = msgspec.field(name="from")
    id: int
    to: str
    text: str
    time: float
    size: int
    ref: str
    by: str
    for_: str | None = msgspec.field(name="for", default=None)
    sent: float | None = None
    edit_of: int | None = None
    redact_of: int | None = None
    file: FileFacts | None = None


class _Synced(msgspec.Struct, gc=False):
    seq: int
    synced: int | None = None


_encode = msgspec.json.Encoder().encode
_dropped: msgspec.json.Decoder[Dropped] = msgspec.json.Decoder(Dropped)
_synced: msgspec.json.Decoder[_Synced] = msgspec.json.Decoder(_Synced)
_lines: msgspec.json.Decoder[_SaidLine | Mark] = msgspec.json.Decoder(_SaidLine | Mark)


def time_of(record: Record) -> float:
    """Return when a record was made, in UTC seconds."""
    return record.message.time if isinstance(record, Said) else record.time


def encode_line(record: Record, end: bytes = b"}") -> tuple[bytes, bytes]:
    """Return the record's line, which ends in ``end``, and the body of the event that tells clients
    of it.

    A record that no client is sent has an empty body.
    """
    if isinstance(record, Said):
        body = _encode(record.message)
        return b"".join((body[:-1], b",", _encode(record.origin)[1:-1], end)), body
    return _encode(record)[:-1] + end, b""


def decode_line(line: bytes) -> Record:
    """Return the record in ``line``. Raises ``ValueError`` if it holds none."""
    found = _parse(line)
    if not isinstance(found, _SaidLine):
        return found
    return Said(
        Message(
            seq=found.seq,
            from_=found.from_,
            id=found.id,
            to=found.to,
            text=found.text,
            time=found.time,
            size=found.size,
            sent=found.sent,
            edit_of=found.edit_of,
            redact_of=found.redact_of,
            file=found.file,
        ),
        Origin(found.ref, found.by, found.for_),
    )


def check_line(line: bytes) -> tuple[int, Mark | None]:
    """Return the seq of the record in ``line``, and the record itself if it is no message.

    Raises ``ValueError`` if it holds none: all is checked that ``decode_line`` checks, at
    half its cost.
    """
    found = _parse(line)
    return found.seq, None if isinstance(found, _SaidLine) else found


def durable_before(line: bytes) -> int:
    """Return the seq up to which all was durable when the record in ``line`` was written."""
    found = _synced.decode(line)
    return found.seq - 1 if found.synced is None else found.synced


def _parse(line: bytes) -> _SaidLine | Mark:
    try:
        return _lines.decode(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def encode_dropped(dropped: Dropped) -> bytes:
    """Return the line of ``dropped``."""
    return _encode(dropped)


def decode_dropped(line: bytes) -> Dropped:
    """Return what ``line`` holds. Raises ``ValueError`` if that is something else."""
    return _dropped.decode(line)
