"""What a server tells a client: one type for each ``purpose``.

A field whose default stands is not sent. Times are UTC seconds since the
epoch with at most microseconds.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from framing.limits import MAX_ID, MAX_SEQ

Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
"""A place in the log; 0 is before the first."""

Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
Count = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
Amount = Annotated[float, Meta(ge=0)]

Status = Literal["online", "away", "offline"]


class Event(Struct, tag_field="purpose", omit_defaults=True, gc=False):
    """What every event is. The tag of a subclass is its ``purpose``."""


class User(Struct, omit_defaults=True, gc=False):
    """Somebody with a nick. ``since`` is when the status began, if the server knows it."""

    nick: str
    status: Status
    since: float | None
    ids: list[Id]
    text: str | None = None
    account: bool = False


class Limits(Struct, frozen=True, gc=False):
    """What this server takes. Bytes, but for ``page`` (entries), ``rate`` and ``burst``
    (messages a second and at once; 0 = any) and ``timeout`` (seconds of silence after which a
    client is taken for lost: ping well within it)."""

    frame: Count
    text: Count
    page: Count
    rate: Amount
    burst: Count
    timeout: Amount


class Welcome(Event, tag="welcome"):
    """The client is in. ``seq`` is the newest place in the log; ``token`` proves later that
    this guest is the same person; ``data`` is SCRAM's server-final-message after a login;
    ``users`` are those online, at most a page of them, and ``users_total`` counts them all."""

    nick: str
    id: Id
    seq: Seq
    server: str
    version: int
    session: str
    motd: str
    rooms: list[str]
    users: list[User]
    users_total: Count
    unread: dict[str, Count]
    limits: Limits
    fsync: str
    time: float
    account: bool = False
    token: str | None = None
    data: str | None = None


class FileFacts(Struct, frozen=True, gc=False):
    """A file that is shared by a message. ``size`` is in bytes, ``sha256`` in hex."""

    name: str
    size: Count
    sha256: str


class Message(Event, tag="message"):
    """Something said, at its place ``seq`` in the log. ``size`` is the text's in bytes,
    ``time`` the server's clock, ``sent`` the sender's own.

    With ``file`` it shares one. With ``edit_of`` it is a new text for that message, with
    ``redact_of`` it takes that one back.
    In a page a message that was changed has its text of now, and ``changed``: the seq of what
    changed it last; if it was taken back, ``redacted``, and no text.
    """

    seq: Seq
    from_: str = field(name="from")
    id: Id
    to: str
    text: str
    time: float
    size: Count
    sent: float | None = None
    edit_of: Seq | None = None
    redact_of: Seq | None = None
    changed: Seq | None = None
    redacted: bool = False
    file: FileFacts | None = None


class History(Event, tag="history"):
    """Messages in ascending seq. ``end``: nothing further remains in the direction asked for.
    ``replay``: not asked for, but what this client missed."""

    messages: list[Message]
    end: bool
    ref: str | None = None
    with_: str | None = field(name="with", default=None)
    replay: bool = False


class Joined(Event, tag="joined"):
    """Somebody came online, or into ``room``."""

    nick: str
    id: Id
    time: float
    room: str | None = None


class Left(Event, tag="left"):
    """Somebody went offline, or out of ``room``; ``text`` is their own last word."""

    nick: str
    id: Id
    time: float
    reason: str
    room: str | None = None
    text: str | None = None


class Arrival(Struct, gc=False):
    """One who came, in a ``roster``."""

    nick: str
    id: Id


class Departure(Struct, gc=False):
    """One who went, in a ``roster``, and why."""

    nick: str
    id: Id
    reason: str


class Roster(Event, tag="roster"):
    """Who came and went in a room of many people since the last one; ``online`` is how many
    people there are now."""

    joined: list[Arrival]
    left: list[Departure]
    online: Count
    time: float
    room: str | None = None


class Presence(Event, tag="presence"):
    """Somebody's status changed."""

    nick: str
    status: Status
    since: float
    text: str | None = None


class Room(Struct, omit_defaults=True, gc=False):
    """A room. ``people`` counts those online in it; ``member``: one is in it oneself."""

    room: str
    people: Count
    topic: str = ""
    private: bool = False
    member: bool = False
    owner: str | None = None
    locked: bool = False


class Rooms(Event, tag="rooms"):
    """A page of rooms by name. ``end``: no further page."""

    ref: str
    rooms: list[Room]
    end: bool


class Topic(Event, tag="topic"):
    """What a room is about from now on, said by ``nick``."""

    room: str
    text: str
    nick: str
    time: float
    locked: bool = False


class Invited(Event, tag="invited"):
    """``nick`` lets one into a private room."""

    room: str
    nick: str
    time: float


class HasRead(Event, tag="read"):
    """Another session of oneself has read up to ``seq``; or ``nick``, who lets one know."""

    with_: str = field(name="with")
    seq: Seq
    nick: str | None = None


class IsTyping(Event, tag="typing"):
    """Somebody is writing, or no longer."""

    nick: str
    to: str
    state: Literal["active", "done"]


class Act(Struct, omit_defaults=True, gc=False):
    """What a moderator did. ``until`` in UTC seconds; None: for ever."""

    seq: Seq
    time: float
    do: str
    nick: str
    whom: str
    room: str | None = None
    text: str | None = None
    until: float | None = None


class Acts(Event, tag="acts"):
    """What moderators did, ascending. ``end``: nothing older remains."""

    ref: str
    acts: list[Act]
    end: bool


class Shared(Struct, omit_defaults=True, gc=False):
    """A file on the shelf. ``to`` is the conversation it is in, as it is written in messages;
    ``from`` and ``time`` tell who shared it and when: nobody, if it was put there by hand.
    ``sha256`` is empty as long as the server has not read the file through."""

    name: str
    size: Count
    sha256: str
    from_: str | None = field(name="from", default=None)
    time: float | None = None
    to: str = "#lobby"


class Files(Event, tag="files"):
    """A page of files by name. ``end``: no further page."""

    ref: str
    files: list[Shared]
    end: bool


class Quic(Struct, frozen=True, gc=False):
    """Where files also go by QUIC: a UDP port, and the SHA-256 of the certificate in hex."""

    port: Annotated[int, Meta(ge=1, le=65535)]
    fingerprint: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class TicketFor(Event, tag="ticket"):
    """A ticket for one file and one direction, good once and for ``lasts`` seconds. ``offset``: so
    many bytes of an upload are here from an earlier try."""

    ref: str
    ticket: str
    name: str
    size: Count
    sha256: str
    lasts: float
    quic: Quic | None
    offset: Count = 0


class FileChanged(Event, tag="file"):
    """A file came to the shelf or, ``deleted``, went from it."""

    name: str
    to: str
    nick: str
    time: float
    size: Count = 0
    sha256: str = ""
    deleted: bool = False


class Challenge(Event, tag="challenge"):
    """SCRAM's server-first-message."""

    data: str


class Ok(Event, tag="ok"):
    """Done. For a message: durable under ``seq`` since ``time``. On a connection for a file: its
    bytes go from ``offset`` up to ``size``; or all of it is there and durable, with ``sha256``."""

    ref: str | None = None
    seq: Seq | None = None
    time: float | None = None
    offset: Count | None = None
    size: Count | None = None
    sha256: str | None = None


class Pong(Event, tag="pong"):
    """The answer to a ``ping``."""

    ref: str
    time: float


class Users(Event, tag="users"):
    """A page of people by nick. ``total`` counts all; ``end``: no further page."""

    ref: str
    users: list[User]
    total: Count
    end: bool


class Shutdown(Event, tag="shutdown"):
    """The server stops in at most ``grace`` seconds; answer ``shutdown_ack``."""

    reason: str
    grace: float


class Error(Event, tag="error"):
    """A request was refused, or the connection ends. ``retry_after`` is in seconds; ``tls`` says
    that TLS is spoken there, and nothing else."""

    code: int
    error: str
    text: str
    ref: str | None = None
    retry_after: float | None = None
    tls: bool | None = None


AnyEvent = (
    Welcome
    | Message
    | History
    | Joined
    | Left
    | Roster
    | Presence
    | Rooms
    | Topic
    | Invited
    | HasRead
    | IsTyping
    | Acts
    | Files
    | TicketFor
    | FileChanged
    | Challenge
    | Ok
    | Pong
    | Users
    | Shutdown
    | Error
)
