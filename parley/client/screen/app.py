"""The screen put together: timeline, panes, input, keys; and what they do to the session.

No thread: the session's socket and the keyboard share one asyncio loop. However much
comes in, there is one redraw for what has gathered, and a key is never behind more than that.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Final

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent, merge_key_bindings
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    VSplit,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput, ConditionalProcessor, PasswordProcessor

from parley.client import commands
from parley.client.clean import clean
from parley.client.happenings import Change, Happening, RefusedError, Status
from parley.client.model import Conversation, Kind, Model
from parley.client.screen import panes
from parley.client.screen.completion import ChatCompleter
from parley.client.screen.keys import chat_keys
from parley.client.screen.pager import Pager
from parley.client.screen.style import style
from parley.client.screen.timeline import Timeline
from parley.client.session import Session, Settings
from parley.client.store import Store

_REDRAW: Final = 1 / 30  # seconds between redraws, at least
_PATIENCE: Final = 2.0  # seconds for acknowledgements when one leaves
_ASK_OVER_LINES: Final = 10
_OLDER: Final = 200  # messages in a page that scrolling up brings


class Screen:
    """One run of the screen."""

    def __init__(self, settings: Settings, store: Store, theme: str, mouse: bool) -> None:
        settings.ask_password = settings.ask_password or self.ask_password
        settings.new_nick = self._new_nick
        self.model = Model(settings.nick)
        self.session = Session(settings, store, self._happened)
        self.timeline = Timeline(self.model, self.load_older)
        self.pager = Pager()
        self.previous: Conversation = self.model.current
        self.confirming = ""
        self._question: asyncio.Future[str | None] | None = None
        self._prompt = ""
        self._alerts = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.input = Buffer(
            completer=ChatCompleter(self.model),
            complete_while_typing=Condition(self._typing_a_command),
            multiline=True,
            on_text_changed=self._edited,
        )
        self._answer = Buffer(multiline=False, accept_handler=self._answered)
        self._hidden = True
        self.app: Application[None] = Application(
            layout=Layout(self._layout(), focused_element=self.input),
            key_bindings=merge_key_bindings([chat_keys(self), self._answer_keys()]),
            style=style(theme),
            full_screen=True,
            mouse_support=mouse,
            min_redraw_interval=_REDRAW,
            max_render_postpone_time=_REDRAW,
            refresh_interval=1.0,
        )
        self.app.ttimeoutlen = 0.05

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code."""
        earlier = [(m.ref, m.to, m.text, m.time) for m in self.session.waiting]
        self.model.resume(earlier)
        session = asyncio.create_task(self._run_session())
        session.add_done_callback(self._session_ended)
        await self.app.run_async()
        waiting = await self.session.quit(_PATIENCE)
        code = await session
        for task in self._tasks:
            task.cancel()
        self.app.output.set_title("")
        self.app.output.flush()
        ended = self.model.connection
        if ended.status is Status.ENDED and ended.text:
            print(clean(ended.text))
        if waiting:
            print(f"{len(waiting)} messages are not stored yet; the next start sends them.")
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

    # What happens

    def _happened(self, batch: list[Happening]) -> None:
        self.model.take(batch, time.time())
        for event in batch:
            if isinstance(event, Change) and event.status is Status.ONLINE:
                self._greet()
        if self.model.alerts > self._alerts:
            self._alerts = self.model.alerts
            self.app.output.bell()
        self.app.output.set_title(panes.title(self.model))
        self.app.invalidate()

    def _greet(self) -> None:
        if self.model.motd:
            self.model.note(self.model.motd, time.time())
        if not self.model.lobby.entries or self.model.lobby.oldest is None:
            self.load_older()

    # What a command needs

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for a password, hidden, in the place of the input, which keeps its draft."""
        return await self._ask(prompt, hidden=True)

    async def _new_nick(self, why: str) -> str | None:
        self.model.note(f"{clean(why)}.", time.time(), Kind.TROUBLE)
        return await self._ask("Another nick: ", hidden=False)

    def show(self, title: str, text: str) -> None:
        """Show a longer text over the timeline."""
        self.pager.open(title, text)
        self.app.layout.focus(self.pager.window)

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
        lines = text.count("\n") + 1
        if lines > _ASK_OVER_LINES and not self.confirming:
            self.confirming = f"Send {lines} lines? Enter sends, any other key goes on editing."
            return
        self.confirming = ""
        self.input.reset(append_to_history=True)
        self.timeline.to_end()
        self._start(self._run_line(text))

    def switch(self, conversation: Conversation) -> None:
        """Go to a conversation; each keeps its own draft."""
        before = self.model.current
        if conversation is before:
            return
        before.draft = self.input.text
        self.previous = before
        self.model.show(conversation)
        self.input.set_document(Document(conversation.draft), bypass_readonly=True)
        if conversation.oldest is None:
            self.load_older()

    def load_older(self) -> None:
        """Bring an older page, if there is one."""
        self._start(self._load_older())

    def close_pager(self) -> None:
        """Put the longer text away."""
        self.pager.close()
        self.app.layout.focus(self.input)

    async def _load_older(self) -> None:
        with contextlib.suppress(ConnectionError):  # the next scroll asks again
            await commands.load_older(self.session, self.model, _OLDER)
        self.app.invalidate()

    async def _run_line(self, line: str) -> None:
        before = self.model.current
        draft = self.input.text
        await commands.run(self, line)
        now = self.model.current
        if now is not before:
            before.draft = draft
            self.previous = before
            self.input.set_document(Document(now.draft))
            if now.oldest is None:
                self.load_older()
        self.app.invalidate()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _edited(self, _buffer: Buffer) -> None:
        self.confirming = ""
        self.model.read()

    def _typing_a_command(self) -> bool:
        text = self.input.document.current_line_before_cursor
        return text.startswith("/") or text.rpartition(" ")[2].startswith("@")

    # Questions

    async def _ask(self, prompt: str, hidden: bool) -> str | None:
        self._prompt, self._hidden = prompt, hidden
        self._answer.reset()
        self._question = asyncio.get_running_loop().create_future()
        self.app.layout.focus(self._answer)
        self.app.invalidate()
        try:
            return await self._question
        finally:
            self._question = None
            self._answer.reset()
            if not self.app.is_done:
                self.app.layout.focus(self.input)
                self.app.invalidate()

    def _answered(self, buffer: Buffer) -> bool:
        if self._question is not None and not self._question.done():
            self._question.set_result(buffer.text)
        return False

    def _answer_keys(self) -> KeyBindings:
        keys = KeyBindings()
        asked = Condition(lambda: self._question is not None)

        @keys.add("escape", filter=asked, eager=True)
        def _(event: KeyPressEvent) -> None:
            if self._question is not None and not self._question.done():
                self._question.set_result(None)

        return keys

    # Layout

    def _layout(self) -> FloatContainer:
        asked = Condition(lambda: self._question is not None)
        wide = Condition(lambda: _columns() >= panes.PEOPLE_FROM)
        people = VSplit(
            [
                Window(width=1, char="│", style="class:border"),
                Window(
                    FormattedTextControl(self._people),
                    width=panes.PEOPLE_WIDTH,
                    style="class:people",
                ),
            ]
        )
        body = VSplit([Window(self.timeline), ConditionalContainer(people, wide)])
        typing = Window(
            BufferControl(
                self.input, input_processors=[BeforeInput(self._input_prompt)], focusable=True
            ),
            height=Dimension(min=1, max=8),
            wrap_lines=True,
            dont_extend_height=True,
        )
        answering = Window(
            BufferControl(
                self._answer,
                input_processors=[
                    ConditionalProcessor(PasswordProcessor(), Condition(lambda: self._hidden)),
                    BeforeInput(lambda: [("class:prompt", self._prompt)]),
                ],
            ),
            height=1,
        )
        rows = HSplit(
            [
                Window(FormattedTextControl(self._tabs), height=1),
                body,
                Window(FormattedTextControl(self._status), height=1),
                ConditionalContainer(typing, ~asked),
                ConditionalContainer(answering, asked),
            ]
        )
        return FloatContainer(
            rows,
            floats=[
                Float(xcursor=True, ycursor=True, content=CompletionsMenu(max_height=8)),
                Float(top=1, bottom=2, left=0, right=0, content=self.pager.container),
                Float(top=3, left=4, right=4, height=2, content=self._hint()),
            ],
        )

    def _hint(self) -> ConditionalContainer:
        nothing = Condition(lambda: not self.model.current.entries and not self.pager.is_open)
        text = FormattedTextControl(lambda: [("class:empty", panes.empty(self.model))])
        return ConditionalContainer(Window(text, wrap_lines=True), nothing)

    def _input_prompt(self) -> StyleAndTextTuples:
        return [("class:prompt", f"{self.model.current.name[:18]} › ")]

    def _tabs(self) -> StyleAndTextTuples:
        return panes.tabs(self.model, _columns())

    def _people(self) -> StyleAndTextTuples:
        return panes.people(self.model, panes.PEOPLE_WIDTH, get_app().output.get_size().rows - 3)

    def _status(self) -> StyleAndTextTuples:
        asking = self.confirming
        if self._question is not None:
            asking = "Enter answers, Esc gives up. What you were typing is kept."
        below = self.timeline.below
        return panes.status(self.model, _columns(), time.monotonic(), below, asking)


def _columns() -> int:
    return get_app().output.get_size().columns
