"""The chat client: options -> a face -> run.

    python chat_client.py [HOST PORT NICK ID]        see --help for the rest

Under every face is one session (``parley.client.session``), which connects, joins and comes
back by itself, and one model of what there is to show (``model``). The faces: the full screen
(``screen``), line by line (``plain``), and for pipes and programs (``headless``).
"""

import asyncio
import io
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

try:
    import platformdirs
except ModuleNotFoundError:
    sys.exit(
        "chat_client: Parley is not installed for this Python: python3 run.py installs it, and "
        "after that, in each terminal: source .venv/bin/activate"
    )

from framing.names import LOBBY
from parley.client.ground.preferences import Preferences
from parley.client.ground.store import Store, StoreError
from parley.client.options import Options, parse, whom
from parley.client.session.joining import Settings


class Face(Protocol):
    """What shows a session."""

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code."""

    def leave(self) -> None:
        """End the run, in order."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program. Return its exit code: 0 ended well, 2 bad usage, 3 cannot connect,
    4 refused by the server, 128 and its number if a signal has ended it."""
    options = parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal's encoding may not know every letter
        sys.stdout.reconfigure(errors="replace")
    store = Store()
    last = whom(options, store)
    try:
        store.save_last(last)
    except StoreError as problem:
        print(f"chat_client: {problem}: nothing will be remembered", file=sys.stderr)
    settings = Settings(
        last.host,
        last.port,
        last.nick or "",
        last.id,
        bot=options.bot,
        since=options.since,
        tls=options.tls,
        ca=options.ca,
        fingerprint=options.fingerprint,
    )
    if options.password_file is not None:
        settings.ask_password = _from_file(options.password_file)
    preferences = Preferences(options.chosen)
    downloads = options.downloads or Path(platformdirs.user_downloads_dir())
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    try:
        without = options.send or options.get or options.put or options.jsonl
        if without or not on_terminal:
            return asyncio.run(_headless(settings, store, options))
        from prompt_toolkit.utils import is_dumb_terminal  # a pipe does not wait for it

        if options.plain or is_dumb_terminal():
            from parley.client.plain import Plain, lines_only

            with lines_only():
                plain = Plain(
                    settings, store, preferences, options.to or LOBBY, downloads, options.room
                )
                return asyncio.run(_until_told(plain))
        from parley.client.screen.app import Screen

        screen = Screen(settings, store, preferences, downloads, options.room)
        return asyncio.run(_until_told(screen))
    except KeyboardInterrupt:
        if without:
            print("chat_client: interrupted", file=sys.stderr)
            return 130
        return 0


async def _headless(settings: Settings, store: Store, options: Options) -> int:
    from parley.client.headless import Errands, Headless

    settings.keep_trying = options.wait
    settings.remember_waiting = False  # whoever runs this learns by the exit code, and tries again
    errands = Errands(
        options.send,
        options.get,
        options.put,
        options.downloads or Path(),
        options.chosen["udp"] == "on",
    )
    to = options.to or options.room or LOBBY
    face = Headless(settings, store, to, options.room, errands, options.jsonl, options.wait)
    return await _until_told(face)


async def _until_told(face: Face) -> int:
    """Run ``face``, which leaves when a signal says so."""
    told: list[int] = []

    def leave(number: int) -> None:
        told.append(number)
        if len(told) == 1:
            face.leave()

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup wants it
            asyncio.get_running_loop().add_signal_handler(number, leave, number)
    code = await face.run()
    return 128 + told[0] if told else code


def _from_file(path: Path) -> Callable[[str], Awaitable[str | None]]:
    """Return what answers a question for the password with the first line of ``path``, once:
    asked again, it was wrong."""
    try:
        answers = path.read_text().splitlines()[:1]
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is no text"
        print(f"chat_client: cannot read the password from {path}: {why}", file=sys.stderr)
        raise SystemExit(2) from None

    async def answer(_prompt: str) -> str | None:
        return answers.pop() if answers else None

    return answer


if __name__ == "__main__":
    sys.exit(main())
