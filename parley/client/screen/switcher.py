"""The switcher: where one can go, found by any part of its name."""

from collections.abc import Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, FuzzyCompleter
from prompt_toolkit.document import Document

from framing.names import key
from parley.client.model.model import Model
from parley.client.model.people import Person
from parley.client.screen.asking import Asking


def choose(asking: Asking, model: Model, go: Callable[[str], None]) -> None:
    """Ask where to go, and call ``go`` with its name."""

    def done(name: str | None) -> None:
        if name:
            go(name)

    asking.open("Go to: ", done, completer=FuzzyCompleter(SwitchCompleter(model), WORD=True))


class SwitchCompleter(Completer):
    """Offers where one can go: conversations, those with unread messages first, then people."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield all of them, but for the current one."""
        model = self._model
        conversations = [c for c in model.conversations.values() if c is not model.current]
        conversations.sort(key=lambda c: (-c.mentions, -c.unread))
        length = len(document.text_before_cursor)
        for conversation in conversations:
            count = f"{conversation.unread} unread" if conversation.unread else ""
            yield Completion(conversation.name, -length, display_meta=count)
        for person in model.people.online:
            name = f"@{person.nick}"
            if key(person.nick) != key(model.nick) and key(name) not in model.conversations:
                yield Completion(name, -length, display_meta=_status(person))


def _status(person: Person) -> str:
    return f"{person.status} ({person.text})" if person.text else person.status
