"""Who is kept out, and who can say nothing. State only, as the log's deeds make it; pure."""

import time

from parley.server.ground.clock import Moment
from parley.server.log.records import Deed


class Bans:
    """Bans and mutes by person, nick and address. One that has run out counts no more."""

    def __init__(self) -> None:
        self._bans: dict[str, dict[str, Deed]] = {}
        self._mutes: dict[str, dict[str, Deed]] = {}
        self._names: dict[str, list[str]] = {}  # under which a slot stands there

    def apply(self, deed: Deed) -> None:
        """Take in a deed that the log has."""
        if deed.do not in ("ban", "unban", "mute", "unmute"):
            return
        table = self._mutes if deed.do in ("mute", "unmute") else self._bans
        slot = deed.slot
        for name in self._names.pop(slot, ()):  # what it was before holds no more
            del table[name][slot]
            if not table[name]:
                del table[name]
        if deed.do in ("ban", "mute"):
            self._names[slot] = names = list(dict.fromkeys(_names(deed)))
            for name in names:
                table.setdefault(name, {})[slot] = deed

    def banned(self, person: str | None, nick_key: str, address: str, moment: Moment) -> str | None:
        """Return who keeps these out, why and until when, as a sentence; None if nobody does."""
        deed = _first(self._bans, person, nick_key, address, moment)
        if deed is None:
            return None
        reason = f": {deed.text}" if deed.text else ""
        return f"{deed.whom} is kept out by {deed.nick} {until(deed)}{reason}"

    def muted(self, person: str, nick_key: str, moment: Moment) -> str | None:
        """Return until when somebody can say nothing, and by whom; None if they can."""
        if not self._mutes:
            return None
        deed = _first(self._mutes, person, nick_key, "", moment)
        if deed is None:
            return None
        reason = f": {deed.text}" if deed.text else ""
        return f"{until(deed)}, by {deed.nick}{reason}"

    def bans_of(self, name: str) -> list[Deed]:
        """Return the bans of a nick or address itself, whether they have run out or not: of a
        nick there is one for each person who was kept out under it."""
        return _of(self._bans, name)

    def mutes_of(self, name: str) -> list[Deed]:
        """Return the mutes of a nick."""
        return _of(self._mutes, name)


def _of(table: dict[str, dict[str, Deed]], name: str) -> list[Deed]:
    for kind in ("nick", "address"):
        deeds = table.get(f"{kind} {name.lower()}", {}).values()
        found = [deed for deed in deeds if (deed.whom or "").lower() == name.lower()]
        if found:
            return found
    return []


def until(deed: Deed) -> str:
    """Say until when a deed holds."""
    if deed.until is None:
        return "for good"
    return time.strftime("until %Y-%m-%d %H:%M UTC", time.gmtime(min(deed.until, 2.5e11)))


def _names(deed: Deed) -> list[str]:
    names = [f"address {address.lower()}" for address in deed.addresses or ()]
    if deed.whom is not None and not (deed.addresses and deed.whom in deed.addresses):
        names.append(f"nick {deed.whom.lower()}")
    if deed.who is not None:
        names.append(f"person {deed.who}")
    return names


def _first(
    table: dict[str, dict[str, Deed]],
    person: str | None,
    nick_key: str,
    address: str,
    moment: Moment,
) -> Deed | None:
    for name in (f"person {person}", f"nick {nick_key}", f"address {address.lower()}"):
        for deed in table.get(name, {}).values():
            if deed.until is None or deed.until > moment.utc:
                return deed
    return None
