"""A longer text over the timeline: help, lists. Esc, q or Enter puts it away."""

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, Window
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.widgets import Frame

from parley.client.screen.wrapping import wrap

_AROUND = 5  # lines of the screen that are not the text's: heading, frame, status, input


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
            height=self._height,
        )
        frame = Frame(self.window, title=self._frame_title)
        self.container = ConditionalContainer(frame, Condition(lambda: self.is_open))

    def open(self, title: str, text: str) -> None:
        """Show ``text``."""
        self._title, self._lines, self._offset, self.is_open = title, text.split("\n"), 0, True

    def close(self) -> None:
        """Put it away."""
        self.is_open = False

    def scroll(self, lines: int) -> None:
        """Scroll by ``lines``, as far as there is text."""
        most = max(0, len(self._wrapped()) - self._room())
        self._offset = max(0, min(most, self._offset + lines))

    @property
    def page(self) -> int:
        """Lines that are in sight at once, but for one."""
        return max(1, self._room() - 1)

    def _room(self) -> int:
        return max(1, get_app().output.get_size().rows - _AROUND)

    def _height(self) -> Dimension:
        return Dimension.exact(min(self._room(), max(1, len(self._wrapped()))))

    def _frame_title(self) -> str:
        count, room = len(self._wrapped()), self._room()
        if count <= room:
            return f"{self._title} · Esc closes"
        last = min(count, self._offset + room)
        if get_app().output.get_size().columns < 60:
            return f"{self._title} {last}/{count} · Esc closes"
        return f"{self._title} · {self._offset + 1}-{last} of {count} · PgDn · Esc closes"

    def _text(self) -> StyleAndTextTuples:
        lines = self._wrapped()[self._offset : self._offset + self._room()]
        return [("", "\n".join(lines))]

    def _wrapped(self) -> list[str]:
        """Return the lines as they fit between the frame's sides; what wraps is set in."""
        width = max(10, get_app().output.get_size().columns - 2)
        lines: list[str] = []
        for line in self._lines:
            first, *rest = wrap(line, width)
            lines += [first, *(f"    {part}" for whole in rest for part in wrap(whole, width - 4))]
        return lines
