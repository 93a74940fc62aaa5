"""The client without a screen: lines in, lines out, or one JSON object a line for programs.

Standard output carries what is said, nothing else; what goes wrong is told on standard
error in a sentence. At the end of the input everything must be acknowledged before the
program ends well.
"""

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import humanize
import msgspec

from framing.codec import decode_request, encode
from framing.errors import BodyError
from framing.events import Error, Event, History, Message, Welcome
from framing.filenames import FileNameError, plain_name
from framing.requests import Enter, Say
from parley.client.files.disk import FileProblemError
from parley.client.files.job import CancelledByPersonError, Job, State
from parley.client.files.paths import expanded, taken
from parley.client.files.work import FileRefusedError, Work
from parley.client.ground.clean import clean, clean_text, sane, sendable
from parley.client.ground.piping import LONGEST, lines, write
from parley.client.ground.store import Store
from parley.client.session.happenings import (
    Change,
    Dropped,
    Failed,
    Happening,
    OtherLog,
    Queued,
    RefusedError,
    Status,
    Stored,
    Trouble,
)
from parley.client.session.joining import Settings
from parley.client.session.session import Session

OK: Final = 0
CANNOT_WRITE: Final = 1
CANNOT_READ: Final = 2
CANNOT_CONNECT: Final = 3
REFUSED: Final = 4

_PROGRESS: Final = 0.1  # seconds between two looks at how far a file is
_BAR: Final = 20  # cells
_EXPECTED: Final = (
    FileRefusedError,
    FileProblemError,
    FileNameError,
    CancelledByPersonError,
    OSError,
)
_LINES_AHEAD: Final = 1000  # lines read before they are acknowledged; more wait in the pipe


@dataclass(frozen=True, slots=True)
class Errands:
    """What is to be done instead of reading lines: texts to ``send``, names of files to ``get``
    into ``downloads``, paths of files to ``put``; ``udp`` whether by QUIC."""

    send: Sequence[str]
    get: Sequence[str]
    put: Sequence[Path]
    downloads: Path
    udp: bool

    def __bool__(self) -> bool:
        return bool(self.send or self.get or self.put)


class Headless:
    """One run. With ``errands`` it does these and ends."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        to: str,
        room: str | None,
        errands: Errands,
        jsonl: bool,
        wait: float,
    ) -> None:
        self._room = room
        self._to = to
        self._errands = errands
        self._files: Work | None = None
        self._jsonl = jsonl
        self._wait = wait
        self._code = OK
        self._online = asyncio.Event()
        self._ends = asyncio.Event()
        self._told = False
        self._trouble = ""  # why there is no connection, as it was said last
        self._said_anew: dict[int, int] = {}  # what was changed, up to which seq that is printed
        self.session = Session(settings, store, self._happened)

    async def run(self) -> int:
        """Run until the input ends. Return the exit code."""
        try:
            return await self._run()
        except asyncio.CancelledError:  # ctrl+c: whoever reads on elsewhere is told of the leaving
            await self._leave()
            if self._errands or self._jsonl:
                raise
            return self._code
        finally:
            self._cancel_files()

    def leave(self) -> None:
        """End the run: what is not acknowledged by now is complained of."""
        self._told = True
        self._ends.set()

    def _cancel_files(self) -> None:
        if self._files is not None:
            for job in self._files.running:
                self._files.cancel(job)

    async def _run(self) -> int:
        session = asyncio.create_task(self.session.run())
        work = asyncio.create_task(self._work())
        ends = asyncio.create_task(self._ends.wait())
        await asyncio.wait({session, work, ends}, return_when=asyncio.FIRST_COMPLETED)
        self._cancel_files()
        if not session.done():
            await self._acknowledged()
            await self._leave()
        for task in (work, ends):
            task.cancel()
        try:
            await session
        except RefusedError as problem:
            self._complain(str(problem))
            return REFUSED
        except ConnectionError as problem:
            self._complain(str(problem))
            return REFUSED if getattr(problem, "word", None) else CANNOT_CONNECT
        for task in (work, ends):
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return self._code

    async def _acknowledged(self) -> None:
        """Wait for acknowledgements as long as they keep coming: many lines take their time at the
        server's rate."""
        left, since = len(self.session.outbox.waiting), time.monotonic()
        while left and time.monotonic() - since < self._wait:
            if self._told or self.session.status is Status.ENDED:
                return
            await asyncio.sleep(0.02)
            now = len(self.session.outbox.waiting)
            if now < left:
                left, since = now, time.monotonic()

    async def _leave(self) -> None:
        """Say goodbye, and what is not acknowledged."""
        waiting = await self.session.quit(0)
        if waiting:
            self._complain(f"{len(waiting)} messages were not acknowledged: they may be lost")
            self._code = self._code or CANNOT_CONNECT

    async def _work(self) -> None:
        """Send what is to be sent."""
        await self._online.wait()
        if (room := self._room) is not None:
            try:
                answer = await self.session.ask(lambda ref: Enter(ref, room))
            except ConnectionError as problem:
                self._complain(f"cannot enter {room}: {problem}")
                self._code = CANNOT_CONNECT
                return
            if isinstance(answer, Error):
                self._complain(answer.text)
                self._code = REFUSED
                return
        if self._errands:
            await self._run_errands()
            return
        try:
            async with contextlib.aclosing(lines(sys.stdin.fileno())) as coming:
                async for line in coming:
                    if not await self._line(line):
                        return
        except OSError as problem:
            self._complain(f"cannot read what is to be sent: {problem.strerror}")
            self._code = CANNOT_READ

    async def _run_errands(self) -> None:
        for text in self._errands.send:
            self.session.outbox.say(sendable(text), self._to)
        work = self._files = Work(self.session, self._job_changed)
        udp = self._errands.udp
        for path in self._errands.put:
            await self._finish(work, self._put(work, path, udp), path.name or str(path))
        for name in self._errands.get:
            await self._finish(work, self._get(work, name, udp), name)

    async def _put(self, work: Work, path: Path, udp: bool) -> Job:
        return await work.put(expanded(path), self._to, udp)

    async def _get(self, work: Work, name: str, udp: bool) -> Job:
        ticket = await work.look(name)
        path = self._errands.downloads / plain_name(ticket.name)
        if taken(path):
            if await work.is_here(ticket, path):
                return Job(False, path.name, path, ticket.size, ticket.size, State.DONE)
            raise FileRefusedError(f"{path} is there: nothing is written over")
        return await work.get(ticket, None, path, udp)

    async def _finish(self, work: Work, coming: Coroutine[None, None, Job], name: str) -> None:
        """Wait for a file, telling how far it is if there is a terminal to tell."""
        task = asyncio.ensure_future(coming)
        while not task.done():
            await asyncio.wait({task}, timeout=_PROGRESS)
            for job in work.running:
                self._draw(f"{job.name}  {job.bar(_BAR)}  {job.progress(time.monotonic())}")
        self._draw("")
        try:
            job = task.result()
        except _EXPECTED as problem:
            self._complain(_about(name, str(problem)))
            self._code = REFUSED
            return
        if job.state is not State.DONE:
            self._complain(_about(name, job.problem))
            self._code = REFUSED
        elif sys.stderr.isatty():
            self._draw(f"{job.name}  {humanize.naturalsize(job.size)}  is there\n")

    def _job_changed(self, job: Job) -> None:
        if job.problem and not job.over:
            self._complain(f"{job.name}: {job.problem}")

    def _draw(self, line: str) -> None:
        """Write over the line that tells how far a file is."""
        if sys.stderr.isatty():
            from parley.client.ground.cells import cut

            shown = cut(line.rstrip("\n"), shutil.get_terminal_size().columns - 1)
            end = "\n" if line.endswith("\n") else ""
            print(f"\r\x1b[K{shown}", end=end, file=sys.stderr, flush=True)

    async def _line(self, line: bytes) -> bool:
        """Send one line of input. False if it was the last by its own word."""
        while len(self.session.outbox.waiting) >= _LINES_AHEAD:
            await asyncio.sleep(0.01)
        if len(line) > LONGEST:
            self._take_too_long()
            return True
        if self._jsonl:
            self._take_json(line)
            return True
        text = line.decode(errors="replace").rstrip("\r\n")
        if text == "q!":
            return False
        if text.strip():
            self.session.outbox.say(text, self._to)
        return True

    def _take_too_long(self) -> None:
        text = f"not sent: a line of input is longer than {LONGEST} bytes"
        self._complain(text)
        if self._jsonl:
            self._print_json(msgspec.json.encode({"purpose": "invalid", "text": text}))
        else:
            self._code = REFUSED

    def _take_json(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            given = msgspec.json.decode(line, type=dict[str, Any])
            if "purpose" not in given or given["purpose"] == "message":
                given = {"ref": "x", "to": self._to, **given, "purpose": "message"}
            request = decode_request(msgspec.json.encode(given))
        except (msgspec.MsgspecError, BodyError, UnicodeDecodeError) as problem:
            self._complain(f"not a request: {problem}")
            self._print_json(msgspec.json.encode({"purpose": "invalid", "text": str(problem)}))
            return
        if isinstance(request, Say):
            self.session.outbox.say(request.text, request.to)
            return
        try:
            self.session.send_raw(request)
        except ConnectionError as problem:
            self._print_json(msgspec.json.encode({"purpose": "invalid", "text": str(problem)}))

    # What happens

    def _happened(self, batch: list[Happening]) -> None:
        for event in batch:
            if isinstance(event, Change):
                if event.status is Status.ONLINE:
                    self._online.set()
                    self._trouble = ""
                if event.status is Status.WAITING and not self._jsonl and self._online.is_set():
                    if event.text != self._trouble:  # not at each try, for as long as it lasts
                        self._complain(f"{event.text}; trying again")
                    self._trouble = event.text
            elif isinstance(event, Failed):
                how = f": --room {self._to} does" if event.text == f"enter {self._to} first" else ""
                self._complain(f"not sent: {event.text}{how}")
                self._code = REFUSED
            elif isinstance(event, OtherLog):
                self._said_anew.clear()
                self._complain("the server has another history than before")
            elif isinstance(event, Trouble) or (isinstance(event, Error) and not self._jsonl):
                self._complain(event.text)
            if self._jsonl:
                self._print_json(_as_json(event))
            elif isinstance(event, Message):
                self._print_message(event, past=False)
            elif isinstance(event, History) and event.replay:
                for message in event.messages:
                    self._print_message(message, past=True)

    def _print_message(self, message: Message, past: bool) -> None:
        original = message.edit_of or message.redact_of
        # A replay gives a message, and each of its changes, as it is by then.
        if self._errands or (original and message.seq <= self._said_anew.get(original, 0)):
            return
        redacted = message.redacted or message.redact_of is not None
        changed = message.changed is not None or message.edit_of is not None
        if past and (redacted or changed):
            self._said_anew[original or message.seq] = message.changed or message.seq
        nick = clean(message.from_)
        who = f"{nick} -> {clean(message.to)}" if message.to.startswith("@") else nick
        at = time.strftime("%H:%M", time.localtime(sane(message.time)))
        mark = "[History] " if past else ""
        text = clean_text(message.text).replace("\n", "\n    ")
        text = "(taken back)" if redacted else f"{text} (edited)" if changed else text
        self._print(f"{mark}[{at}] {who}: {text}\n".encode())

    def _print_json(self, body: bytes) -> None:
        self._print(body + b"\n")

    def _print(self, line: bytes) -> None:
        try:
            write(sys.stdout.fileno(), line)
        except OSError as problem:
            # Python must not find it broken again when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not isinstance(problem, BrokenPipeError):  # nobody reads any more
                self._complain(f"cannot write what is said: {problem.strerror}")
                self._code = CANNOT_WRITE
            self._ends.set()

    def _complain(self, text: str) -> None:
        with contextlib.suppress(OSError):
            print(f"chat_client: {clean(text)}", file=sys.stderr, flush=True)


def _as_json(event: Happening) -> bytes:
    """Return an event of the wire as it is, one of the session as an object of its own."""
    if isinstance(event, Event):
        if isinstance(event, Welcome):
            event = msgspec.structs.replace(event, token=None)  # a secret is for the store alone
        return encode(event)
    known: dict[str, object]
    if isinstance(event, Change):
        known = {"purpose": "connection", "status": event.status.name.lower(), "text": event.text}
    elif isinstance(event, Queued):
        known = {"purpose": "queued", "ref": event.ref, "to": event.to, "text": event.text}
    elif isinstance(event, Stored):
        known = {"purpose": "stored", "ref": event.ref, "seq": event.seq, "time": event.time}
    elif isinstance(event, Dropped):
        known = {"purpose": "dropped", "ref": event.ref}
    elif isinstance(event, Failed):
        known = {"purpose": "failed", "ref": event.ref, "text": event.text}
    elif isinstance(event, OtherLog):
        known = {"purpose": "other_log"}
    else:
        known = {"purpose": "trouble", "text": event.text}
    return msgspec.json.encode(known)


def _about(name: str, problem: str) -> str:
    return problem if problem.startswith(f"{name}: ") else f"{name}: {problem}"
