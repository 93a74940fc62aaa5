"""The timeline: what was said, as much of it as the screen shows.

Only the lines in sight are ever laid out, so the cost of a redraw follows the screen and
not the history. It stands at the end and follows, or stays where it was scrolled to
whatever comes in; a place is an entry and the lines of it below the edge, so that it
survives a resize.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prompt_toolkit.application import get_app
from prompt_toolkit.data_structures import Point
from prompt_toolkit.formatted_text import StyleAndTextTuples, to_formatted_text
from prompt_toolkit.layout.controls import UIContent, UIControl
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from parley.client.ground.cells import wrap
from parley.client.model.conversation import Conversation, Entry
from parley.client.model.model import Model
from parley.client.screen import panes
from parley.client.screen.rows import FOLD, Line, fold, rows_of

_KEPT: Final = 500  # laid-out entries that are kept
_WHEEL: Final = 3  # lines


@dataclass(slots=True)
class _Place:
    """The last line in sight is in ``entry`` (counted so that older pages do not move it), with
    ``hidden`` of its lines below. ``entries``: how many there were, so counted, when one left."""

    entry: int
    hidden: int
    entries: int


class Timeline(UIControl):
    """Shows ``model.current``. ``reached_top`` is called when one scrolls up at the beginning,
    ``moved`` whenever one scrolls, ``opened`` with an entry that was clicked on."""

    def __init__(
        self,
        model: Model,
        reached_top: Callable[[], None],
        moved: Callable[[], None],
        opened: Callable[[Entry], None],
    ) -> None:
        self._model = model
        self._opened = opened
        self._in_sight: list[Entry | None] = []  # the entry of each line
        self._reached_top = reached_top
        self._moved = moved
        self._places: dict[Conversation, _Place] = {}
        self._hidden_before: dict[Conversation, int] = {}
        self._rows: OrderedDict[tuple[object, ...], list[Line]] = OrderedDict()
        self._width = 80
        self._height = 24
        self._fold = FOLD

    @property
    def following(self) -> bool:
        """Whether the end is in sight and stays so."""
        return self._model.current not in self._places

    @property
    def below(self) -> int:
        """Entries that came since one scrolled away from the end."""
        place = self._places.get(self._model.current)
        if place is None:
            return 0
        return len(self._model.current.entries) - self._model.current.prepended - place.entries

    def forget_layout(self) -> None:
        """Lay everything out anew: widths have changed."""
        self._rows.clear()

    def clear(self) -> None:
        """Hide what is there now; scrolling up shows it again."""
        conversation = self._model.current
        self._hidden_before[conversation] = len(conversation.entries) - conversation.prepended

    def to_end(self) -> None:
        """Stand at the end again."""
        self._places.pop(self._model.current, None)
        self._moved()

    def to_marker(self) -> bool:
        """Stand where the first new entry is the first in sight. False if there is none."""
        conversation = self._model.current
        if conversation.marker is None or conversation.marker not in conversation.entries:
            return False
        self._hidden_before.pop(conversation, None)
        at = conversation.entries.index(conversation.marker)
        lines = len(self._rows_at(conversation, at))
        last = len(conversation.entries) - 1
        while lines < self._height and at < last:
            at += 1
            lines += len(self._rows_at(conversation, at))
        if at == last and lines <= self._height:
            self.to_end()
            return True
        count = len(conversation.entries) - conversation.prepended
        place = _Place(at - conversation.prepended, lines - self._height, count)
        self._places[conversation] = place
        self._moved()
        return True

    def page(self, direction: int) -> None:
        """Scroll by nearly a screen: -1 up, 1 down."""
        self.scroll(direction * max(1, self._height - 2))

    def scroll(self, lines: int) -> None:
        """Scroll by ``lines``; negative is up."""
        self._scroll(lines)
        self._moved()

    def _scroll(self, lines: int) -> None:
        conversation = self._model.current
        self._hidden_before.pop(conversation, None)
        if not conversation.entries:
            self._reached_top()
            return
        place = self._places.get(conversation)
        if place is None:
            if lines >= 0:
                return
            place = _Place(
                len(conversation.entries) - 1 - conversation.prepended,
                0,
                len(conversation.entries) - conversation.prepended,
            )
        at = max(0, place.entry + conversation.prepended)
        hidden = place.hidden - lines
        while at > 0 and hidden >= len(self._rows_at(conversation, at)):
            hidden -= len(self._rows_at(conversation, at))
            at -= 1
        while hidden < 0 and at < len(conversation.entries) - 1:
            at += 1
            hidden += len(self._rows_at(conversation, at))
        if hidden < 0 or (hidden == 0 and at == len(conversation.entries) - 1):
            self._places.pop(conversation, None)
            return
        if lines < 0 and self._lines_above(conversation, at, hidden) <= self._height:
            self._reached_top()
            at, hidden = self._top(conversation)
        place.entry, place.hidden = at - conversation.prepended, hidden
        if at == len(conversation.entries) - 1 and hidden <= 0:
            self._places.pop(conversation, None)
        else:
            self._places[conversation] = place

    # What prompt_toolkit asks

    def create_content(self, width: int, height: int | None) -> UIContent:
        self._width, self._height = width, height or 1
        self._fold = fold(get_app().output.get_size().rows)  # of all: not by the lines of a draft
        lines = self._visible(width, self._height)
        return UIContent(
            get_line=lambda number: lines[number],
            line_count=len(lines),
            cursor_position=Point(0, len(lines) - 1),
            show_cursor=False,
        )

    def mouse_handler(self, mouse_event: MouseEvent) -> "object":
        if mouse_event.event_type is MouseEventType.SCROLL_UP:
            self.scroll(-_WHEEL)
        elif mouse_event.event_type is MouseEventType.SCROLL_DOWN:
            self.scroll(_WHEEL)
        elif mouse_event.event_type is MouseEventType.MOUSE_UP:
            y = mouse_event.position.y
            entry = self._in_sight[y] if y < len(self._in_sight) else None
            if entry is None:
                return NotImplemented
            self._opened(entry)
        else:
            return NotImplemented
        return None

    def is_focusable(self) -> bool:
        return False

    # Layout

    def _visible(self, width: int, height: int) -> list[StyleAndTextTuples]:
        conversation = self._model.current
        place = self._places.get(conversation)
        first = self._hidden_before.get(conversation, -conversation.prepended)
        first += conversation.prepended
        at = len(conversation.entries) - 1
        hidden = 0
        if place is not None:
            at = max(0, min(at, place.entry + conversation.prepended))
            hidden = place.hidden
        if not conversation.entries:
            hint = wrap(panes.empty(self._model), max(1, width - 4))
            self._in_sight = []
            said = [to_formatted_text(f"  {text}", "class:empty") for text in ("", *hint)]
            return [list(line) for line in said[:height]]
        lines: list[Line] = []
        whose: list[Entry | None] = []
        while at >= first and len(lines) < height + hidden:
            more = self._rows_at(conversation, at)
            lines[:0] = more
            whose[:0] = [conversation.entries[at]] * len(more)
            at -= 1
        if hidden:
            lines, whose = lines[:-hidden], whose[:-hidden]
        lines, whose = lines[-height:], whose[-height:]
        self._in_sight = [*([None] * (height - len(lines))), *whose]
        blank: Line = [("", "")]
        shown: list[StyleAndTextTuples] = [list(blank) for _ in range(height - len(lines))]
        shown += [list(line) for line in lines]
        return shown

    def _rows_at(self, conversation: Conversation, at: int) -> list[Line]:
        entry = conversation.entries[at]
        before = conversation.entries[at - 1] if at else None
        new = entry is conversation.marker
        key = self._key(entry, before, new)
        rows = self._rows.get(key)
        if rows is None:
            nick = self._model.nick
            rows = rows_of(entry, before, self._width, nick, new, self._fold)
            self._rows[key] = rows
            if len(self._rows) > _KEPT:
                self._rows.popitem(last=False)
        return rows

    def _key(self, entry: Entry, before: Entry | None, new: bool) -> tuple[object, ...]:
        day = None if before is None else int(before.time // 900)
        text = entry.fate, entry.text, entry.changed, entry.redacted, entry.time
        return entry, new, text, self._width, self._fold, day, self._model.nick

    def _lines_above(self, conversation: Conversation, at: int, hidden: int) -> int:
        """Count the lines from the beginning to the place, as far as a screen."""
        lines = -hidden
        while at >= 0 and lines <= self._height:
            lines += len(self._rows_at(conversation, at))
            at -= 1
        return lines

    def _top(self, conversation: Conversation) -> tuple[int, int]:
        """Return the place with which the first line is at the upper edge."""
        lines = 0
        for at in range(len(conversation.entries)):
            lines += len(self._rows_at(conversation, at))
            if lines >= self._height:
                return at, lines - self._height
        return len(conversation.entries) - 1, 0
