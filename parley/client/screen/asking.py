"""A question in the place of the input, which keeps its draft: a password, another nick, where
to go."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, DummyCompleter
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, Window
from prompt_toolkit.layout.processors import BeforeInput, ConditionalProcessor, PasswordProcessor

from parley.client.ground.clean import sendable
from parley.client.screen.drafts import InCells

ESC_ALONE: Final = Condition(lambda: not get_app().key_processor.input_queue)
"""Whether an Esc is one: a key that comes at once with it makes it Alt."""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    prompt: str
    done: Callable[[str | None], None]
    hidden: bool
    completer: Completer | None


class Asking:
    """One question at a time, in their order. ``focus`` moves the cursor to the answer (True) or
    back."""

    def __init__(self, focus: Callable[[bool], None]) -> None:
        self._focus = focus
        self._questions: deque[_Question] = deque()  # the first is shown
        self.buffer = Buffer(multiline=False, complete_while_typing=True, name="answer")
        self.window = Window(
            BufferControl(
                self.buffer,
                input_processors=[
                    InCells(),
                    ConditionalProcessor(PasswordProcessor(), Condition(self._hides)),
                    BeforeInput(lambda: [("class:prompt", self._prompt)]),
                ],
            ),
            height=1,
        )
        self.is_open = Condition(lambda: bool(self._questions))

    def open(
        self,
        prompt: str,
        done: Callable[[str | None], None],
        completer: Completer | None = None,
    ) -> None:
        """Ask: the next key answers, if no other question is open. ``done`` gets the answer, None
        if the person would rather not give one.

        With a ``completer`` the answer is what it offers first for what is typed, or what was
        chosen of that, or what is typed if it offers nothing.
        """
        self._add(_Question(prompt, done, False, completer))

    @property
    def is_choice(self) -> bool:
        """Whether it is the person's own question, with something to choose from."""
        return self._completer is not None

    def give_up_choice(self) -> None:
        """Put such a question away. One of the program's stays."""
        if self.is_choice:
            self._answer(None)

    def _add(self, question: _Question) -> None:
        self._questions.append(question)
        if len(self._questions) == 1:
            self._show()

    def _show(self) -> None:
        """Show the question whose turn it is, or that there is none."""
        completer = self._completer
        self.buffer.completer = completer or DummyCompleter()
        self.buffer.reset()
        self.window.horizontal_scroll = 0  # as the longest answer before has left it
        self._focus(bool(self._questions))
        if completer is not None:
            self.buffer.start_completion()

    async def ask(self, prompt: str, hidden: bool = False) -> str | None:
        """Ask, and return the answer. Who no longer waits for it no longer asks."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def done(text: str | None) -> None:
            if not answer.done():
                answer.set_result(text)

        question = _Question(prompt, done, hidden, None)
        self._add(question)
        try:
            return await answer
        finally:
            self._withdraw(question)

    def keys(self) -> KeyBindings:
        """Return the bindings for while it is open."""
        keys = KeyBindings()

        @keys.add("enter", filter=self.is_open)
        def _(event: KeyPressEvent) -> None:
            self._answer(self._chosen())

        @keys.add("escape", filter=self.is_open, eager=ESC_ALONE)
        @keys.add("c-g", filter=self.is_open)
        @keys.add("c-k", filter=self.is_open & Condition(lambda: self._completer is not None))
        def _(event: KeyPressEvent) -> None:
            self._answer(None)

        @keys.add("tab", filter=self.is_open & has_completions)
        @keys.add("down", filter=self.is_open & has_completions)
        def _(event: KeyPressEvent) -> None:
            self.buffer.complete_next()

        @keys.add("s-tab", filter=self.is_open & has_completions)
        @keys.add("up", filter=self.is_open & has_completions)
        def _(event: KeyPressEvent) -> None:
            self.buffer.complete_previous()

        return keys

    def _chosen(self) -> str:
        state = self.buffer.complete_state
        if self._completer is None or (state is not None and state.current_completion is not None):
            return self.buffer.text
        document = self.buffer.document
        for found in self._completer.get_completions(document, CompleteEvent()):
            return found.text
        return self.buffer.text

    def _answer(self, text: str | None) -> None:
        question = self._questions.popleft()
        self._show()
        question.done(text and sendable(text))

    def _withdraw(self, question: _Question) -> None:
        if question in self._questions:
            shown = question is self._questions[0]
            self._questions.remove(question)
            if shown:
                self._show()

    @property
    def _prompt(self) -> str:
        return self._questions[0].prompt if self._questions else ""

    @property
    def _completer(self) -> Completer | None:
        return self._questions[0].completer if self._questions else None

    def _hides(self) -> bool:
        return bool(self._questions) and self._questions[0].hidden
