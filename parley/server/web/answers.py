"""What is answered to a request of HTTP: heads, with all that keeps a browser from harm, and
bodies in memory. Pure.
"""

from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final
from urllib.parse import quote

from framing.codec import encode
from framing.errors import ErrorWord
from framing.events import Error, Ok
from parley.server.files.tickets import TicketError
from parley.server.web.pages import Page

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing from elsewhere, nothing inline, no string that becomes code or markup (CSP 3)."""

_SAFETY: Final = (
    ("Content-Security-Policy", POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)

_JSON: Final = "application/json"
_PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(slots=True)
class Answer:
    """A status, headers beside those that every answer has, and a body. ``size`` is given if the
    body is sent by somebody else, or by nobody. ``close``: nothing more on this connection."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    size: int | None = None
    close: bool = False

    def head(self, utc: float) -> list[tuple[str, str]]:
        """Return all headers; ``utc`` is the time now."""
        head = [("Date", formatdate(utc, usegmt=True)), *_SAFETY, *self.headers]
        if self.status != 304:
            size = len(self.body) if self.size is None else self.size
            head.append(("Content-Length", str(size)))
        if self.close:
            head.append(("Connection", "close"))
        return head


def of_page(page: Page, known: str | None, packs: bool) -> Answer:
    """Answer with a page; ``known`` is ``If-None-Match``, ``packs`` whether gzip is understood."""
    headers = [("ETag", page.etag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding")]
    if matches(known, page.etag):
        return Answer(304, headers)
    headers.append(("Content-Type", page.type))
    if packs:
        return Answer(200, [*headers, ("Content-Encoding", "gzip")], page.packed)
    return Answer(200, headers, page.body)


def of_text(status: int, text: str, *headers: tuple[str, str], close: bool = False) -> Answer:
    """Answer with a sentence for people."""
    body = f"{text}\n".encode()
    return Answer(status, [("Content-Type", _PLAIN), *headers], body, close=close)


def of_error(problem: TicketError, *headers: tuple[str, str], close: bool = False) -> Answer:
    """Answer with an ``error`` of the wire, under its own number."""
    word = problem.word
    body = encode(Error(word.code, word.value, str(problem)))
    more = [("Content-Type", _JSON), ("Cache-Control", "no-store"), *headers]
    return Answer(word.code, more, body, close=close)


def of_bad(text: str, close: bool = False) -> Answer:
    """Answer that a request makes no sense."""
    return of_error(TicketError(ErrorWord.BAD_REQUEST, text), close=close)


def of_ok(status: int, done: Ok, *headers: tuple[str, str]) -> Answer:
    """Answer with an ``ok`` of the wire."""
    more = [("Content-Type", _JSON), ("Cache-Control", "no-store"), *headers]
    return Answer(status, more, encode(done))


def of_file(name: str, sha256: str, size: int, part: tuple[int, int] | None) -> Answer:
    """Answer with a file, or the bytes from and up to ``part`` of it; the bytes are not here.

    Whatever it holds, it is to be saved, and never shown as a page of this server's.
    """
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}"),
        ("Cache-Control", "private, no-store"),
        ("Accept-Ranges", "bytes"),
        ("ETag", f'"{sha256}"'),
    ]
    if part is None:
        return Answer(200, headers, size=size)
    first, end = part
    headers.append(("Content-Range", f"bytes {first}-{end - 1}/{size}"))
    return Answer(206, headers, size=end - first)


def matches(header: str | None, etag: str) -> bool:
    """Tell whether a list of ETags, or ``*``, has this one (weakly: RFC 9110, 13.1.2)."""
    known = [item.strip().removeprefix("W/") for item in (header or "").split(",")]
    return etag in known or "*" in known
