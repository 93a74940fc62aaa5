"""Delivery: everybody's share of a tick goes to its connection, in one call each.

Here is most of a tick's time, nearly all of it the kernel's: so in these loops there is nothing but
the call, and what must be done when it did not take all.

A large share of many is written once into pages of memory that the kernel then gives to all of
their sockets (``sendfile``), instead of being copied for each.
"""

import os
from collections.abc import Iterable
from socket import socket
from typing import Final

from parley.server.chat.outbox import Share

PAGES_FROM: Final = 12 * 1024
"""Bytes of a share from which on giving pages away is cheaper than copying it: below, what a
``sendfile`` costs by itself is more than the copy (docs/PERFORMANCE.md has figures)."""

PAGES_FOR: Final = 20
"""Recipients of a share for whom pages are worth being made."""


def deliver(shares: Iterable[Share]) -> tuple[int, int]:
    """Send ``shares``. Return how many they were, and their bytes together, whether sent or kept.

    What a client does not take now is kept by its connection; a connection that is lost is closed.
    """
    deliveries = total = 0
    for share in shares:
        recipients, buffers, size = share
        deliveries += len(recipients)
        total += len(recipients) * size
        if len(buffers) > 1:
            for recipient in recipients:
                recipient.carrier.connection.send(buffers, size)
        elif size < PAGES_FROM or len(recipients) < PAGES_FOR or not _send_pages(share):
            _send(share)
    return deliveries, total


def _send(share: Share) -> None:
    """Send one buffer to many, copied for each."""
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
        way = connection.way
        try:
            if type(way) is socket:
                sent = sendfile(way.fileno(), pages, 0, size)
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
