"""How both sides speak QUIC (RFC 9000) for files: by qh3, without I/O of its own.

A connection is opened for one file. Its first stream carries what a TCP connection for a file does:
the frame with the ticket, the server's ``ok``, and the bytes. The server is known by the SHA-256
of its certificate, which came with the ticket; nothing is sent to any other.
"""

import ssl
from typing import Final

from qh3.quic.configuration import QuicConfiguration

ALPN: Final = "parley-files/1"
CID_LENGTH: Final = 8

DATAGRAM: Final = 1452
"""Bytes in a datagram: what goes whole through an Ethernet, with IPv6 and UDP around it."""

IDLE: Final = 30.0
"""Seconds of silence after which a connection is given up."""

_WINDOW: Final = 2 << 20
"""Bytes that may be under way to this side: as much as 20 MB/s over 100 ms, and no more than a
socket's buffer takes."""


def for_server(certificate: bytes, key: bytes) -> QuicConfiguration:
    """Return a server's settings. Certificate and key are PEM."""
    settings = _settings(is_client=False)
    settings.load_cert_chain(certificate, key)
    return settings


def for_client(fingerprint: str) -> QuicConfiguration:
    """Return a client's settings: the server's certificate has this SHA-256, in hex."""
    settings = _settings(is_client=True)
    settings.verify_mode = ssl.CERT_NONE  # it is pinned, which is more
    settings.assert_fingerprint = fingerprint
    settings.server_name = "parley"
    return settings


def _settings(is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        is_client=is_client,
        alpn_protocols=[ALPN],
        connection_id_length=CID_LENGTH,
        idle_timeout=IDLE,
        max_datagram_size=DATAGRAM,
        max_data=2 * _WINDOW,
        max_stream_data=_WINDOW,
        probe_datagram_size=False,
    )
