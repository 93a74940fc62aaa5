"""What a client may ask: one type for each ``purpose``, and the type is the check.

A body that does not fit its type never reaches the chat. A field with a
default may be left out; fields not named here are ignored.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from framing.limits import MAX_ID, MAX_SEQ, PAGE, REF_CHARS
from framing.names import LOBBY

Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
"""The client's own number for this device or window."""

Ref = Annotated[str, Meta(min_length=1, max_length=REF_CHARS)]
"""The client's own name for a request; the reply repeats it."""

Seq = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
"""A place in the message log."""

Limit = Annotated[int, Meta(ge=1)]
"""How many entries are wanted; a page never has more than ``limits.PAGE``."""

Size = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
"""Bytes."""

Sha256 = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
Ticket = Annotated[str, Meta(min_length=1, max_length=128)]
Base64 = Annotated[str, Meta(min_length=1, max_length=1024)]
ScramData = Annotated[str, Meta(min_length=1, max_length=4096)]


class Request(Struct, tag_field="purpose", omit_defaults=True, gc=False):
    """What every request is. The tag of a subclass is its ``purpose``."""


class Join(Request, tag="join"):
    """Come in as a guest, or come back with the token of an earlier ``welcome``.

    ``since`` is the seq of the newest message this client has; ``bot`` asks for no replay.
    """

    nick: str
    id: Id
    time: float
    token: Annotated[str, Meta(max_length=128)] | None = None
    since: Seq | None = None
    bot: bool = False


class Login(Request, tag="login"):
    """Come in as an account; ``data`` is SCRAM's client-first-message (RFC 5802)."""

    nick: str
    id: Id
    time: float
    mechanism: str
    data: ScramData
    since: Seq | None = None
    bot: bool = False


class Response(Request, tag="response"):
    """SCRAM's client-final-message, in answer to a ``challenge``."""

    data: ScramData


class Register(Request, tag="register"):
    """Make this guest's nick an account, or with ``change`` give one's own account new keys.

    The keys are those of RFC 5802, derived by the client: the password stays with it.
    """

    ref: Ref
    salt: Base64
    iterations: Annotated[int, Meta(ge=4096, le=10_000_000)]
    stored_key: Base64
    server_key: Base64
    change: bool = False


class Say(Request, tag="message"):
    """Say ``text`` in a room or to a person. ``time`` is the client's own clock, UTC seconds."""

    ref: Ref
    text: str
    to: str = LOBBY
    time: float | None = None


class PageOf(Request, tag="history"):
    """Ask for messages of the conversation ``with``: the newest, those before or after a seq."""

    ref: Ref
    with_: str = field(name="with")
    before: Seq | None = None
    after: Seq | None = None
    limit: Limit = PAGE


class Edit(Request, tag="edit"):
    """Say the own message ``seq`` anew, as ``text``."""

    ref: Ref
    seq: Seq
    text: str


class Redact(Request, tag="redact"):
    """Take back the own message ``seq``; a moderator may any that they can see."""

    ref: Ref
    seq: Seq


class Search(Request, tag="search"):
    """Ask for messages with all words of ``text``, newest first found, given in ascending seq.

    ``with`` one conversation (else all one may see), ``from`` one nick, before a seq, from the
    UTC second ``since`` on and up to ``until``. A word may end in ``*``; words in double quotes
    stand beside each other.
    """

    ref: Ref
    text: Annotated[str, Meta(max_length=500)] = ""
    with_: str | None = field(name="with", default=None)
    from_: str | None = field(name="from", default=None)
    before: Seq | None = None
    since: float | None = None
    until: float | None = None
    limit: Limit = 50


class WhoIs(Request, tag="users"):
    """Ask who is there, by nick, beginning after the nick ``after``; with ``room``, who of
    those online is in it."""

    ref: Ref
    after: str | None = None
    limit: Limit = PAGE
    room: str | None = None


class ListRooms(Request, tag="rooms"):
    """Ask for the rooms one may enter or is in, by name, beginning after ``after``."""

    ref: Ref
    after: str | None = None
    limit: Limit = PAGE


class Enter(Request, tag="enter"):
    """Go into a room. The first to enter makes it; ``private``: only who is invited may follow."""

    ref: Ref
    room: str
    private: bool = False


class Leave(Request, tag="leave"):
    """Go out of a room."""

    ref: Ref
    room: str


class Invite(Request, tag="invite"):
    """Let somebody enter a private room one is in."""

    ref: Ref
    room: str
    nick: str


class SetTopic(Request, tag="topic"):
    """Say what a room is about, or ask. ``locked``: from now on only its owner and moderators may
    say so."""

    ref: Ref
    room: str = LOBBY
    text: str | None = None
    locked: bool | None = None


class Read(Request, tag="read"):
    """One has read the conversation ``with`` up to ``seq``. It never goes back. ``show``: the other
    in a private conversation may know."""

    with_: str = field(name="with")
    seq: Seq
    show: bool = False


class Typing(Request, tag="typing"):
    """One is writing to a room or person, or no longer."""

    to: str
    state: Literal["active", "done"]


class Kick(Request, tag="kick"):
    """Send somebody out. They may come again."""

    ref: Ref
    nick: str
    reason: str | None = None


class Ban(Request, tag="ban"):
    """Keep somebody out, for ``seconds`` or for ever: by nick and account, with ``address`` also
    by the addresses they come from now. ``nick`` may be an IP address."""

    ref: Ref
    nick: str
    reason: str | None = None
    seconds: Annotated[float, Meta(gt=0)] | None = None
    address: bool = False


class Unban(Request, tag="unban"):
    """End a ban of a nick or an address."""

    ref: Ref
    nick: str


class Mute(Request, tag="mute"):
    """Let somebody say nothing, for ``seconds`` or for ever."""

    ref: Ref
    nick: str
    reason: str | None = None
    seconds: Annotated[float, Meta(gt=0)] | None = None


class Unmute(Request, tag="unmute"):
    """End a mute."""

    ref: Ref
    nick: str


class ListActs(Request, tag="acts"):
    """Ask, as a moderator, what moderators did: the newest, or those before a seq."""

    ref: Ref
    before: Seq | None = None
    limit: Limit = 50


class ListFiles(Request, tag="files"):
    """Ask for the files one may have, by name, beginning after ``after``; with ``with``, those of
    one conversation."""

    ref: Ref
    with_: str | None = field(name="with", default=None)
    after: str | None = None
    limit: Limit = PAGE


class Get(Request, tag="get"):
    """Ask for a ticket to fetch a file. ``with``: the conversation it is in, if several have one
    of this name."""

    ref: Ref
    name: str
    with_: str | None = field(name="with", default=None)


class Put(Request, tag="put"):
    """Ask for a ticket to store a file of ``size`` bytes, for everybody or for a room or person.
    ``sha256`` is in hex, in either case."""

    ref: Ref
    name: str
    size: Size
    sha256: Sha256
    to: str = LOBBY

    def __post_init__(self) -> None:
        self.sha256 = self.sha256.lower()


class DeleteFile(Request, tag="delete_file"):
    """Take an own file from the shelf; a moderator may any that they can see."""

    ref: Ref
    name: str
    with_: str | None = field(name="with", default=None)


class Fetch(Request, tag="fetch"):
    """On a connection of its own: send the ticket's file from ``offset`` on."""

    ticket: Ticket
    offset: Size = 0


class Store(Request, tag="store"):
    """On a connection of its own: the ticket's file comes, from ``offset`` on."""

    ticket: Ticket
    offset: Size = 0


class Away(Request, tag="away"):
    """Say that one is away, and why; without ``text``, that one is back."""

    ref: Ref
    text: str | None = None


class Ping(Request, tag="ping"):
    """Ask for a ``pong``. Any request shows that this client lives; this one does nothing else."""

    ref: Ref


class Disconnect(Request, tag="disconnect"):
    """Leave. The server answers ``ok`` and closes."""

    text: str | None = None
    ref: Ref | None = None


class ShutdownAck(Request, tag="shutdown_ack"):
    """The client has heard that the server stops."""


AnyRequest = (
    Join
    | Login
    | Response
    | Register
    | Say
    | Edit
    | Redact
    | PageOf
    | Search
    | WhoIs
    | ListRooms
    | Enter
    | Leave
    | Invite
    | SetTopic
    | Read
    | Typing
    | Kick
    | Ban
    | Unban
    | Mute
    | Unmute
    | ListActs
    | ListFiles
    | Get
    | Put
    | DeleteFile
    | Fetch
    | Store
    | Away
    | Ping
    | Disconnect
    | ShutdownAck
)

Mechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"]
MECHANISM: Mechanism = "SCRAM-SHA-256"
MECHANISM_PLUS: Mechanism = "SCRAM-SHA-256-PLUS"
"""With channel binding: the login holds for one TLS certificate only (RFC 5802, 6)."""

BINDING: Literal["tls-server-end-point"] = "tls-server-end-point"
"""What is bound to: a hash of the server's certificate (RFC 5929, 4)."""
