"""What stands around the timeline: the conversations above, the people beside, the status
below. Each is text made from the model; each fits the width it is given."""

from prompt_toolkit.formatted_text import StyleAndTextTuples

from parley.client.happenings import Status
from parley.client.model import Model
from parley.client.screen.style import of_nick
from parley.client.screen.wrapping import cut, width_of

PEOPLE_WIDTH = 20
PEOPLE_FROM = 72
"""Columns from which the people have a pane."""


def tabs(model: Model, width: int) -> StyleAndTextTuples:
    """Return the line of conversations, the current one in sight however many there are."""
    parts: list[tuple[str, str]] = []
    current = 0
    for number, conversation in enumerate(model.conversations.values(), 1):
        name = cut(conversation.name, 20)
        text = f" {number} {name} "
        style = "class:tab"
        if conversation is model.current:
            style = "class:tab.current"
            current = len(parts)
        elif conversation.unread:
            text = f" {number} {name} ({conversation.unread}) "
            style = "class:tab.unread"
        parts.append((style, text))
    first = 0
    while (
        sum(width_of(text) for _, text in parts[first : current + 1]) > width - 2
        and first < current
    ):
        first += 1
    shown: StyleAndTextTuples = []
    left = width
    if first:
        shown.append(("class:tab", "<"))
        left -= 1
    for style, text in parts[first:]:
        if width_of(text) > left:
            shown.append(("class:tab", cut(">", left)))
            left -= min(1, left)
            break
        shown.append((style, text))
        left -= width_of(text)
    shown.append(("class:tabs", " " * max(0, left)))
    return shown


def people(model: Model, width: int, height: int) -> StyleAndTextTuples:
    """Return the people online, as many as there is room for."""
    online = model.online
    title = f"{max(model.people_total, len(online))} here"
    lines: StyleAndTextTuples = [("class:people.title", cut(title, width))]
    room = height - 1
    more = max(model.people_total, len(online)) - room
    for person in online[: room if more <= 0 else room - 1]:
        away = person.status == "away"
        lines.append(("", "\n"))
        lines.append(("class:people.away" if away else "class:dot", "○ " if away else "● "))
        style = "class:people.away" if away else of_nick(person.nick)
        if person.nick == model.nick:
            style += " class:own"
        lines.append((style, cut(person.nick, width - 2)))
    if more > 0:
        lines.append(("class:people.title", f"\n  and {more + 1} more"))
    return lines


def status(model: Model, width: int, now: float, below: int, asking: str) -> StyleAndTextTuples:
    """Return the status line. ``now`` in monotonic seconds; ``below``: entries that came while
    one was scrolled away; ``asking``: a question that stands before everything else."""
    change = model.connection
    if asking:
        return [("class:status.trouble", _fill(f" {asking}", width))]
    if change.status is Status.ONLINE:
        waiting = sum(1 for _, entry in model.waiting if entry.fate.name == "SENT")
        left = f" {model.nick} ● {max(model.people_total, 1)} here"
        if waiting:
            left += f" · {waiting} on the way"
        style = "class:status"
    elif change.status is Status.WAITING:
        seconds = max(0, round((change.retry_at or now) - now))
        left = f" ○ again in {seconds} s · {change.text}"
        style = "class:status.trouble"
    elif change.status is Status.ENDED:
        left = f" ○ {change.text or 'ended'}"
        style = "class:status.trouble"
    else:
        left = f" {model.nick} ○ connecting …"
        style = "class:status"
    if below > 0:
        left += f" · ↓ {below} new (PgDn)"
    hints = ["/help", "Tab completes", "PgUp scrolls", "Ctrl+K goes to", "q! leaves"]
    right = ""
    for hint in hints:
        longer = f"{right} · {hint}" if right else hint
        if width_of(left) + width_of(longer) + 3 > width:
            break
        right = longer
    gap = width - width_of(left) - width_of(right) - 1
    if gap < 1:
        return [(style, _fill(left, width))]
    return [(style, f"{left}{' ' * gap}{right} ")]


def title(model: Model) -> str:
    """Return the window's title."""
    count = model.unread
    return f"({count}) {model.current.name} - Parley" if count else f"{model.current.name} - Parley"


def empty(model: Model) -> str:
    """Return what an empty conversation says."""
    if model.current.private:
        return f"Nothing yet between you and {model.current.name[1:]}. Only you two can read this."
    return "Nothing has been said here yet. Type, and press Enter."


def _fill(text: str, width: int) -> str:
    text = cut(text, width)
    return text + " " * max(0, width - width_of(text))
