"""Commands about what is said: to whom, changed, taken back, said before."""

from collections.abc import Awaitable

from framing.events import History
from framing.names import is_nick, is_room, key
from framing.requests import (
    Edit,
    PageOf,
    Redact,
)
from parley.client.commands.face import CannotError, Face, UsageError, say_refusal
from parley.client.commands.rooms import join
from parley.client.ground.cells import cut
from parley.client.ground.clean import clean_text
from parley.client.model.model import Model
from parley.client.session.session import Session


def msg(face: Face, rest: str) -> None:
    nick, _, text = rest.partition(" ")
    nick = nick.removeprefix("@")
    if not is_nick(nick):
        raise UsageError("Write to whom?")
    known = face.model.people.get(nick)
    conversation = face.model.conversation(f"@{known.nick if known else nick}")
    face.model.show(conversation)
    if text.strip():
        face.session.outbox.say(text.strip(), conversation.name)


def me(face: Face, rest: str) -> None:
    if not rest:
        raise UsageError("Do what?")
    face.session.outbox.say(f"/me {rest}", face.model.current.name)


def go(face: Face, rest: str) -> Awaitable[None] | None:
    name = rest if rest.startswith(("#", "@")) else f"@{rest}"
    found = face.model.conversations.get(key(name)) or face.model.conversations.get(key(f"#{rest}"))
    if found is not None:
        face.model.show(found)
    elif is_room(rest):
        return join(face, rest)
    elif name.startswith("@") and is_nick(name[1:]):
        msg(face, name[1:])
    else:
        raise UsageError("Go where?")
    return None


async def edit(face: Face, rest: str) -> None:
    entry = face.model.current.last_by(face.model.nick)
    if entry is None:
        raise CannotError("You have said nothing here that could be changed.")
    if not rest:
        raise UsageError(f"What should it say instead of {cut(entry.text, 40)!r}?")
    answer = await face.session.ask(lambda ref: Edit(ref, entry.seq, rest))
    if not say_refusal(face, answer):
        face.model.current.change(entry.seq, clean_text(rest), False, 0)


async def redact(face: Face, rest: str) -> None:
    entry = face.model.current.last_by(rest.removeprefix("@") or face.model.nick)
    if entry is None:
        raise CannotError("There is nothing here that could be taken back.")
    where = face.model.current
    answer = await face.session.ask(lambda ref: Redact(ref, entry.seq))
    if not say_refusal(face, answer):
        where.change(entry.seq, "", True, 0)


async def history(face: Face, rest: str) -> None:
    if rest and not (rest.isascii() and rest.isdigit() and int(rest) > 0):
        raise UsageError("How many older messages, as a number?")
    await load_older(face.session, face.model, int(rest or "100"))


async def load_older(session: Session, model: Model, count: int) -> None:
    """Bring up to ``count`` older messages of the current conversation into the model.

    Raises ``ConnectionError`` if there is no connection.
    """
    conversation = model.current
    if conversation.loading or conversation.complete:
        return
    conversation.loading = True
    try:
        before = conversation.oldest
        page = await session.ask(lambda ref: PageOf(ref, conversation.name, before, None, count))
        if isinstance(page, History):
            model.older(conversation, page)
    finally:
        conversation.loading = False
