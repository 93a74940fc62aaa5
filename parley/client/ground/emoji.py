"""The names of emoji, as ``:smile:``, from the ``emoji`` library's table."""

from bisect import bisect_left
from collections.abc import Iterator
from functools import cache


def named(part: str) -> Iterator[tuple[str, str]]:
    """Yield (name, emoji) for the names that begin with ``part``, then for those with a word
    that does."""
    names = _names()
    at = bisect_left(names, (part,))
    while at < len(names) and names[at][0].startswith(part):
        yield names[at]
        at += 1
    for name, emoji in names:
        if f"_{part}" in name and not name.startswith(part):
            yield name, emoji


@cache
def _names() -> list[tuple[str, str]]:
    import emoji  # some thousand entries: loaded when the first is asked for

    qualified = emoji.STATUS["fully_qualified"]
    found = {}
    for char, data in emoji.EMOJI_DATA.items():
        if data["status"] <= qualified:
            for name in (data["en"], *data.get("alias", ())):
                found[str(name).strip(":").lower()] = char
    return sorted(found.items())
