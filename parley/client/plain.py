"""The client line by line: for screen readers, simple terminals, and terminals' own scrollback.

Each line is whole by itself: when, who, to whom, what. What comes in is printed above
the line being typed, which stays as it is. An own message is printed when the server has
stored it, so that what stands there is true; if that takes long, a line says so.
"""

import asyncio
import contextlib
import functools
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, create_app_session, get_app, run_in_terminal
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.output import DummyOutput
from prompt_toolkit.output.plain_text import PlainTextOutput
from prompt_toolkit.utils import is_dumb_terminal

from framing.names import key
from parley.client.commands import table
from parley.client.commands.face import Older
from parley.client.files.job import Job, State
from parley.client.files.work import Work
from parley.client.ground import terminal
from parley.client.ground.clean import clean, sendable
from parley.client.ground.faults import fault
from parley.client.ground.preferences import Preferences
from parley.client.ground.store import Store
from parley.client.ground.times import in_own_time
from parley.client.model.conversation import Conversation, Entry, Fate
from parley.client.model.lines import found_line, lines_of, not_stored
from parley.client.model.model import Model
from parley.client.session.happenings import Change, Happening, RefusedError, Status
from parley.client.session.joining import Settings
from parley.client.session.session import Session

_PROGRESS: Final = 5.0  # seconds between two words on how far a file is
_LATE: Final = 2.0  # seconds without an acknowledgement before that is said
_PATIENCE: Final = 3.0


@contextlib.contextmanager
def lines_only() -> Iterator[None]:
    """While this lasts a dumb terminal is written no escape sequences."""
    output = PlainTextOutput(sys.stdout) if is_dumb_terminal() else None
    with create_app_session(output=output):
        yield


class Plain:
    """One run of the plain face."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        preferences: Preferences,
        to: str,
        downloads: Path,
        room: str | None = None,
    ) -> None:
        settings.ask_password = settings.ask_password or self._ask_to_log_in
        settings.new_nick = self._new_nick
        settings.ask = self.ask
        self.preferences = preferences
        self._room = room
        self.keys = ""
        self.model = Model(settings.nick)
        self.session = Session(settings, store, self._happened)
        self.downloads = downloads
        self.work = Work(self.session, self._job_changed)
        self.model.show(self.model.conversation(to))
        self.model.entered = self._entered
        self._own: list[tuple[Conversation, Entry]] = []
        self._lines: deque[str] = deque()  # to be printed
        self._printable = asyncio.Event()
        self._leaving = asyncio.Event()
        self._prompts: PromptSession[str] = PromptSession(erase_when_done=True)
        self._prompting = asyncio.Lock()
        self._reading = False
        self._questions = 0  # that wait for their turn
        self._draft = ""
        self._kept: str | None = None  # whose draft is here
        self._dumb = is_dumb_terminal()
        self._alerts = 0
        self._trouble = ""  # why there is no connection, as it was said last
        self._tasks: set[asyncio.Task[None]] = set()
        self.preferred()

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code."""
        self._print("Parley. /help lists the commands, q! leaves.")
        asyncio.get_running_loop().set_exception_handler(self._unforeseen)
        for name, draft in self.session.memory.drafts.items():
            if key(name) != key(self.model.current.name):
                self._say_not_sent(name, draft)
        self._happened(self.session.outbox.open)  # of an earlier run
        session = asyncio.create_task(self.session.run())
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._leaving.wait())]
        printer = asyncio.create_task(self._write())
        # Between two prompts Ctrl+C does not come as a key: it cancels what is run.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({session, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for job in self.work.running:
            self.work.cancel(job)
        for task in (*tasks, *self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._keep_draft()
        waiting = [] if session.done() else await self.session.quit(_PATIENCE)
        code = 0
        try:
            await session
        except RefusedError:
            code = 4
        printer.cancel()
        if waiting:
            self._print(not_stored(waiting, self.session.memory.kept))
        self._print_all()
        return code

    def _take_draft(self) -> None:
        """Go on with what was being typed here at the end of an earlier run."""
        name = self.model.current.name
        draft = self.session.memory.drafts.get(name, "")
        if draft and not self._draft and self._kept is None and "\n" not in draft:  # the screen's
            self._draft, self._kept = draft, name

    def _keep_draft(self) -> None:
        """Keep what is being typed for the next start, and show it: if another client is in as
        this one now, only what that one keeps stays."""
        self._forget_kept()
        draft = sendable(self._draft)
        if draft:
            self._print(f"Not sent: {clean(draft)}")
            self.session.memory.keep_draft(self.model.current.name, draft)
            self.session.memory.save_now()

    def _forget_kept(self) -> None:
        if self._kept is not None:
            self.session.memory.keep_draft(self._kept, "")
            self._kept = None

    def _unforeseen(self, _loop: object, context: dict[str, Any]) -> None:
        self._print(f"{fault(context.get('exception'), context['message'])}. It goes on.")

    # What a command needs

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for a password on a line of its own, hidden."""
        return await self._ask(prompt, hidden=True)

    async def ask(self, prompt: str) -> str | None:
        """Ask for something on a line of its own."""
        return await self._ask(prompt, hidden=False)

    async def _ask_to_log_in(self, prompt: str) -> str | None:
        # Who knows the question may have answered before it was asked: that is for nobody's eyes.
        here = key(self.model.current.name)
        early = []
        for message in self.session.outbox.take_back():
            if key(message.to) == here:
                early.append(message.text)
            else:
                self._put_aside(message.to, message.text)
        if early:
            typing = self._prompts.default_buffer if self._reading else None
            draft = self._draft if typing is None else typing.text
            text = " ".join(filter(None, (draft, *early)))
            if typing is None:
                self._draft = text
            else:
                typing.text = text
        return await self.ask_password(prompt)

    def _put_aside(self, name: str, text: str) -> None:
        """Keep a text as the draft of another conversation than the current one, and say so."""
        draft = " ".join(filter(None, (self.session.memory.drafts.get(name), text)))
        self.session.memory.keep_draft(name, draft)
        self._say_not_sent(name, draft)

    def _say_not_sent(self, name: str, draft: str) -> None:
        self._print(f"Not sent to {clean(name)}: {clean(draft)}. /go {clean(name)}")

    async def _new_nick(self, why: str) -> str | None:
        self._print(f"{clean(why)}.")
        return await self._ask("Another nick: ", hidden=False)

    async def _ask(self, prompt: str, hidden: bool) -> str | None:
        if self._reading:
            app = get_app() if self._dumb else self._prompts.app
            if app.is_running and not app.is_done:
                self._draft = self._prompts.default_buffer.text
                app.exit(result="\0")  # make room for the question
        self._questions += 1
        try:
            await self._prompting.acquire()
        finally:
            self._questions -= 1
        try:
            # A dumb terminal shows each key as it is typed, what is hidden too.
            unseen = self._dumb and hidden
            asked: PromptSession[str] = PromptSession(output=DummyOutput() if unseen else None)
            if unseen:  # not asked before the terminal has stopped to echo
                asked.app.after_render += functools.partial(self._ask_once, prompt)
            answer = await asked.prompt_async(
                prompt, is_password=hidden, set_exception_handler=False
            )
            return sendable(answer)
        except (EOFError, KeyboardInterrupt):
            return None
        finally:
            self._prompting.release()

    def _ask_once(self, prompt: str, app: Application[str]) -> None:
        if app.render_counter == 1:
            print(prompt, flush=True)

    def show(self, title: str, text: str) -> None:
        """Print a longer text."""
        self._print(f"{title}:")
        for line in text.split("\n"):
            self._print(f"  {line}")

    def preferred(self) -> None:
        """Do as the preferences say."""
        self.model.shows_comings = self.preferences["comings"] == "on"
        vi = self.preferences["keys"] == "vi"
        self._prompts.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard. Raises ``ValueError`` if it is too long for that."""
        terminal.copy(self._prompts.app.output, text)

    def go(self, conversation: Conversation) -> None:
        """Write to a conversation from now on."""
        if conversation is not self.model.current:
            self.model.show(conversation)
            self._print(f"Now writing to {conversation.name}.")

    def found(self, title: str, found: list[tuple[str, Entry]], older: Older | None) -> None:
        """Print what a search found, the newest last."""
        self._print(f"{title}:")
        for name, entry in reversed(found):
            self._print(f"  {found_line(name, entry)}")
        if older is not None:
            self._print("  There are older ones: before:DAY, as in before:2026-11-21, finds them.")

    async def bare(self) -> None:
        """Nothing is shown here but text."""
        self._print("All here is plain text already.")

    def clear(self) -> None:
        """Clear the terminal."""
        self._prompts.app.renderer.clear()

    def leave(self) -> None:
        """End the program."""
        self._leaving.set()

    # Reading and printing

    async def _read(self) -> None:
        while True:
            async with self._prompting:
                if self._questions:
                    continue  # they come first
                try:
                    line = await self._read_line()
                except (EOFError, KeyboardInterrupt):
                    return
                except OSError:
                    terminal.gone()
                    return
            if line == "\0":
                continue
            self._forget_kept()
            self._run(line)

    async def _read_line(self) -> str:
        """Read a line, beginning with the draft. Whatever ends it sooner, the draft is kept."""
        self._take_draft()
        draft, self._draft = self._draft, ""
        self._reading = True
        try:
            return await self._prompts.prompt_async(
                lambda: f"{self.model.current.name}> ",
                default=draft,
                set_exception_handler=False,
            )
        except BaseException:
            self._draft = self._prompts.default_buffer.text
            raise
        finally:
            self._reading = False

    def _run(self, line: str) -> None:
        before = self.model.current
        work = table.run(self, line)
        if self.model.current is not before:
            self._print(f"Now writing to {self.model.current.name}.")
        if work is not None:
            # It may ask something of its own: it must not wait for the one who reads lines.
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _happened(self, batch: list[Happening]) -> None:
        self.model.take(batch, time.time())
        for event in batch:
            if isinstance(event, Change):
                self._changed(event)
        self._print_own()
        if self.model.alerts > self._alerts:
            self._alerts = self.model.alerts
            self._alert()

    def _job_changed(self, job: Job) -> None:
        if job.problem and not job.over:
            self._print(f"{job.name}: {job.problem}.")
        elif not job.over and job.state is not State.MOVING:
            what = "is read through" if job.state is State.CHECKING else "is on its way"
            self._print(f"{job.name} {what}; /cancel breaks it off.")
            asyncio.get_running_loop().call_later(_PROGRESS, self._say_progress, job)

    def _say_progress(self, job: Job) -> None:
        if not job.over:
            self._print(f"{job.name}: {job.progress(time.monotonic())}")
            asyncio.get_running_loop().call_later(_PROGRESS, self._say_progress, job)

    def _alert(self) -> None:
        entry = self.model.last_alert
        if self.preferences["alert"] == "bell":
            self._prompts.app.output.bell()
        elif self.preferences["alert"] == "notice" and entry is not None:
            terminal.notify(self._prompts.app.output, f"{entry.nick}: {clean(entry.text)}")

    def _changed(self, change: Change) -> None:
        if change.status is Status.ONLINE:
            self._trouble = ""
            mine = key(self.model.nick)
            people = [p.nick for p in self.model.people.online if key(p.nick) != mine]
            who = ", ".join(people[:20]) if people else "nobody else"
            more = f" and {len(people) - 20} more" if len(people) > 20 else ""
            room, self._room = self._room, None
            if room is not None:
                self._run(f"/join {room}")
            self._print(f"Connected as {self.model.nick}. Here: {who}{more}.")
            for line in self.model.motd.split("\n") if self.model.motd else ():
                self._print(line)
        elif change.status is Status.WAITING:
            text = clean(in_own_time(change.text))
            if text != self._trouble:  # each try would be read out else, for as long as it lasts
                self._trouble = text
                stop = "" if text.endswith("?") else "."
                self._print(f"Not connected: {text}{stop} Trying again.")
        elif change.status is Status.ENDED and change.text:
            self._print(f"Ended: {clean(in_own_time(change.text))}.")

    def _entered(self, conversation: Conversation, entry: Entry) -> None:
        if entry.fate is Fate.NONE:
            self._print_entry(conversation, entry)
        else:
            self._own.append((conversation, entry))
            asyncio.get_running_loop().call_later(_LATE, self._say_late, entry)

    def _print_own(self) -> None:
        """Print the own messages whose fate is known now."""
        waiting = []
        for conversation, entry in self._own:
            if entry.fate is Fate.STORED:
                self._print_entry(conversation, entry)
            elif entry.fate is Fate.FAILED:
                why = f" (not sent: {entry.why}; /retry sends it again, /drop forgets it)"
                self._print_entry(conversation, entry, why)
            elif entry in conversation.entries:
                waiting.append((conversation, entry))
        self._own = waiting

    def _say_late(self, entry: Entry) -> None:
        if any(entry is own for _, own in self._own):
            self._print(f"(not stored yet: {_first_line(entry.text)})")

    def _print_entry(self, conversation: Conversation, entry: Entry, state: str = "") -> None:
        for line in lines_of(conversation, entry, self.model.nick):
            self._print(line + state)

    def _print(self, line: str) -> None:
        self._lines.append(line)
        self._printable.set()

    async def _write(self) -> None:
        """Print what there is to print above the prompt."""
        while True:
            await self._printable.wait()
            try:
                if self._dumb:
                    self._print_all()
                else:
                    await run_in_terminal(self._print_all)
            except OSError:
                terminal.gone()

    def _print_all(self) -> None:
        """Print all that has gathered, at once."""
        self._printable.clear()
        lines = list(self._lines)
        self._lines.clear()
        if lines:
            print("\n".join(lines), flush=True)


def _first_line(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first[:60]}…" if rest or len(first) > 60 else first
