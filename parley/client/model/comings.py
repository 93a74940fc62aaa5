"""Comings and goings in words. Those of one moment share a line, so that a class that comes in
does not push away what is being said."""

from collections.abc import Iterable
from typing import Final

from framing.events import Joined, Left, Roster
from parley.client.ground.clean import clean, clean_name
from parley.client.model.conversation import Entry, Kind

TOGETHER: Final = 60.0
"""Seconds within which comings and goings, with nothing said between them, share a line."""

_LONGEST: Final = 400
"""Characters from which a line takes no more."""

_REASONS: Final = {
    "left": "left",
    "disconnect": "left",
    "lost": "lost the connection",
    "timeout": "was no longer heard of",
    "slow": "was too slow to follow",
    "kicked": "was sent out",
}


def joined(event: Joined) -> str:
    """Say that somebody has come."""
    return f"{clean_name(event.nick)} joined"


def left(event: Left) -> str:
    """Say that somebody has gone, and why."""
    words = _REASONS.get(event.reason, f"left ({clean(event.reason)})")
    text = f" ({clean(event.text)})" if event.text else ""
    return f"{clean_name(event.nick)} {words}{text}"


def several(event: Roster) -> str:
    """Say that many have come or gone."""
    words = []
    if event.joined:
        words.append(f"{_names(a.nick for a in event.joined)} joined")
    if event.left:
        words.append(f"{_names(d.nick for d in event.left)} left")
    return ", ".join(words)


def shares_line(last: Entry, time: float) -> bool:
    """Tell whether what happens at ``time`` belongs on the line of ``last``."""
    together = last.kind is Kind.COMINGS and time - last.time < TOGETHER
    return together and len(last.text) <= _LONGEST


def _names(nicks: Iterable[str]) -> str:
    names = [clean_name(nick) for nick in nicks]
    if len(names) <= 5:
        return ", ".join(names)
    return f"{', '.join(names[:4])} and {len(names) - 4} more"
