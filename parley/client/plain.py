"""The client line by line: for screen readers, simple terminals, and terminals' own scrollback.

Each line is whole by itself: when, who, to whom, what. What comes in is printed above
the line being typed, which stays as it is. An own message is printed when the server has
stored it, so that what stands there is true; if that takes long, a line says so.
"""

import asyncio
import contextlib
import functools
import time
from typing import Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal

from parley.client import commands
from parley.client.clean import clean
from parley.client.happenings import Change, Happening, RefusedError, Status
from parley.client.model import Conversation, Entry, Fate, Kind, Model
from parley.client.session import Session, Settings
from parley.client.store import Store

_LATE: Final = 2.0  # seconds without an acknowledgement before that is said
_PATIENCE: Final = 3.0


class Plain:
    """One run of the plain face."""

    def __init__(self, settings: Settings, store: Store, to: str) -> None:
        settings.ask_password = settings.ask_password or self.ask_password
        settings.new_nick = self._new_nick
        self.model = Model(settings.nick)
        self.session = Session(settings, store, self._happened)
        self.model.show(self.model.conversation(to))
        self._printed: dict[Conversation, int] = {}
        self._own: list[tuple[Conversation, Entry]] = []
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._leaving = asyncio.Event()
        self._prompts: PromptSession[str] = PromptSession(erase_when_done=True)
        self._prompting = asyncio.Lock()
        self._late: set[str] = set()

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code."""
        self._print("Parley. /help lists the commands, q! leaves.")
        session = asyncio.create_task(self.session.run())
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._leaving.wait())]
        printer = asyncio.create_task(self._write())
        await asyncio.wait({session, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        waiting = [] if session.done() else await self.session.quit(_PATIENCE)
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        code = 0
        try:
            await session
        except RefusedError:
            code = 4
        printer.cancel()
        while not self._lines.empty():
            print(self._lines.get_nowait())
        if waiting:
            print(f"{len(waiting)} messages are not stored yet; the next start sends them.")
        return code

    # What a command needs

    async def ask_password(self, prompt: str) -> str | None:
        """Ask for a password on a line of its own, hidden."""
        return await self._ask(prompt, hidden=True)

    async def _new_nick(self, why: str) -> str | None:
        self._print(f"{clean(why)}.")
        return await self._ask("Another nick: ", hidden=False)

    async def _ask(self, prompt: str, hidden: bool) -> str | None:
        app = self._prompts.app
        draft = self._prompts.default_buffer.text
        if app.is_running:
            app.exit(result="\0")  # make room for the question
        async with self._prompting:
            try:
                asked: PromptSession[str] = PromptSession()
                return await asked.prompt_async(prompt, is_password=hidden)
            except (EOFError, KeyboardInterrupt):
                return None
            finally:
                self._draft = draft

    def show(self, title: str, text: str) -> None:
        """Print a longer text."""
        self._print(f"{title}:")
        for line in text.split("\n"):
            self._print(f"  {line}")

    def clear(self) -> None:
        """Clear the terminal."""
        self._prompts.app.renderer.clear()

    def leave(self) -> None:
        """End the program."""
        self._leaving.set()

    # Reading and printing

    _draft = ""

    async def _read(self) -> None:
        while True:
            draft, self._draft = self._draft, ""
            async with self._prompting:
                try:
                    line = await self._prompts.prompt_async(
                        lambda: f"{self.model.current.name}> ", default=draft
                    )
                except (EOFError, KeyboardInterrupt):
                    return
            if line == "\0":
                await asyncio.sleep(0)
                continue
            command = line.startswith("/") and not line.startswith("//")
            if command:
                # A command may ask something of its own: it must not wait for this loop.
                asyncio.create_task(self._run(line))  # noqa: RUF006 - ends with the program
                await asyncio.sleep(0)
            else:
                await self._run(line)

    async def _run(self, line: str) -> None:
        before = self.model.current
        await commands.run(self, line)
        if self.model.current is not before:
            self._print(f"Now writing to {self.model.current.name}.")
        self._print_new()

    def _happened(self, batch: list[Happening]) -> None:
        self.model.take(batch, time.time())
        for event in batch:
            if isinstance(event, Change):
                self._changed(event)
        self._print_new()

    def _changed(self, change: Change) -> None:
        if change.status is Status.ONLINE:
            people = [p.nick for p in self.model.online if p.nick != self.model.nick]
            who = ", ".join(people[:20]) if people else "nobody else"
            more = f" and {len(people) - 20} more" if len(people) > 20 else ""
            self._print(f"Connected as {self.model.nick}. Here: {who}{more}.")
            for line in self.model.motd.split("\n") if self.model.motd else ():
                self._print(line)
        elif change.status is Status.WAITING:
            self._print(f"Not connected: {clean(change.text)}. Trying again.")
        elif change.status is Status.ENDED and change.text:
            self._print(f"Ended: {clean(change.text)}.")

    def _print_new(self) -> None:
        for conversation in self.model.conversations.values():
            done = self._printed.get(conversation, 0)
            done = done + conversation.prepended if conversation not in self._printed else done
            for entry in conversation.entries[done:]:
                if entry.fate is Fate.NONE:
                    self._print_entry(conversation, entry)
                else:
                    self._own.append((conversation, entry))
                    asyncio.get_running_loop().call_later(_LATE, self._say_late, entry)
            self._printed[conversation] = len(conversation.entries)
        waiting = []
        for conversation, entry in self._own:
            if entry.fate is Fate.STORED:
                self._print_entry(conversation, entry)
            elif entry.fate is Fate.FAILED:
                self._print_entry(conversation, entry, " (not sent; /retry sends it again)")
            elif entry in conversation.entries:
                waiting.append((conversation, entry))
        self._own = waiting

    def _say_late(self, entry: Entry) -> None:
        if any(entry is own for _, own in self._own):
            self._print(f"(not stored yet: {_first_line(entry.text)})")

    def _print_entry(self, conversation: Conversation, entry: Entry, state: str = "") -> None:
        for line in lines_of(conversation, entry, self.model.nick):
            self._print(line + state)

    def _print(self, line: str) -> None:
        self._lines.put_nowait(line)

    async def _write(self) -> None:
        """Print what there is to print, all that has gathered at once, above the prompt."""
        while True:
            lines = [await self._lines.get()]
            while not self._lines.empty():
                lines.append(self._lines.get_nowait())
            text = "\n".join(lines)
            if self._prompts.app.is_running:
                await run_in_terminal(functools.partial(print, text))
            else:
                print(text, flush=True)


def lines_of(conversation: Conversation, entry: Entry, nick: str) -> list[str]:
    """Return an entry as lines that can be understood alone."""
    at = time.strftime("%H:%M", time.localtime(entry.time))
    if entry.kind is Kind.NEW:
        return []
    if entry.kind is not Kind.SAID:
        return [f"[{at}] {entry.text}"]
    who = entry.nick
    if entry.to.startswith("@"):
        who = f"{entry.nick} to {clean(entry.to[1:])}"
    elif conversation.name != "#lobby":
        who = f"{entry.nick} in {conversation.name}"
    mark = "[History] " if entry.past else ""
    if entry.text.startswith("/me "):
        return [f"{mark}[{at}] {who} {entry.text[4:]}"]
    first, *rest = entry.text.split("\n")
    return [f"{mark}[{at}] {who}: {first}", *(f"    {line}" for line in rest)]


def _first_line(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first[:60]}…" if rest or len(first) > 60 else first
