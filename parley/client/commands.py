"""What one can type that is no message: the commands, in one table for every face.

To add one: a handler, and its row in ``TABLE``.
"""

import difflib
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

from framing.events import AnyEvent, Error, History, Users
from framing.names import is_nick, is_room, key
from framing.requests import Away, PageOf, WhoIs
from parley.client.conversation import Kind
from parley.client.login import LoginError
from parley.client.model import Model
from parley.client.people import Person, presence
from parley.client.preferences import Preferences
from parley.client.session import Session
from parley.client.store import StoreError


class Face(Protocol):
    """What a command needs of the face it was typed into."""

    session: Session
    model: Model
    preferences: Preferences
    keys: str
    """What its keys do, as text."""

    def preferred(self) -> None:
        """The preferences have changed."""

    def copy(self, text: str) -> None:
        """Put ``text`` on the clipboard. Raises ``ValueError`` if that cannot be."""

    async def bare(self) -> None:
        """Show the conversation as the terminal's own text, to be selected and copied."""

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for something hidden; None if the person would rather not."""

    def show(self, title: str, text: str) -> None:
        """Show a longer text."""

    def clear(self) -> None:
        """Clear what is shown of the current conversation."""

    def leave(self) -> None:
        """End the program."""


class UsageError(Exception):
    """A command was typed wrongly. The text says how it is typed."""


Handler = Callable[[Face, str], Awaitable[None] | None]
"""Does a command, or returns what of it must wait."""

_EXPECTED: Final = (UsageError, ConnectionError, LoginError, StoreError, ValueError)


@dataclass(frozen=True, slots=True)
class Command:
    """A command. ``arguments`` as they are typed; ``completes``: what its first argument is."""

    name: str
    arguments: str
    summary: str
    handler: Handler
    details: str = ""
    completes: str = ""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()


def run(face: Face, line: str) -> Coroutine[None, None, None] | None:
    """Do what ``line`` says: a command, ``q!``, or a message for the current conversation.

    All that need not wait is done when this returns, so that what is typed next finds it done;
    what must wait for the server or the person is returned, to be awaited. What goes wrong is said
    in the conversation; nothing is sent that was not meant to be.
    """
    model = face.model
    if line.strip() == "q!":
        face.leave()
        return None
    if not line.startswith("/") or line.startswith("//"):
        text = line[1:] if line.startswith("//") else line
        if text.strip():
            face.session.say(text, model.current.name)
        return None
    name, _, rest = line[1:].partition(" ")
    command = find(name)
    if command is None:
        near = difflib.get_close_matches(name.lower(), NAMES, 3, 0.5)
        hint = f" Did you mean {' or '.join(f'/{n}' for n in near)}?" if near else ""
        text = f"There is no command /{name}.{hint} /help lists all; //text sends a slash."
        model.note(text, time.time(), Kind.TROUBLE)
        return None
    try:
        work = command.handler(face, rest.strip())
    except _EXPECTED as problem:
        _say_problem(face, command, problem)
        return None
    return None if work is None else _finish(face, command, work)


async def _finish(face: Face, command: Command, work: Awaitable[None]) -> None:
    try:
        await work
    except _EXPECTED as problem:
        _say_problem(face, command, problem)


def _say_problem(face: Face, command: Command, problem: Exception) -> None:
    text = f"/{command.name}: {problem}"
    if isinstance(problem, UsageError):
        text = f"{problem} It is typed: {command.usage}"
    face.model.note(text, time.time(), Kind.TROUBLE)


def find(name: str) -> Command | None:
    """Return the command of this name."""
    return TABLE.get(ALIASES.get(name.lower(), name.lower()))


def help_text() -> str:
    """Return the list of commands."""
    width = max(len(command.usage) for command in TABLE.values())
    rows = [f"{c.usage:<{width}}  {c.summary}" for c in TABLE.values()]
    return "\n".join([*rows, f"{'q!':<{width}}  leave (on a line of its own)"])


def _say_refusal(face: Face, answer: AnyEvent) -> bool:
    """Say so if the server refused. Return whether it did."""
    if isinstance(answer, Error):
        face.model.note(answer.text, time.time(), Kind.TROUBLE)
        return True
    return False


def _msg(face: Face, rest: str) -> None:
    nick, _, text = rest.partition(" ")
    nick = nick.removeprefix("@")
    if not is_nick(nick):
        raise UsageError("Write to whom?")
    known = face.model.people.get(key(nick))
    conversation = face.model.conversation(f"@{known.nick if known else nick}")
    face.model.show(conversation)
    if text.strip():
        face.session.say(text.strip(), conversation.name)


def _me(face: Face, rest: str) -> None:
    if not rest:
        raise UsageError("Do what?")
    face.session.say(f"/me {rest}", face.model.current.name)


def _go(face: Face, rest: str) -> None:
    name = rest if rest.startswith(("#", "@")) else f"@{rest}"
    found = face.model.conversations.get(key(name)) or face.model.conversations.get(key(f"#{rest}"))
    if found is not None:
        face.model.show(found)
    elif name.startswith("@") and is_nick(name[1:]):
        _msg(face, name[1:])
    else:
        raise UsageError("Go where?" if not is_room(name) else f"There is no room {name}.")


async def _users(face: Face, rest: str) -> None:
    found: list[Person] = []
    after: str | None = None
    total = 0
    while True:
        answer = await face.session.ask(lambda ref, a=after: WhoIs(ref, a))  # type: ignore[misc]
        if _say_refusal(face, answer):
            return
        if not isinstance(answer, Users):
            raise ConnectionError("the server's answer makes no sense")
        face.model.users(answer.users)
        total = answer.total
        found += [face.model.people[key(user.nick)] for user in answer.users]
        last = answer.users[-1].nick if answer.users else ""
        if answer.end or key(last) <= key(after or ""):
            break
        after = last
    wanted = [person for person in found if rest.lower() in key(person.nick)]
    column = max((len(person.nick) for person in wanted), default=0)
    lines = [f"{person.nick:<{column}}  {_about(person)}" for person in wanted]
    lines.append(f"{len(wanted)} of {total}" if rest else f"{total} in all")
    face.show("People", "\n".join(lines))


def _about(person: Person) -> str:
    return f"{presence(person, time.time())}, {'registered' if person.account else 'guest'}"


async def _history(face: Face, rest: str) -> None:
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


def _clear(face: Face, rest: str) -> None:
    face.clear()


async def _away(face: Face, rest: str) -> None:
    answer = await face.session.ask(lambda ref: Away(ref, rest or "away"))
    if not _say_refusal(face, answer):
        face.model.note("You are away. /back ends that.", time.time())


async def _back(face: Face, rest: str) -> None:
    answer = await face.session.ask(lambda ref: Away(ref))
    if not _say_refusal(face, answer):
        face.model.note("You are back.", time.time())


async def _register(face: Face, rest: str) -> None:
    await _new_password(face, change=False)


async def _passwd(face: Face, rest: str) -> None:
    await _new_password(face, change=True)


async def _new_password(face: Face, change: bool) -> None:
    nick = face.session.nick
    if change and not face.model.account:
        raise UsageError(f"{nick} is not registered: /register makes it an account.")
    if not change and face.model.account:
        raise UsageError(f"{nick} is registered already: /passwd changes the password.")
    password = await face.ask_password(f"New password for {nick}: ")
    if not password:
        face.model.note("Nothing was changed.", time.time())
        return
    if await face.ask_password("Once more: ") != password:
        text = "The two were not the same; nothing was changed."
        face.model.note(text, time.time(), Kind.TROUBLE)
        return
    if not _say_refusal(face, await face.session.register(password, change)):
        done = "The password is changed." if change else f"{nick} is yours now, by this password."
        face.model.account = True
        face.model.note(done, time.time())


def _retry(face: Face, rest: str) -> None:
    refused = face.session.refused
    if not refused:
        raise UsageError("No message was refused.")
    for message in refused:
        face.session.retry(message.ref)


def _drop(face: Face, rest: str) -> None:
    refused = face.session.refused
    if not refused:
        raise UsageError("No message was refused.")
    for message in refused:
        face.session.drop(message.ref)


def _copy(face: Face, rest: str) -> None:
    if rest and not (rest.isascii() and rest.isdigit() and int(rest) > 0):
        raise UsageError("How many messages, as a number?")
    count = int(rest or "1")
    said = [e for e in face.model.current.entries if e.kind is Kind.SAID][-count:]
    if not said:
        raise UsageError("There is nothing to copy here.")
    # One message is wanted for its text, several for who said what.
    lines = [f"{e.nick}: {e.text}" for e in said] if rest else [said[0].text]
    face.copy("\n".join(lines))
    what = f"The last {len(said)} messages" if len(said) > 1 else "The last message"
    face.model.note(f"{what}: given to the terminal's clipboard.", time.time())


async def _bare(face: Face, rest: str) -> None:
    await face.bare()


def _set(face: Face, rest: str) -> None:
    if not rest:
        usage = "/set NAME VALUE, for example /set theme dark. It is kept for the next start."
        face.show("Settings", f"{face.preferences.table()}\n\n{usage}")
        return
    name, _, value = rest.partition(" ")
    try:
        face.preferences.set(name.lower(), value.strip().lower())
    finally:
        face.preferred()
    face.model.note(f"{name.lower()} is {value.strip().lower()} now.", time.time())


def _reconnect(face: Face, rest: str) -> None:
    face.session.reconnect()


def _help(face: Face, rest: str) -> None:
    if not rest:
        face.show("Help", f"{help_text()}\n\n{face.keys}".rstrip())
        return
    command = find(rest.removeprefix("/"))
    if command is None:
        raise UsageError(f"There is no command {rest}.")
    face.show(command.usage, f"{command.usage}\n{command.summary}\n{command.details}".rstrip())


def _quit(face: Face, rest: str) -> None:
    face.leave()


_COMMANDS: Final = (
    Command(
        "msg",
        "NICK [TEXT]",
        "write to one person, in private",
        _msg,
        "Without a text it opens the conversation.",
        "nick",
    ),
    Command("go", "NAME", "go to a conversation", _go, "For example /go lobby.", "conversation"),
    Command("me", "TEXT", "say what you do", _me),
    Command("users", "[PART]", "who is here, away, or registered", _users, "", "nick"),
    Command("history", "[COUNT]", "older messages of this conversation", _history),
    Command("away", "[TEXT]", "say that you are away, and why", _away),
    Command("back", "", "say that you are back", _back),
    Command(
        "register",
        "",
        "make your nick an account with a password",
        _register,
        "The password is typed hidden and never leaves this program.",
    ),
    Command("passwd", "", "change your password", _passwd),
    Command("retry", "", "send again what was refused", _retry),
    Command("drop", "", "forget what was refused", _drop),
    Command(
        "copy",
        "[COUNT]",
        "copy the last message, or several",
        _copy,
        "By the terminal (OSC 52), also over ssh. Some terminals must be told to allow it.",
    ),
    Command("bare", "", "plain text to select and copy", _bare),
    Command("set", "[NAME VALUE]", "colours, alerts, keys, mouse", _set, "", "choice"),
    Command("reconnect", "", "connect now instead of later", _reconnect),
    Command("clear", "", "clear the screen; nothing is deleted", _clear),
    Command("help", "[COMMAND]", "this list, or more about one", _help, "", "command"),
    Command("quit", "", "leave", _quit),
)

TABLE: Final = {command.name: command for command in _COMMANDS}
ALIASES: Final = {"who": "users", "names": "users", "w": "msg", "query": "msg", "exit": "quit"}
NAMES: Final = sorted([*TABLE, *ALIASES])
