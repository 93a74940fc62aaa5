"""When the screen is drawn: once for all that has gathered, a few times a second at most, and anew
when the terminal has told more of itself."""

import asyncio
from typing import Final

from prompt_toolkit.application import Application

from parley.client.files.work import Work
from parley.client.ground import terminal
from parley.client.ground.cells import MARK_SAMPLE, set_mark_width
from parley.client.model.model import Model
from parley.client.screen import panes
from parley.client.screen.timeline import Timeline

_REDRAW: Final = 1 / 20
"""Seconds between redraws for what comes in; what is typed is drawn at once."""

_PROGRESS: Final = 0.25  # seconds between two looks at how far a file is


class Drawing:
    """Draws ``app``: the window's title too, from ``model``, and how far the files of ``work``
    are."""

    def __init__(
        self, app: Application[None], model: Model, timeline: Timeline, work: Work
    ) -> None:
        self._app = app
        self._model = model
        self._timeline = timeline
        self._work = work
        self._title = ""
        self._timer: asyncio.TimerHandle | None = None
        self._progress: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        set_mark_width(1)
        app.before_render += self._retitle
        app.after_render += self._measure

    def now(self) -> None:
        """Draw what has changed."""
        self._app.invalidate()

    def soon(self) -> None:
        """Draw what has come: at once if that was not done just now, else together with more."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = max(0.0, self._drawn_at + _REDRAW - loop.time())
            self._timer = loop.call_later(wait, self._draw)

    def _draw(self) -> None:
        self._timer = None
        self._drawn_at = asyncio.get_running_loop().time()
        self._app.invalidate()

    def progress(self) -> None:
        """Draw how far files are, again and again as long as one is on its way."""
        self.soon()
        if self._progress is None and self._work.running:
            self._show_progress()

    def _show_progress(self) -> None:
        self._progress = None
        self._app.invalidate()
        if self._work.running:
            loop = asyncio.get_running_loop()
            self._progress = loop.call_later(_PROGRESS, self._show_progress)

    def anew(self) -> None:
        """Draw everything anew. Not by the renderer's own ``clear``: that leaves the alternate
        screen first, and wipes what the shell had shown."""
        self._app.renderer.erase(leave_alternate_screen=False)
        self._app.output.erase_screen()
        self._app.output.cursor_goto(0, 0)
        self._app.output.flush()
        self._app.invalidate()

    def measured(self, answer: str) -> None:
        """The terminal has told how wide the sample is."""
        if terminal.width_told(answer) == 1:
            set_mark_width(0)
            self._timeline.forget_layout()
            self.anew()

    def _measure(self, _app: object) -> None:
        """Ask for focus reports and the width of the sample, once, and draw over it: not before
        the terminal has stopped to echo, since some answer at once."""
        self._app.after_render -= self._measure
        terminal.report_focus(self._app.output, True)
        terminal.ask_width(self._app.output, MARK_SAMPLE)
        self.anew()

    def _retitle(self, _app: object) -> None:
        title = panes.title(self._model)
        if title != self._title:
            self._title = title
            self._app.output.set_title(title)
