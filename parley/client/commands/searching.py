"""Finding what was said."""

import contextlib
import datetime
import time

from framing.events import History
from framing.requests import (
    PageOf,
    Search,
)
from parley.client.commands.face import Face, UsageError, say_refusal
from parley.client.ground.clean import clean
from parley.client.model.conversation import Entry
from parley.client.model.entries import place_of


async def search(face: Face, rest: str) -> None:
    if not rest:
        raise UsageError("For what?")
    await _search(face, rest, None)


async def _search(face: Face, rest: str, before: int | None) -> None:
    request = parse_search(rest)
    request.before = before

    def make(ref: str) -> Search:
        request.ref = ref
        return request

    answer = await face.session.ask(make)
    if say_refusal(face, answer):
        return
    if not isinstance(answer, History):
        raise ConnectionError("the server's answer makes no sense")
    found = [(place_of(m, face.model.nick), face.model.entry(m)) for m in reversed(answer.messages)]
    if not found:
        face.model.note(f"Nothing was found for {clean(rest)}.", time.time())
        return

    async def older() -> None:
        with contextlib.suppress(ConnectionError):  # that the connection is gone, one sees
            await _search(face, rest, found[-1][1].seq)

    face.found(f"Found for {clean(rest)}", found, None if answer.end else older)


def parse_search(text: str) -> Search:
    """Return the search that a person means: words, and ``from:NICK``, ``in:NAME``,
    ``before:2026-11-21``, ``after:2026-11-21`` among them. Raises ``UsageError``."""
    request = Search("x")
    words = []
    for part in text.split(" "):
        name, colon, value = part.partition(":")
        if not colon or name not in ("from", "in", "before", "after"):
            words.append(part)
        elif name == "from":
            request.from_ = value.removeprefix("@")
        elif name == "in":
            request.with_ = value if value.startswith(("#", "@")) else f"#{value}"
        else:
            try:
                day = datetime.datetime.strptime(value, "%Y-%m-%d").timestamp()
            except ValueError:
                raise UsageError(f"{value!r} is no day: as in 2026-11-21.") from None
            if name == "before":
                request.until = day
            else:
                request.since = day
    request.text = " ".join(words).strip()
    return request


async def context(face: Face, name: str, seq: int, count: int) -> list[Entry]:
    """Return up to ``count`` messages of a conversation before and after a seq, with it.

    Raises ``ConnectionError``.
    """
    entries: list[Entry] = []
    for before, after in ((seq, None), (None, seq - 1)):
        page = await face.session.ask(
            lambda ref, b=before, a=after: PageOf(ref, name, b, a, count)  # type: ignore[misc]
        )
        if isinstance(page, History):
            entries += [
                face.model.entry(m) for m in page.messages if not (m.edit_of or m.redact_of)
            ]
    return entries
