"""Times in a server's sentences. A server does not know where somebody is, so it says UTC."""

import calendar
import re
import time
from typing import Final

_TOLD: Final = re.compile(r"\b(\d{4}-\d\d-\d\d \d\d:\d\d) UTC\b", re.ASCII)


def in_own_time(text: str) -> str:
    """Return a server's sentence with the times in it as the person's own clock has them."""
    return _TOLD.sub(_own, text)


def _own(told: re.Match[str]) -> str:
    try:
        at = calendar.timegm(time.strptime(told[1], "%Y-%m-%d %H:%M"))
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (ValueError, OverflowError, OSError):
        return told[0]
