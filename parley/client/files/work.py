"""The files one fetches and brings: each by a ticket asked for over the chat, over a connection of
its own, in a thread of its own; gone on with when it breaks off.
"""

import asyncio
import contextlib
import re
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from framing.errors import ErrorWord
from framing.events import AnyEvent, Error, Files, Shared, TicketFor
from framing.filenames import FileNameError, name_key, plain_name
from framing.requests import DeleteFile, Get, ListFiles, Put, Request
from parley.client.files import disk
from parley.client.files.disk import FileProblemError, Saving, WrongBytesError
from parley.client.files.job import CancelledByPersonError, Job, State
from parley.client.files.link import CarryingError
from parley.client.files.paths import check_shareable
from parley.client.files.quic import NoWayError, QuicLink
from parley.client.files.tcp import TcpLink
from parley.client.ground.clean import clean
from parley.client.ground.faults import fault
from parley.client.session.happenings import Status
from parley.client.session.session import Session

_TRIES: Final = 6
"""Times that a job is gone on with without having come any further."""

_PAUSE: Final = 1.0  # seconds between two of them
_AT_ONCE: Final = 4  # files carried at the same time; more wait their turn
_MOST: Final = 100_000  # files in a list
_ANSWER: Final = 120.0  # seconds for a ticket: the server may have to read a file through
_LONG: Final = 1.5  # seconds without a ticket before that is said
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_BACK: Final = 120.0  # seconds in which the connection to the server must come back

_AGAIN: Final = frozenset(
    word.value
    for word in (
        ErrorWord.LIMIT_EXCEEDED,
        ErrorWord.SHUTTING_DOWN,
        ErrorWord.TICKET_EXPIRED,
        ErrorWord.SERVER_FULL,
    )
)


Answer = TypeVar("Answer")


class FileRefusedError(Exception):
    """The server refused, or its answer makes no sense. ``word`` is its error."""

    def __init__(self, text: str, word: str = "") -> None:
        super().__init__(text)
        self.word = word


_FORESEEN: Final = (
    FileProblemError,
    FileRefusedError,
    FileNameError,
    CarryingError,
    NoWayError,
    OSError,
)


class Work:
    """The jobs of a ``session``. ``changed`` is told of each that begins, goes on another way, or
    is over."""

    def __init__(self, session: Session, changed: Callable[[Job], None]) -> None:
        self._session = session
        self._changed = changed
        self._threads = ThreadPoolExecutor(_AT_ONCE, "file")
        self.jobs: list[Job] = []
        self._asking: dict[Job, asyncio.Task[TicketFor]] = {}

    @property
    def running(self) -> list[Job]:
        """The jobs that are not over."""
        return [job for job in self.jobs if not job.over]

    def cancel(self, job: Job) -> None:
        """Break a job off. What has come stays, for another time."""
        job.cancelled.set()
        asking = self._asking.pop(job, None)
        if asking is not None:
            asking.cancel()

    async def files(self, where: str | None = None) -> list[Shared]:
        """Return the files one may have, or those of one conversation.

        Raises ``FileRefusedError`` or ``ConnectionError``.
        """
        found: list[Shared] = []
        after: str | None = None
        while True:
            answer = await self._ask(lambda ref, a=after: ListFiles(ref, where, a))  # type: ignore[misc]
            if not isinstance(answer, Files):
                raise FileRefusedError("the server's answer makes no sense")
            found += answer.files
            last = answer.files[-1].name if answer.files else ""
            if answer.end or name_key(last) <= name_key(after or "") or len(found) > _MOST:
                return found
            after = last

    async def delete(self, name: str, where: str | None) -> None:
        """Take a file from the shelf. Raises ``FileRefusedError`` or ``ConnectionError``."""
        await self._ask(lambda ref: DeleteFile(ref, name, where))

    async def look(self, name: str, where: str | None = None) -> TicketFor:
        """Ask for a ticket: what the file is. If that takes long, it is a job to be cancelled.

        Raises as ``files`` does, and ``CancelledByPersonError``.
        """
        job = Job(False, clean(name), Path())
        asking = asyncio.ensure_future(self._patiently(job, self._look(name, where)))
        try:
            await asyncio.wait({asking}, timeout=_LONG)
            if not asking.done():
                job.problem = "the server is still reading it through"
                self._begin(job)
                job.problem = ""
            return await asking
        finally:
            asking.cancel()
            job.state = State.DONE
            self._changed(job)

    async def _look(self, name: str, where: str | None) -> TicketFor:
        ticket = await self._ask(lambda ref: Get(ref, name, where))
        if not isinstance(ticket, TicketFor):
            raise FileRefusedError("the server's answer makes no sense")
        if name_key(ticket.name) != name_key(name):
            raise FileRefusedError(f"the server answered with another file: {clean(ticket.name)}")
        if not _DIGEST.fullmatch(ticket.sha256):
            raise FileRefusedError("the server's answer makes no sense")
        try:
            plain_name(ticket.name)
        except FileNameError as problem:
            text = f"the server calls it what no file may be called: {problem}"
            raise FileRefusedError(text) from None
        return ticket

    async def is_here(self, ticket: TicketFor, path: Path) -> bool:
        """Tell whether the file at ``path`` is the one that ``ticket`` is for: a job, since it is
        read through. Raises ``CancelledByPersonError``."""
        job = Job(False, clean(path.name), path, ticket.size, state=State.CHECKING)
        same = False
        self._begin(job)
        with self._ending(job):
            same = await self._in_thread(job, disk.is_same, job, ticket.sha256)
        job.check_cancelled()
        return same

    async def get(self, ticket: TicketFor, where: str | None, path: Path, udp: bool) -> Job:
        """Fetch the file that ``ticket`` is for, to ``path``. Return the job when it is over."""
        job = Job(False, clean(ticket.name), path, ticket.size)
        sha256 = ticket.sha256
        first: list[TicketFor] = [ticket]

        async def next_ticket() -> TicketFor:
            return first.pop() if first else await self._look(ticket.name, where)

        def carry(ticket: TicketFor, quic: bool) -> None:
            if (ticket.size, ticket.sha256) != (job.size, sha256):
                raise CarryingError("the file on the server is another by now", "CHANGED")
            saving.catch_up()
            with contextlib.closing(self._link(job, ticket, quic)) as link:
                link.fetch(ticket.ticket, saving)

        if any(other.path == path for other in self.running):
            return self._fail(job, "it is being fetched already")
        self._begin(job)
        with self._ending(job):
            saving = await self._in_thread(job, Saving, job, sha256)
            try:
                await self._persist(job, next_ticket, carry, udp)
                job.state = State.CHECKING
                await self._in_thread(job, saving.finish)
            finally:
                await self._in_thread(job, saving.close)
        return job

    async def put(self, path: Path, to: str, udp: bool) -> Job:
        """Bring the file at ``path``, for the conversation ``to``. Return the job when it is
        over."""
        job = Job(True, clean(path.name), path, state=State.CHECKING)

        async def next_ticket() -> TicketFor:
            request = lambda ref: Put(ref, path.name, job.size, job.sha256, to)  # noqa: E731
            ticket = await self._ask(request)
            if not isinstance(ticket, TicketFor):
                raise FileRefusedError("the server's answer makes no sense")
            return ticket

        def carry(ticket: TicketFor, quic: bool) -> None:
            with contextlib.closing(self._link(job, ticket, quic)) as link:
                link.store(ticket.ticket, ticket.offset, job.sha256)

        if any(other.upload and other.path == path for other in self.running):
            return self._fail(job, "it is on its way already")
        self._begin(job)
        with self._ending(job):
            await self._in_thread(job, check_shareable, path)
            job.sha256 = await self._in_thread(job, disk.digest, job)
            job.state = State.WAITING
            await self._persist(job, next_ticket, carry, udp)
        return job

    def _begin(self, job: Job) -> None:
        self.jobs = [*self.running, job]
        self._changed(job)

    def _fail(self, job: Job, problem: str) -> Job:
        job.state, job.problem = State.FAILED, problem
        self._changed(job)
        return job

    @contextlib.contextmanager
    def _ending(self, job: Job) -> Iterator[None]:
        """See to it that a job is over at the end, whatever happens, and says how."""
        try:
            yield
            job.state = State.DONE
        except CancelledByPersonError as cancelled:
            job.state, job.problem = State.CANCELLED, str(cancelled)
        except asyncio.CancelledError:
            job.state = State.CANCELLED
            raise
        except Exception as problem:  # noqa: BLE001
            job.state, job.problem = State.FAILED, _words(problem)
        self._changed(job)

    async def _persist(
        self,
        job: Job,
        next_ticket: Callable[[], Coroutine[None, None, TicketFor]],
        carry: Callable[[TicketFor, bool], None],
        udp: bool,
    ) -> None:
        """Carry a job, and go on with it when it breaks off, as long as it comes any further.
        Raises what keeps it from that."""
        tries = 0
        furthest = -1
        problem: Exception = ConnectionError("the connection was lost")
        while tries < _TRIES:
            try:
                job.check_cancelled()
                ticket = await self._patiently(job, next_ticket())
                quic = udp and ticket.quic is not None
                job.via = "UDP" if quic else "TCP"
                await self._in_thread(job, carry, ticket, quic)
                return
            except NoWayError as no_way:
                problem = no_way
                udp = False
                job.problem = "UDP does not get through: going on over TCP"
                self._changed(job)
                job.problem = ""
                continue
            except (FileRefusedError, CarryingError) as refused:
                problem = refused
                if refused.word and refused.word not in _AGAIN:
                    raise
            except (OSError, ConnectionError) as broken:
                problem = broken
            tries = 1 if job.moved > furthest else tries + 1
            furthest = max(furthest, job.moved)
            job.state = State.WAITING
            await self._online(job)
            await asyncio.sleep(_PAUSE)
        raise problem

    async def _patiently(self, job: Job, asking: Coroutine[None, None, TicketFor]) -> TicketFor:
        """Wait for a ticket, or until the job is cancelled."""
        task = self._asking[job] = asyncio.ensure_future(asking)
        try:
            return await asyncio.wait_for(task, _ANSWER)
        except asyncio.CancelledError:
            if task.cancelled() and not _is_cancelled():
                job.check_cancelled()
            raise
        except TimeoutError:
            raise FileRefusedError("the server does not answer") from None
        finally:
            self._asking.pop(job, None)

    async def _online(self, job: Job) -> None:
        """Wait until the session is online, for a while, or the job is cancelled."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _BACK
        while self._session.status is not Status.ONLINE and loop.time() < until:
            if job.cancelled.is_set():
                return
            await asyncio.sleep(0.2)

    async def _in_thread(self, job: Job, do: Callable[..., Answer], *given: object) -> Answer:
        """Do what blocks for a job in a thread; when this is over, so is that. They are the files'
        own threads: whatever happens to files, names of hosts can be looked up."""
        doing = asyncio.get_running_loop().run_in_executor(self._threads, do, *given)
        try:
            await asyncio.wait({doing})
        except asyncio.CancelledError:
            job.cancelled.set()
            while not doing.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({doing})
            doing.exception()  # it is over, however it went
            raise
        return doing.result()

    def _link(self, job: Job, ticket: TicketFor, quic: bool) -> TcpLink | QuicLink:
        if quic and ticket.quic is not None:
            return QuicLink(job, self._session.settings.host, ticket.quic)
        return TcpLink(job, self._session.trust)

    async def _ask(self, make: Callable[[str], Request]) -> AnyEvent:
        answer = await self._session.ask(make)  # type: ignore[arg-type]
        if isinstance(answer, Error):
            raise FileRefusedError(clean(answer.text), answer.error)
        return answer


def _is_cancelled() -> bool:
    """Tell whether it is the whole task that is to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _words(problem: Exception) -> str:
    """Say what went wrong, in words for people."""
    if isinstance(problem, WrongBytesError):
        return f"{problem}; it was deleted"
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{problem.filename}: " if problem.filename else ""
        return f"{where}{problem.strerror}"
    text = clean(str(problem))
    if not isinstance(problem, _FORESEEN):
        return fault(problem)
    return text or "the connection was lost"
