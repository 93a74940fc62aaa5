"""Commands for moderators."""

import time
from collections.abc import Callable
from typing import Final

from framing.events import Acts
from framing.requests import (
    AnyRequest,
    Ban,
    Kick,
    ListActs,
    Mute,
    Unban,
    Unmute,
)
from parley.client.commands.face import Face, UsageError, say_outcome, say_refusal
from parley.client.ground.clean import clean, sane
from parley.client.model.people import span


async def kick(face: Face, rest: str) -> None:
    nick, reason, _ = _whom(rest, timed=False)
    told = face.model.current is face.model.lobby and face.model.shows_comings  # as all are
    done = "" if told else f"{nick} was sent out."
    await _moderate(face, lambda ref: Kick(ref, nick, reason), done)


async def ban(face: Face, rest: str) -> None:
    nick, reason, seconds = _whom(rest, timed=True)
    done = f"{nick} is kept out{_how_long(seconds)}."
    await _moderate(face, lambda ref: Ban(ref, nick, reason, seconds), done)


async def mute(face: Face, rest: str) -> None:
    nick, reason, seconds = _whom(rest, timed=True)
    done = f"{nick} is silenced{_how_long(seconds)}."
    await _moderate(face, lambda ref: Mute(ref, nick, reason, seconds), done)


async def unban(face: Face, rest: str) -> None:
    nick, _, _ = _whom(rest, timed=False)
    await _moderate(face, lambda ref: Unban(ref, nick), f"{nick} may come again.")


async def unmute(face: Face, rest: str) -> None:
    nick, _, _ = _whom(rest, timed=False)
    await _moderate(face, lambda ref: Unmute(ref, nick), f"{nick} may speak again.")


async def _moderate(face: Face, make: Callable[[str], AnyRequest], done: str) -> None:
    say_outcome(face, await face.session.ask(make), done)


def _whom(rest: str, timed: bool) -> tuple[str, str | None, float | None]:
    """Return the nick, the reason and, if ``timed``, the length in seconds: ``bob 2h spam``."""
    nick, _, reason = rest.partition(" ")
    if not nick:
        raise UsageError("Whom?")
    seconds = None
    length, _, after = reason.strip().partition(" ")
    if timed and length[:1].isdigit():
        # A slip of the pen must not become a reason, and the ban one for good.
        if not (length.isascii() and length[:-1].isdigit() and length[-1:] in _UNITS):
            raise UsageError(f"{clean(length)} is no time: 30s, 10m, 2h, 7d are.")
        seconds, reason = float(length[:-1]) * _UNITS[length[-1]], after
    return nick.removeprefix("@"), reason.strip() or None, seconds


def _how_long(seconds: float | None) -> str:
    return " for good" if seconds is None else f" for {span(seconds)}"


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


async def acts(face: Face, rest: str) -> None:
    answer = await face.session.ask(lambda ref: ListActs(ref, None, 100))
    if say_refusal(face, answer):
        return
    if not isinstance(answer, Acts):
        raise ConnectionError("the server's answer makes no sense")
    lines = []
    for act in reversed(answer.acts):
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(sane(act.time)))
        reason = f": {clean(act.text)}" if act.text else ""
        end = "" if act.until is None else f" until {_clock(act.until)}"
        lines.append(f"{at}  {clean(act.nick)}  {clean(act.do)} {clean(act.whom)}{end}{reason}")
    face.show("What moderators did", "\n".join(lines or ["Nothing."]))


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(sane(at)))
