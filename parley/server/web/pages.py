"""The page's own files: read once at the start, held in memory, compressed. Pure after that.

They are the same for everybody and hold no secret, so that compressing them tells nobody
anything (BREACH).
"""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}


@dataclass(frozen=True, slots=True)
class Page:
    """One file: its bytes as they are and by gzip, the media type, and an ETag that changes with
    the bytes (RFC 9110, 8.8.3)."""

    type: str
    body: bytes
    packed: bytes
    etag: str


def read_pages() -> dict[str, Page]:
    """Return the page's files by their paths; ``/`` is the page itself."""
    pages = {}
    for file in files(__package__).joinpath("page").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
            page = Page(kind, body, gzip.compress(body, 9, mtime=0), etag)
            pages["/" if file.name == "index.html" else f"/{file.name}"] = page
    return pages
