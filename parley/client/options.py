"""The client's options: from the command line, the environment, and a config file."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import configargparse

from framing.limits import MAX_ID
from framing.names import is_nick, is_private, is_room
from parley.client.ground.preferences import CHOICES, config_file
from parley.client.ground.store import Last, Store

DEFAULT_WAIT = 5.0

Answer = TypeVar("Answer", str, int)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``wait`` is in seconds; None where nothing was said."""

    host: str | None
    port: int | None
    nick: str | None
    id: int | None
    plain: bool
    send: list[str]
    to: str | None
    room: str | None
    jsonl: bool
    password_file: Path | None
    wait: float
    bot: bool
    since: int | None
    chosen: dict[str, str]
    downloads: Path | None
    get: list[str]
    put: list[Path]
    tls: bool | None
    ca: Path | None
    fingerprint: str | None


def parse(arguments: list[str] | None = None) -> Options:
    """Return the options in ``arguments`` (by default the process's). Exits with 2 on a bad one."""
    parser = configargparse.ArgumentParser(
        prog="chat_client.py",
        usage="%(prog)s [HOST PORT NICK ID] [options]",  # all of them would bury what is wrong
        description="A chat in the terminal. What is left out is asked for, or is what was used "
        "last. q! on a line of its own leaves; /help tells the rest.",
        auto_env_var_prefix="PARLEY_",
        default_config_files=[str(config_file())],
        add_env_var_help=False,
        add_config_file_help=False,
        epilog="Every option can also be given as an environment variable (--theme is "
        "PARLEY_THEME) or in client.conf in the configuration directory (theme = light). Exit "
        "codes: 0 ended well, 2 bad usage, 3 cannot connect, 4 refused by the server.",
    )
    add = parser.add_argument
    add("host", nargs="?", type=host, metavar="HOST", help="the server's name or address")
    add("port", nargs="?", type=port, metavar="PORT", help="its port, usually 10500")
    add("nick", nargs="?", type=nick, metavar="NICK", help="what to be called")
    add("id", nargs="?", type=number, metavar="ID", help="a number for this device or window")
    add("--room", type=_room, metavar="NAME", help="go into this room at once")
    group = parser.add_argument_group("how it looks")
    group.add_argument(
        "--plain", action="store_true", help="line by line: for screen readers and simple terminals"
    )
    for choice in CHOICES:
        group.add_argument(
            f"--{choice.name}",
            choices=choice.values,
            default=choice.values[0],
            help=f"{choice.summary} (default {choice.values[0]})",
        )
    group.add_argument(
        "--no-mouse", action="store_const", dest="mouse", const="off", help="as --mouse off"
    )
    group = parser.add_argument_group("without a screen; also when input or output is a pipe")
    group.add_argument(
        "--send", action="append", default=[], metavar="TEXT", help="send TEXT and end; repeatable"
    )
    group.add_argument(
        "--to",
        type=_conversation,
        metavar="NAME",
        help="where to: a #room or @nick (default: the room of --room, or #lobby)",
    )
    group.add_argument("--jsonl", action="store_true", help="a JSON object a line, in and out")
    group.add_argument(
        "--wait",
        type=_seconds,
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help=f"how long to try to connect, and for an acknowledgement (default {DEFAULT_WAIT:g})",
    )
    group.add_argument("--bot", action="store_true", help="no replay of what was said before")
    group.add_argument(
        "--since", type=_seq, metavar="SEQ", help="replay what came after SEQ, whatever was read"
    )
    group.add_argument(
        "--get",
        action="append",
        default=[],
        metavar="NAME",
        help="fetch a file and end; repeatable",
    )
    group.add_argument(
        "--put",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="share a file, with whom --to says, and end; repeatable",
    )
    group = parser.add_argument_group("files")
    group.add_argument(
        "--downloads",
        type=_path,
        metavar="DIR",
        help="where fetched files go (default: your folder for downloads; with --get: this one)",
    )
    group = parser.add_argument_group(
        "encryption; by itself the client speaks TLS to a server that does, and never again without"
    )
    which = group.add_mutually_exclusive_group()
    which.add_argument("--tls", action="store_true", help="speak TLS from the first byte")
    which.add_argument("--no-tls", action="store_true", help="do not, whatever was before")
    group.add_argument(
        "--ca",
        type=_path,
        metavar="FILE",
        help="trust what the CA in FILE (PEM) vouches for, instead of those of this system",
    )
    group.add_argument(
        "--fingerprint",
        type=_fingerprint,
        metavar="HEX",
        help="trust the one certificate with this SHA-256, and remember it",
    )
    group = parser.add_argument_group("accounts")
    group.add_argument(
        "--password-file",
        type=_path,
        metavar="FILE",
        help="read the password from FILE's first line",
    )
    try:
        found = parser.parse_args(arguments)
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no text"
        parser.error(f"cannot read {config_file()}: {why}")
    if found.no_tls and (found.ca or found.fingerprint):
        parser.error("--no-tls with --ca or --fingerprint: these are for TLS")
    return Options(
        host=found.host,
        port=found.port,
        nick=found.nick,
        id=found.id,
        plain=found.plain,
        send=found.send,
        to=found.to,
        room=found.room,
        jsonl=found.jsonl,
        password_file=found.password_file,
        wait=found.wait,
        bot=found.bot,
        since=found.since,
        downloads=found.downloads,
        get=found.get,
        put=found.put,
        tls=True if found.tls else False if found.no_tls else None,
        ca=found.ca,
        fingerprint=found.fingerprint,
        chosen={choice.name: getattr(found, choice.name) for choice in CHOICES},
    )


def whom(options: Options, store: Store) -> Last:
    """Return the server and name to use: as given, or asked for on a terminal, or as used last.

    Exits with 2 if something is missing, there is no terminal to ask on and nothing was used
    before, and if the person ends the input instead of answering, or says ``q!``.
    """
    known = store.last()
    given = (options.host, options.port, options.nick, options.id)
    if None not in given:
        return Last(options.host or "", options.port or 0, options.nick, options.id or 0)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        if known.nick is not None:
            id_ = known.id if options.id is None else options.id
            nick_ = options.nick or known.nick
            return Last(options.host or known.host, options.port or known.port, nick_, id_)
        missing = [
            name
            for name, value in zip(("HOST", "PORT", "NICK", "ID"), given, strict=True)
            if value is None
        ]
        print(
            f"chat_client: {', '.join(missing)} must be given here: "
            f"chat_client.py HOST PORT NICK ID",
            file=sys.stderr,
        )
        raise SystemExit(2)
    print("Return takes what stands in [brackets].")
    try:
        return Last(
            options.host or _ask("Server", known.host, host),
            options.port if options.port is not None else _ask("Port", known.port, port),
            options.nick or _ask("What do you want to be called", known.nick, nick),
            options.id if options.id is not None else known.id,
        )
    except (EOFError, KeyboardInterrupt):
        print()
        raise SystemExit(2) from None


def _ask(question: str, default: Answer | None, check: Callable[[str], Answer]) -> Answer:
    while True:
        shown = "" if default is None else f" [{default}]"
        answer = input(f"{question}{shown}: ").strip()
        if answer == "q!":
            raise EOFError
        if not answer and default is not None:
            return default
        try:
            return check(answer)
        except configargparse.ArgumentTypeError as problem:
            print(f"  {problem}")


def host(text: str) -> str:
    """Return a name or address that can be looked up. Raises ``ArgumentTypeError``."""
    if not text.isprintable() or any(char.isspace() for char in text):
        raise configargparse.ArgumentTypeError(f"{text!r} is no host: there are no spaces in one")
    try:
        text.encode("idna")
    except UnicodeError:
        raise configargparse.ArgumentTypeError(
            f"{text!r} is no host: a part of the name is empty or over 63 characters long"
        ) from None
    return text


def port(text: str) -> int:
    """Return a port. Raises ``ArgumentTypeError``."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 65535):
        raise configargparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)


def nick(text: str) -> str:
    """Return a nick. Raises ``ArgumentTypeError``."""
    if not is_nick(text):
        raise configargparse.ArgumentTypeError(
            f"{text!r} is no nick: 1 to 32 letters (a to z), digits, and _ - . only"
        )
    return text


def number(text: str) -> int:
    """Return an id. Raises ``ArgumentTypeError``."""
    if not (text.isascii() and text.isdigit() and int(text) <= MAX_ID):
        raise configargparse.ArgumentTypeError(f"{text!r} is no id: a number from 0 to {MAX_ID}")
    return int(text)


def _room(text: str) -> str:
    name = text if text.startswith("#") else f"#{text}"
    if not is_room(name):
        raise configargparse.ArgumentTypeError(
            f"{text!r} is no room: # and 1 to 32 letters (a to z), digits, and _ - . only"
        )
    return name


def _conversation(text: str) -> str:
    if not (is_room(text) or is_private(text)):
        raise configargparse.ArgumentTypeError(f"{text!r} is no #room and no @nick")
    return text


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise configargparse.ArgumentTypeError(f"{text}: there is nobody of that name") from None


def _fingerprint(text: str) -> str:
    plain = text.lower().removeprefix("sha256:").replace(":", "")
    if len(plain) != 64 or not set(plain) <= set("0123456789abcdef"):
        raise configargparse.ArgumentTypeError(f"{text!r} is no SHA-256: 64 hex digits")
    return plain


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise configargparse.ArgumentTypeError(f"{text!r} is no seq: a whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e9:
        raise configargparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds
