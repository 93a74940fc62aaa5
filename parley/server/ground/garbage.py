"""Garbage: how seldom Python's cycle collector looks through what there is.

Reference counts free nearly all that a tick makes. Cycles are left by connections that have ended:
for these the collector is needed, but not once in a few dozen messages.
"""

import gc
from typing import Final

_YOUNG: Final = 10_000
_OLDER: Final = 3
"""Objects more than before until it looks at those made since (CPython's own figure is 700); looks
until it takes in those that have outlived one, and of these until it takes in all: about as many
objects as by CPython's own figures, so that no more of what is gone is kept."""


def settle() -> None:
    """Call it once all is made that stays as long as the process: it is never looked through
    again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _OLDER)
