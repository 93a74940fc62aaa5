"""A client of the wire over WebSocket, written from RFC 6455 and docs/PROTOCOL.md alone."""

import base64
import hashlib
import json
import secrets
import socket
import struct
from collections.abc import Mapping
from typing import Any

from tests.wire import PATIENCE, Event, Wire

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x01\xfe3\x07"


def frame(
    opcode: int, payload: bytes, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """Return a client's frame (RFC 6455, 5.2); ``mask`` None leaves it unmasked."""
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0 if mask is None else 0x80
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 1 << 16:
        head += bytes([bit | 126]) + struct.pack("!H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", len(payload))
    if mask is None:
        return head + payload
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def upgrade(port: int, key: str, headers: Mapping[str, str | None]) -> bytes:
    """Return the head of a handshake; ``headers`` change or, as None, drop what it has."""
    fields: dict[str, str | None] = {
        "Host": f"127.0.0.1:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    fields |= headers
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join(["GET /chat HTTP/1.1", *lines, "", ""]).encode()


class WebWire(Wire):
    """A connection that has made its handshake, with ``headers`` of its own. ``controls`` are the
    control frames that came: opcode and payload."""

    def __init__(
        self,
        port: int,
        behind: bytes = b"",
        sock: socket.socket | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> None:
        self.controls: list[tuple[int, bytes]] = []
        self.adopt(sock or socket.create_connection(("127.0.0.1", port), PATIENCE))
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.raw(upgrade(port, key, headers or {}) + behind)
        while b"\r\n\r\n" not in self._buffer:
            data = self.sock.recv(4096)
            assert data, f"the connection ended: {self._buffer!r}"
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        accept = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert b"sec-websocket-accept: " + base64.b64encode(accept) in head.replace(
            b"Sec-WebSocket-Accept", b"sec-websocket-accept"
        )

    def send(self, **fields: Any) -> None:
        """Send one object."""
        self.raw(frame(TEXT, json.dumps(fields).encode()))

    def _cut(self) -> Event | None:
        while True:
            found = self._cut_frame()
            if found is None:
                return None
            opcode, payload = found
            if opcode == TEXT:
                assert len(payload) <= 65536, "a message over the limit came from the server"
                event: Event = json.loads(payload)
                self.passed.append(event)
                return event
            assert opcode in (CLOSE, PING, PONG), opcode
            self.controls.append((opcode, payload))

    def _cut_frame(self) -> tuple[int, bytes] | None:
        data = self._buffer
        if len(data) < 2:
            return None
        assert data[0] & 0xF0 == 0x80, "whole frames without extensions only"
        assert not data[1] & 0x80, "a server masks nothing"
        size, at = data[1] & 0x7F, 2
        if size == 126:
            at = 4
            size = int.from_bytes(data[2:4], "big") if len(data) >= 4 else 1 << 20
        elif size == 127:
            at = 10
            size = int.from_bytes(data[2:10], "big") if len(data) >= 10 else 1 << 20
        if len(data) < at + size:
            return None
        self._buffer = data[at + size :]
        return data[0] & 0x0F, data[at : at + size]

    @property
    def closed_with(self) -> int | None:
        """The code with which the server closed; 1005 for a Close without one, None for none."""
        closes = [payload for opcode, payload in self.controls if opcode == CLOSE]
        if not closes:
            return None
        assert len(closes) == 1, "more than one Close came"
        return int.from_bytes(closes[0][:2], "big") if closes[0] else 1005
