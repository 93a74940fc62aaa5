"""A longer text over the timeline: help, lists. Esc, q or Enter puts it away."""

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import (
    ConditionalContainer,
    FormattedTextControl,
    ScrollOffsets,
    Window,
)
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.widgets import Frame

from parley.client.screen.wrapping import wrap


class Pager:
    """Shows one text at a time; ``offset`` is the first line in sight."""

    def __init__(self) -> None:
        self._title = ""
        self._lines: list[str] = []
        self._offset = 0
        self.is_open = False
        self.window = Window(
            FormattedTextControl(self._text, focusable=True, show_cursor=False),
            wrap_lines=False,
            height=Dimension(min=3),
            scroll_offsets=ScrollOffsets(),
        )
        frame = Frame(self.window, title=lambda: f"{self._title} · Esc closes")
        self.container = ConditionalContainer(frame, Condition(lambda: self.is_open))

    def open(self, title: str, text: str) -> None:
        """Show ``text``."""
        self._title, self._lines, self._offset, self.is_open = title, text.split("\n"), 0, True

    def close(self) -> None:
        """Put it away."""
        self.is_open = False

    def scroll(self, lines: int) -> None:
        """Scroll by ``lines``, as far as there is text."""
        info = self.window.render_info
        height = info.window_height if info else 10
        most = max(0, len(self._wrapped()) - height)
        self._offset = max(0, min(most, self._offset + lines))

    @property
    def page(self) -> int:
        """Lines that are in sight at once."""
        info = self.window.render_info
        return max(1, info.window_height - 1 if info else 10)

    def _text(self) -> StyleAndTextTuples:
        return [("", "\n".join(self._wrapped()[self._offset :]))]

    def _wrapped(self) -> list[str]:
        """Return the lines as they fit between the frame's sides; what wraps is set in."""
        width = max(10, get_app().output.get_size().columns - 2)
        lines: list[str] = []
        for line in self._lines:
            first, *rest = wrap(line, width)
            lines += [first, *(f"    {part}" for whole in rest for part in wrap(whole, width - 4))]
        return lines
