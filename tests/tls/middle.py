"""Somebody in between: speaks TLS to clients with a certificate of their own, and passes on what
comes, over TLS or without."""

import asyncio
import contextlib
import ssl
import threading
from pathlib import Path


class Middle:
    """Passes on to ``port``; ``over`` is how to speak TLS there, None for not. To be entered.

    It has a loop of its own in a thread: one TLS connection must not be read and written by two.
    """

    def __init__(self, cert: Path, key: Path, port: int, over: ssl.SSLContext | None) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._over = over
        self._to = port
        self._serving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.port = 0

    def __enter__(self) -> "Middle":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, ssl=self._context, backlog=16
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        name = None if self._over is None else "localhost"
        far, to_far = await asyncio.open_connection(
            "127.0.0.1", self._to, ssl=self._over, server_hostname=name
        )
        try:
            await asyncio.gather(_pass_on(near, to_far), _pass_on(far, to_near))
        finally:
            to_near.close()
            to_far.close()
            self._serving.discard(task)


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Pass on what comes until one side ends; then the other is ended too."""
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
