"""A door for HTTP/1.1: bytes of one peer in, bytes for it out. Sans-IO; h11 reads and writes.

It asks ``answer`` for the response to each GET or HEAD and knows nothing of what that says. A peer
asks one thing at a time: if more bytes have come behind a request, it is answered, and then the
connection ends, so that nobody can make a tick long by asking a thousand things in one segment.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

import h11

HEAD_BYTES: Final = 8192
"""Most bytes of a request's line and headers, as in nginx (``large_client_header_buffers``) and
Apache (``LimitRequestLine``)."""

_PLAIN: Final = "text/plain; charset=utf-8"


class Request(NamedTuple):
    """What is asked for: the path without its query, and the ``Accept`` header or ""."""

    path: str
    accept: str


class Response(NamedTuple):
    """A status code, the body, and its type."""

    status: int
    body: bytes
    type: str = _PLAIN


class HttpDoor:
    """One peer. ``answer`` returns the response to a request."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._request: h11.Request | None = None
        self.over = False
        """Whether the connection is to end once all has been sent."""

    @property
    def in_request(self) -> bool:
        """Whether a request has begun and not ended."""
        return bool(self._connection.trailing_data[0]) or self._request is not None

    def receive_data(self, data: bytes) -> bytes:
        """Take in bytes of the peer; b"" says that no more will come. Return what to send."""
        if self.over:
            return b""
        self._connection.receive_data(data)
        try:
            return self._advance()
        except h11.RemoteProtocolError as problem:
            return self._refuse(problem)

    def _advance(self) -> bytes:
        while True:
            event = self._connection.next_event()
            if isinstance(event, h11.Request):
                self._request = event
                if self._connection.they_are_waiting_for_100_continue:
                    return self._last(Response(417, b"send no body\n"))
            elif isinstance(event, h11.Data):
                return self._last(Response(413, b"send no body\n"))
            elif isinstance(event, h11.EndOfMessage):
                return self._respond()
            elif isinstance(event, h11.ConnectionClosed):
                self.over = True
                return b""
            else:  # NEED_DATA
                return b""

    def _respond(self) -> bytes:
        """Answer the request that has come whole."""
        request, self._request = self._request, None
        assert request is not None
        if request.method not in (b"GET", b"HEAD"):
            return self._send(Response(405, b"only GET and HEAD\n"), [("Allow", "GET, HEAD")])
        path = request.target.decode("ascii", "replace").partition("?")[0]
        accept = b", ".join(value for name, value in request.headers if name == b"accept")
        response = self._answer(Request(path, accept.decode("ascii", "replace")))
        headers = [("Connection", "close")] if self._connection.trailing_data[0] else []
        return self._send(response, headers, with_body=request.method == b"GET")

    def _refuse(self, problem: h11.RemoteProtocolError) -> bytes:
        """Say what was wrong, if there is still somebody to say it to."""
        if self._connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.over = True
            return b""
        return self._last(Response(problem.error_status_hint, f"{problem}\n".encode()))

    def _last(self, response: Response) -> bytes:
        return self._send(response, [("Connection", "close")])

    def _send(
        self, response: Response, headers: list[tuple[str, str]], with_body: bool = True
    ) -> bytes:
        head = [
            ("Content-Type", response.type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        ]
        send = self._connection.send
        status = HTTPStatus(response.status)
        parts = [send(h11.Response(status_code=status, headers=head, reason=status.phrase))]
        if with_body:
            parts.append(send(h11.Data(data=response.body)))
        parts.append(send(h11.EndOfMessage()))
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
        else:
            self.over = True
        return b"".join(part for part in parts if part is not None)
