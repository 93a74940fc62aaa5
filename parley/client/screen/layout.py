"""Where things are on the screen, by its width: see ``panes`` for what they hold."""

import time
from collections.abc import Callable

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    VSplit,
    Window,
)
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput

from parley.client.files.work import Work
from parley.client.ground.cells import cut
from parley.client.model.model import Model
from parley.client.screen import panes
from parley.client.screen.asking import Asking
from parley.client.screen.drafts import InCells
from parley.client.screen.pager import Pager
from parley.client.screen.timeline import Timeline

_AROUND = 3  # lines that the heading, the status and the input take


def layout(
    model: Model,
    timeline: Timeline,
    typing: BufferControl,
    asking: Asking,
    pager: Pager,
    status: Callable[[int], StyleAndTextTuples],
    go: panes.Go,
    shows_people: Callable[[], bool],
    work: Work,
) -> FloatContainer:
    """Return the whole screen. ``status`` makes the status line for a width; ``shows_people``
    tells whether the person wants the people where there is room for them; ``work`` has the files
    on their way."""
    wide = Condition(lambda: columns() >= panes.CONVERSATIONS_FROM)
    roomy = Condition(lambda: columns() >= panes.PEOPLE_FROM and shows_people())

    def above() -> StyleAndTextTuples:
        if wide():
            return panes.heading(model, columns(), time.time())
        return panes.tabs(model, columns(), go)

    def conversations() -> StyleAndTextTuples:
        return panes.conversations(model, panes.CONVERSATIONS_WIDTH, rows() - _AROUND, go)

    def people() -> StyleAndTextTuples:
        width = panes.people_width(columns())
        return panes.people(model, width, rows() - _AROUND, time.time(), go)

    def transfers() -> StyleAndTextTuples:
        return panes.transfers(work.running, columns(), time.monotonic(), work.cancel)

    def lines_for_transfers() -> Dimension:
        count = len(work.running)
        return Dimension.exact(min(count, panes.TRANSFERS) + (count > panes.TRANSFERS))

    def prompt() -> StyleAndTextTuples:
        return [("class:prompt", f"{cut(model.current.name, max(6, columns() // 4))} › ")]

    border = "class:border"
    typing.input_processors = [InCells(), BeforeInput(prompt)]
    body = VSplit(
        [
            ConditionalContainer(
                VSplit(
                    [
                        Window(
                            FormattedTextControl(conversations), width=panes.CONVERSATIONS_WIDTH
                        ),
                        Window(width=1, char="│", style=border),
                    ]
                ),
                wide,
            ),
            Window(timeline),
            ConditionalContainer(
                VSplit(
                    [
                        Window(width=1, char="│", style=border),
                        Window(
                            FormattedTextControl(people),
                            width=lambda: Dimension.exact(panes.people_width(columns())),
                        ),
                    ]
                ),
                roomy,
            ),
        ]
    )

    def height() -> Dimension:
        return Dimension(min=1, max=max(2, min(8, rows() // 3)))

    lines = HSplit(
        [
            Window(FormattedTextControl(above), height=1),
            body,
            ConditionalContainer(
                Window(FormattedTextControl(transfers), height=lines_for_transfers),
                Condition(lambda: bool(work.running)),
            ),
            Window(FormattedTextControl(lambda: status(columns())), height=1),
            ConditionalContainer(
                Window(typing, height=height, wrap_lines=True, dont_extend_height=True),
                ~asking.is_open,
            ),
            ConditionalContainer(asking.window, asking.is_open),
        ]
    )
    return FloatContainer(
        lines,
        floats=[
            Float(xcursor=True, ycursor=True, content=CompletionsMenu(max_height=8)),
            Float(top=1, left=0, right=0, content=pager.container),
        ],
    )


def columns() -> int:
    """Return the terminal's width in cells."""
    return get_app().output.get_size().columns


def rows() -> int:
    """Return the terminal's height in lines."""
    return get_app().output.get_size().rows
