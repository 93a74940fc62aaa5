"""Doors: what all of them have in common. A door is one peer's wire, sans-IO: it owns no socket
and knows nothing of the chat.

Adding one means a class like this, and whatever accepts its connections (``Gate.open_door``).
"""

from typing import Protocol

from framing.requests import AnyRequest
from parley.server.chat.outbox import Frame
from parley.server.net.sockets import Socket


class Interlude(Exception):  # noqa: N818 - nothing went wrong
    """A frame has come that asks the chat for nothing, such as a ping. ``reply`` goes out."""

    def __init__(self, reply: bytes = b"") -> None:
        super().__init__()
        self.reply = reply


class Door(Protocol):
    """Turns one peer's bytes into requests, and bodies into its bytes."""

    @property
    def frame(self) -> Frame:
        """How a body goes out: the same object for all peers of a door, who share the bytes."""

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun and not ended, or bytes wait that have not been looked at."""

    def welcomed(self) -> None:
        """The peer has joined: it may send longer frames now."""

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the peer."""

    def next_request(self) -> AnyRequest | None:
        """Return the next request, or None until more bytes come.

        Raises ``BodyError`` for a body that is no request and ``Interlude`` for a frame that is
        none (the next call goes on behind it), ``FrameError`` when there is no going on.
        """

    def farewell(self) -> bytes:
        """Return what this wire says at the end of a connection, behind everything else."""

    def rest(self) -> bytes:
        """Return the bytes behind the last request: from here on they are no frames."""


class Porch(Protocol):
    """Where connections of a door come in and stay until they are peers, or for good."""

    farewell: bytes
    """For somebody for whom there is no descriptor."""

    speak_tls: bytes
    """For who speaks no TLS where that is spoken."""

    @property
    def descriptors(self) -> int:
        """How many are open for the connections that are here."""

    def accepted(self, sock: Socket, address: str) -> None:
        """Somebody has connected."""

    def sweep(self, mono: float) -> None:
        """Close what has overstayed; ``mono`` in monotonic seconds."""

    def close(self) -> None:
        """Close all."""
