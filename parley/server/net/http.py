"""HTTP/1.1 as a server reads and writes it: a peer's bytes to requests, answers to bytes. Sans-IO.

h11 does it. What a request means, and how long one may take, is for those to say who read by this:
the side port (``operating.http``) and the door for browsers (``web.connection``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import h11

Headers = Iterable[tuple[str, str]]

_ENDED: Final = (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)


class HttpError(Exception):
    """What has come is no request, or no body. ``status`` is what to answer; None: an answer has
    begun, so that nothing can be said any more."""

    def __init__(self, text: str, status: int | None) -> None:
        super().__init__(text)
        self.status = status


class End(Enum):
    """That was all of a request."""

    OF_REQUEST = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request. The names of ``headers`` are in lower case; of one that came more
    than once the values stand behind each other, with commas (RFC 9110, 5.3)."""

    method: str
    target: str
    headers: Mapping[str, str]
    version: str = "1.1"

    @property
    def path(self) -> str:
        """What is asked for, without a query."""
        return self.target.partition("?")[0]

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return (
            self.headers.get("content-length", "0").strip("0 ") != ""
            or "transfer-encoding" in self.headers
        )


class Http:
    """One connection, a request at a time. ``head_bytes``: the longest head that is read."""

    def __init__(self, head_bytes: int) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=head_bytes)
        self._head_only = False

    # Reading

    def receive_data(self, data: bytes) -> None:
        """Take in bytes of the peer; b"" says that no more will come."""
        self._h11.receive_data(data)

    def next_event(self) -> Request | bytes | End | None:
        """Return the head of a request, bytes of its body, or its end; None until more bytes come,
        or while the last one is not answered (``renew``). Raises ``HttpError``."""
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as problem:
            early = self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE)
            raise HttpError(str(problem), problem.error_status_hint if early else None) from None
        if isinstance(event, h11.Request):
            self._head_only = event.method == b"HEAD"
            return _request(event)
        if isinstance(event, h11.Data):
            return event.data
        return End.OF_REQUEST if isinstance(event, h11.EndOfMessage) else None

    def renew(self) -> bool:
        """Be ready for another request, if the last one has come and been answered whole. Return
        whether that was so."""
        done = self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE
        if done:
            self._h11.start_next_cycle()
            self._head_only = False
        return done

    @property
    def has_more(self) -> bool:
        """Whether bytes have come that are not read yet."""
        return bool(self._h11.trailing_data[0])

    @property
    def wants_leave(self) -> bool:
        """Whether the peer waits for leave to send a body (RFC 9110, 10.1.1)."""
        return self._h11.they_are_waiting_for_100_continue

    @property
    def over(self) -> bool:
        """Whether nothing more will be said over this connection."""
        return self._h11.our_state in _ENDED

    # Writing: each returns the bytes to send

    def head(self, status: int, headers: Headers) -> bytes:
        """Begin an answer."""
        phrase = HTTPStatus(status).phrase
        return self._said(h11.Response(status_code=status, headers=list(headers), reason=phrase))

    def body(self, data: bytes) -> bytes:
        """Go on with its body, if it is one that was asked for."""
        return b"" if self._head_only or not data else self._said(h11.Data(data=data))

    def passed(self, size: int) -> None:
        """So many bytes of the body have gone out by another way."""
        self._h11.send_with_data_passthrough(h11.Data(data=_Size(size)))  # type: ignore[arg-type]

    def end(self) -> bytes:
        """End it."""
        return self._said(h11.EndOfMessage())

    def leave(self) -> bytes:
        """Let the peer send the body that it waits to send."""
        return self._said(_between(100, []))

    def switch(self, headers: Headers) -> tuple[bytes, bytes]:
        """Go on with another protocol. Returns what has come of that already too."""
        said = self._said(_between(101, headers))
        return said, self._h11.trailing_data[0]

    def _said(self, event: h11.Event) -> bytes:
        return self._h11.send(event) or b""


def _request(event: h11.Request) -> Request:
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    target = event.target.decode("ascii", "replace")
    return Request(
        event.method.decode("ascii"), target, headers, event.http_version.decode("ascii")
    )


def _between(status: int, headers: Headers) -> h11.InformationalResponse:
    phrase = HTTPStatus(status).phrase
    return h11.InformationalResponse(status_code=status, headers=list(headers), reason=phrase)


class _Size:
    """Stands for bytes that h11 only has to count (as its documentation has it, for sendfile)."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size
