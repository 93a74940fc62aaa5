"""The pure parts put together as the server does it, with a list in the place of each socket."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from framing.codec import decode_event
from framing.events import AnyEvent, Limits
from framing.frames import FrameDecoder, encode_frame
from framing.requests import AnyRequest
from parley.server.accounts.accounts import Accounts
from parley.server.accounts.scram import Secret
from parley.server.chat.addresses import Addresses
from parley.server.chat.chat import Chat
from parley.server.chat.entrance import Greeting
from parley.server.chat.outbox import Buffer
from parley.server.chat.session import Session
from parley.server.files.shelf import Shelf, ShelfLimits
from parley.server.ground.bounds import Bounds
from parley.server.ground.clock import Moment
from parley.server.ground.limits import Rate
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexBehindError, IndexUnavailableError
from parley.server.index.index import Index
from parley.server.index.retention import Keep, Retention
from parley.server.log.log import Log, StoreUnavailableError
from parley.server.log.records import Said
from parley.server.log.recovery import Recovery
from parley.server.log.segments import MARKS
from parley.server.start import remove_index

LIMITS = Limits(65536, 16000, 500, 0, 1, 90.0)
_secrets = itertools.count(1)


class Client:
    """A session, and what has been sent to it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._decoder = FrameDecoder()

    def take(self, buffers: list[Buffer], size: int) -> None:
        """Bytes have come."""
        data = b"".join(buffers)
        assert len(data) == size
        self._decoder.receive_data(data)

    def events(self) -> Iterator[AnyEvent]:
        """Yield what has come since the last call."""
        while (body := self._decoder.next_body()) is not None:
            yield decode_event(body)


class House:
    """Log, index, accounts and chat over the directory ``data``."""

    def __init__(self, data: Path, rate: Rate = Rate(0, 1)) -> None:  # noqa: B008 - immutable
        self.data = data
        self.rate = rate
        self.mono = 0.0
        self.store_fails = False
        self.said: list[Said] = []  # all that the log has ever taken
        self._open()

    def _open(self) -> None:
        self.index = Index(self.data / "history.index", "boot")
        recovery = Recovery(self.data / "history.json", self.index.checkpoint)
        self.log = Log(recovery.files, recovery.position, "never", recovery.began)
        self.trusted = recovery.trusted is not None
        self.index.start(self.log, recovery.tail, self.trusted, recovery.floor)
        self.retention = Retention(Keep(), self.log, self.index)
        self.accounts = Accounts(self.data / "users.json")
        self.chat = Chat(
            self.accounts,
            Secret(self.data / "server.secret"),
            Archive(self.log, self.index),
            self.log.append,
            Greeting("Parley", "", "never", LIMITS),
            self.rate,
            lambda: f"secret-{next(_secrets)}-0123456789",
            Shelf(self.data / "files", ShelfLimits(1 << 20, 1 << 24, 1 << 22)),
            Addresses(Bounds()),
        )
        self.clients: list[Client] = []
        self.closed: list[Session] = []
        self._parked: list[tuple[Session, AnyRequest]] = []

    @property
    def moment(self) -> Moment:
        return Moment(self.mono, 1_000_000 + self.mono)

    def connect(self, address: str = "a") -> Client:
        """Return a new connection."""
        session = self.chat.connect(address, encode_frame)
        client = Client(session)
        session.carrier = client
        self.clients.append(client)
        return client

    def ask(self, client: Client, *requests: AnyRequest) -> None:
        """Give the chat requests of ``client``; they are answered by ``tick``."""
        for request in requests:
            if client.session.state == "waiting":
                self._parked.append((client.session, request))
                continue
            try:
                self.chat.receive(client.session, request, self.moment)
            except IndexUnavailableError as problem:
                self.chat.unavailable(client.session, request, problem)
            except IndexBehindError:
                self._parked.append((client.session, request))

    def tick(self, seconds: float = 0.01) -> None:
        """End a tick as the server does."""
        self.mono += seconds
        self.log.withdraw(self.chat.sent_again(self.moment))
        if self.store_fails:
            self.chat.not_applied(self.log.take_back())
        try:
            stored = self.log.commit(self.mono)
        except StoreUnavailableError:
            raise AssertionError("the disk is full") from None
        self.index.add(stored)
        self.said += [entry.record for entry in stored if isinstance(entry.record, Said)]
        if stored:
            self.chat.applied(stored, self.moment)
        self.chat.commit_accounts()
        self.chat.advance(self.moment)
        letters, shares = self.chat.outbox.flush()
        for recipient, data in zip(*letters, strict=True):
            recipient.carrier.take([data], len(data))
        for share in shares:
            for recipient in share.recipients:
                recipient.carrier.take(share.buffers, share.size)
        self.closed += self.chat.settle()
        self.index.fill()
        parked, self._parked = self._parked, []
        for session, request in parked:
            self.ask(session.carrier, request)

    def quiet(self) -> None:
        """Tick until nothing is left to be done."""
        self.tick()
        while (
            self._parked
            or self.log.waiting
            or self.chat.due is not None
            or self.index.behind
            or self._unsent
        ):
            self.tick(1.0)

    @property
    def _unsent(self) -> bool:
        return self.log.waiting or not self.chat.outbox.empty

    def rotate(self) -> None:
        """Close history.json and begin another."""
        self.retention.keep = Keep(size=1)
        self.retention.look(self.moment.utc)

    def drop_oldest(self) -> None:
        """Drop the oldest closed file; history.json is closed too if it is as big as the rest."""
        closed = self.log.files.closed.items()
        held = sum(stamp.size for number, stamp in closed if number != MARKS)
        self.retention.keep = Keep(size=held + self.log.position.end - 1, drop=True)
        self.retention.look(self.moment.utc)
        while self.retention.under_way:
            self.retention.step(self.moment.utc)

    def lose(self, client: Client, reason: str = "lost") -> None:
        """The connection of ``client`` ends."""
        self.clients.remove(client)
        self.chat.lost(client.session, reason, self.moment)

    def crash(self) -> None:
        """Kill the process and start another on what it left."""
        self.log.files.close()
        self.index.db.close()
        self._open()

    def restart(self, anew: bool = False) -> None:
        """End in good order and start again; ``anew``: the index is gone meanwhile."""
        self.log.close()
        self.index.close()
        if anew:
            remove_index(self.data)
        self._open()

    def close(self) -> None:
        """End for good."""
        self.log.close()
        self.index.close()
