"""The outbox: what one tick has to say, and to whom. Here fan-out becomes cheap.

What is said to an audience is kept once, in order. When the tick ends,
everybody who hears the same audiences gets the same bytes object, joined once.
What differs for one recipient - its own ``ok`` where others get its message, a
reply to it alone - is a *patch* at a place in the order, and cuts that one's
share into slices of the common bytes; nothing is copied.

Who hears none of these audiences, and is told something alone, gets a letter: those are many when
people talk in private, and are made with little ado. So what somebody is told alone becomes a patch
only in a tick in which something is said to an audience.

No sockets here: ``flush`` returns the buffers to send to each recipient in one call.
"""

from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from typing import Any, NamedTuple, Protocol

Buffer = bytes | memoryview
Frame = Callable[[bytes], bytes]
"""How a door puts a body on the wire. Recipients with the same one share bytes."""

Patch = tuple[int, bytes | None]
"""What a recipient gets at a place in the order, instead of what was said there if something
was; None: nothing."""


class Recipient(Protocol):
    """Whoever can be told something. ``carrier`` is whatever does the sending; ``patches`` is the
    outbox's own, None between ticks."""

    frame: Frame
    carrier: Any
    patches: "list[Patch] | None"


class Share(NamedTuple):
    """What each of ``recipients`` gets this tick: ``size`` bytes in ``buffers``, in order."""

    recipients: "list[Recipient]"
    buffers: list[Buffer]
    size: int


class Letters(NamedTuple):
    """What some get alone: each of ``recipients`` its own of ``bodies``."""

    recipients: "list[Recipient]"
    bodies: list[bytes]


class Audience:
    """Those who hear what is said to it, such as a room."""

    __slots__ = ("members", "said")

    def __init__(self) -> None:
        self.members: dict[Recipient, None] = {}
        self.said: list[tuple[int, bytes]] = []


class Outbox:
    """What has been said since the last ``flush``."""

    def __init__(self) -> None:
        self._active: list[Audience] = []
        self._told: list[tuple[Recipient, bytes]] = []
        self._said_behind: list[int] = []  # how many had been told something, each time one said
        self._patched: list[Recipient] = []

    @property
    def empty(self) -> bool:
        """Whether nothing has been said."""
        return not (self._active or self._told)

    def say(self, audience: Audience, body: bytes) -> int:
        """Say ``body`` to all of ``audience``. Return its place in the order."""
        place = len(self._told) + len(self._said_behind)
        self._said_behind.append(len(self._told))
        if not audience.said:
            self._active.append(audience)
        audience.said.append((place, body))
        return place

    def tell(self, recipient: Recipient, body: bytes) -> None:
        """Say ``body`` to ``recipient`` alone."""
        self._told.append((recipient, body))

    def replace(self, recipient: Recipient, place: int, body: bytes | None) -> None:
        """Let ``recipient`` get ``body``, or nothing, instead of what was said at ``place``.

        ``place`` must not be under one already replaced for it.
        """
        if recipient.patches is None:
            recipient.patches = []
            self._patched.append(recipient)
        recipient.patches.append((place, body))

    def enter(self, audience: Audience, recipient: Recipient) -> None:
        """From now on ``recipient`` hears what is said to ``audience``: nothing of before."""
        if recipient not in audience.members:
            audience.members[recipient] = None
            for order, _ in audience.said:
                self._patch(recipient, order, None)

    def leave(self, audience: Audience, recipient: Recipient) -> None:
        """From now on ``recipient`` hears no more of ``audience``: all of before it still gets."""
        if recipient in audience.members:
            del audience.members[recipient]
            for order, body in audience.said:
                self._patch(recipient, order, body)

    def _patch(self, recipient: Recipient, order: int, body: bytes | None) -> None:
        """Put a patch among those there are, unless its place is taken already."""
        if recipient.patches is None:
            recipient.patches = []
            self._patched.append(recipient)
        at = bisect_left(recipient.patches, order, key=itemgetter(0))
        if at == len(recipient.patches) or recipient.patches[at][0] != order:
            recipient.patches.insert(at, (order, body))

    def flush(self) -> tuple[Letters, list[Share]]:
        """Return all letters and all shares, those first in which somebody is answered, and begin
        anew. Nobody has two, none is empty."""
        found = self._letters_and_shares() if self._active else (self._letters(), [])
        self._told.clear()
        self._said_behind.clear()
        return found

    def _letters(self) -> Letters:
        """Return a letter for each who was told something."""
        letters: dict[Recipient, bytes] = {}
        more: dict[Recipient, list[bytes]] = {}
        for recipient, body in self._told:
            if recipient not in letters:
                letters[recipient] = recipient.frame(body)
            else:
                more.setdefault(recipient, [letters[recipient]]).append(recipient.frame(body))
        for recipient, frames in more.items():
            letters[recipient] = b"".join(frames)
        return Letters(list(letters), list(letters.values()))

    def _letters_and_shares(self) -> tuple[Letters, list[Share]]:
        """Return the same for those who hear none of the audiences to which something was said,
        and the shares of all others."""
        said = 0
        for number, (recipient, body) in enumerate(self._told):
            while said < len(self._said_behind) and self._said_behind[said] <= number:
                said += 1
            self._patch(recipient, number + said, body)
        shares = self._shares()
        letters = Letters([], [])
        for recipient in self._patched:
            if recipient.patches is None:
                continue  # it has its share
            told = [body for _, body in recipient.patches if body is not None]
            recipient.patches = None
            if told:
                letters.recipients.append(recipient)
                letters.bodies.append(b"".join(map(recipient.frame, told)))
        self._patched.clear()
        for audience in self._active:
            audience.said.clear()
        self._active.clear()
        return letters, shares

    def _shares(self) -> list[Share]:
        """Return the shares of all who hear an audience to which something was said."""
        alike = self._alike()
        streams: dict[tuple[int, Frame], _Stream] = {}

        def stream(bits: int, frame: Frame) -> _Stream:
            found = streams.get((bits, frame))
            if found is None:
                found = streams[bits, frame] = _Stream(self._said(bits), frame)
            return found

        shares: list[Share] = []
        for recipient in self._patched:
            bits = 0
            for number, audience in enumerate(self._active):
                if recipient in audience.members:
                    bits |= 1 << number
            patches = recipient.patches
            if bits and patches is not None:
                recipient.patches = None
                share = Share([recipient], *stream(bits, recipient.frame).cut(patches))
                if share.size:
                    shares.append(share)
        for (bits, frame), recipients in alike.items():
            common = stream(bits, frame)
            shares.append(Share(recipients, common.whole, common.size))
        return shares

    def _alike(self) -> dict[tuple[int, Frame], list[Recipient]]:
        """Return those without patches, together who hear the same audiences (as bits) and are
        framed for alike."""
        alike: dict[tuple[int, Frame], list[Recipient]] = {}
        if len(self._active) == 1:
            framed: dict[Frame, list[Recipient]] = {}
            for recipient in self._active[0].members:
                if recipient.patches is None:
                    framed.setdefault(recipient.frame, []).append(recipient)
            return {(1, frame): recipients for frame, recipients in framed.items()}
        heard: dict[Recipient, int] = {}
        for number, audience in enumerate(self._active):
            for recipient in audience.members:
                heard[recipient] = heard.get(recipient, 0) | 1 << number
        for recipient, bits in heard.items():
            if recipient.patches is None:
                alike.setdefault((bits, recipient.frame), []).append(recipient)
        return alike

    def _said(self, bits: int) -> list[tuple[int, bytes]]:
        """Return what was said to these audiences, in order."""
        said = [
            entry
            for number, audience in enumerate(self._active)
            if bits >> number & 1
            for entry in audience.said
        ]
        if bits & (bits - 1):
            said.sort()
        return said


class _Stream:
    """What is said to one set of audiences, joined, with the place of each piece."""

    __slots__ = ("_frame", "_orders", "_starts", "_view", "size", "whole")

    def __init__(self, said: list[tuple[int, bytes]], frame: Frame) -> None:
        frames = [frame(body) for _, body in said]
        joined = b"".join(frames)
        self._frame = frame
        self._orders = [order for order, _ in said]
        self._starts = [0, *accumulate(map(len, frames))]
        self._view = memoryview(joined)
        self.size = len(joined)
        self.whole: list[Buffer] = [joined]

    def cut(self, patches: list[Patch]) -> tuple[list[Buffer], int]:
        """Return the buffers for somebody with ``patches``, and how many bytes they hold."""
        buffers: list[Buffer] = []
        size = 0
        at = 0
        for order, body in patches:
            found = bisect_left(self._orders, order)
            start = self._starts[found]
            if start > at:
                buffers.append(self._view[at:start])
                size += start - at
            replaced = found < len(self._orders) and self._orders[found] == order
            at = self._starts[found + 1] if replaced else start
            if body is not None:
                framed = self._frame(body)
                buffers.append(framed)
                size += len(framed)
        if at < self.size:
            buffers.append(self._view[at:])
            size += self.size - at
        return buffers, size
