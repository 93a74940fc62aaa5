"""A session: one client's place in the chat, from its first byte to its last. No socket here."""

from typing import Any, Literal

from parley.server.accounts.scram import Exchange
from parley.server.chat.outbox import Frame, Patch
from parley.server.ground.limits import Bucket

State = Literal["new", "waiting", "joined", "closed"]
"""How far a session has come.

``new``: connected; may join or log in. ``waiting``: asked to join, and the log has not yet taken
what that needs; asks for nothing meanwhile. ``closed``: told to go, or gone; nothing more is taken
from it or said to it.
"""


class Session:
    """Slots, and nothing that an idle client does not need: ten thousand of them are normal.

    ``live`` says that it hears its rooms as things happen; until then ``cursor`` is the newest
    seq it has (None: it did not say), and the log gives it the rest. ``entered`` is the seq when
    it joined, ``floor`` one up to which it has nothing to send again. ``congested`` is set from
    outside while its client takes nothing more; ``typing`` is where it was last said to type, and
    when (monotonic); ``bot`` wants no replay; ``carrier`` is whatever
    brings it the bytes; ``binding`` are the bytes that name its TLS
    (``tls-server-end-point``, RFC 5929), None without.
    """

    __slots__ = (
        "account",
        "address",
        "binding",
        "bot",
        "carrier",
        "congested",
        "cursor",
        "entered",
        "exchange",
        "floor",
        "frame",
        "id",
        "key",
        "live",
        "messages",
        "nick",
        "patches",
        "person",
        "queries",
        "role",
        "state",
        "typing",
    )

    def __init__(self, address: str, frame: Frame) -> None:
        self.address = address
        self.frame = frame
        self.binding: bytes | None = None
        self.carrier: Any = None
        self.patches: list[Patch] | None = None
        self.state: State = "new"
        self.nick = ""
        self.key = ""
        self.id = 0
        self.person = ""
        self.account = False
        self.exchange: Exchange | None = None
        self.bot = False
        self.cursor: int | None = None
        self.floor = 0
        self.entered = 0
        self.live = False
        self.congested = False
        self.messages: Bucket | None = None
        self.queries: Bucket | None = None
        self.role: str | None = None
        self.typing: tuple[str, float] | None = None

    @property
    def moderator(self) -> bool:
        """Whether it may moderate."""
        return self.role in ("moderator", "admin")
