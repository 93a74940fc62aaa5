"""Who somebody is, and how that is told."""

from dataclasses import dataclass

from framing.events import Status


@dataclass(slots=True)
class Person:
    """Somebody known. ``since`` is UTC seconds, if known."""

    nick: str
    status: Status
    ids: set[int]
    since: float | None = None
    text: str | None = None
    account: bool = False


def presence(person: Person, now: float) -> str:
    """Say how somebody is, and for how long. ``now`` is in UTC seconds."""
    since = f" for {span(now - person.since)}" if person.since else ""
    text = f" ({person.text})" if person.text else ""
    return f"{person.status}{since}{text}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: ``5 min``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
