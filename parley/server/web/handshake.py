"""The handshake by which HTTP becomes WebSocket (RFC 6455, 4.2). Pure."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Final

from parley.server.web.answers import Answer, of_text

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


def wanted(method: str, headers: Mapping[str, str]) -> bool:
    """Tell whether a request asks to go on as WebSocket."""
    return (
        method == "GET"
        and headers.get("upgrade", "").strip().lower() == "websocket"
        and "upgrade" in (part.strip().lower() for part in headers.get("connection", "").split(","))
    )


def refused(headers: Mapping[str, str]) -> Answer | None:
    """Return why it cannot, or None."""
    if headers.get("sec-websocket-version", "").strip() != "13":
        text = "the version of WebSocket here is 13"
        return of_text(426, text, ("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))
    try:
        given = headers.get("sec-websocket-key", "").strip().encode("latin-1")
        key = base64.b64decode(given, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != 16:
        return of_text(400, "Sec-WebSocket-Key is 16 bytes in base64")
    return None


def accepted(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the headers of the answer 101."""
    key = headers["sec-websocket-key"].strip().encode()
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest()).decode()
    return [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
