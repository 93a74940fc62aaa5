"""The server: the tick. Everything that happens, happens in this order:

    wait -> read what is ready -> deal with requests -> write the log, sync once
         -> apply what is durable -> answer questions about the past
         -> the index, if much waits for it -> one send for each client that has something
         -> upkeep: what else the index needs, files on their way, what is to be dropped

Between two waits nothing blocks but the log's one sync. The rules of the chat are in
``parley.server.chat.chat``, connections and their deadlines in ``gate``, and in ``intake`` it is
decided whose requests are dealt with. This file only brings them together.
"""

import logging
import signal
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from parley.server.carrying.quic import QuicFiles
from parley.server.carrying.transfers import Transfers
from parley.server.chat.chat import Chat
from parley.server.delivery import Delivery
from parley.server.gate import Gate
from parley.server.ground import clock, garbage
from parley.server.ground.clock import Moment
from parley.server.index.errors import IndexUnavailableError, PastUnreadableError
from parley.server.index.index import Index
from parley.server.index.retention import Retention
from parley.server.log.log import Log, Stored, StoreUnavailableError
from parley.server.net.loop import Loop
from parley.server.operating.systemd import Notifier

HEEDED: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that a server answers in its own time. Blocked from when the port is open, until then."""

_SWEEP: Final = 1.0  # seconds between two looks at the deadlines
_INDEX_LAG: Final = 0.5  # seconds after which what the index was given outlives the process
_INDEX_AT_ONCE: Final = 512
_INDEX_TICKS: Final = 4
"""The index is written when so many records wait for it, and as many as so many ticks like this one
bring: the kernel's work drives it out of the processor's caches, and to fetch it again costs no
more for many records. To write them takes a fraction of what those ticks took."""

_INDEX_PATIENCE: Final = 10.0  # seconds that the disk has for the index when the server stops
_FILL_AGAIN: Final = 60.0  # seconds until what the disk did not give back is asked for again
_REFUSED_LATELY: Final = 10.0  # seconds for which a write of the log that failed tells against it

logger = logging.getLogger(__name__)


class Beside(Protocol):
    """Something else that turns in the loop."""

    def close(self) -> None:
        """Let go of its sockets."""


class Server:
    """One process's server, over its parts. ``run`` is all there is to call."""

    def __init__(
        self,
        loop: Loop,
        gate: Gate,
        chat: Chat,
        log: Log,
        index: Index,
        retention: Retention,
        transfers: Transfers,
        quic_files: Sequence[QuicFiles],
        delivery: Delivery,
    ) -> None:
        self._loop = loop
        self.gate = gate
        self._chat = chat
        self._log = log
        self._index = index
        self.retention = retention
        self._transfers = transfers
        self._quic_files = quic_files
        self._delivery = delivery
        self._index_due: float | None = None
        self._storing = True
        self._refused_at: float | None = None
        self._indexing = True
        self._damage: sqlite3.DatabaseError | None = None
        self._fill_at = 0.0
        self._signals = 0
        self._reload_wanted = False
        self.reload: Callable[[], None] = lambda: None
        """Reads again what may change while it runs."""
        self.mark: Callable[[str], None] = _unmarked
        """Called after each stage of a tick: ``StageClock.mark``, if anybody wants to know."""
        self.supervisor = Notifier({})
        """Is told that the server is ready, lives, and stops."""
        self.beside: list[Beside] = []
        """What else turns in the loop, to be closed with it."""
        self._stop_by: float | None = None
        # Whoever sees that it listens may tell it to stop.
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.on_signal(number, self._signalled)
        loop.on_signal(signal.SIGHUP, self._reload_signalled)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)

    def run(self) -> None:
        """Serve until a SIGINT or SIGTERM, and end in good order. A SIGHUP reloads.

        Raises ``LogBrokenError`` if the disk cannot be trusted any more: nothing is
        acknowledged after that. Raises ``sqlite3.DatabaseError`` if the index is damaged.
        """
        garbage.settle()
        self._loop.call_at(self.gate.mono + _SWEEP, self._sweep)
        self.supervisor.ready("serving")
        self.supervisor.keep_alive(self._loop, lambda: self.gate.mono)
        try:
            self._turn()
        except sqlite3.DatabaseError:
            self._index.let_go()  # whoever deals with it can still read something in it
            raise
        self.gate.close()
        for quic in self._quic_files:
            quic.close()
        for other in self.beside:
            other.close()
        self._delivery.close()
        self._log.close()
        self._close_index()

    # The tick

    def _turn(self) -> None:
        mark = self.mark
        while not self._stopped():
            ready = self._loop.wait(self.gate.mono, self._next_wake())
            mark("wait")
            for watcher, events in ready:
                watcher.ready(events)
            mark("read")
            self._tick(clock.now())

    def _tick(self, moment: Moment) -> None:
        self.gate.at(moment.mono)
        if self._signals:
            self._heed_signals(moment)
        if self._reload_wanted:
            self._reload_wanted = False
            self.supervisor.reloading()
            self.reload()
            self.supervisor.ready("serving")
        self._loop.run_timers(moment.mono)
        mark = self.mark
        self.gate.intake.take_in(moment)
        again = self._chat.sent_again(moment)
        if again:
            self._log.withdraw(again)
        mark("requests")
        stored = self._commit(moment)
        mark("apply")
        self.gate.intake.answer(moment)
        self._chat.advance(moment)
        mark("replay")
        enough = max(_INDEX_AT_ONCE, _INDEX_TICKS * stored)
        if self._index.waiting >= enough and self._indexing:
            self._write_index(moment)
        mark("index")
        self._send()
        for quic in self._quic_files:
            if quic.busy:
                quic.turn()
        mark("send")
        self._keep_up(moment)
        mark("upkeep")

    def _commit(self, moment: Moment) -> int:
        """Make the tick's records durable, and only then tell of them. Return how many there
        are."""
        stored: Sequence[Stored] = ()
        try:
            stored = self._log.commit(moment.mono)
        except StoreUnavailableError as problem:
            if self._storing:
                logger.error("cannot write the log: %s; refusing until it can", problem.strerror)
                self._storing = False
            self._refused_at = moment.mono
            self.mark("write")
            self._chat.not_applied(self._log.take_back())
        else:
            self.mark("write")
            if stored:
                if not self._storing:
                    logger.info("the log can be written again")
                    self._storing = True
                self._index.add(stored)
                self._chat.applied(stored, moment)
        self._chat.commit_accounts()
        return len(stored)

    def _send(self) -> None:
        """Send every client its share of the tick, in one go each."""
        deliveries, sent_bytes = self._delivery.deliver(*self._chat.outbox.flush())
        self.gate.shed()
        counts = self._chat.counts
        counts.deliveries += deliveries
        counts.sent += sent_bytes
        self.gate.let_go(self._chat.settle())

    def _keep_up(self, moment: Moment) -> None:
        """Let what the index has outlive the process, if it is time; fill it, carry files, and drop
        what is too old, each a slice further."""
        if self._damage is not None:
            raise self._damage
        index = self._index
        if index.uncommitted:
            self.retention.look(moment.utc)
        try:
            due = self._index_due
            if (due is not None and moment.mono >= due) or (index.full and self._indexing):
                self._index_due = None
                index.commit()
                self._indexing = True
            if self._indexing and not index.uncommitted:
                self._index_due = None
            elif self._index_due is None:
                self._index_due = moment.mono + _INDEX_LAG
            if self._fills(moment.mono) and not index.fill():
                logger.info("the index is complete")
        except PastUnreadableError as problem:
            again = f"trying again in {_FILL_AGAIN:g} s"
            logger.error("the index is not complete: %s; %s", problem, again)
            self._fill_at = moment.mono + _FILL_AGAIN
        except IndexUnavailableError as problem:
            self._index_refused(problem, moment)
        if self._transfers.busy:
            self._transfers.work()
        if self.retention.under_way:
            self.retention.step(moment.utc)
        self.gate.intake.retry_parked(moment.mono)

    def _write_index(self, moment: Moment) -> None:
        """Write what waits for the index, while the processor still has it near: the sends take it
        from there. What then may wait, until it outlives the process, does."""
        try:
            self._index.flush()
        except IndexUnavailableError as problem:
            self._index_refused(problem, moment)
        except sqlite3.DatabaseError as problem:
            self._damage = problem  # the log has what is to be sent, and all are to hear of it

    def _index_refused(self, problem: IndexUnavailableError, moment: Moment) -> None:
        if self._indexing:
            logger.error("cannot write the index: %s; trying again", problem)
            self._indexing = False
        self._index_due = moment.mono + _INDEX_LAG

    def _fills(self, mono: float) -> bool:
        """Tell whether the index is to be filled further now."""
        return self._index.behind and self._indexing and mono >= self._fill_at

    def _next_wake(self) -> float | None:
        """When the next tick must come even if no socket is ready; None: no need."""
        filling = self._fills(self.gate.mono)
        working = filling or self.retention.under_way or self._transfers.busy
        working = working or self._log.waiting or any(quic.busy for quic in self._quic_files)
        if self.gate.intake.waiting or working or not self._chat.outbox.empty:
            return self.gate.mono
        parked = self.gate.intake.due
        fill = self._fill_at if self._index.behind and self._indexing else None
        dues = (self._log.sync_due(), self._chat.due, self._index_due, self._stop_by, parked, fill)
        return min((due for due in dues if due is not None), default=None)

    def _sweep(self) -> None:
        """Look at every deadline, and at what is old."""
        moment = clock.now()
        self._loop.call_at(moment.mono + _SWEEP, self._sweep)
        self.retention.look(moment.utc)
        self.gate.sweep(moment)
        for quic in self._quic_files:
            quic.sweep(moment.mono)
        self._chat.sharing.tickets.sweep(moment.mono)
        self._transfers.sweep(moment)

    def unready(self) -> list[str]:
        """Return why nobody should be sent here now, as sentences; none if all is well."""
        reasons = []
        if self._stop_by is not None:
            reasons.append("the server is stopping")
        elif (crowded := self.gate.unready()) is not None:
            reasons.append(crowded)
        if self._refused_at is not None and self.gate.mono - self._refused_at < _REFUSED_LATELY:
            reasons.append("the log could not be written lately")
        if not self._indexing:
            reasons.append("the index cannot be written")
        elif self._index.behind:
            reasons.append("the index is being made: not all that was said is found yet")
        return reasons

    # Stopping

    def _signalled(self) -> None:
        self._signals += 1

    def _reload_signalled(self) -> None:
        self._reload_wanted = True

    def _heed_signals(self, moment: Moment) -> None:
        """The first signal begins the end, a second one brings it."""
        if self._stop_by is not None:
            if self._signals > 1:
                self._stop_by = moment.mono
            return
        here = f"telling {self.gate.connections} clients"
        logger.info("stopping: %s", here)
        self.supervisor.stopping(here)
        self._stop_by = moment.mono + self.gate.settings.grace
        self._chat.stop("shut down by its operator", self.gate.settings.grace)
        self.gate.stop(moment)

    def _close_index(self) -> None:
        """Close the index, which the disk may take its time for, but not for ever: it can be made
        again. A second signal waits no longer."""
        until = clock.now().mono + _INDEX_PATIENCE
        said = False

        def go_on() -> bool:
            nonlocal said
            if not said:
                logger.info("waiting for the disk to have history.index")
                said = True
            return self._signals < 2 and clock.now().mono < until

        if not self._index.close(go_on):
            logger.warning("history.index is not on the disk: after a reboot it is made again")

    def _stopped(self) -> bool:
        if self._stop_by is None:
            return False
        return self.gate.mono >= self._stop_by or self.gate.empty


def _unmarked(stage: str) -> None:
    """Nobody wants to know how long a stage took."""
