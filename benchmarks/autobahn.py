"""The Autobahn test suite against the door for browsers: RFC 6455, case by case.

    python -m benchmarks.autobahn --wstest PATH [--cases 1.*,6.*] [--long]

The suite sends texts and expects to hear them again, which our chat would not do. So there is a
chat here that does, behind the real thing: the loop, the gate, the intake, the delivery, the front
and the door are those of the server. What a chat is not to take is refused here too, and said so in
the table: binary messages (1003) and, unless ``--long``, messages over the wire's limit (1009).

``wstest`` needs Python 2.7: ``pip install autobahntestsuite`` in an environment of its own.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from framing.errors import BodyError, FrameError
from framing.limits import FRAME
from framing.requests import AnyRequest, Disconnect
from parley.server.carrying.transfers import Transfers
from parley.server.chat.addresses import Addresses
from parley.server.chat.chat import Chat
from parley.server.chat.outbox import Frame, Outbox
from parley.server.chat.session import Session
from parley.server.delivery import Delivery
from parley.server.doors.door import Door
from parley.server.doors.peer import Settings
from parley.server.gate import Gate
from parley.server.ground import clock
from parley.server.ground.bounds import Bounds
from parley.server.ground.clock import Moment
from parley.server.ground.counts import Counts
from parley.server.net.listener import listen
from parley.server.net.loop import Loop
from parley.server.net.sockets import Socket
from parley.server.web.front import Front
from parley.server.web.origins import Origins
from parley.server.web.proxies import Proxies
from parley.server.web.site import Site
from parley.server.web.websocket import WebSocketDoor

_LONGEST: Final = 64 * 1024 * 1024
_BINARY: Final = ("1.2.", "9.2.", "9.4.", "9.6.", "9.8.")
_EXTENSIONS: Final = ("12.", "13.")


class Echo(NamedTuple):
    """A message, asked to be heard again."""

    body: bytes


class EchoDoor(WebSocketDoor):
    """The door, but that any text is a request."""

    __slots__ = ()
    decode = staticmethod(Echo)  # type: ignore[assignment]


class LongDoor(EchoDoor):
    """The same for messages that no chat would take."""

    __slots__ = ()
    longest = _LONGEST


class EchoChat:
    """A chat, as the gate and the intake see it, in which everybody is in and hears themselves."""

    def __init__(self, bounds: Bounds) -> None:
        self.addresses = Addresses(bounds)
        self.counts = Counts()
        self.outbox = Outbox()
        self._closing: list[Session] = []

    def connect(self, address: str, frame: Frame) -> Session:
        """Return the session of a new connection."""
        session = Session(address, frame)
        session.state = "joined"
        return session

    def receive(self, session: Session, request: AnyRequest | Echo, moment: Moment) -> None:
        """Say again what was said."""
        if isinstance(request, Echo):
            self.outbox.tell(session, request.body)
        elif isinstance(request, Disconnect):
            self._close(session)

    def malformed(self, session: Session, problem: BodyError) -> None:
        """No text is malformed here."""
        raise AssertionError(problem)

    def broken(self, session: Session, problem: FrameError, moment: Moment) -> None:
        """The peer broke the protocol: where the chat would say why, before the Close, the suite
        expects nothing."""
        self._close(session)

    def lost(self, session: Session, reason: str, moment: Moment) -> None:
        """A connection is gone."""
        session.state = "closed"

    def settle(self) -> list[Session]:
        """Return whose connections are to end."""
        closing, self._closing = self._closing, []
        return closing

    def _close(self, session: Session) -> None:
        session.state = "closed"
        self._closing.append(session)


class EchoGate(Gate):
    """The gate, but that browsers come in by another door."""

    door: type[EchoDoor] = EchoDoor

    def admit(self, sock: Socket, address: str, door: Door, first: bytes, rest: bytes) -> None:
        """Give a connection a session."""
        super().admit(sock, address, self.door(), first, rest)


def serve(port: int, door: type[EchoDoor], listening: Any) -> None:
    """Echo on ``port`` until killed. ``listening`` is set once it does."""
    loop = Loop()
    bounds = Bounds()
    chat = EchoChat(bounds)
    settings = Settings(1000, 3600.0, 5.0, 1 << 30, bounds)
    no_files = cast(Transfers, None)
    gate = EchoGate(loop, cast(Chat, chat), no_files, settings, None)
    gate.door = door
    site = Site({}, Origins([], []), Proxies([]), no_files, "http")
    gate.open_door(listen("127.0.0.1", port, 60), Front(loop, gate, site))
    delivery = Delivery()
    listening.set()
    while True:
        busy = gate.intake.waiting or not chat.outbox.empty
        for watcher, events in loop.wait(gate.mono, gate.mono if busy else None):
            watcher.ready(events)
        moment = clock.now()
        gate.at(moment.mono)
        loop.run_timers(moment.mono)
        gate.intake.take_in(moment)
        delivery.deliver(*chat.outbox.flush())
        gate.let_go(chat.settle())


def run_suite(wstest: Path, port: int, cases: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Run ``cases`` against the echo on ``port``. Return what the suite says of each."""
    with tempfile.TemporaryDirectory(prefix="parley-autobahn-") as place:
        spec = Path(place, "fuzzingclient.json")
        server = {"agent": "Parley", "url": f"ws://127.0.0.1:{port}/chat"}
        outdir = Path(place, "reports")
        said = {"outdir": str(outdir), "servers": [server], "cases": list(cases)}
        spec.write_text(json.dumps(said))
        command = [str(wstest), "--mode", "fuzzingclient", "--spec", str(spec)]
        subprocess.run(command, check=True, cwd=place, stdout=subprocess.DEVNULL)
        found = json.loads(Path(outdir, "index.json").read_text())
        return cast(dict[str, dict[str, Any]], found["Parley"])


def judged(case: str, found: dict[str, Any]) -> str:
    """Return what is to be counted for a case."""
    if case.startswith(_BINARY) and found["remoteCloseCode"] == 1003:
        return "binary, refused"
    if found["behavior"] == "FAILED" and found["remoteCloseCode"] == 1009:
        return "too long, refused"
    both = {found["behavior"], found["behaviorClose"]}
    for word in ("FAILED", "WRONG CODE", "UNCLEAN", "NON-STRICT", "UNIMPLEMENTED"):
        if word in both:
            return word.lower()
    return "informational" if "INFORMATIONAL" in both else "passed"


def tell(results: dict[str, dict[str, Any]]) -> bool:
    """Print what came out, by section. Return whether nothing failed."""
    sections: dict[int, Counter[str]] = {}
    notable: dict[str, list[str]] = {}
    for case in sorted(results, key=lambda name: [int(part) for part in name.split(".")]):
        word = judged(case, results[case])
        sections.setdefault(int(case.split(".")[0]), Counter())[word] += 1
        if word not in ("passed", "informational", "unimplemented"):
            notable.setdefault(word, []).append(case)
    for section, counts in sections.items():
        print(f"{section:>3}  {', '.join(f'{count} {word}' for word, count in counts.items())}")
    for word, cases in notable.items():
        print(f"{word}: {' '.join(cases)}")
    return not {"failed", "wrong code", "unclean"} & notable.keys()


def main() -> int:
    """Run the suite and print what came out."""
    parser = argparse.ArgumentParser(description="the Autobahn test suite against the web door")
    parser.add_argument("--wstest", type=Path, required=True, help="the suite's program")
    parser.add_argument("--cases", default="*", help="patterns, with commas between them")
    parser.add_argument("--long", action="store_true", help="take messages of up to 64 MiB")
    parser.add_argument("--port", type=int, default=9001)
    options = parser.parse_args()
    print(f"messages of up to {_LONGEST if options.long else FRAME} bytes")
    context = multiprocessing.get_context("spawn")
    listening = context.Event()
    door = LongDoor if options.long else EchoDoor
    server = context.Process(target=serve, args=(options.port, door, listening), daemon=True)
    server.start()
    try:
        if not listening.wait(30):
            print("the echo does not start", file=sys.stderr)
            return 1
        return not tell(run_suite(options.wstest, options.port, options.cases.split(",")))
    finally:
        server.kill()


if __name__ == "__main__":
    sys.exit(main())
