"""What is asked of the terminal beyond text: focus reports, the clipboard, notices.

Sources: xterm's control sequences (focus tracking, OSC 52), iTerm2's OSC 9 for notices, which
kitty, foot, WezTerm and Ghostty understand too. A terminal that does not know one ignores it.
"""

import base64
import os
import re
import sys
from typing import Final

from prompt_toolkit.input.ansi_escape_sequences import ANSI_SEQUENCES
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import Output

FOCUS_IN: Final = Keys.F23
FOCUS_OUT: Final = Keys.F24
"""prompt_toolkit has no keys for the two reports; no keyboard has these."""

CLIPBOARD: Final = 74_994
"""Bytes that OSC 52 carries at most in common terminals (100,000 as base64)."""

ANSI_SEQUENCES["\x1b[I"] = FOCUS_IN
ANSI_SEQUENCES["\x1b[O"] = FOCUS_OUT


def gone() -> None:
    """The terminal is there no longer: what is still written goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def report_focus(output: Output, wanted: bool) -> None:
    """Have the terminal say when it gets and loses the focus, or stop it."""
    output.write_raw("\x1b[?1004h" if wanted else "\x1b[?1004l")
    output.flush()


def ask_width(output: Output, sample: str) -> None:
    """Have the terminal say how far ``sample`` moves its cursor: ``width_told`` reads the answer,
    which comes as ``Keys.CPRResponse``. The upper left corner has to be drawn again then."""
    output.write_raw(f"\x1b7\x1b[1;1H{sample}\x1b[6n\x1b8")
    output.flush()


def width_told(answer: str) -> int | None:
    """Return the cells of the sample by the terminal's answer."""
    found = re.fullmatch(r"\x1b\[1;(\d{1,4})R", answer)
    return int(found[1]) - 1 if found else None


def copy(output: Output, text: str) -> None:
    """Put ``text`` on the person's clipboard. Raises ``ValueError`` if it is too long for that."""
    encoded = text.encode(errors="replace")
    if len(encoded) > CLIPBOARD:
        raise ValueError(f"that is too long for a terminal to copy: {len(encoded)} bytes")
    output.write_raw(f"\x1b]52;c;{base64.b64encode(encoded).decode()}\x07")
    output.flush()


def notify(output: Output, text: str) -> None:
    """Show a notice on the desktop. ``text`` must have been cleaned."""
    output.write_raw(f"\x1b]9;{text[:120]}\x07")
    output.flush()
