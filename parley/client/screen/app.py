"""The screen put together: which part does what when something happens, a key is pressed, or a
command is typed.

No thread: the session's socket and the keyboard share one asyncio loop. However much
comes in, there is one redraw for what has gathered, and a key is never behind more than that.
"""

import asyncio
import shlex
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from prompt_toolkit.application import Application, get_app_session
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout import BufferControl, Layout
from prompt_toolkit.styles import DynamicStyle

from parley.client.commands import table
from parley.client.commands.face import Older
from parley.client.files.job import Job
from parley.client.files.work import Work
from parley.client.ground import terminal
from parley.client.ground.clean import clean
from parley.client.ground.faults import fault
from parley.client.ground.preferences import Preferences
from parley.client.ground.store import Store
from parley.client.model.conversation import Conversation, Entry, Fate, Kind
from parley.client.model.lines import not_kept, not_stored
from parley.client.model.model import Model
from parley.client.screen import loading, outside, panes, switcher
from parley.client.screen.asking import Asking
from parley.client.screen.attention import Attention
from parley.client.screen.composer import Composer
from parley.client.screen.drawing import Drawing
from parley.client.screen.findings import Findings
from parley.client.screen.keys import chat_keys, keys_text
from parley.client.screen.layout import layout, rows
from parley.client.screen.navigation import Navigation
from parley.client.screen.pager import Pager
from parley.client.screen.style import style
from parley.client.screen.timeline import Timeline
from parley.client.session.happenings import Change, Happening, RefusedError, Status
from parley.client.session.joining import Settings
from parley.client.session.session import Session

_PATIENCE: Final = 2.0  # seconds for acknowledgements when one leaves
_ALT: Final = {EditingMode.EMACS: 0.25, EditingMode.VI: 0.05}
"""Seconds after Esc within which a key makes it Alt. In vi Esc comes before a key so often that
only what a terminal sends at once may be taken so."""


class Screen:
    """One run of the screen."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        preferences: Preferences,
        downloads: Path,
        room: str | None = None,
    ) -> None:
        settings.ask_password = settings.ask_password or self._ask_to_log_in
        settings.new_nick = self._new_nick
        settings.ask = self.ask
        self.preferences = preferences
        self.downloads = downloads
        self.keys = keys_text()
        self.model = Model(settings.nick)
        self.session = Session(settings, store, self._happened)
        self.model.resumed = self.session.memory.cursor is not None
        self.work = Work(self.session, self._job_changed)
        output = get_app_session().output
        self.attention = Attention(
            self.model,
            self.session,
            preferences,
            output,
            lambda: self.timeline.following,
            self.start,
        )
        attend = self.attention.attend
        self.timeline = Timeline(self.model, self._load_older, attend, self._opened)
        self.pager = Pager(self._read)
        self.asking = Asking(self._focus)
        self.composer = Composer(self.model, self.session, preferences, self._entered, attend)
        self._findings = Findings(self, self.pager, self.start)
        self.navigation = Navigation(self.model, self.composer, self._arrived)
        self.shows_people = True
        self._room = room
        self._greeted = ""
        self._fault = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._style = style(preferences["theme"])
        where = layout(
            self.model,
            self.timeline,
            BufferControl(self.composer.buffer),
            self.asking,
            self.pager,
            self._status,
            self.navigation.to_name,
            lambda: self.shows_people,
            self.work,
        )
        self.app: Application[None] = Application(
            layout=Layout(where, focused_element=self.composer.buffer),
            key_bindings=merge_key_bindings([chat_keys(self), self.asking.keys()]),
            style=DynamicStyle(lambda: self._style),
            full_screen=True,
            mouse_support=Condition(lambda: self.preferences["mouse"] == "on"),
            max_render_postpone_time=0,
            refresh_interval=1.0,
            output=output,
        )
        self.app.ttimeoutlen = 0.05
        self.app.key_processor.before_key_press += lambda _: self.attention.key_pressed()
        self.drawing = Drawing(self.app, self.model, self.timeline, self.work)
        self.preferred()

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code."""
        self.model.take(self.session.outbox.open, time.time())  # of an earlier run
        for name, draft in self.session.memory.drafts.items():
            self.model.conversation(name).draft = draft
        self.composer.show_draft()
        self.attention.watch()
        asyncio.get_running_loop().set_exception_handler(self._unforeseen)
        session = asyncio.create_task(self._run_session())
        session.add_done_callback(self._session_ended)
        try:
            await self.app.run_async(set_exception_handler=False)
        except (EOFError, OSError):
            terminal.gone()
        finally:
            terminal.report_focus(self.app.output, False)
        for job in self.work.running:
            self.work.cancel(job)
        self.attention.end()
        waiting = await self.session.quit(_PATIENCE)
        code = await session
        for task in self._tasks:
            task.cancel()
        self.app.output.set_title("")
        self.app.output.flush()
        ended = self.model.standing.change
        if ended.status is Status.ENDED and ended.text:
            print(clean(ended.text))
        memory = self.session.memory
        waiting += [] if memory.kept else self.session.outbox.refused
        if waiting:
            print(not_stored(waiting, memory.kept))
        if memory.drafts and not memory.kept:
            print(not_kept(memory.drafts))
        return code

    async def _run_session(self) -> int:
        while True:
            try:
                await self.session.run()
                return 0
            except RefusedError as problem:
                # The screen stays, so that what was typed and said can still be read and copied.
                again = "" if self.session.memory.stopped else "/reconnect tries again, "
                text = f"{clean(str(problem))}. {again}Ctrl+C leaves."
                self.model.note(text, time.time(), Kind.TROUBLE)
                self.drawing.now()
            if not await self.session.wanted():
                return 4

    def _session_ended(self, session: asyncio.Task[int]) -> None:
        """End the program with what broke the session, if something did that should not."""
        if not session.cancelled() and session.exception() is not None and self.app.is_running:
            self.app.exit(exception=session.exception() or RuntimeError())

    def _unforeseen(self, _loop: object, context: dict[str, Any]) -> None:
        """Say what nobody foresaw, once if it comes again and again, and go on."""
        text = fault(context.get("exception"), context["message"])
        if text != self._fault:
            self._fault = text
            self.model.note(f"{text}. It goes on.", time.time(), Kind.TROUBLE)
            self.drawing.soon()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Have ``work`` done beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.drawing.now())

    # What happens

    def _happened(self, batch: list[Happening]) -> None:
        self.model.take(batch, time.time())
        for event in batch:
            if isinstance(event, Change) and event.status is Status.ONLINE:
                self._greet()
        self.attention.happened()
        self.drawing.soon()

    def _greet(self) -> None:
        welcome = self.session.welcome
        if welcome is not None and welcome.users_total > len(welcome.users):
            self.start(loading.people(self))
        self._load_room()
        room, self._room = self._room, None
        if room is not None:
            self._run_line(f"/join {room}")
        if self.model.motd and self.model.motd != self._greeted:
            self._greeted = self.model.motd
            self.model.note(self.model.motd, time.time())
        self._fill()

    def _job_changed(self, job: Job) -> None:
        """A file begins its way, goes another, or is there."""
        if job.problem and not job.over:
            self.model.note(f"{job.name}: {job.problem}.", time.time())
        self.drawing.progress()

    def _arrived(self) -> None:
        """The current conversation is another one."""
        self.attention.attend()
        self._fill()
        self._load_room()

    def _load_room(self) -> None:
        """Ask about the current room what is not known of it."""
        now = self.model.current
        if now.name.startswith("#") and now.members is None:
            self.start(loading.room(self, now))

    def _fill(self) -> None:
        """Bring older messages if what is here would hardly fill a screen."""
        if len(self.model.current.entries) < rows():
            self._load_older()

    def _load_older(self) -> None:
        self.start(loading.older(self))

    def _entered(self, text: str) -> None:
        """A text was typed and is to go."""
        self.timeline.to_end()
        self._run_line(text)

    def _opened(self, entry: Entry) -> None:
        """An entry was clicked on."""
        if entry.file and not entry.redacted:
            self._run_line(f"/get {shlex.quote(entry.file)}")

    def _run_line(self, line: str) -> None:
        before, draft = self.model.current, self.composer.buffer.text
        work = table.run(self, line)
        if self.model.current is not before:
            self.navigation.left(before, draft)
        if work is not None:
            self.start(work)
        self.drawing.now()

    def _focus(self, asked: bool) -> None:
        """Move the cursor to the answer to a question, or to the input."""
        if self.app.is_done:
            return
        self.app.layout.focus(self.asking.buffer if asked else self.composer.buffer)
        self.drawing.now()

    def _read(self, reading: bool) -> None:
        """Move the cursor to a text over the chat, or back."""
        if reading:
            self.app.layout.focus(self.pager.window)
        else:
            self._focus(self.asking.is_open())

    def _status(self, width: int) -> StyleAndTextTuples:
        asking = self.composer.confirming
        if self.asking.is_open():
            asking = "Enter answers, Esc gives up. What you were typing is kept."
        mode = ""
        if self.preferences["typing"] == "off":
            self.model.current.typing.clear()
        if self.app.editing_mode is EditingMode.VI:
            insert = self.app.vi_state.input_mode in (InputMode.INSERT, InputMode.INSERT_MULTIPLE)
            mode = "-- INSERT --" if insert else "-- NORMAL --"
        below = None if self.timeline.following else self.timeline.below
        return panes.status(self.model, width, time.monotonic(), time.time(), below, mode, asking)

    # What a command needs

    async def ask(self, prompt: str) -> str | None:
        """Ask for something, in the place of the input, which keeps its draft."""
        return await self.asking.ask(prompt)

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for a password, hidden, in the place of the input, which keeps its draft."""
        return await self.asking.ask(prompt, hidden=True)

    async def _ask_to_log_in(self, prompt: str) -> str | None:
        # Who knows the question may have answered before it was asked: that is for nobody's eyes.
        for message in self.session.outbox.take_back():
            self.composer.give_back(message.to, message.text)
        return await self.ask_password(prompt)

    async def _new_nick(self, why: str) -> str | None:
        self.model.note(f"{clean(why)}.", time.time(), Kind.TROUBLE)
        return await self.asking.ask("Another nick: ")

    def show(self, title: str, text: str) -> None:
        """Show a longer text over the timeline."""
        self.pager.open(title, text)

    def preferred(self) -> None:
        """Do as the preferences say."""
        self._style = style(self.preferences["theme"])
        self.model.shows_comings = self.preferences["comings"] == "on"
        vi = self.preferences["keys"] == "vi"
        self.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        self.app.timeoutlen = _ALT[self.app.editing_mode]

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard. Raises ``ValueError`` if it is too long for that."""
        terminal.copy(self.app.output, text)

    async def bare(self) -> None:
        """Show the conversation as the terminal's own text, to be selected and copied."""
        await outside.bare(self.app.output, self.model)

    def clear(self) -> None:
        """Clear what is shown of the current conversation."""
        self.timeline.clear()

    def leave(self) -> None:
        """End the program."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit()

    def go(self, conversation: Conversation) -> None:
        """Go to a conversation."""
        self.navigation.switch(conversation)

    def found(self, title: str, found: list[tuple[str, Entry]], older: Older | None) -> None:
        """Show what a search found, to be looked at in its context."""
        self._findings.show(title, found, older)

    # What keys do

    def choose_conversation(self) -> None:
        """Ask where to go, and go there."""
        switcher.choose(self.asking, self.model, lambda name: self._run_line(f"/go {name}"))

    async def edit_outside(self) -> None:
        """Edit the input in the person's editor."""
        await outside.edit(self.app.output, self.composer.buffer)

    def retry(self) -> None:
        """Send again what was refused in the current conversation."""
        for where, entry in self.model.fates.open:
            if where is self.model.current and entry.fate is Fate.FAILED:
                self.session.outbox.retry(entry.ref)

    def get_file(self) -> None:
        """Fetch the newest file that was shared in the current conversation."""
        self._run_line("/get")

    def help(self) -> None:
        """Show the help."""
        table.run(self, "/help")
