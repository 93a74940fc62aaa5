"""What a request of HTTP means here: a page, a file by its ticket, or the way into the chat.

It owns no socket: it answers, or hands out what is to be carried.
"""

from urllib.parse import parse_qs, unquote, urlsplit

from parley.server.carrying.transfers import Transfers
from parley.server.net.http import Request
from parley.server.web import handshake
from parley.server.web.answers import Answer, of_page, of_text
from parley.server.web.carrying import Carried, Wire, fetch, store
from parley.server.web.origins import Origins
from parley.server.web.pages import Page
from parley.server.web.proxies import Proxies

CHAT = "/chat"
"""Where the chat is, by WebSocket."""

_FILES = "/files/"


class Site:
    """Everything under one port. ``scheme`` is that of its own origin, ``proxies`` may stand
    between."""

    def __init__(
        self,
        pages: dict[str, Page],
        origins: Origins,
        proxies: Proxies,
        transfers: Transfers,
        scheme: str,
    ) -> None:
        self._pages = pages
        self.origins = origins
        self.proxies = proxies
        self._transfers = transfers
        self._scheme = scheme

    def asked(self, asked: Request, wire: Wire) -> Answer | Carried | None:
        """Return the answer, what carries a file over ``wire``, or None: it is to go on as
        WebSocket."""
        host = asked.headers.get("host", "")
        if not self.origins.meant(host):
            text = "this server is not known under that name: see --web-origin"
            return of_text(421, text)
        if not self.origins.welcome(asked.headers.get("origin"), host, self._scheme):
            return of_text(403, "pages from elsewhere may not ask here: see --web-origin")
        try:
            parts = urlsplit(asked.target)
        except ValueError:
            return of_text(400, "the address makes no sense")
        if parts.path == CHAT:
            return self._chat(asked)
        if parts.path.startswith(_FILES):
            ticket = unquote(parts.path.removeprefix(_FILES).partition("/")[0])
            if asked.method in ("GET", "HEAD"):
                return fetch(self._transfers, asked.method, ticket, asked.headers, wire)
            if asked.method == "PUT":
                offset = parse_qs(parts.query).get("offset", [None])[0]
                return store(self._transfers, ticket, offset, asked.headers, wire)
            return _not_allowed("GET, HEAD, PUT")
        page = self._pages.get(parts.path)
        if page is None:
            return of_text(404, "there is no such page")
        if asked.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        packs = "gzip" in asked.headers.get("accept-encoding", "")
        answer = of_page(page, asked.headers.get("if-none-match"), packs)
        if asked.method == "HEAD":
            answer.size, answer.body = len(answer.body), b""
        return answer

    def _chat(self, asked: Request) -> Answer | None:
        if asked.method != "GET":
            return _not_allowed("GET")
        if not handshake.wanted(asked.method, asked.headers):
            text = "the chat is here by WebSocket"
            return of_text(426, text, ("Upgrade", "websocket"), ("Connection", "Upgrade"))
        return handshake.refused(asked.headers)


def _not_allowed(methods: str) -> Answer:
    return of_text(405, f"here one may only {methods}", ("Allow", methods))
