"""Colours, each with one meaning, readable on dark and on light.

Bold is oneself and what asks for attention; the accent is what is new or active; dim is
what is said about messages, not in them; red is trouble. A nick has its own colour everywhere.
"""

import zlib
from typing import Final

from prompt_toolkit.styles import Style

# Of auto, between dark and light, so that each can be read on either: a contrast of 4 at least, by
# WCAG 2.2. More than 4.5 is in reach of grey and five others of a terminal's 256.
_NICKS: Final = {
    "auto": ("#d7005f", "#af5f00", "#5f8700", "#008700", "#008787", "#0087af",
             "#5f5fff", "#875fd7", "#d700af", "#af5f5f", "#00875f", "#af00ff"),
    "dark": ("#ff5f87", "#ffaf5f", "#d7d75f", "#87d75f", "#5fd7af", "#5fafff",
             "#8787ff", "#af87ff", "#ff87d7", "#ff875f", "#afd75f", "#87afd7"),
    "light": ("#af005f", "#875f00", "#5f5f00", "#005f00", "#005f5f", "#005faf",
              "#0000af", "#5f00af", "#870087", "#af3700", "#3f6f00", "#3f5f87"),
}  # fmt: skip
COLOURS: Final = len(_NICKS["auto"])

_ACCENT: Final = {"auto": "#0087af", "dark": "#5fafd7", "light": "#005f87"}
_DIM: Final = {"auto": "#767676", "dark": "#8a8a8a", "light": "#6c6c6c"}
_TROUBLE: Final = {"auto": "#d70000", "dark": "#ff5f5f", "light": "#af0000"}
_MENU: Final = {
    "auto": "bg:#5f5f5f #ffffff",
    "dark": "bg:#444444 #eeeeee",
    "light": "bg:#d0d0d0 #000000",
}
_GOOD: Final = {"auto": "#008700", "dark": "#5faf5f", "light": "#005f00"}


def style(theme: str) -> Style:
    """Return the style sheet of a theme: ``auto``, ``dark`` or ``light``."""
    accent, dim, trouble, good = _ACCENT[theme], _DIM[theme], _TROUBLE[theme], _GOOD[theme]
    menu = _MENU[theme]
    rules = {
        "time": dim,
        "bar": dim,
        "history": dim,
        "coming": f"{dim} italic",
        "notice": dim,
        "trouble": trouble,
        "line": dim,
        "new": f"{accent} bold",
        "mention": "bold",
        "mention.nick": "reverse bold",
        "own": "bold",
        "file": f"{accent} underline",
        "progress": accent,
        "sent": dim,
        "stored": good,
        "failed": f"{trouble} bold",
        "empty": dim,
        "tabs": "reverse",
        "tab": "reverse",
        "tab.current": "reverse bold underline",
        "tab.unread": "reverse bold",
        "tab.mention": f"bg:{accent} #ffffff bold noreverse",
        "heading": "reverse",
        "heading.name": "reverse bold",
        "conversation": "",
        "conversation.current": "reverse bold",
        "conversation.unread": "bold",
        "conversation.mention": f"{accent} bold",
        "status": "reverse",
        "status.trouble": f"bg:{trouble} #ffffff bold noreverse",
        "people": "",
        "people.title": f"{dim}",
        "people.away": f"{dim}",
        "dot": good,
        "border": dim,
        "prompt": f"{accent} bold",
        "chosen": "reverse",
        "frame.border": accent,
        "frame.label": f"{accent} bold",
        "scroll": f"{accent} bold",
        # In other colours than the status line, which it covers.
        "completion-menu": f"noinherit {menu}",
        "completion-menu.completion": f"noinherit {menu}",
        "completion-menu.completion.current": f"noinherit bg:{accent} #ffffff bold",
        "completion-menu.meta.completion": f"noinherit {menu}",
        "completion-menu.meta.completion.current": f"noinherit bg:{accent} #ffffff",
    }
    rules |= {f"nick{number}": colour for number, colour in enumerate(_NICKS[theme])}
    return Style.from_dict(rules)


def of_nick(nick: str) -> str:
    """Return the style class of a nick: the same in every run and on every screen."""
    return f"class:nick{zlib.crc32(nick.lower().encode()) % COLOURS}"
