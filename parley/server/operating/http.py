"""A door for HTTP/1.1: bytes of one peer in, bytes for it out. Sans-IO.

It asks ``answer`` for the response to each GET or HEAD and knows nothing of what that says. A peer
asks one thing at a time: if more bytes have come behind a request, it is answered, and then the
connection ends, so that nobody can make a tick long by asking a thousand things in one segment.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from parley.server.net.http import End, Http, HttpError, Request

HEAD_BYTES: Final = 8192
"""Most bytes of a request's line and headers, as in nginx (``large_client_header_buffers``) and
Apache (``LimitRequestLine``)."""

_PLAIN: Final = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """A status code, the body, and its type."""

    status: int
    body: bytes
    type: str = _PLAIN


class HttpDoor:
    """One peer. ``answer`` returns the response to a request."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer
        self._http = Http(HEAD_BYTES)
        self._request: Request | None = None

    @property
    def over(self) -> bool:
        """Whether the connection is to end once all has been sent."""
        return self._http.over

    @property
    def in_request(self) -> bool:
        """Whether a request has begun and not ended."""
        return self._http.has_more or self._request is not None

    def receive_data(self, data: bytes) -> bytes:
        """Take in bytes of the peer; b"" says that no more will come. Return what to send."""
        if self.over:
            return b""
        self._http.receive_data(data)
        try:
            return self._advance()
        except HttpError as problem:
            if problem.status is None:
                return b""
            return self._last(Response(problem.status, f"{problem}\n".encode()))

    def _advance(self) -> bytes:
        while (event := self._http.next_event()) is not None:
            if event is End.OF_REQUEST:
                return self._respond()
            if not isinstance(event, Request):
                return self._last(Response(413, b"send no body\n"))
            self._request = event
            if self._http.wants_leave:
                return self._last(Response(417, b"send no body\n"))
        return b""

    def _respond(self) -> bytes:
        """Answer the request that has come whole."""
        request, self._request = self._request, None
        assert request is not None
        if request.method not in ("GET", "HEAD"):
            return self._send(Response(405, b"only GET and HEAD\n"), [("Allow", "GET, HEAD")])
        headers = [("Connection", "close")] if self._http.has_more else []
        return self._send(self._answer(request), headers)

    def _last(self, response: Response) -> bytes:
        return self._send(response, [("Connection", "close")])

    def _send(self, response: Response, headers: list[tuple[str, str]]) -> bytes:
        head = [
            ("Content-Type", response.type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        ]
        http = self._http
        out = http.head(response.status, head) + http.body(response.body) + http.end()
        http.renew()
        return out
