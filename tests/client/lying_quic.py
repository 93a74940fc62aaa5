"""A server that takes uploads over QUIC and meanwhile says what a test wants it to."""

import contextlib
import datetime
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from qh3.quic.connection import QuicConnection, QuicConnectionError
from qh3.quic.events import StreamDataReceived

from parley.server.net.certificate import Certificate
from parley.udp.datagrams import Address, Datagrams
from parley.udp.settings import for_server
from tests.wire import frame


def answer(**fields: Any) -> bytes:
    """Return an event as it is sent."""
    return frame(json.dumps(fields).encode())


class Upload:
    """One client's connection. ``came`` counts bytes of its file."""

    def __init__(self, quic: QuicConnection) -> None:
        self.quic = quic
        self.stream: int | None = None
        self.came = 0

    def say(self, data: bytes) -> None:
        """Send on the stream of the file, if the client is still there."""
        assert self.stream is not None
        with contextlib.suppress(QuicConnectionError):
            self.quic.send_stream_data(self.stream, data)

    @property
    def waiting(self) -> int:
        """Bytes that were said and are not sent."""
        return self.quic.get_send_buffer_size(self.stream)


class LyingQuic:
    """Wants every file from its beginning; ``then`` is called in each turn after some has come."""

    def __init__(self, size: int, then: Callable[[Upload], None]) -> None:
        self._size = size
        self._then = then
        self._certificate = Certificate.made(datetime.datetime.now(datetime.UTC))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        self.told = {"port": sock.getsockname()[1], "fingerprint": self._certificate.fingerprint}
        self._datagrams = Datagrams(sock)
        self._uploads: dict[Address, Upload] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> "LyingQuic":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self._datagrams.close()

    @property
    def came(self) -> int:
        """Bytes of files that have come."""
        return sum(upload.came for upload in self._uploads.values())

    def _run(self) -> None:
        while not self._closing.is_set():
            select.select([self._datagrams.sock], [], [], 0.01)
            now = time.monotonic()
            while (arrived := self._datagrams.receive()) is not None:
                quic = self._upload(arrived.address, arrived.datagrams[0]).quic
                quic.receive_many_datagrams(arrived.datagrams, arrived.address, now)
            for upload in self._uploads.values():
                self._turn(upload, now)

    def _upload(self, address: Address, datagram: bytes) -> Upload:
        if address not in self._uploads:
            self._uploads[address] = Upload(
                QuicConnection(
                    configuration=for_server(self._certificate.certificate, self._certificate.key),
                    original_destination_connection_id=datagram[6 : 6 + datagram[5]],
                )
            )
        return self._uploads[address]

    def _turn(self, upload: Upload, now: float) -> None:
        timer = upload.quic.get_timer()
        if timer is not None and timer <= now:
            upload.quic.handle_timer(now)
        while (event := upload.quic.next_event()) is not None:
            if not isinstance(event, StreamDataReceived):
                continue
            if upload.stream is None:
                upload.stream = event.stream_id
                upload.say(answer(purpose="ok", offset=0, size=self._size))
            else:
                upload.came += len(event.data)
        if upload.came:
            self._then(upload)
        self._datagrams.send(upload.quic.datagrams_to_send(now))
