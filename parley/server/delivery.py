"""Delivery: everybody's share of a tick goes to its connection, in one go each.

Here is most of a tick's time, nearly all of it the kernel's: so in these loops there is nothing but
the call, and what must be done when it did not take all.

A share of many is given to the kernel at once where there is a ring (``parley.server.net.ring``),
else by a call for each. A large one is written into pages of memory that the kernel then gives to
all of their sockets (``sendfile``), instead of being copied for each.
"""

import errno
import os
from collections.abc import Iterable
from typing import Final

from parley.server.chat.outbox import Share
from parley.server.net.ring import Ring

PAGES_FROM: Final = 12 * 1024
"""Bytes of a share from which on giving pages away is cheaper than copying it: below, what a
``sendfile`` costs by itself is more than the copy (docs/PERFORMANCE.md has figures)."""

PAGES_FOR: Final = 20
"""Recipients of a share for whom pages are worth being made."""

TOGETHER_FOR: Final = 64
"""Recipients of a share for whom a call for all of them together is faster than one for each."""


def deliver(shares: Iterable[Share], ring: Ring | None = None) -> tuple[int, int]:
    """Send ``shares``. Return how many they were, and their bytes together, whether sent or kept.

    What a client does not take now is kept by its connection; a connection that is lost is closed.
    """
    deliveries = total = 0
    for share in shares:
        recipients, buffers, size = share
        count = len(recipients)
        deliveries += count
        total += count * size
        if len(buffers) > 1:
            for recipient in recipients:
                recipient.carrier.connection.send(buffers, size)
        elif size >= PAGES_FROM and count >= PAGES_FOR and _send_pages(share):
            pass
        elif ring is not None and count >= TOGETHER_FOR and ring.broken is None:
            _send_together(share, ring)
        else:
            _send(share)
    return deliveries, total


def _send(share: Share) -> None:
    """Send one buffer to many, by a call for each."""
    recipients, buffers, size = share
    data = buffers[0]
    for recipient in recipients:
        connection = recipient.carrier.connection
        way = connection.way
        try:
            sent = way.send(data) if way is not None else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.close("lost")
            continue
        if sent != size:
            connection.keep(buffers, size, sent)


def _send_together(share: Share, ring: Ring) -> None:
    """Send one buffer to many, by a call for all."""
    recipients, buffers, size = share
    connections = [recipient.carrier.connection for recipient in recipients]
    descriptors = [connection.descriptor for connection in connections]
    if min(descriptors) < 0:
        _send(Share([r for r in recipients if r.carrier.connection.descriptor < 0], buffers, size))
        connections = [connection for connection in connections if connection.descriptor >= 0]
        descriptors = [connection.descriptor for connection in connections]
    data = buffers[0]
    assert isinstance(data, bytes)
    for place, sent in ring.send(descriptors, data).items():
        if sent >= 0 or sent == -errno.EAGAIN:
            connections[place].keep(buffers, size, max(sent, 0))
        else:
            connections[place].close("lost")


def _send_pages(share: Share) -> bool:
    """Send one buffer to many without a copy for each. Return False, with nothing sent, if there is
    no memory or descriptor for it.

    The pages belong to this share alone and are never written again: they are the kernel's until
    the last client has read them.
    """
    recipients, buffers, size = share
    data = buffers[0]
    pages = _pages(data)
    if pages is None:
        return False
    sendfile = os.sendfile
    for recipient in recipients:
        connection = recipient.carrier.connection
        descriptor, way = connection.descriptor, connection.way
        try:
            if descriptor >= 0:
                sent = sendfile(descriptor, pages, 0, size)
            else:  # TLS, which encrypts for each
                sent = way.send(data) if way is not None else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.close("lost")
            continue
        if sent != size:
            connection.keep(buffers, size, sent)
    os.close(pages)
    return True


def _pages(data: bytes | memoryview) -> int | None:
    """Return the descriptor of a file in memory that holds ``data``; None if there can be none."""
    try:
        pages = os.memfd_create("parley-share")
    except OSError:
        return None
    try:
        if os.write(pages, data) == len(data):
            return pages
    except OSError:
        pass
    os.close(pages)
    return None
