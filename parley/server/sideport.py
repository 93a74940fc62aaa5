"""What stands on the port for those who run the server: metrics, health and readiness, by path.

Here the parts of a server are looked at and nothing in them is changed. Only imported if the port
is asked for: it needs packages that a server without it does not (the extra ``metrics``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parley.server.accounts.accounts import Accounts
from parley.server.carrying.transfers import Transfers
from parley.server.chat.chat import Chat
from parley.server.ground.counts import StageClock
from parley.server.index.index import Index
from parley.server.log.log import Log
from parley.server.net.http import Request
from parley.server.operating.health import Readiness
from parley.server.operating.http import Response
from parley.server.operating.metrics import Figures, Metrics
from parley.server.operating.monitor import Page
from parley.server.server import Server


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a server that are looked at, and its ``data`` directory."""

    server: Server
    chat: Chat
    log: Log
    index: Index
    transfers: Transfers
    accounts: Accounts
    data: Path


def pages(parts: Parts, version: str) -> Mapping[str, Page]:
    """Return the pages by path. From now on the server's ticks are timed."""
    server = parts.server
    stages = StageClock()
    server.mark = stages.mark
    readiness = Readiness(parts.data, server.unready)

    def healthz(request: Request) -> Response:
        return Response(200, b"ok\n")  # that somebody answers is the answer

    def readyz(request: Request) -> Response:
        reasons = readiness.unready(server.gate.mono)
        if not reasons:
            return Response(200, b"ready\n")
        return Response(503, "".join(f"{reason}\n" for reason in reasons).encode())

    metrics = Metrics(
        version,
        parts.chat.counts,
        stages,
        parts.log.syncs,
        lambda: _figures(parts, not readiness.unready(server.gate.mono)),
        lambda: server.gate.mono,
    )
    return {"/metrics": metrics.page, "/healthz": healthz, "/readyz": readyz}


def _figures(parts: Parts, ready: bool) -> Figures:
    server, log, index = parts.server, parts.log, parts.index
    backlogs = list(server.gate.backlogs)
    sessions, people, rooms = parts.chat.present
    shelf = parts.chat.sharing.shelf
    return Figures(
        connections=server.gate.connections,
        sessions=sessions,
        people=people,
        rooms=rooms,
        max_clients=server.gate.settings.max_clients,
        backlog=sum(backlogs),
        biggest_backlog=max(backlogs, default=0),
        seq=log.seq,
        log_bytes=log.total,
        log_files=len(log.files.closed) + 1,
        index_waiting=index.waiting,
        index_behind=index.low - index.floor - 1,
        transfers=parts.transfers.running,
        shelf_files=len(shelf),
        shelf_bytes=shelf.seen,
        accounts=len(parts.accounts),
        ready=ready,
    )
