"""What stands around the timeline: the conversations, the people, a heading, the status.

Each is text made from the model; each fits the width it is given. ``go`` is called with the
name of what was clicked on.
"""

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from prompt_toolkit.formatted_text import OneStyleAndTextTuple, StyleAndTextTuples
from prompt_toolkit.mouse_events import MouseEvent, MouseEventType

from framing.names import key
from parley.client.files.job import Job
from parley.client.ground.cells import cut, width_of
from parley.client.model.conversation import Conversation, Fate
from parley.client.model.model import Model
from parley.client.model.people import presence, span
from parley.client.screen.style import of_nick
from parley.client.session.happenings import Status

PEOPLE_FROM: Final = 72
"""Columns from which the people have a pane."""

CONVERSATIONS_WIDTH: Final = 20
CONVERSATIONS_FROM: Final = 100
"""Columns from which the conversations have a pane; under it they are tabs above."""

TRANSFERS: Final = 3
"""Files on their way that have a line each."""

HINTS: Final = ("/help", "Ctrl+K goes to", "q! leaves", "PgUp scrolls", "Tab completes")

Go = Callable[[str], None]


def people_width(columns: int) -> int:
    """Return how wide the pane of the people is: from 160 columns on every nick fits whole."""
    return min(36, max(20, columns - 124))


def tabs(model: Model, width: int, go: Go) -> StyleAndTextTuples:
    """Return the line of conversations, the current one in sight however many there are."""
    everything = list(enumerate(model.conversations.values(), 1))
    at = next(i for i, (_, conversation) in enumerate(everything) if conversation is model.current)
    first = at
    left = width - 2 - width_of(_tab(*everything[at], model)[1])
    while first and left >= 0:
        left -= width_of(_tab(*everything[first - 1], model)[1])
        first -= left >= 0
    shown: StyleAndTextTuples = []
    left = width
    if first:
        shown.append(("class:tab", "<"))
        left -= 1
    for number, conversation in everything[first:]:
        style, text = _tab(number, conversation, model)
        if width_of(text) > left:
            shown.append(("class:tab", cut(">", left)))
            left -= min(1, left)
            break
        shown.append(_clickable(style, text, conversation.name, go))
        left -= width_of(text)
    shown.append(("class:tabs", " " * max(0, left)))
    return shown


def _tab(number: int, conversation: Conversation, model: Model) -> tuple[str, str]:
    name = cut(conversation.name, 20)
    if conversation is model.current:
        return "class:tab.current", f" {number} {name} "
    if conversation.unread:
        style = "class:tab.mention" if conversation.mentions else "class:tab.unread"
        return style, f" {number} {name} ({conversation.unread}) "
    return "class:tab", f" {number} {name} "


def heading(model: Model, width: int, now: float) -> StyleAndTextTuples:
    """Return the line above the timeline: the conversation, and what it is about. ``now`` is in
    UTC seconds."""
    conversation = model.current
    about = conversation.topic or (model.motd.split("\n")[0] if conversation is model.lobby else "")
    if conversation.private:
        person = model.people.get(conversation.name[1:])
        about = "not known here" if person is None else presence(person, now)
        if (seen := conversation.seen_up_to()) is not None:
            at = time.strftime("%H:%M", time.localtime(seen.time))
            about += f" · has read what you said up to {at}"
    left = f" {conversation.name}"
    text = cut(f" · {about}" if about else "", max(0, width - width_of(left) - 1))
    gap = " " * max(0, width - width_of(left) - width_of(text))
    return [("class:heading.name", left), ("class:heading", f"{text}{gap}")]


def conversations(model: Model, width: int, height: int, go: Go) -> StyleAndTextTuples:
    """Return the conversations, a line each, as many as there is room for and the current one
    among them."""
    everything = list(enumerate(model.conversations.values(), 1))
    at = next(i for i, (_, conversation) in enumerate(everything) if conversation is model.current)
    first = max(0, min(at - height // 2, len(everything) - height))
    lines: StyleAndTextTuples = []
    for number, conversation in everything[first : first + height]:
        if lines:
            lines.append(("", "\n"))
        lines += _conversation(number, conversation, conversation is model.current, width, go)
    return lines


def _conversation(
    number: int, conversation: Conversation, current: bool, width: int, go: Go
) -> StyleAndTextTuples:
    style = "class:conversation"
    if current:
        style = "class:conversation.current"
    elif conversation.unread:
        style = f"class:conversation.{'mention' if conversation.mentions else 'unread'}"
    count = f" {conversation.unread} " if conversation.unread else " "
    label = f" {number} " if number < 10 else "   "
    name = cut(conversation.name, width - len(label) - len(count))
    gap = " " * (width - len(label) - len(count) - width_of(name))
    return [_clickable(style, f"{label}{name}{gap}{count}", conversation.name, go)]


def people(model: Model, width: int, height: int, now: float, go: Go) -> StyleAndTextTuples:
    """Return the people online, as many as there is room for. ``now`` is in UTC seconds."""
    online = model.people.among(model.current.members)
    total = max(_here(model), len(online))
    connected = model.standing.change.status is Status.ONLINE
    title = f"{total} here"
    if not connected:
        title = "were here" if online else ""
    lines: StyleAndTextTuples = [("class:people.title", cut(title, width))]
    room = height - 1
    more = total - room
    for person in online[: room if more <= 0 else room - 1]:
        away = person.status == "away" or not connected
        length = ""
        if person.status == "away" and connected and person.since and now - person.since >= 60:
            length = f" {span(now - person.since)}"
        style = "class:people.away" if away else of_nick(person.nick)
        if key(person.nick) == key(model.nick):
            style += " class:own"
        name = cut(person.nick, width - 2 - len(length))
        gap = " " * (width - 2 - len(length) - width_of(name)) if length else ""
        lines.append(("", "\n"))
        lines.append(("class:people.away" if away else "class:dot", "○ " if away else "● "))
        lines.append(_clickable(style, name, f"@{person.nick}", go))
        lines.append(("class:people.away", f"{gap}{length}"))
    if more > 0:
        lines.append(("class:people.title", f"\n  and {more + 1} more"))
    return lines


def _here(model: Model) -> int:
    """Return how many people are in the current room; in all, where that is nowhere else."""
    members = model.current.members
    return max(1, model.people.total if members is None else len(model.people.among(members)))


def status(
    model: Model, width: int, now: float, utc: float, below: int | None, mode: str, asking: str
) -> StyleAndTextTuples:
    """Return the status line. ``now`` in monotonic seconds, ``utc`` the same in UTC; ``below``:
    entries that came since one scrolled away, None at the end; ``mode``: of the editor, if it has
    modes; ``asking``: a question that stands before everything else."""
    change = model.standing.change
    nick = cut(model.nick, max(8, width // 4))  # what follows matters more on a narrow screen
    if asking:
        return [("class:status.trouble", _fill(f" {asking}", width))]
    if change.status is Status.ONLINE:
        fates = [entry.fate for _, entry in model.fates.open]
        me = model.people.get(model.nick)
        is_away = me is not None and me.status == "away"
        left = f" {nick} {'○ away ·' if is_away else '●'} {_here(model)} here"
        if Fate.SENT in fates:
            left += f" · {fates.count(Fate.SENT)} on the way"
        if Fate.FAILED in fates:
            left += f" · {fates.count(Fate.FAILED)} not sent"
        style = "class:status"
    elif change.status is Status.WAITING:
        seconds = max(1, math.ceil((change.retry_at or now) - now))
        left = f" {nick} ○ again in {seconds} s · {change.text}"
        if width_of(left) > width and left.endswith("?"):  # what may help stands above
            left = left.rpartition(": ")[0] or left
        style = "class:status.trouble"
    elif change.status is Status.ENDED:
        left = f" ○ {change.text or 'ended'}"
        style = "class:status.trouble"
    else:
        left = f" {nick} ○ connecting …"
        style = "class:status"
    typing = sorted(who for who, until in model.current.typing.items() if until > utc)
    if typing and change.status is Status.ONLINE:
        left += f" · {', '.join(typing[:3])} {'writes' if len(typing) == 1 else 'write'} …"
    if mode:
        left = f" {mode}{left}"
    if below is not None:
        left += f" · ↓ {below} new (Alt+End)" if below else " · scrolled (Alt+End)"
    right = ""
    for hint in HINTS:
        longer = f"{right} · {hint}" if right else hint
        if width_of(left) + width_of(longer) + 3 > width:
            break
        right = longer
    gap = width - width_of(left) - width_of(right) - 1
    if gap < 1:
        return [(style, _fill(left, width))]
    return [(style, f"{left}{' ' * gap}{right} ")]


def transfers(
    jobs: Sequence[Job], width: int, now: float, cancel: Callable[[Job], None]
) -> StyleAndTextTuples:
    """Return a line for each file on its way, with how far it is. ``now`` in monotonic seconds."""
    shown = jobs[:TRANSFERS]
    room = width - width_of(" ↓   ✗ cancel ")
    longest = max((width_of(job.name) for job in shown), default=0)
    words = [_fitting(job.words(now), room - min(longest, 20) - 10) for job in shown]
    told = max((width_of(text) for text in words), default=0)
    names = max(4, min(longest, 30, room - told - 10))
    lines: StyleAndTextTuples = []
    for job, text in zip(shown, words, strict=True):
        if lines:
            lines.append(("", "\n"))
        name = cut(job.name, names)
        gap = " " * (names - width_of(name))
        bar = job.bar(max(0, room - names - told - 2))
        lines += [
            ("class:progress", " ↑ " if job.upload else " ↓ "),
            ("", f"{name}{gap} "),
            ("class:progress", bar),
            ("class:notice", f" {text}{' ' * (told - width_of(text))} "),
            ("class:notice", " ✗ cancel ", _clicked(lambda job=job: cancel(job))),  # type: ignore[misc]
        ]
    if (more := len(jobs) - TRANSFERS) > 0:
        lines.append(("class:notice", f"\n   and {more} more: /cancel NAME ends one"))
    return lines


def _fitting(words: list[str], width: int) -> str:
    """Return as many of ``words``, from the first on, as fit."""
    text = ""
    for word in words:
        longer = f"{text} · {word}" if text else word
        if width_of(longer) > width:
            break
        text = longer
    return text


def title(model: Model) -> str:
    """Return the window's title."""
    count = model.unread
    return f"({count}) {model.current.name} - Parley" if count else f"{model.current.name} - Parley"


def empty(model: Model) -> str:
    """Return what an empty conversation says."""
    change = model.standing.change
    if change.status is Status.WAITING and not model.standing.been_online:
        end = "" if change.text.endswith(("?", ".")) else "."
        why = f"{change.text[:1].upper()}{change.text[1:]}{end}"
        return f"{why} What you type is kept, and sent when you are in."
    if change.status is not Status.ONLINE:
        return ""
    if model.current.private:
        return f"Nothing yet between you and {model.current.name[1:]}. Only you two can read this."
    if model.current is not model.lobby:  # of a private room one may not see all
        return "There is nothing to read here yet. Type, and press Enter."
    return "Nothing has been said here yet. Type, and press Enter."


def _clickable(style: str, text: str, name: str, go: Go) -> OneStyleAndTextTuple:
    return style, text, _clicked(lambda: go(name))


def _clicked(do: Callable[[], None]) -> Callable[[MouseEvent], object]:
    """Return what does it when somebody clicks."""

    def handle(event: MouseEvent) -> object:
        if event.event_type is not MouseEventType.MOUSE_UP:
            return NotImplemented
        do()
        return None

    return handle


def _fill(text: str, width: int) -> str:
    text = cut(text, width)
    return text + " " * max(0, width - width_of(text))
