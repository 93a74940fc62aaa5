"""What Tab offers: commands with what they do, nicks, conversations, emoji."""

import shlex
from collections.abc import Iterable
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from framing.names import key
from parley.client.commands import table
from parley.client.ground import emoji
from parley.client.ground.cells import in_cells
from parley.client.ground.preferences import CHOICES, NAMED
from parley.client.model.model import Model

EMOJI_FROM: Final = 2
"""Letters after a colon from which emoji are offered: ``:)`` and ``http:`` are not meant."""


class ChatCompleter(Completer):
    """Completes the word before the cursor from ``model`` and the table of commands."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._paths = PathCompleter(expanduser=True)

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what the word before the cursor could become."""
        line = document.current_line_before_cursor
        if line.startswith("/") and " " not in line and document.cursor_position_row == 0:
            for command in table.TABLE.values():
                if command.name.startswith(line[1:].lower()):
                    yield Completion(
                        f"/{command.name} ",
                        -len(line),
                        display=command.usage,
                        display_meta=command.summary,
                    )
            return
        word = line.rpartition(" ")[2]
        if line.startswith("/"):
            name, _, rest = line[1:].partition(" ")
            known = table.find(name)
            spaced = known is not None and known.completes in ("file", "path")
            if known is not None and (" " not in rest or spaced):
                yield from self._argument(known.completes, rest)
                return
            if known is not None and known.completes == "choice":
                name, _, value = rest.partition(" ")
                choice = NAMED.get(name)
                for offered in choice.values if choice is not None else ():
                    if offered.startswith(value):
                        yield Completion(offered, -len(value))
                return
        if word.startswith(":") and len(word) > EMOJI_FROM:
            for name, char in emoji.named(word[1:].lower()):
                yield Completion(char, -len(word), display=f"{in_cells(char)} :{name}:")
            return
        bare = word.removeprefix("@")
        if word and (word.startswith("@") or complete_event.completion_requested):
            after = ": " if word == line and not word.startswith("@") else " "
            yield from self._nicks(bare, after, len(bare))

    def _argument(self, kind: str, typed: str) -> Iterable[Completion]:
        if kind == "choice":
            for choice in CHOICES:
                if choice.name.startswith(typed):
                    yield Completion(choice.name, -len(typed), display_meta=choice.summary)
        elif kind == "file":
            for key_, name in sorted(self._model.files.items()):
                if typed.lower() in key_:
                    yield Completion(shlex.quote(name), -len(typed), display=in_cells(name))
        elif kind == "path":
            yield from self._paths.get_completions(Document(typed), CompleteEvent())
        elif kind == "nick":
            yield from self._nicks(typed.removeprefix("@"), " ", len(typed.removeprefix("@")))
        elif kind == "conversation":
            for conversation in self._model.conversations.values():
                if typed.lower() in conversation.name.lower():
                    yield Completion(conversation.name, -len(typed))
        elif kind == "command":
            for name in table.TABLE:
                if name.startswith(typed.removeprefix("/")):
                    yield Completion(name, -len(typed), display_meta=table.TABLE[name].summary)

    def _nicks(self, typed: str, after: str, replaced: int) -> Iterable[Completion]:
        own = key(self._model.nick)
        for person in self._model.people.known:
            if key(person.nick).startswith(typed.lower()) and key(person.nick) != own:
                yield Completion(person.nick + after, -replaced, display_meta=person.status)
