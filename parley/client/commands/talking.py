"""Commands about what is said: to whom, changed, taken back, said before."""

from collections.abc import Awaitable
from difflib import get_close_matches

from framing.events import AnyEvent, History
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
from parley.client.model.conversation import Conversation
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
        if rest != name:
            _check_meant(face, rest)
        msg(face, rest)
    else:
        raise UsageError("Go where?")
    return None


def _check_meant(face: Face, nick: str) -> None:
    """Raise if nobody is known by a nick and it is nearly the name of a room here."""
    if face.model.people.get(nick) is not None:
        return
    rooms = [name[1:] for name in face.model.conversations if is_room(name)]
    if near := get_close_matches(key(nick), rooms, 1, 0.8):
        text = f"I know of no {nick}. /go #{near[0]}? /go @{nick} writes to who is not here."
        raise CannotError(text)


def edit(face: Face, rest: str) -> Awaitable[None]:
    where = face.model.current
    entry = where.last_by(face.model.nick)
    _check_arrived(face)
    if entry is None:
        raise CannotError("You have said nothing here that could be changed.")
    if not rest:
        raise UsageError(f"What should it say instead of '{cut(entry.text, 40)}'?")
    answer = face.session.request(lambda ref: Edit(ref, entry.seq, rest))
    return _changed(face, where, entry.seq, clean_text(rest), False, answer)


def redact(face: Face, rest: str) -> Awaitable[None]:
    where = face.model.current
    nick = rest.removeprefix("@") or face.model.nick
    entry = where.last_by(nick)
    if key(nick) == key(face.model.nick):
        _check_arrived(face)
    if entry is None:
        raise CannotError("There is nothing here that could be taken back.")
    answer = face.session.request(lambda ref: Redact(ref, entry.seq))
    return _changed(face, where, entry.seq, "", True, answer)


def _check_arrived(face: Face) -> None:
    """Raise ``CannotError`` if the last own message is not stored: the one before is not meant."""
    here = key(face.model.current.name)
    if any(key(message.to) == here for message in face.session.outbox.waiting):
        raise CannotError("Your last message is still on its way (…): try again when it is there.")


async def _changed(
    face: Face,
    where: Conversation,
    seq: int,
    text: str,
    redacted: bool,
    answer: Awaitable[AnyEvent],
) -> None:
    if not say_refusal(face, await answer):
        face.model.change(where, seq, text, redacted, 0)


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
