"""The keys. Esc never throws anything away; Enter sends; what moves is listed in /help keys."""

from itertools import islice
from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.filters import Condition, has_completions, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys

from parley.client.model import Conversation, Model
from parley.client.screen.pager import Pager
from parley.client.screen.timeline import Timeline


class Screen(Protocol):
    """What the keys act on."""

    input: Buffer
    model: Model
    pager: Pager
    previous: Conversation
    timeline: Timeline

    def submit(self) -> None:
        """Send what is typed, or do what it says."""

    def switch(self, conversation: Conversation) -> None:
        """Go to a conversation."""

    def close_pager(self) -> None:
        """Put the longer text away."""

    def leave(self) -> None:
        """End the program."""


def chat_keys(screen: Screen) -> KeyBindings:
    """Return the bindings of ``screen``."""
    keys = KeyBindings()
    typing = has_focus(screen.input)
    reading = Condition(lambda: screen.pager.is_open)
    choosing = Condition(
        lambda: (
            screen.input.complete_state is not None
            and screen.input.complete_state.current_completion is not None
        )
    )

    @keys.add("enter", filter=typing & ~choosing)
    def _(event: KeyPressEvent) -> None:
        screen.submit()

    @keys.add("enter", filter=typing & choosing)
    def _(event: KeyPressEvent) -> None:
        screen.input.complete_state = None

    @keys.add("escape", "enter", filter=typing)
    @keys.add("c-j", filter=typing)
    def _(event: KeyPressEvent) -> None:
        screen.input.insert_text("\n")

    @keys.add("tab", filter=typing)
    def _(event: KeyPressEvent) -> None:
        buffer = screen.input
        if buffer.complete_state:
            buffer.complete_next()
            return
        asked = CompleteEvent(completion_requested=True)
        found = list(islice(buffer.completer.get_completions(buffer.document, asked), 2))
        if len(found) == 1:
            buffer.apply_completion(found[0])
        elif found:
            buffer.start_completion(select_first=False)

    @keys.add("s-tab", filter=typing & has_completions)
    def _(event: KeyPressEvent) -> None:
        screen.input.complete_previous()

    @keys.add("escape", filter=typing & has_completions, eager=True)
    def _(event: KeyPressEvent) -> None:
        screen.input.cancel_completion()

    @keys.add("pageup", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.timeline.page(-1)

    @keys.add("pagedown", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.timeline.page(1)

    @keys.add("escape", "end", filter=~reading)
    @keys.add("c-end", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.timeline.to_end()

    @keys.add("c-k", filter=typing)
    def _(event: KeyPressEvent) -> None:
        if not screen.input.text:
            screen.input.insert_text("/go ")
            screen.input.start_completion()
        else:
            event.current_buffer.delete(
                len(event.current_buffer.document.current_line_after_cursor)
            )

    @keys.add("escape", "a", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        waiting = [c for c in screen.model.conversations.values() if c.unread]
        if waiting:
            screen.switch(max(waiting, key=lambda c: c.mentions))

    @keys.add("escape", "-", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.switch(screen.previous)

    for number in range(1, 10):

        @keys.add("escape", str(number), filter=~reading)
        def _(event: KeyPressEvent, number: int = number) -> None:
            conversations = list(screen.model.conversations.values())
            if number <= len(conversations):
                screen.switch(conversations[number - 1])

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        screen.leave()

    @keys.add("c-d", filter=~typing | Condition(lambda: not screen.input.text))
    def _(event: KeyPressEvent) -> None:
        screen.leave()

    @keys.add("c-l")
    def _(event: KeyPressEvent) -> None:
        event.app.renderer.clear()

    for key in ("escape", "q", "enter"):

        @keys.add(key, filter=reading, eager=True)
        def _(event: KeyPressEvent) -> None:
            screen.close_pager()

    for key, lines in (("up", -1), ("down", 1)):

        @keys.add(key, filter=reading)
        def _(event: KeyPressEvent, lines: int = lines) -> None:
            screen.pager.scroll(lines)

    for key, direction in (("pageup", -1), ("pagedown", 1), (" ", 1)):

        @keys.add(key, filter=reading)
        def _(event: KeyPressEvent, direction: int = direction) -> None:
            screen.pager.scroll(direction * screen.pager.page)

    @keys.add(Keys.BracketedPaste, filter=typing)
    def _(event: KeyPressEvent) -> None:
        screen.input.insert_text(event.data.replace("\r\n", "\n").replace("\r", "\n"))

    return keys
