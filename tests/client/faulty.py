"""The client with faults: a command and a key that raise what nobody foresaw, and a
file that does."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from chat_client import main
from parley.client.files.tcp import TcpLink
from parley.client.screen.app import Screen


def _raise(*_given: Any) -> Any:
    raise RuntimeError("boom")


for kind, what in ((Screen, "clear"), (Screen, "retry"), (TcpLink, "fetch")):
    setattr(kind, what, _raise)
sys.exit(main(sys.argv[1:]))
