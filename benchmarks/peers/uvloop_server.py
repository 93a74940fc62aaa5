"""A chat server on asyncio and uvloop that speaks Parley's frames, the way one is written by hand:
each message is written to every other client as it comes. It keeps nothing and has one room.

    python -m benchmarks.peers.uvloop_server PORT
"""

import asyncio
import sys
import time
from typing import ClassVar, cast

import msgspec
import uvloop


class Client(asyncio.Protocol):
    """One connection."""

    everybody: ClassVar[set["Client"]] = set()
    seq = 0

    def __init__(self) -> None:
        self._rest = b""
        self._nick = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell it nothing more."""
        self.everybody.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take the frames that are whole."""
        data = self._rest + data
        at = 0
        while (brace := data.find(b"{", at)) > 0:
            end = brace + int(data[at + 1 : brace])
            if end >= len(data):
                break
            self._take(msgspec.json.decode(data[brace:end]))
            at = end + 1
        self._rest = data[at:]

    def _take(self, request: dict[str, str]) -> None:
        if request["purpose"] == "message":
            self._say(request["ref"], request["text"])
        elif request["purpose"] == "join":
            self._nick = request["nick"]
            self._tell(purpose="welcome", nick=self._nick, id=1, version=1)
            self.everybody.add(self)

    def _tell(self, **fields: object) -> None:
        self._transport.write(_frame(fields))

    def _say(self, ref: str, text: str) -> None:
        Client.seq = seq = Client.seq + 1
        at = time.time()
        frame = _frame(
            {
                "purpose": "message",
                "seq": seq,
                "from": self._nick,
                "id": 1,
                "to": "#lobby",
                "text": text,
                "time": at,
                "size": len(text.encode()),
            }
        )
        for client in self.everybody:
            if client is not self:
                client._transport.write(frame)
        self._tell(purpose="ok", ref=ref, seq=seq, time=at)


def _frame(fields: dict[str, object]) -> bytes:
    body = msgspec.json.encode(fields)
    return b"$%d%b$" % (len(body), body)


async def main() -> None:
    """Serve until the process ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Client, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
