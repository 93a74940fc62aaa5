"""The screen put together: timeline, panes, input, keys; and what they do to the session.

No thread: the session's socket and the keyboard share one asyncio loop. However much
comes in, there is one redraw for what has gathered, and a key is never behind more than that.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import FuzzyCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.layout import BufferControl, Layout
from prompt_toolkit.styles import DynamicStyle

from framing.names import key
from framing.requests import Away, Read, SetTopic, Typing
from parley.client.commands import rooms, searching, table, talking
from parley.client.commands.face import Older
from parley.client.files.job import Job
from parley.client.files.work import Work
from parley.client.ground import terminal
from parley.client.ground.cells import MARK_SAMPLE, set_mark_width
from parley.client.ground.clean import clean
from parley.client.ground.faults import fault
from parley.client.ground.preferences import Preferences
from parley.client.ground.store import Store
from parley.client.model.conversation import Conversation, Entry, Fate, Kind
from parley.client.model.lines import found_line, lines_of, not_stored
from parley.client.model.model import Model
from parley.client.screen import panes
from parley.client.screen.asking import Asking
from parley.client.screen.completion import EMOJI_FROM, ChatCompleter, SwitchCompleter
from parley.client.screen.keys import chat_keys, keys_text
from parley.client.screen.layout import columns, layout, rows
from parley.client.screen.pager import Pager
from parley.client.screen.style import style
from parley.client.screen.timeline import Timeline
from parley.client.session.happenings import Change, Happening, RefusedError, Status
from parley.client.session.joining import Settings
from parley.client.session.session import Session

_REDRAW: Final = 1 / 20
"""Seconds between redraws for what comes in; what is typed is drawn at once."""

_PROGRESS: Final = 0.25  # seconds between two looks at how far a file is
_PATIENCE: Final = 2.0  # seconds for acknowledgements when one leaves
_ASK_OVER_LINES: Final = 10
_OLDER: Final = 200  # messages in a page that scrolling up brings
_CONTEXT: Final = 15  # messages before and after one that was found
_TYPING: Final = 3.0  # seconds between two times of telling that one is writing
_BARE: Final = 500  # entries that the bare view shows
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
        settings.ask_password = settings.ask_password or self.ask_password
        settings.new_nick = self._new_nick
        settings.ask = self.ask
        self.preferences = preferences
        self._room = room
        self.keys = keys_text()
        self.model = Model(settings.nick)
        self.session = Session(settings, store, self._happened)
        self.model.resumed = self.session.memory.cursor is not None
        self.downloads = downloads
        self.work = Work(self.session, self._job_changed)
        self.timeline = Timeline(self.model, self.load_older, self._attend, self._opened)
        self.pager = Pager()
        self.previous: Conversation = self.model.current
        self.shows_people = True
        self._round_began: Conversation | None = None  # where Alt+A was first pressed
        self._title = ""
        self._told_typing = 0.0
        self._last_key = time.monotonic()
        self._is_away = False  # by itself, for want of keys
        self._second: asyncio.TimerHandle | None = None
        self._redraw_timer: asyncio.TimerHandle | None = None
        self._progress: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        self._greeted = ""
        self._fault = ""
        self.confirming = ""
        self._asking = Asking(self._focus)
        self._has_focus: bool | None = None  # as far as the terminal says
        self._alerts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._style = style(preferences["theme"])
        self.input = Buffer(
            completer=ChatCompleter(self.model),
            complete_while_typing=Condition(self._typing_a_name),
            multiline=True,
            tempfile_suffix=".txt",
            on_text_changed=self._edited,
        )
        where = layout(
            self.model,
            self.timeline,
            BufferControl(self.input),
            self._asking,
            self.pager,
            self._status,
            self._go,
            lambda: self.shows_people,
            self.work,
        )
        self.app: Application[None] = Application(
            layout=Layout(where, focused_element=self.input),
            key_bindings=merge_key_bindings([chat_keys(self), self._asking.keys()]),
            style=DynamicStyle(lambda: self._style),
            full_screen=True,
            mouse_support=Condition(lambda: self.preferences["mouse"] == "on"),
            max_render_postpone_time=0,
            refresh_interval=1.0,
        )
        self.app.ttimeoutlen = 0.05
        self.app.before_render += self._retitle
        self.app.after_render += self._measure
        self.app.key_processor.before_key_press += self._key_pressed
        set_mark_width(1)
        self.preferred()

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code."""
        earlier = [(m.ref, m.to, m.text, m.time) for m in self.session.outbox.waiting]
        self.model.resume(earlier)
        for name, draft in self.session.memory.drafts.items():
            self.model.conversation(name).draft = draft
        self.input.set_document(Document(self.model.current.draft))
        self._every_second()
        asyncio.get_running_loop().set_exception_handler(self._unforeseen)
        session = asyncio.create_task(self._run_session())
        session.add_done_callback(self._session_ended)
        try:
            await self.app.run_async(set_exception_handler=False)
        finally:
            terminal.report_focus(self.app.output, False)
        for job in self.work.running:
            self.work.cancel(job)
        waiting = await self.session.quit(_PATIENCE)
        code = await session
        if self._second is not None:
            self._second.cancel()
        for task in self._tasks:
            task.cancel()
        self.app.output.set_title("")
        self.app.output.flush()
        ended = self.model.standing.change
        if ended.status is Status.ENDED and ended.text:
            print(clean(ended.text))
        if waiting:
            print(not_stored(len(waiting)))
        return code

    async def _run_session(self) -> int:
        try:
            await self.session.run()
        except RefusedError as problem:
            # The screen stays, so that what was typed and said can still be read and copied.
            text = f"{clean(str(problem))}. Ctrl+C leaves."
            self.model.note(text, time.time(), Kind.TROUBLE)
            self.app.invalidate()
            return 4
        return 0

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
            self._redraw_soon()

    # What happens

    def _happened(self, batch: list[Happening]) -> None:
        self.model.take(batch, time.time())
        for event in batch:
            if isinstance(event, Change) and event.status is Status.ONLINE:
                self._greet()
        if self.model.alerts > self._alerts:
            self._alerts = self.model.alerts
            self._alert()
        self._redraw_soon()

    def _redraw_soon(self) -> None:
        """Draw what has come: at once if that was not done just now, else together with more."""
        if self._redraw_timer is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._drawn_at + _REDRAW - loop.time())
            self._redraw_timer = loop.call_later(wait, self._redraw)

    def _redraw(self) -> None:
        self._redraw_timer = None
        self._drawn_at = asyncio.get_running_loop().time()
        self.app.invalidate()

    def _retitle(self, _app: object) -> None:
        title = panes.title(self.model)
        if title != self._title:
            self._title = title
            self.app.output.set_title(title)

    def _alert(self) -> None:
        """Ask for the person's attention, unless the terminal says that it is here."""
        entry = self.model.last_alert
        if self._has_focus and self.model.attentive and not self.model.unread:
            return
        if self.preferences["alert"] == "bell":
            self.app.output.bell()
        elif self.preferences["alert"] == "notice" and entry is not None:
            terminal.notify(self.app.output, f"{entry.nick}: {clean(entry.text)}")

    async def _learn_people(self) -> None:
        """Ask for those who are here and did not fit the welcome: their nicks are completed too."""
        with contextlib.suppress(ConnectionError):
            await rooms.people(self, None)

    def _greet(self) -> None:
        welcome = self.session.welcome
        if welcome is not None and welcome.users_total > len(welcome.users):
            self.start(self._learn_people())
        room, self._room = self._room, None
        if room is not None:
            self._run_line(f"/join {room}")
        if self.model.motd and self.model.motd != self._greeted:
            self._greeted = self.model.motd
            self.model.note(self.model.motd, time.time())
        self._fill()

    # What a command needs

    async def ask(self, prompt: str) -> str | None:
        """Ask for something, in the place of the input, which keeps its draft."""
        return await self._asking.ask(prompt)

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for a password, hidden, in the place of the input, which keeps its draft."""
        return await self._asking.ask(prompt, hidden=True)

    async def _new_nick(self, why: str) -> str | None:
        self.model.note(f"{clean(why)}.", time.time(), Kind.TROUBLE)
        return await self._asking.ask("Another nick: ")

    def show(self, title: str, text: str) -> None:
        """Show a longer text over the timeline."""
        self.pager.open(title, text)
        self.app.layout.focus(self.pager.window)

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
        """Show the conversation as the terminal's own text until Enter: it can be selected
        without panes in it, and wraps where the terminal wraps."""
        current = self.model.current
        lines = [
            line
            for entry in current.entries[-_BARE:]
            for line in lines_of(current, entry, self.model.nick)
        ]
        terminal.report_focus(self.app.output, False)
        async with in_terminal():
            print("\n".join(lines))
            with contextlib.suppress(EOFError, KeyboardInterrupt):
                await PromptSession[str]().prompt_async(
                    "-- Enter goes back to the chat --", set_exception_handler=False
                )
        terminal.report_focus(self.app.output, True)

    def clear(self) -> None:
        """Clear what is shown of the current conversation."""
        self.timeline.clear()

    def leave(self) -> None:
        """End the program."""
        if not self.app.is_done:
            self.app.exit()

    # What keys do

    def submit(self) -> None:
        """Send what is typed, or do what it says."""
        text = self.input.text
        if not text.strip():
            return
        if (over := self._over(text)) > 0:
            self.confirming = f"Too long by {over} bytes: a file or several messages would do."
            return
        lines = text.count("\n") + 1
        if lines > _ASK_OVER_LINES and not self.confirming:
            self.confirming = f"{lines} lines: Enter sends them, any other key edits."
            return
        self.confirming = ""
        self.input.reset(append_to_history=True)
        self._edited(self.input)  # a reset is not told of as an edit
        self.timeline.to_end()
        self._run_line(text)

    def switch(self, conversation: Conversation) -> None:
        """Go to a conversation; each keeps its own draft."""
        if conversation is not self.model.current:
            before = self.model.current
            before.draft = self.input.text
            self.model.show(conversation)
            self._arrived(before)

    def next_unread(self) -> None:
        """Go to a conversation with something unread; after the last, to where one began."""
        waiting = [c for c in self.model.conversations.values() if c.unread]
        if waiting:
            self._round_began = self._round_began or self.model.current
            self.switch(max(waiting, key=lambda c: c.mentions))
        elif self._round_began is not None:
            began, self._round_began = self._round_began, None
            self.switch(began)

    def _measure(self, _app: object) -> None:
        """Ask for focus reports and the width of the sample, once, and draw over it: not before
        the terminal has stopped to echo, since some answer at once."""
        self.app.after_render -= self._measure
        terminal.report_focus(self.app.output, True)
        terminal.ask_width(self.app.output, MARK_SAMPLE)
        self.redraw()

    def redraw(self) -> None:
        """Draw everything anew. Not by the renderer's own ``clear``: that leaves the alternate
        screen first, and wipes what the shell had shown."""
        self.app.renderer.erase(leave_alternate_screen=False)
        self.app.output.erase_screen()
        self.app.output.cursor_goto(0, 0)
        self.app.output.flush()
        self.app.invalidate()

    def measured(self, answer: str) -> None:
        """The terminal has told how wide the sample is."""
        width = terminal.width_told(answer)
        if width == 1:
            set_mark_width(0)
            self.timeline.forget_layout()
            self.redraw()

    def _go(self, name: str) -> None:
        """Go to what was clicked on."""
        if name != f"@{self.model.nick}":
            self.switch(self.model.conversation(name))

    def _arrived(self, before: Conversation) -> None:
        """The current conversation is another one than ``before``."""
        now = self.model.current
        self.previous = before
        self.input.set_document(Document(now.draft))
        self._attend()
        self._fill()
        if now.name.startswith("#") and now.members is None:
            self.start(self._learn_room(now))

    async def _learn_room(self, room: Conversation) -> None:
        """Ask who is in a room, and what it is about."""
        with contextlib.suppress(ConnectionError):
            if room is not self.model.lobby:
                found, _ = await rooms.people(self, room.name)
                if found is not None:
                    room.members = {key(person.nick) for person in found}
            room.asks_topic = True
            try:
                await self.session.ask(lambda ref: SetTopic(ref, room.name))
            finally:
                room.asks_topic = False

    def _fill(self) -> None:
        """Bring older messages if what is here would hardly fill a screen."""
        if len(self.model.current.entries) < rows():
            self.load_older()

    def choose_conversation(self) -> None:
        """Ask where to go, and go there."""

        def go(name: str | None) -> None:
            if name:
                self._run_line(f"/go {name}")

        offered = FuzzyCompleter(SwitchCompleter(self.model), WORD=True)
        self._asking.open("Go to: ", go, completer=offered)

    async def edit_outside(self) -> None:
        """Edit the input in the person's editor."""
        terminal.report_focus(self.app.output, False)
        await self.input.open_in_editor(validate_and_handle=False)
        terminal.report_focus(self.app.output, True)

    def retry(self) -> None:
        """Send again what was refused in the current conversation."""
        for where, entry in self.model.fates.open:
            if where is self.model.current and entry.fate is Fate.FAILED:
                self.session.outbox.retry(entry.ref)

    def get_file(self) -> None:
        """Fetch the newest file that was shared in the current conversation."""
        self._run_line("/get")

    def _opened(self, entry: Entry) -> None:
        """An entry was clicked on."""
        if entry.file and not entry.redacted:
            self._run_line(f"/get {shlex.quote(entry.file)}")

    def _job_changed(self, job: Job) -> None:
        """A file begins its way, goes another, or is there."""
        if job.problem and not job.over:
            self.model.note(f"{job.name}: {job.problem}.", time.time())
        self._redraw_soon()
        if self._progress is None and self.work.running:
            self._show_progress()

    def _show_progress(self) -> None:
        """Draw how far files are, again and again as long as one is on its way."""
        self._progress = None
        self.app.invalidate()
        if self.work.running:
            loop = asyncio.get_running_loop()
            self._progress = loop.call_later(_PROGRESS, self._show_progress)

    def focused(self, has_focus: bool) -> None:
        """The terminal has the person's attention, or has lost it."""
        self._has_focus = has_focus
        self._attend()

    def help(self) -> None:
        """Show the help."""
        table.run(self, "/help")

    def load_older(self) -> None:
        """Bring an older page, if there is one."""
        self.start(self._load_older())

    def close_pager(self) -> None:
        """Put the longer text away."""
        self.pager.close()
        if not self.pager.is_open:
            self._focus(self._asking.is_open())

    def go(self, conversation: Conversation) -> None:
        """Go to a conversation."""
        self.switch(conversation)

    def found(self, title: str, found: list[tuple[str, Entry]], older: Older | None) -> None:
        """Show what a search found, to be looked at in its context."""

        def choose(number: int) -> None:
            if number < len(found):
                self.start(self._show_context(*found[number]))
            elif older is not None:
                self.start(older())

        brief = columns() < panes.PEOPLE_FROM
        lines = [found_line(name, entry, brief) for name, entry in found]
        lines += ["… older ones"] if older is not None else []
        self.pager.offer(title, lines, choose)
        self.app.layout.focus(self.pager.window)

    async def _show_context(self, name: str, entry: Entry) -> None:
        with contextlib.suppress(ConnectionError):
            around = await searching.context(self, name, entry.seq, _CONTEXT)
            at = 0
            lines: list[str] = []
            where = Conversation(name)
            for other in around:
                here = other.seq == entry.seq
                at = len(lines) if here else at
                said = lines_of(where, other, self.model.nick)
                lines += [f"{'▶' if here else ' '} {line}" for line in said]
            self.pager.open(name, "\n".join(lines), max(0, at - 3))
            self.app.layout.focus(self.pager.window)

    async def _load_older(self) -> None:
        with contextlib.suppress(ConnectionError):  # the next scroll asks again
            await talking.load_older(self.session, self.model, _OLDER)
        self.app.invalidate()

    def _run_line(self, line: str) -> None:
        before, draft = self.model.current, self.input.text
        work = table.run(self, line)
        if self.model.current is not before:
            before.draft = draft
            self._arrived(before)
        if work is not None:
            self.start(work)
        self.app.invalidate()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Have ``work`` done beside everything else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.app.invalidate())

    def _edited(self, _buffer: Buffer) -> None:
        self.confirming = ""
        self.session.memory.keep_draft(self.model.current.name, self.input.text)
        self._attend()
        self._tell_typing()

    def _tell_typing(self) -> None:
        """Tell the others that one is writing, now and then; a command is nobody's business."""
        text = self.input.text
        writing = bool(text) and not text.startswith("/") and self.preferences["typing"] == "on"
        now = time.monotonic()
        if writing and now - self._told_typing >= _TYPING:
            self._told_typing = now
            with contextlib.suppress(ConnectionError):
                self.session.send_raw(Typing(self.model.current.name, "active"))

    def _every_second(self) -> None:
        """Tell one's other devices what has been read, and everybody if one is away by now."""
        current = self.model.current
        if self.model.account and self.model.attentive and current.newest > current.told_read:
            with contextlib.suppress(ConnectionError):
                show = self.preferences["receipts"] == "on"
                self.session.send_raw(Read(current.name, current.newest, show))
                current.told_read = current.newest
        minutes = self.preferences["autoaway"]
        idle = time.monotonic() - self._last_key
        if minutes != "off" and idle > int(minutes) * 60 and not self._is_away:
            self._is_away = True
            self.start(self._set_away("away from the keyboard"))
        loop = asyncio.get_running_loop()
        self._second = loop.call_later(1.0, self._every_second)

    async def _set_away(self, text: str | None) -> None:
        with contextlib.suppress(ConnectionError):
            await self.session.ask(lambda ref: Away(ref, text))

    def _key_pressed(self, _processor: object) -> None:
        self._last_key = time.monotonic()
        if self._is_away:
            self._is_away = False
            self.start(self._set_away(None))

    def _attend(self) -> None:
        """Tell the model whether somebody looks at the end of the current conversation."""
        self.model.attend(self._has_focus is not False and self.timeline.following)

    def _typing_a_name(self) -> bool:
        """Tell whether to offer completions although nobody asked for them."""
        line = self.input.document.current_line_before_cursor
        word = line.rpartition(" ")[2]
        emoji = word.startswith(":") and len(word) > EMOJI_FROM
        return line.startswith("/") or word.startswith("@") or emoji

    def _over(self, text: str) -> int:
        """Return the bytes by which ``text`` is longer than this server takes."""
        limits = self.session.welcome.limits if self.session.welcome is not None else None
        return len(text.encode(errors="replace")) - limits.text if limits is not None else 0

    def _focus(self, asked: bool) -> None:
        if self.app.is_done:
            return
        self.app.layout.focus(self._asking.buffer if asked else self.input)
        self.app.invalidate()

    def _status(self, width: int) -> StyleAndTextTuples:
        asking = self.confirming
        if self._asking.is_open():
            asking = "Enter answers, Esc gives up. What you were typing is kept."
        mode = ""
        if self.preferences["typing"] == "off":
            self.model.current.typing.clear()
        if self.app.editing_mode is EditingMode.VI:
            insert = self.app.vi_state.input_mode in (InputMode.INSERT, InputMode.INSERT_MULTIPLE)
            mode = "-- INSERT --" if insert else "-- NORMAL --"
        below = None if self.timeline.following else self.timeline.below
        return panes.status(self.model, width, time.monotonic(), time.time(), below, mode, asking)
