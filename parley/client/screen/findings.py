"""What a search found: lines to choose from, each to be looked at among what was said around it."""

from collections.abc import Callable, Coroutine

from parley.client.commands.face import Face, Older
from parley.client.model.conversation import Entry
from parley.client.model.lines import found_line
from parley.client.screen import loading, panes
from parley.client.screen.layout import columns
from parley.client.screen.pager import Pager


class Findings:
    """Shows them in ``pager``. ``start`` has something done beside everything else."""

    def __init__(
        self, face: Face, pager: Pager, start: Callable[[Coroutine[None, None, None]], None]
    ) -> None:
        self._face = face
        self._pager = pager
        self._start = start

    def show(self, title: str, found: list[tuple[str, Entry]], older: Older | None) -> None:
        """Offer what was found, and behind it what ``older`` brings."""

        def choose(number: int) -> None:
            if number < len(found):
                self._start(self._show_context(*found[number]))
            elif older is not None:
                self._start(older())

        brief = columns() < panes.PEOPLE_FROM
        lines = [found_line(name, entry, brief) for name, entry in found]
        lines += ["… older ones"] if older is not None else []
        self._pager.offer(title, lines, choose)

    async def _show_context(self, name: str, entry: Entry) -> None:
        around = await loading.context(self._face, name, entry)
        if around is not None:
            lines, at = around
            self._pager.open(name, "\n".join(lines), max(0, at - 3))
