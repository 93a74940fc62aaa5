"""Commands about oneself and this program."""

import time

from parley.client.commands.face import CannotError, Face, UsageError, say_outcome, say_refusal
from parley.client.model.conversation import Kind


def clear(face: Face, rest: str) -> None:
    face.clear()


async def away(face: Face, rest: str) -> None:
    await _be_away(face, rest or "away", "You are away. /back ends that.")


async def back(face: Face, rest: str) -> None:
    await _be_away(face, None, "You are back.")


async def _be_away(face: Face, text: str | None, done: str) -> None:
    try:
        say_outcome(face, await face.session.be_away(text), done)
    except ConnectionError:
        face.model.note("Others learn of it as soon as you are connected again.", time.time())


async def register(face: Face, rest: str) -> None:
    await _new_password(face, change=False)


async def passwd(face: Face, rest: str) -> None:
    await _new_password(face, change=True)


async def _new_password(face: Face, change: bool) -> None:
    nick = face.session.nick
    if change and not face.model.account:
        raise CannotError(f"{nick} is not registered: /register makes it an account.")
    if not change and face.model.account:
        raise CannotError(f"{nick} is registered already: /passwd changes the password.")
    face.session.warn_if_exposed()
    password = await face.ask_password(f"New password for {nick}: ")
    if not password:
        face.model.note("Nothing was changed.", time.time())
        return
    if await face.ask_password("Once more: ") != password:
        text = "The two were not the same; nothing was changed."
        face.model.note(text, time.time(), Kind.TROUBLE)
        return
    if not say_refusal(face, await face.session.register(password, change)):
        done = "The password is changed." if change else f"{nick} is yours now, by this password."
        face.model.account = True
        face.model.note(done, time.time())


def retry(face: Face, rest: str) -> None:
    refused = face.session.outbox.refused
    if not refused:
        raise CannotError("No message was refused.")
    for message in refused:
        face.session.outbox.retry(message.ref)


def drop(face: Face, rest: str) -> None:
    refused = face.session.outbox.refused
    if not refused:
        raise CannotError("No message was refused.")
    for message in refused:
        face.session.outbox.drop(message.ref)


def copy(face: Face, rest: str) -> None:
    if rest and not (rest.isascii() and rest.isdigit() and int(rest) > 0):
        raise UsageError("How many messages, as a number?")
    count = int(rest or "1")
    said = [e for e in face.model.current.entries if e.kind is Kind.SAID][-count:]
    if not said:
        raise CannotError("There is nothing to copy here.")
    # One message is wanted for its text, several for who said what.
    lines = [f"{e.nick}: {e.text}" for e in said] if rest else [said[0].text]
    face.copy("\n".join(lines))
    what = f"The last {len(said)} messages" if len(said) > 1 else "The last message"
    face.model.note(f"{what}: given to the terminal's clipboard.", time.time())


async def bare(face: Face, rest: str) -> None:
    await face.bare()


def set_(face: Face, rest: str) -> None:
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


def reconnect(face: Face, rest: str) -> None:
    if face.session.memory.stopped:
        raise CannotError("Another client has taken your place: leave, and start the client again.")
    face.session.reconnect()


def quit_(face: Face, rest: str) -> None:
    face.leave()
