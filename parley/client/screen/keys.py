"""The keys. Esc never throws anything away; Enter sends; ``KEYS`` is the list for people.

Alt and a key act on the chat wherever the cursor is: a text over it, or the switcher, is put away.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from itertools import islice
from typing import Final, Protocol

from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, has_completions, has_focus, vi_navigation_mode
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.vi_state import InputMode
from prompt_toolkit.keys import Keys

from parley.client.ground.terminal import FOCUS_IN, FOCUS_OUT
from parley.client.screen.asking import ESC_ALONE, Asking
from parley.client.screen.attention import Attention
from parley.client.screen.composer import Composer
from parley.client.screen.drawing import Drawing
from parley.client.screen.navigation import Navigation
from parley.client.screen.pager import Pager
from parley.client.screen.timeline import Timeline

KEYS: Final = (
    ("Enter, Alt+Enter", "send; a new line"),
    ("Tab", "complete /commands, nicks, :emoji:"),
    ("Ctrl+K", "go to a conversation or person"),
    ("Alt+1 .. Alt+9", "go to the conversation of this number"),
    ("Alt+Up, Alt+Down", "the conversation before, after"),
    ("Alt+A", "the next with something unread, then back"),
    ("Alt+-", "back to where you were"),
    ("PgUp, PgDn, wheel", "scroll; older messages come by themselves"),
    ("Alt+U, Alt+End", "to the first unread; to the end"),
    ("Alt+G", "fetch the newest file shared here"),
    ("Alt+R", "send again what was refused here"),
    ("Ctrl+X Ctrl+E", "write in your $EDITOR"),
    ("Alt+Z, Alt+N", "plain text to copy; people pane on or off"),
    ("F1, Ctrl+L", "help; draw the screen again"),
    ("Ctrl+C, Ctrl+D, q!", "leave; drafts are kept"),
)


def keys_text() -> str:
    """Return the keys as a table for people."""
    width = max(len(key) for key, _ in KEYS)
    return "\n".join(f"{key:<{width}}  {does}" for key, does in KEYS)


class Screen(Protocol):
    """What the keys act on."""

    asking: Asking
    attention: Attention
    composer: Composer
    drawing: Drawing
    navigation: Navigation
    pager: Pager
    shows_people: bool
    timeline: Timeline

    def help(self) -> None:
        """Show the help."""

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Have ``work`` done beside everything else."""

    def choose_conversation(self) -> None:
        """Ask where to go, and go there."""

    async def bare(self) -> None:
        """Show the conversation as plain text."""

    async def edit_outside(self) -> None:
        """Edit the input in the person's editor."""

    def retry(self) -> None:
        """Send again what was refused in the current conversation."""

    def get_file(self) -> None:
        """Fetch the newest file that was shared in the current conversation."""

    def leave(self) -> None:
        """End the program."""


def chat_keys(screen: Screen) -> KeyBindings:
    """Return the bindings of ``screen``."""
    keys = KeyBindings()
    input_ = screen.composer.buffer
    to = screen.navigation
    typing = has_focus(input_)
    # Not while a question is answered: its letters are no keys of the text below it.
    reading = Condition(lambda: screen.pager.is_open) & (typing | has_focus(screen.pager.window))
    answering = Condition(lambda: screen.asking.is_open() and not screen.asking.is_choice)
    choosing = Condition(
        lambda: (
            input_.complete_state is not None
            and input_.complete_state.current_completion is not None
        )
    )

    def close_all() -> None:
        while screen.pager.is_open:
            screen.pager.close()

    @keys.add("enter", filter=typing & ~choosing)
    def _(event: KeyPressEvent) -> None:
        screen.composer.submit()

    @keys.add("enter", filter=typing & choosing)
    def _(event: KeyPressEvent) -> None:
        input_.complete_state = None

    @keys.add("escape", "enter", filter=typing)
    @keys.add("c-j", filter=typing)
    def _(event: KeyPressEvent) -> None:
        input_.insert_text("\n")

    @keys.add("tab", filter=typing)
    def _(event: KeyPressEvent) -> None:
        buffer = input_
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
        input_.complete_previous()

    @keys.add("escape", filter=typing & has_completions & ~vi_navigation_mode)
    def _(event: KeyPressEvent) -> None:
        # Not eager: Alt+Enter begins with an Esc too, and must not become Enter.
        input_.cancel_completion()
        if event.app.editing_mode is EditingMode.VI:
            event.app.vi_state.input_mode = InputMode.NAVIGATION

    @keys.add("pageup", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.timeline.page(-1)

    @keys.add("pagedown", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.timeline.page(1)

    @keys.add("c-end", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.timeline.to_end()

    @keys.add("c-k", filter=typing)
    def _(event: KeyPressEvent) -> None:
        screen.choose_conversation()

    @keys.add("c-x", "c-e", filter=typing)
    def _(event: KeyPressEvent) -> None:
        screen.start(screen.edit_outside())

    @keys.add("f1", filter=~reading)
    def _(event: KeyPressEvent) -> None:
        screen.help()

    @keys.add(Keys.CPRResponse)
    def _(event: KeyPressEvent) -> None:
        screen.drawing.measured(event.data)

    @keys.add(FOCUS_IN)
    def _(event: KeyPressEvent) -> None:
        screen.attention.focused(True)

    @keys.add(FOCUS_OUT)
    def _(event: KeyPressEvent) -> None:
        screen.attention.focused(False)

    def show_people() -> None:
        screen.shows_people = not screen.shows_people

    on_the_chat: dict[str, Callable[[], object]] = {
        **{str(number): partial(to.to_number, number) for number in range(1, 10)},
        "up": partial(to.by, -1),
        "down": partial(to.by, 1),
        "a": to.next_unread,
        "-": to.back,
        "u": screen.timeline.to_marker,
        "end": screen.timeline.to_end,
        "n": show_people,
    }
    on_what_is_there: dict[str, Callable[[], object]] = {
        "g": lambda: screen.get_file(),
        "r": lambda: screen.retry(),
        "z": lambda: screen.start(screen.bare()),
    }
    for key, act in (on_the_chat | on_what_is_there).items():

        @keys.add("escape", key, filter=~answering if key in on_what_is_there else True)
        def _(event: KeyPressEvent, act: Callable[[], object] = act) -> None:
            close_all()
            screen.asking.give_up_choice()
            act()

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        screen.leave()

    @keys.add("c-d", filter=~typing | Condition(lambda: not input_.text))
    def _(event: KeyPressEvent) -> None:
        screen.leave()

    @keys.add("c-l")
    def _(event: KeyPressEvent) -> None:
        screen.drawing.anew()

    choosing_line = Condition(lambda: screen.pager.chooses)

    @keys.add("escape", filter=reading, eager=ESC_ALONE)
    @keys.add("q", filter=reading, eager=True)
    @keys.add("enter", filter=reading & ~choosing_line, eager=True)
    def _(event: KeyPressEvent) -> None:
        screen.pager.close()

    @keys.add("enter", filter=reading & choosing_line, eager=True)
    def _(event: KeyPressEvent) -> None:
        screen.pager.take()

    for key, lines in (("up", -1), ("down", 1), ("n", 1), ("N", -1), ("j", 1), ("k", -1)):

        @keys.add(key, filter=reading)
        def _(event: KeyPressEvent, lines: int = lines) -> None:
            screen.pager.scroll(lines)

    for key, lines in (("home", -1_000_000), ("end", 1_000_000)):

        @keys.add(key, filter=reading & ~typing)
        def _(event: KeyPressEvent, lines: int = lines) -> None:
            screen.pager.scroll(lines)

    for key, direction in (("pageup", -1), ("pagedown", 1), (" ", 1)):

        @keys.add(key, filter=reading)
        def _(event: KeyPressEvent, direction: int = direction) -> None:
            screen.pager.scroll(direction * screen.pager.page)

    @keys.add(Keys.Any, filter=reading & ~typing)
    def _(event: KeyPressEvent) -> None:
        # Whoever goes on to write does not have to put the text away first.
        if event.data.isprintable():
            close_all()
            event.current_buffer.insert_text(event.data)

    @keys.add(Keys.BracketedPaste, filter=typing | reading)
    def _(event: KeyPressEvent) -> None:
        close_all()
        event.current_buffer.insert_text(event.data.replace("\r\n", "\n").replace("\r", "\n"))

    return keys
