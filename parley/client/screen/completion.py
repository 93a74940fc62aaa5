"""What Tab offers: commands with what they do, nicks, conversations."""

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from parley.client import commands
from parley.client.model import Model


class ChatCompleter(Completer):
    """Completes the word before the cursor from ``model`` and the table of commands."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what the word before the cursor could become."""
        line = document.current_line_before_cursor
        if line.startswith("/") and " " not in line and document.cursor_position_row == 0:
            for command in commands.TABLE.values():
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
            known = commands.find(name)
            if known is not None and " " not in rest:
                yield from self._argument(known.completes, rest)
                return
        bare = word.removeprefix("@")
        if word and (word.startswith("@") or complete_event.completion_requested):
            after = ": " if word == line and not word.startswith("@") else " "
            yield from self._nicks(bare, after, len(bare))

    def _argument(self, kind: str, typed: str) -> Iterable[Completion]:
        if kind == "nick":
            yield from self._nicks(typed.removeprefix("@"), " ", len(typed.removeprefix("@")))
        elif kind == "conversation":
            for conversation in self._model.conversations.values():
                if typed.lower() in conversation.name.lower():
                    yield Completion(conversation.name, -len(typed))
        elif kind == "command":
            for name in commands.TABLE:
                if name.startswith(typed.removeprefix("/")):
                    yield Completion(name, -len(typed), display_meta=commands.TABLE[name].summary)

    def _nicks(self, typed: str, after: str, replaced: int) -> Iterable[Completion]:
        for key in sorted(self._model.people):
            person = self._model.people[key]
            if key.startswith(typed.lower()) and person.nick != self._model.nick:
                yield Completion(person.nick + after, -replaced, display_meta=person.status)
