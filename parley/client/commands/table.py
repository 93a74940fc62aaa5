"""What one can type that is no message: the commands, in one table for every face.

To add one: a handler, and its row in ``TABLE``.
"""

import difflib
import time
from collections.abc import Awaitable, Coroutine
from typing import Final

from parley.client.commands.face import CannotError, Command, Face, UsageError
from parley.client.commands.moderating import acts, ban, kick, mute, unban, unmute
from parley.client.commands.own import (
    away,
    back,
    bare,
    clear,
    copy,
    drop,
    passwd,
    quit_,
    reconnect,
    register,
    retry,
    set_,
)
from parley.client.commands.rooms import invite, join, leave, rooms, topic, users, who
from parley.client.commands.searching import search
from parley.client.commands.sharing import cancel, files, get, put, rmfile
from parley.client.commands.talking import edit, go, history, me, msg, redact
from parley.client.files.disk import FileProblemError
from parley.client.files.work import FileRefusedError
from parley.client.ground.clean import sendable
from parley.client.ground.faults import fault
from parley.client.ground.store import StoreError
from parley.client.model.conversation import Kind
from parley.client.session.login import LoginError

_EXPECTED: Final = (
    UsageError,
    FileRefusedError,
    FileProblemError,
    OSError,
    LoginError,
    StoreError,
    ValueError,
)


def run(face: Face, line: str) -> Coroutine[None, None, None] | None:
    """Do what ``line`` says: a command, ``q!``, or a message for the current conversation.

    All that need not wait is done when this returns, so that what is typed next finds it done;
    what must wait for the server or the person is returned, to be awaited. What goes wrong is said
    in the conversation; nothing is sent that was not meant to be.
    """
    model = face.model
    line = sendable(line)
    if line.strip() == "q!":
        face.leave()
        return None
    if not line.startswith("/") or line.startswith("//"):
        text = line[1:] if line.startswith("//") else line
        if text.strip():
            face.session.outbox.say(text, model.current.name)
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
    except Exception as problem:  # noqa: BLE001
        _say_problem(face, command, problem)
        return None
    return None if work is None else _finish(face, command, work)


async def _finish(face: Face, command: Command, work: Awaitable[None]) -> None:
    try:
        await work
    except Exception as problem:  # noqa: BLE001
        _say_problem(face, command, problem)


def _say_problem(face: Face, command: Command, problem: Exception) -> None:
    text = f"/{command.name}: {problem}"
    if isinstance(problem, UsageError):
        text = f"{problem} It is typed: {command.usage}"
    elif isinstance(problem, CannotError):
        text = str(problem)
    elif not isinstance(problem, _EXPECTED):
        text = f"/{command.name}: {fault(problem)}"
    face.model.note(text, time.time(), Kind.TROUBLE)


def find(name: str) -> Command | None:
    """Return the command of this name."""
    return TABLE.get(ALIASES.get(name.lower(), name.lower()))


def help_text() -> str:
    """Return the list of commands."""
    width = max(len(command.usage) for command in TABLE.values())
    rows = [f"{c.usage:<{width}}  {c.summary}" for c in TABLE.values()]
    return "\n".join([*rows, f"{'q!':<{width}}  leave (on a line of its own)"])


def help_(face: Face, rest: str) -> None:
    if not rest:
        face.show("Help", f"{help_text()}\n\n{face.keys}".rstrip())
        return
    command = find(rest.removeprefix("/"))
    if command is None:
        raise CannotError(f"There is no command {rest}. /help lists all.")
    face.show(f"/{command.name}", f"{command.usage}\n{command.summary}\n{command.details}".rstrip())


_COMMANDS: Final = (
    Command(
        "msg",
        "NICK [TEXT]",
        "write to one person, in private",
        msg,
        "Without a text it opens the conversation.",
        "nick",
    ),
    Command("go", "NAME", "go to a conversation", go, "For example /go lobby.", "conversation"),
    Command("me", "TEXT", "say what you do", me),
    Command(
        "join",
        "ROOM [private]",
        "go into a room, or make it",
        join,
        "A private room is for those whom somebody in it invites.",
        "conversation",
    ),
    Command(
        "leave",
        "[NAME]",
        "leave a room, close a private talk",
        leave,
        "",
        "conversation",
    ),
    Command("rooms", "[PART]", "which rooms there are", rooms),
    Command(
        "topic",
        "[TEXT]",
        "what this room is about",
        topic,
        "/topic lock lets only its owner and moderators say so, /topic unlock everybody.",
    ),
    Command("invite", "NICK", "let somebody into this private room", invite, "", "nick"),
    Command(
        "search",
        "WORDS",
        "find what was said",
        search,
        'With from:NICK in:NAME after:2026-11-01 before:2026-12-01 among them. "words in quotes" '
        "stand side by side, wor* begins a word.",
    ),
    Command("edit", "TEXT", "say your last message anew", edit),
    Command(
        "redact",
        "[NICK]",
        "take your last message back",
        redact,
        "With a nick, as a moderator, the last one of theirs.",
        "nick",
    ),
    Command("users", "[PART]", "who is here, away, or registered", users, "", "nick"),
    Command("who", "[PART]", "who is in this room", who, "", "nick"),
    Command("files", "[PART]", "which files are shared", files),
    Command(
        "get",
        "[NAME] [AS]",
        "fetch a file",
        get,
        "Without a name the newest one shared here. With --udp it goes by QUIC, which is better on "
        "links that lose much; /set udp on is for always. What broke off is gone on with.",
        "file",
    ),
    Command(
        "put",
        "PATH [#ROOM|@NICK]",
        "share a file, here or there",
        put,
        "With --udp as for /get.",
        "path",
    ),
    Command("rmfile", "NAME", "take a file you shared away again", rmfile, "", "file"),
    Command("cancel", "[NAME]", "break off what is being fetched or shared", cancel),
    Command("history", "[COUNT]", "older messages of this conversation", history),
    Command("away", "[TEXT]", "say that you are away, and why", away),
    Command("back", "", "say that you are back", back),
    Command(
        "register",
        "",
        "make your nick an account with a password",
        register,
        "The password is typed hidden and never leaves this program.",
    ),
    Command("passwd", "", "change your password", passwd),
    Command("retry", "", "send again what was refused", retry),
    Command("drop", "", "forget what was refused", drop),
    Command(
        "copy",
        "[COUNT]",
        "copy the last message, or several",
        copy,
        "By the terminal (OSC 52), also over ssh. Some terminals must be told to allow it.",
    ),
    Command("bare", "", "plain text to select and copy", bare),
    Command("set", "[NAME VALUE]", "colours, alerts, keys, mouse", set_, "", "choice"),
    Command("reconnect", "", "connect now instead of later", reconnect),
    Command("clear", "", "clear the screen; nothing is deleted", clear),
    Command("kick", "NICK [REASON]", "moderators: send somebody out", kick, "", "nick"),
    Command(
        "ban",
        "NICK [TIME] [REASON]",
        "moderators: keep somebody out",
        ban,
        "TIME as in 30m, 2h, 7d; without it for good. NICK may be an IP address. /unban ends it.",
        "nick",
    ),
    Command("unban", "NICK", "moderators: end a ban", unban),
    Command("mute", "NICK [TIME] [REASON]", "moderators: silence somebody", mute, "", "nick"),
    Command("unmute", "NICK", "moderators: end that", unmute, "", "nick"),
    Command("acts", "", "moderators: what was done", acts),
    Command("help", "[COMMAND]", "this list, or more about one", help_, "", "command"),
    Command("quit", "", "leave", quit_),
)


TABLE: Final = {command.name: command for command in _COMMANDS}


ALIASES: Final = {
    "names": "who",
    "j": "join",
    "part": "leave",
    "s": "search",
    "w": "msg",
    "query": "msg",
    "exit": "quit",
}


NAMES: Final = sorted([*TABLE, *ALIASES])
