"""A question in the place of the input, which keeps its draft: a password, another nick, where
to go."""

import asyncio
from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, DummyCompleter
from prompt_toolkit.filters import Condition, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import BufferControl, Window
from prompt_toolkit.layout.processors import BeforeInput, ConditionalProcessor, PasswordProcessor


class Asking:
    """One question at a time. ``focus`` moves the cursor to the answer (True) or back."""

    def __init__(self, focus: Callable[[bool], None]) -> None:
        self._focus = focus
        self._done: Callable[[str | None], None] | None = None
        self._prompt = ""
        self._hidden = False
        self._completer: Completer | None = None
        self.buffer = Buffer(multiline=False, complete_while_typing=True, name="answer")
        self.window = Window(
            BufferControl(
                self.buffer,
                input_processors=[
                    ConditionalProcessor(PasswordProcessor(), Condition(lambda: self._hidden)),
                    BeforeInput(lambda: [("class:prompt", self._prompt)]),
                ],
            ),
            height=1,
        )
        self.is_open = Condition(lambda: self._done is not None)

    def open(
        self,
        prompt: str,
        done: Callable[[str | None], None],
        hidden: bool = False,
        completer: Completer | None = None,
    ) -> None:
        """Ask, at once: the next key answers. ``done`` gets the answer, None if the person would
        rather not give one or another question comes first.

        With a ``completer`` the answer is what it offers first for what is typed, or what was
        chosen of that, or what is typed if it offers nothing.
        """
        self._answer(None)
        self._prompt, self._hidden, self._completer = prompt, hidden, completer
        self._done = done
        self.buffer.completer = completer or DummyCompleter()
        self.buffer.reset()
        self._focus(True)
        if completer is not None:
            self.buffer.start_completion()

    async def ask(self, prompt: str, hidden: bool = False) -> str | None:
        """Ask, and return the answer."""
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

        def done(text: str | None) -> None:
            if not answer.done():
                answer.set_result(text)

        self.open(prompt, done, hidden)
        return await answer

    def keys(self) -> KeyBindings:
        """Return the bindings for while it is open."""
        keys = KeyBindings()

        @keys.add("enter", filter=self.is_open)
        def _(event: KeyPressEvent) -> None:
            self._answer(self._chosen())

        @keys.add("escape", filter=self.is_open, eager=True)
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
        if self._done is not None:
            done, self._done = self._done, None
            self.buffer.reset()
            self._focus(False)
            done(text)
