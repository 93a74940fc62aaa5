"""Time, as it is handed to everything that must not ask for it."""

import time
from typing import NamedTuple


class Moment(NamedTuple):
    """One reading of both clocks, in seconds.

    ``mono`` only ever grows and is for deadlines; ``utc`` is the time of day since the
    epoch, to the microsecond, and may jump.
    """

    mono: float
    utc: float


mono = time.monotonic
"""Only what deadlines need."""


def now() -> Moment:
    """Read both clocks."""
    return Moment(time.monotonic(), round(time.time(), 6))
