"""A chat server on the websockets library: a text goes to every other client by ``broadcast``, and
``ok`` to its sender. It keeps nothing and has one room.

    python -m benchmarks.peers.websockets_server PORT
"""

import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

everybody: set[ServerConnection] = set()


async def talk(client: ServerConnection) -> None:
    """Serve one client until it goes."""
    everybody.add(client)
    try:
        async for text in client:
            broadcast(everybody - {client}, text)
            await client.send("ok")
    except ConnectionClosed:
        pass
    finally:
        everybody.discard(client)


async def main() -> None:
    """Serve until the process ends."""
    async with serve(
        talk, "127.0.0.1", int(sys.argv[1]), compression=None, ping_interval=None, backlog=4096
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
