"""One connection to a server: requests out, bodies of events in. It knows nothing of a session."""

import asyncio
import ipaddress
import time
from collections.abc import Iterator
from typing import Final

from framing.codec import encode
from framing.errors import FrameError
from framing.frames import FrameDecoder, encode_frame
from framing.requests import AnyRequest

_READ: Final = 64 * 1024
"""Bytes that are read and dealt with at once: more would hold the screen under a flood."""


class Connection:
    """A connection that is open. ``certificate`` is the server's, as DER, None without TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        over = writer.get_extra_info("ssl_object")
        self.certificate: bytes | None = (
            None if over is None else over.getpeercert(binary_form=True)
        )
        self.open = True
        self._decoder = FrameDecoder()
        self._heard = self._said = time.monotonic()

    @property
    def binding(self) -> bytes | None:
        """What a login can be bound to, if anything."""
        if self.certificate is None:
            return None
        from parley.binding import end_point  # only who speaks TLS waits for what this brings in

        return end_point(self.certificate)

    @property
    def exposed(self) -> bool:
        """Whether others could read along: it leads to another machine, and is not encrypted."""
        peer = self._writer.get_extra_info("peername")
        if self.certificate is not None or not isinstance(peer, tuple):
            return False
        return not ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback

    @property
    def silence(self) -> float:
        """Seconds since anything came."""
        return time.monotonic() - self._heard

    @property
    def own_silence(self) -> float:
        """Seconds since anything was sent."""
        return time.monotonic() - self._said

    def send(self, request: AnyRequest) -> None:
        """Send a request, if the connection is still open."""
        if self.open:
            self._said = time.monotonic()
            self._writer.write(encode_frame(encode(request)))

    async def sent(self) -> None:
        """Wait until the kernel has what was sent. Raises ``OSError``."""
        await self._writer.drain()

    async def read(self, patience: float) -> bool:
        """Read what comes. False at its end. Raises ``TimeoutError`` after ``patience`` seconds
        without anything, and ``OSError``."""
        data = await asyncio.wait_for(self._reader.read(_READ), patience)
        self._heard = time.monotonic()
        self._decoder.receive_data(data)
        return bool(data)

    def bodies(self) -> Iterator[bytes]:
        """Yield the bodies of the events that were read. Raises ``ConnectionError`` at what is
        none."""
        try:
            while (body := self._decoder.next_body()) is not None:
                yield body
        except FrameError as problem:
            raise ConnectionError(f"what answers there is no chat server ({problem})") from None

    def close(self) -> None:
        """Close it."""
        self.open = False
        self._writer.close()
