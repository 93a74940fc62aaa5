"""A longer text over the timeline: help, lists, what was found. Esc, q or Enter puts it away, and
so does whatever is typed that is no key of its own: that goes to the input.

One text may lie on another: what was found, and one of it in its context. The lines of a list
can be chosen from.
"""

import re
from collections.abc import Callable
from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, Window
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.widgets import Frame

from parley.client.ground.cells import cut, in_cells, width_of, wrap

_AROUND: Final = 5  # lines of the screen that are not the text's: heading, frame, status, input
_NARROW: Final = 60  # columns under which a table has no room for its columns
_ROW: Final = re.compile(r"([^\s▶].*?) {2,}(\S.*)")  # of a table, and not a message in its context


class _Text:
    """One text. With ``choose`` its lines can be chosen from; ``at`` is the one marked."""

    def __init__(self, title: str, lines: list[str], choose: Callable[[int], None] | None) -> None:
        self.title = title
        self.lines = lines
        self.choose = choose
        self.offset = 0
        self.at = 0


class Pager:
    """Shows the uppermost of its texts. ``focus`` moves the cursor to it (True) or back."""

    def __init__(self, focus: Callable[[bool], None]) -> None:
        self._focus = focus
        self._texts: list[_Text] = []
        self.window = Window(
            FormattedTextControl(self._text, focusable=True, show_cursor=False),
            wrap_lines=False,
            height=self._height,
        )
        frame = Frame(self.window, title=self._frame_title)
        self.container = ConditionalContainer(frame, Condition(lambda: self.is_open))

    @property
    def is_open(self) -> bool:
        """Whether there is a text."""
        return bool(self._texts)

    @property
    def chooses(self) -> bool:
        """Whether its lines can be chosen from."""
        return self.is_open and self._texts[-1].choose is not None

    def open(self, title: str, text: str, at: int = 0) -> None:
        """Show ``text``, from the line ``at`` on."""
        self._texts.append(_Text(title, text.split("\n"), None))
        self.scroll(at)
        self._focus(True)

    def offer(self, title: str, lines: list[str], choose: Callable[[int], None]) -> None:
        """Show lines to choose from; ``choose`` gets the number of each that is."""
        self._texts.append(_Text(title, lines, choose))
        self._focus(True)

    def close(self) -> None:
        """Put the uppermost away."""
        self._texts.pop()
        if not self.is_open:
            self._focus(False)

    def take(self) -> None:
        """Choose the line that is marked."""
        text = self._texts[-1]
        if text.choose is not None:
            text.choose(text.at)

    def scroll(self, lines: int) -> None:
        """Scroll by ``lines``, as far as there is text; in a list, move the mark."""
        text = self._texts[-1]
        if text.choose is not None:
            text.at = max(0, min(len(text.lines) - 1, text.at + lines))
            room = self._room()
            text.offset = max(min(text.offset, text.at), text.at - room + 1)
            return
        most = max(0, len(self._shown()) - self._room())
        text.offset = max(0, min(most, text.offset + lines))

    @property
    def page(self) -> int:
        """Lines that are in sight at once, but for one."""
        return max(1, self._room() - 1)

    def _room(self) -> int:
        return max(1, get_app().output.get_size().rows - _AROUND)

    def _height(self) -> Dimension:
        return Dimension.exact(min(self._room(), max(1, len(self._shown()))))

    def _frame_title(self) -> str:
        if not self.is_open:
            return ""
        text = self._texts[-1]
        keys = "Enter opens · Esc closes" if text.choose is not None else "Esc closes"
        count, room = len(self._shown()), self._room()
        columns = get_app().output.get_size().columns
        title = cut(text.title, max(10, columns // 2 - 8))
        if count <= room:
            return f"{title} · {keys}"
        last = min(count, text.offset + room)
        if columns < _NARROW:
            return f"{title} {last}/{count} · Esc closes"
        return f"{title} · {text.offset + 1}-{last} of {count} · PgDn · {keys}"

    def _text(self) -> StyleAndTextTuples:
        if not self.is_open:
            return []
        text = self._texts[-1]
        shown: StyleAndTextTuples = []
        lines = self._shown()[text.offset : text.offset + self._room()]
        for number, line in enumerate(lines, text.offset):
            style = "class:chosen" if text.choose is not None and number == text.at else ""
            shown.append((style, line))
            shown.append(("", "\n"))
        return shown[:-1]

    def _shown(self) -> list[str]:
        """Return the lines as they fit between the frame's sides; what wraps is set in."""
        if not self.is_open:
            return []
        text = self._texts[-1]
        width = max(10, get_app().output.get_size().columns - 2)
        if text.choose is not None:
            return [cut(line, width) for line in text.lines]
        return [part for line in text.lines for part in _fitted(line, width)]


def _fitted(line: str, width: int) -> list[str]:
    """Return ``line`` as lines of at most ``width`` cells. What does not fit is set in; on a narrow
    screen that is all but the first column of a table."""
    line = in_cells(line)
    if width_of(line) <= width:
        return [line]
    row = _ROW.fullmatch(line) if width + 2 < _NARROW else None
    if row:
        first, rest = wrap(row[1], width), row[2]
    else:
        first = wrap(line, width)[:1]
        rest = line[len(first[0]) :].lstrip(" ")
    return [*first, *(f"    {part}" for part in wrap(rest, width - 4))]
