"""What a message costs the index: microseconds of processor time, and bytes of its file.

    python -m benchmarks.indexing [--messages 100000]

Messages of 100 bytes, of ten who write to all, and of a thousand pairs who write to each other, as
the server gives them to the index under load: 512 at a time. The first half warms up, the second is
measured.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from framing.events import Message
from framing.names import LOBBY
from parley.server.index.index import Index
from parley.server.log.log import Log
from parley.server.log.records import Origin, Said
from parley.server.log.recovery import Recovery

_AT_ONCE: Final = 512


def to_all(seq: int, chance: random.Random) -> Said:
    """One of ten says something to all."""
    return _said(seq, chance.randrange(10), LOBBY, None)


def in_private(seq: int, chance: random.Random) -> Said:
    """One of a thousand pairs says something to the other."""
    pair = chance.randrange(1000)
    return _said(seq, pair, f"@receiver{pair}", f"~{pair + 10_000}")


def _said(seq: int, sender: int, to: str, for_: str | None) -> Said:
    text = f"message {seq:08} of the load, with words like alpha beta gamma delta".ljust(100, "x")
    message = Message(seq, f"sender{sender}", 1, to, text, 1.7e9 + seq / 1e4, len(text))
    return Said(message, Origin(str(seq), f"~{sender}", for_))


def measure(make: Callable[[int, random.Random], Said], messages: int) -> tuple[float, int]:
    """Return the microseconds that a message takes, and its bytes."""
    chance = random.Random(1)
    with tempfile.TemporaryDirectory(prefix="parley-index-") as place:
        found = Recovery(Path(place) / "history.json")
        log = Log(found.files, found.position, "never")
        path = Path(place) / "history.index"
        index = Index(path)
        index.start(log, found.tail, trusted=False)
        spent = 0.0
        while log.seq < messages:
            for seq in range(log.seq + 1, log.seq + 1 + _AT_ONCE):
                log.append(make(seq, chance))
            stored = log.commit(0.0)
            began = time.process_time()
            index.add(stored)
            index.flush()
            if index.full:
                index.commit()
            if log.seq > messages // 2:
                spent += time.process_time() - began
        index.close()
        size = path.stat().st_size
        log.close()
        return 2e6 * spent / log.seq, size // log.seq


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=100_000)
    messages = parser.parse_args().messages
    print(f"{'a message':<12} {'time':>10} {'bytes':>6}")
    for name, make in (("to all", to_all), ("in private", in_private)):
        spent, size = measure(make, messages)
        print(f"{name:<12} {spent:>7.1f} us {size:>6}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
