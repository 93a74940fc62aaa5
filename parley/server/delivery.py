"""Delivery: everybody's share of a tick goes to its connection, in one go each.

Here is most of a tick's time, nearly all of it the kernel's: so in these loops there is nothing but
the call, and what must be done when it did not take all.

Letters, and a share of many, are given to the kernel at once where there is a ring
(``parley.server.net.ring``), else by a call for each. A large share is written into pages of memory
that the kernel then gives to all of their sockets (``parley.server.net.pages``), instead of being
copied for each.
"""

import errno
import logging
import os
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from typing import Final

from parley.server.chat.outbox import Buffer, Letters, Recipient, Share
from parley.server.net.connection import Connection
from parley.server.net.pages import Pages
from parley.server.net.ring import Ring

PAGES_FROM: Final = 12 * 1024
"""Bytes of a share from which on giving pages away is cheaper than copying it: below, what a
``sendfile`` costs by itself is more than the copy (docs/PERFORMANCE.md has figures)."""

PAGES_FOR: Final = 20
"""Recipients of a share for whom pages are worth being made."""

TOGETHER_FOR: Final = 64
"""Recipients for whom a call for all of them together is faster than one for each."""

LETTER_BYTES: Final = 1024
"""Bytes that letters have at most, on the average, if they are to go together: they are joined for
that, and more takes as long to copy as is won."""

EACH_BY_ITSELF: Final = "each client is sent to by a call of its own"

logger = logging.getLogger(__name__)


class Delivery:
    """Sends what the outbox gives. With a ``ring`` it sends by that to many, until it breaks."""

    def __init__(self, ring: Ring | None = None) -> None:
        self._ring = ring
        self._pages = Pages()

    def deliver(self, letters: Letters, shares: Sequence[Share]) -> tuple[int, int]:
        """Send all. Return how many clients it was for, and its bytes together, whether sent or
        kept.

        What a client does not take now is kept by its connection; a connection that is lost is
        closed.
        """
        deliveries = len(letters.bodies)
        total = sum(map(len, letters.bodies))
        ring = self._ring
        if ring is not None and deliveries >= TOGETHER_FOR and total <= deliveries * LETTER_BYTES:
            self._send_together(*letters, ring)
        else:
            _send(zip(*letters, strict=True))
        for share in shares:
            recipients, buffers, size = share
            count = len(recipients)
            deliveries += count
            total += count * size
            if len(buffers) > 1:
                for recipient in recipients:
                    recipient.carrier.send(buffers, size)
            elif size >= PAGES_FROM and count >= PAGES_FOR and self._send_pages(share):
                pass
            elif self._ring is not None and count >= TOGETHER_FOR:
                data = buffers[0]
                assert isinstance(data, bytes)
                self._send_together(recipients, [data] * count, self._ring, alike=True)
            else:
                _send(zip(recipients, repeat(buffers[0])))
        return deliveries, total

    def close(self) -> None:
        """Give up what is held."""
        self._pages.close()
        if self._ring is not None:
            self._ring.close()
            self._ring = None

    def _send_pages(self, share: Share) -> bool:
        """Send one buffer to many without a copy for each. Return False, with nothing sent, if
        there is no memory or descriptor for it."""
        recipients, buffers, size = share
        data = buffers[0]
        try:
            file, at = self._pages.put(data)
        except OSError:
            return False
        sendfile = os.sendfile
        for recipient in recipients:
            connection = recipient.carrier
            descriptor, way = connection.descriptor, connection.way
            try:
                if descriptor >= 0:
                    sent = sendfile(descriptor, file, at, size)
                else:  # TLS, which encrypts for each
                    sent = way.send(data) if way is not None else 0
            except BlockingIOError:
                sent = 0
            except OSError:
                connection.close("lost")
                continue
            if sent != size:
                connection.keep(buffers, size, sent)
        return True

    def _send_together(
        self,
        recipients: Sequence[Recipient],
        bodies: Sequence[bytes],
        ring: Ring,
        alike: bool = False,
    ) -> None:
        """Send each its own of ``bodies``, which may all be ``alike``, by a call for all."""
        connections = [recipient.carrier for recipient in recipients]
        descriptors = [connection.descriptor for connection in connections]
        if min(descriptors) < 0:
            apart = [descriptor < 0 for descriptor in descriptors]
            _send(compress(zip(recipients, bodies, strict=True), apart))
            together = [descriptor >= 0 for descriptor in descriptors]
            connections = list(compress(connections, together))
            descriptors = list(compress(descriptors, together))
            bodies = list(compress(bodies, together))
        if alike and bodies:
            failed = ring.send(descriptors, bodies[0])
        else:
            failed = ring.send_each(descriptors, bodies)
        self._heed(failed, connections, bodies, ring)

    def _heed(
        self,
        failed: dict[int, int],
        connections: Sequence[Connection],
        data: Sequence[bytes],
        ring: Ring,
    ) -> None:
        """Keep what was not sent of ``data``, as ``ring`` says by place, and close what is lost."""
        for place, sent in failed.items():
            if sent >= 0 or sent == -errno.EAGAIN:
                connections[place].keep([data[place]], len(data[place]), max(sent, 0))
            else:
                connections[place].close("lost")
        if ring.broken is not None:
            logger.error("io_uring does not go on: %s; %s", ring.broken, EACH_BY_ITSELF)
            ring.close()
            self._ring = None


def _send(letters: Iterable[tuple[Recipient, Buffer]]) -> None:
    """Send to each by a call for itself."""
    for recipient, data in letters:
        connection = recipient.carrier
        way = connection.way
        try:
            sent = way.send(data) if way is not None else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.close("lost")
            continue
        if sent != len(data):
            connection.keep([data], len(data), sent)
