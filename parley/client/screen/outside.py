"""Out of the screen and back: the conversation as the terminal's own text, the person's editor.

Meanwhile the terminal is not asked for its focus: what it reports would be typed into the other.
"""

import contextlib
from collections.abc import Iterator
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.output import Output

from parley.client.ground import terminal
from parley.client.model.lines import lines_of
from parley.client.model.model import Model

_BARE: Final = 500  # entries that the bare view shows


async def bare(output: Output, model: Model) -> None:
    """Show the current conversation as plain text until Enter: it can be selected without panes in
    it, and wraps where the terminal wraps."""
    current = model.current
    lines = [
        line for entry in current.entries[-_BARE:] for line in lines_of(current, entry, model.nick)
    ]
    with _no_reports(output):
        async with in_terminal():
            print("\n".join(lines))
            with contextlib.suppress(EOFError, KeyboardInterrupt):
                await PromptSession[str]().prompt_async(
                    "-- Enter goes back to the chat --", set_exception_handler=False
                )


async def edit(output: Output, buffer: Buffer) -> None:
    """Edit what is being typed in the person's editor."""
    with _no_reports(output):
        await buffer.open_in_editor(validate_and_handle=False)


@contextlib.contextmanager
def _no_reports(output: Output) -> Iterator[None]:
    terminal.report_focus(output, False)
    try:
        yield
    finally:
        terminal.report_focus(output, True)
