"""Hours of coming and going: does anything grow that should not?

    python -m benchmarks.soak [--hours 2] [--clients 2000] [--notes soak.csv]

Clients join, come back by token, talk to all, to rooms and to one, read pages, search, bring and
fetch files, vanish by RST and come back. Each minute is noted: memory, descriptors, the sizes of
log, index and shelf, what a canary waits. In the end the notes are judged: what grows on after the
first third is a fault, and what was acknowledged and is not there. The history is closed and
dropped by size (``--keep``), so that log and index must become steady too. Everybody has a few
rooms of their own choice: who stays in a room is remembered, and were it any of a hundred, it would
take an hour until everybody had been everywhere.
"""

import argparse
import asyncio
import contextlib
import csv
import hashlib
import json
import random
import secrets
import signal
import socket
import statistics
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.programs import Parley, resident, stop
from framing.frames import FrameDecoder, encode_frame

_PATIENCE = 30.0  # seconds for an answer
_SILENCE = 60.0  # seconds without a request, at most: who is silent for 90 is taken for lost
_ROOMS = 100
_OWN = 5  # of them somebody goes to
_OTHERS = 60  # descriptors that are no clients': files, the selector, the canary, transfers

REFUSALS = {
    *("LIMIT_EXCEEDED", "USER_IN_USE", "NO_SUCH_NICK", "NO_SUCH_ROOM", "FORBIDDEN"),
    *("NO_SUCH_FILE", "FILE_EXISTS", "STORE_UNAVAILABLE", "TICKET_EXPIRED"),
}
"""What a client that does all this at random must expect to be told now and then."""


class Note(NamedTuple):
    """What is seen at a time. Sizes are in bytes, ``at`` in seconds from the beginning, the
    canary's 99th percentile in milliseconds."""

    at: float
    clients: int
    resident: int
    descriptors: int
    log: int
    index_size: int
    shelf: int
    acknowledged: int
    canary: float


class Client(asyncio.Protocol):
    """A connection. Only what answers a request is decoded."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._waiting: dict[bytes, asyncio.Future[dict[str, Any]]] = {}
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Look for answers."""
        self._decoder.receive_data(data)
        while (body := self._decoder.next_body()) is not None:
            for mark, future in list(self._waiting.items()):
                if mark in body and not future.done():
                    future.set_result(json.loads(body))

    def connection_lost(self, problem: Exception | None) -> None:
        """The server, or this side, has ended it."""
        if not self.gone.done():
            self.gone.set_result(None)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError())

    async def ask(self, mark: bytes, **fields: Any) -> dict[str, Any]:
        """Send a request and return the event that has ``mark`` in it, or any error."""
        if self.gone.done():
            raise ConnectionError  # nothing that is written now would ever be answered
        future = asyncio.get_running_loop().create_future()
        marks = [mark, b'"purpose":"error"'] if b"ref" not in mark else [mark]
        for one in marks:
            self._waiting[one] = future
        try:
            self.transport.write(encode_frame(json.dumps(fields).encode()))
            return await asyncio.wait_for(future, _PATIENCE)
        except TimeoutError:
            raise TimeoutError(fields["purpose"]) from None
        finally:
            for one in marks:
                self._waiting.pop(one, None)

    async def request(self, purpose: str, **fields: Any) -> dict[str, Any]:
        """Send a request with a ref and return its answer."""
        ref = secrets.token_hex(6)
        return await self.ask(b'"ref":"%b"' % ref.encode(), purpose=purpose, ref=ref, **fields)


class Soak:
    """One run over ``data``."""

    def __init__(self, data: Path, clients: int, keep: int, pace: float) -> None:
        """``pace`` is in seconds: so long somebody waits between two requests, in the mean."""
        self.pace = pace
        self.server = Parley(data, ["--rate", "0", "--keep", f"{keep // 1024}K", "--drop"])
        self.data = data
        self.keep = keep
        self.clients = clients
        self.here = 0
        self.acknowledged: dict[int, str] = {}
        self.count = 0
        self.wrong: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.round_trips: list[float] = []
        self.notes: list[Note] = []

    async def run(self, seconds: float, every: float, notes: Path) -> None:
        """Let all live for so long, and note each ``every`` seconds what is seen."""
        began = time.monotonic()
        living = [asyncio.create_task(self._live(number)) for number in range(self.clients)]
        living.append(asyncio.create_task(self._canary()))
        with notes.open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(Note._fields)
            while (at := time.monotonic() - began) < seconds:
                await asyncio.sleep(min(every, seconds - at))
                if self.server.process.poll() is not None:
                    self.wrong[f"the server died: {self.server.said[-2000:]}"] += 1
                    break
                self.notes.append(self._note(time.monotonic() - began))
                out.writerow(self.notes[-1])
                file.flush()
        pending = set(living)
        while pending:  # once is not enough: wait_for may take it for its own (before Python 3.12)
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1)
        for task in living:
            if not task.cancelled() and task.exception() is not None:
                self.wrong[f"a client: {task.exception()!r}"] += 1

    def _note(self, at: float) -> Note:
        trips = sorted(self.round_trips) or [0.0]
        self.round_trips.clear()
        descriptors = sum(1 for _ in Path(f"/proc/{self.server.pid}/fd").iterdir())
        return Note(
            round(at, 1),
            self.here,
            resident(self.server.pid),
            descriptors,
            _size(self.data, "history*.json"),
            _size(self.data, "history.index*"),
            _size(self.data / "files", "*"),
            self.count,
            round(trips[int(len(trips) * 0.99)] * 1000, 1),
        )

    async def _canary(self) -> None:
        client = await self._connect()
        mark = b'"purpose":"welcome"'
        await client.ask(mark, purpose="join", nick="canary", id=1, time=0, bot=True)
        while True:
            began = time.monotonic()
            await client.request("ping")
            self.round_trips.append(time.monotonic() - began)
            await asyncio.sleep(0.1)

    async def _connect(self) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(Client, "127.0.0.1", self.server.port)
        return client

    async def _live(self, number: int) -> None:
        """Come and go as one person."""
        dice = random.Random(number)
        token: str | None = None
        await asyncio.sleep(dice.uniform(0, self.clients / 400))
        while True:
            client = await self._connect()
            more = {"token": token} if token else {}
            welcome = await client.ask(
                b'"purpose":"welcome"', purpose="join", nick=f"p{number}", id=1, time=0,
                bot=dice.random() < 0.7, **more,
            )  # fmt: skip
            if welcome["purpose"] == "error":
                self._told(welcome)
                client.transport.close()
                await asyncio.sleep(dice.uniform(0.5, 2))
                continue
            token = welcome.get("token", token)
            self.here += 1
            try:
                for _ in range(dice.randrange(5, 60)):
                    await asyncio.sleep(min(dice.expovariate(1 / self.pace), _SILENCE))
                    await self._act(client, dice, number)
            except ConnectionError:
                self.wrong["a connection was ended"] += 1
            except TimeoutError as problem:
                self.wrong[f"no answer came to {problem}"] += 1
            finally:
                self.here -= 1
                _leave(client, dice)
            await asyncio.sleep(dice.uniform(0, 4))

    async def _act(self, client: Client, dice: random.Random, number: int) -> None:
        room = f"#room{(number + 7 * dice.randrange(_OWN)) % _ROOMS}"
        act = dice.random()
        if act < 0.30:
            await self._enter_and_say(client, dice, room)
        elif act < 0.45:
            other = f"@p{dice.randrange(self.clients)}"
            await self._say(client, other, "psst " + "y" * dice.choice([5, 50, 500]))
        elif act < 0.46:
            await self._say(client, "#lobby", "to all")
        elif act < 0.56:
            where = dice.choice(["#lobby", room, f"@p{dice.randrange(self.clients)}"])
            limit = dice.choice([10, 50, 500])
            self._told(await client.request("history", **{"with": where, "limit": limit}))
        elif act < 0.61:
            self._told(await client.request("search", text=f"word{dice.randrange(1000)}"))
        elif act < 0.64:
            await self._share(client, dice, number)
        elif act < 0.70:
            self._told(await client.request(dice.choice(["users", "rooms", "files"]), limit=50))
        elif act < 0.73:
            self._told(await client.request("away", text="for a while"))
        else:
            self._told(await client.request("ping"))

    async def _enter_and_say(self, client: Client, dice: random.Random, room: str) -> None:
        self._told(await client.request("enter", room=room))
        await self._say(client, room, f"word{dice.randrange(1000)} " + "x" * dice.randrange(200))
        if dice.random() < 0.8:
            self._told(await client.request("leave", room=room))

    async def _say(self, client: Client, to: str, text: str) -> None:
        answer = await client.request("message", to=to, text=text)
        self._told(answer)
        if answer["purpose"] == "ok":
            self.count += 1
            self.acknowledged[answer["seq"]] = text
            if len(self.acknowledged) > 5000:
                del self.acknowledged[next(iter(self.acknowledged))]

    async def _share(self, client: Client, dice: random.Random, number: int) -> None:
        """Bring a file, fetch it, delete it."""
        data, name = dice.randbytes(dice.choice([0, 100, 20_000])), f"file-{number}"
        digest = hashlib.sha256(data).hexdigest()
        ticket = await client.request("put", name=name, size=len(data), sha256=digest)
        self._told(ticket)
        if ticket["purpose"] != "ticket":
            return
        answer = await self._carry(f'"store","ticket":"{ticket["ticket"]}","offset":0', data)
        if b'"sha256"' in answer:
            ticket = await client.request("get", name=name)
            self._told(ticket)
            if ticket["purpose"] == "ticket":
                got = await self._carry(f'"fetch","ticket":"{ticket["ticket"]}"', b"")
                if not got.endswith(data):
                    self.wrong["a file came back as another"] += 1
        self._told(await client.request("delete_file", name=name))

    async def _carry(self, request: str, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(encode_frame(f'{{"purpose":{request}}}'.encode()) + data)
            return await asyncio.wait_for(reader.read(-1), _PATIENCE)
        except TimeoutError:
            raise TimeoutError(request.partition('"')[0]) from None
        finally:
            writer.close()

    def _told(self, event: dict[str, Any]) -> None:
        """Count what comes back; an error that nobody should get is a fault."""
        if event["purpose"] == "error":
            self.done[event["error"]] += 1
            if event["error"] not in REFUSALS:
                self.wrong[f"{event['error']}: {event['text']}"] += 1
        else:
            self.done[event["purpose"]] += 1

    def finish(self) -> list[str]:
        """Stop the server and return what is wrong, a sentence each."""
        code = stop(self.server.process, signal.SIGTERM)
        wrong = [f"{what} ({count} times)" for what, count in self.wrong.items()]
        if code != 0:
            wrong.append(f"the server ended with {code}")
        if "Traceback" in self.server.said:
            wrong.append(f"the server broke: {self.server.said[-2000:]}")
        stored: dict[int, str] = {}
        for path in self.data.glob("history*.json"):
            stored |= {r["seq"]: r.get("text", "") for r in json.loads(path.read_bytes())}
        first = min((seq for seq, text in stored.items() if text), default=0)
        lost = [s for s, t in self.acknowledged.items() if s >= first and stored.get(s) != t]
        if lost or not self.acknowledged:
            wrong.append(f"{len(lost)} of {len(self.acknowledged)} acknowledged are not there")
        return wrong + judged(self.notes, self.keep)


def judged(notes: Sequence[Note], keep: int) -> list[str]:
    """Return what grows on after the first third of the notes, a sentence each."""
    wrong = []
    settled = notes[len(notes) // 3 :]
    for note in settled:
        if note.descriptors > note.clients + _OTHERS + note.clients // 10:
            wrong.append(f"{note.descriptors} descriptors for {note.clients} clients at {note.at}")
        if note.log > 1.5 * keep + 1_000_000:
            wrong.append(f"the log has {note.log} bytes at {note.at}, though it is dropped")
    if len(settled) >= 10:
        for name, most in (("resident", 0.10), ("descriptors", 0.15), ("index_size", 0.25)):
            seen = [float(getattr(note, name)) for note in settled]
            slope = statistics.linear_regression([note.at for note in settled], seen).slope
            grown = slope * (settled[-1].at - settled[0].at) / statistics.mean(seen)
            if grown > most:
                wrong.append(f"{name} grew by {grown:.0%} after the first third")
    return wrong


def _size(directory: Path, pattern: str) -> int:
    total = 0
    for path in directory.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # dropped, or deleted, meanwhile
            total += path.stat().st_size
    return total


def _leave(client: Client, dice: random.Random) -> None:
    """End a connection in one of the ways clients do."""
    how = dice.random()
    if how < 0.3:
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            sock = client.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        client.transport.abort()
        return
    if how < 0.7 and not client.transport.is_closing():
        client.transport.write(encode_frame(b'{"purpose":"disconnect"}'))
    client.transport.close()


def main() -> int:
    """Soak, and say what was found. Return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="hours of coming and going")
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--pace", type=float, default=4.0, help="seconds between two requests")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two notes")
    parser.add_argument("--keep", type=int, default=16_000_000, help="bytes of history kept")
    parser.add_argument("--notes", type=Path, default=Path("soak.csv"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # and end the server too
    with tempfile.TemporaryDirectory(prefix="parley-soak-") as place:
        soak = Soak(Path(place) / "data", options.clients, options.keep, options.pace)
        try:
            asyncio.run(soak.run(options.hours * 3600, options.every, options.notes))
            wrong = soak.finish()
        finally:
            stop(soak.server.process, signal.SIGKILL)
    if soak.notes:
        last = soak.notes[-1]
        print(
            f"{last.acknowledged} messages acknowledged, {last.clients} clients, "
            f"{last.resident / 1e6:.0f} MB resident, {last.descriptors} descriptors, log "
            f"{last.log / 1e6:.1f} MB, index {last.index_size / 1e6:.1f} MB, canary p99 "
            f"{statistics.median(note.canary for note in soak.notes):.1f} ms (median of the notes)"
        )
    print(f"told: {dict(soak.done.most_common())}; the notes are in {options.notes}")
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence}")
    print("nothing grew that should not" if not wrong else f"{len(wrong)} things are wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
