"""Metrics for Prometheus: what the server counts, under the names by which operators know it.

The registry and the text are those of prometheus_client; its HTTP server, which has threads, is not
used. Nothing is kept here: at each scrape the numbers are read from where they are counted
(``parley.server.ground.counts``) and from the parts as they are. Names and units follow
https://prometheus.io/docs/practices/naming/.
"""

import platform
from collections.abc import Callable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from framing.errors import ErrorWord
from parley.server.ground.counts import Counts, Histogram, StageClock
from parley.server.net.http import Request
from parley.server.operating.http import Response


class Figures(NamedTuple):
    """How the server is now. ``backlog`` is what waits for all clients and ``biggest_backlog`` for
    one of them, in bytes; ``index_waiting`` records are not in the index yet, ``index_behind``
    older ones neither, while it is being made; ``transfers`` files are on their way."""

    connections: int
    sessions: int
    people: int
    rooms: int
    max_clients: int
    backlog: int
    biggest_backlog: int
    seq: int
    log_bytes: int
    log_files: int
    index_waiting: int
    index_behind: int
    transfers: int
    shelf_files: int
    shelf_bytes: int
    accounts: int
    ready: bool


class Metrics:
    """The page ``/metrics``. ``figures`` returns how the server is, ``tick`` the time of the tick.

    In one tick the page is made once, however many ask for it: it takes some 2 ms.
    """

    def __init__(
        self,
        version: str,
        counts: Counts,
        stages: StageClock,
        syncs: Histogram,
        figures: Callable[[], Figures],
        tick: Callable[[], float],
    ) -> None:
        self._tick = tick
        self._registry = CollectorRegistry()
        self._registry.register(_Parley(version, counts, stages, syncs, figures))
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._made: dict[str, tuple[float, bytes]] = {}

    def page(self, request: Request) -> Response:
        """Return all metrics, as text or, for who asks for it, as OpenMetrics."""
        encode, kind = choose_encoder(request.headers.get("accept", ""))
        tick = self._tick()
        made, body = self._made.get(kind, (-1.0, b""))
        if made != tick:
            body = encode(self._registry)
            self._made[kind] = tick, body
        return Response(200, body, kind)


class _Parley(Collector):
    """What is Parley's own."""

    def __init__(
        self,
        version: str,
        counts: Counts,
        stages: StageClock,
        syncs: Histogram,
        figures: Callable[[], Figures],
    ) -> None:
        self._version = version
        self._counts = counts
        self._stages = stages
        self._syncs = syncs
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        build = {"version": self._version, "python": platform.python_version()}
        yield InfoMetricFamily("parley_build", "The version that runs.", value=build)
        yield from self._now(self._figures())
        yield from self._since_the_start(self._counts)
        yield from self._times()

    def _now(self, now: Figures) -> Iterator[Metric]:
        for name, text, value in (
            ("ready", "1 if the server is ready, as /readyz says.", now.ready),
            ("connections", "Chat connections, joined or not.", now.connections),
            ("connections_max", "Chat connections there may be.", now.max_clients),
            ("sessions", "Sessions that have joined.", now.sessions),
            ("people", "People online; one may have several sessions.", now.people),
            ("rooms", "Rooms there are, beside the lobby.", now.rooms),
            ("accounts", "Registered accounts.", now.accounts),
            ("backlog_bytes", "What waits for clients to take it.", now.backlog),
            ("backlog_biggest_bytes", "What waits for the slowest client.", now.biggest_backlog),
            ("log_seq", "Place of the newest record in the log.", now.seq),
            ("log_bytes", "Size of the log, all its files together.", now.log_bytes),
            ("log_files", "Files of the log, with the one that grows.", now.log_files),
            ("index_waiting_records", "Records not yet in the index.", now.index_waiting),
            ("index_behind_records", "Older records the index lacks.", now.index_behind),
            ("transfers", "Files that are being sent or received.", now.transfers),
            ("shelf_files", "Files that are shared.", now.shelf_files),
            ("shelf_bytes", "Size of the shared files.", now.shelf_bytes),
        ):
            yield GaugeMetricFamily(f"parley_{name}", text, value=float(value))

    def _since_the_start(self, counts: Counts) -> Iterator[Metric]:
        for name, text, value in (
            ("connections_accepted", "Chat connections accepted.", counts.connections),
            ("messages", "Messages, edits and redactions made durable.", counts.messages),
            ("deliveries", "Shares of a tick handed to a client.", counts.deliveries),
            ("sent_bytes", "Bytes handed to chat clients.", counts.sent),
            ("received_bytes", "Bytes that chat clients have sent.", counts.received),
            ("uploads", "Files stored.", counts.uploads),
            ("downloads", "Files sent whole.", counts.downloads),
            ("upload_bytes", "Bytes of files received.", counts.file_received),
            ("download_bytes", "Bytes of files sent.", counts.file_sent),
        ):
            yield CounterMetricFamily(f"parley_{name}", text, value=value)
        # Those that have not come about yet are shown too: else their first one is no increase.
        words = {word.value: counts.refusals[word.value] for word in ErrorWord}
        joins = {kind: counts.joins[kind] for kind in ("guest", "account")}
        reasons = ("disconnect", "lost", "timeout", "slow", "kicked", "shutdown")
        left = {**dict.fromkeys(reasons, 0), **counts.left}
        for name, text, label, values in (
            ("refusals", "Errors told to clients, by error word.", "error", words),
            ("joins", "Sessions that have joined.", "kind", joins),
            ("left", "Sessions that have ended; slow: they did not read.", "reason", left),
        ):
            family = CounterMetricFamily(f"parley_{name}", text, labels=[label])
            for value_of, count in values.items():
                family.add_metric([value_of], count)
            yield family

    def _times(self) -> Iterator[Metric]:
        yield _histogram("parley_tick_seconds", "Ticks, without waiting.", self._stages.ticks)
        yield _histogram("parley_sync_seconds", "Syncs of the log.", self._syncs)
        stages = HistogramMetricFamily(
            "parley_tick_stage_seconds", "Ticks by stage.", labels=["stage"]
        )
        for name, times in self._stages.stages.items():
            stages.add_metric([name], times.cumulative, times.seconds)
        yield stages


def _histogram(name: str, text: str, times: Histogram) -> HistogramMetricFamily:
    return HistogramMetricFamily(name, text, buckets=times.cumulative, sum_value=times.seconds)
