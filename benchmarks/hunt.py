"""The bug hunt: random clients against a real server that is killed again and again.

    python -m benchmarks.hunt --minutes 60 [--seed N]

Devices join with and without tokens, log in, talk to all and to one, repeat themselves, ask
for pages, read slowly, vanish by RST, half-close and silence; others send garbage and floods.
The server is killed (kill -9, or SIGTERM) every few seconds and started on what it left.
Everything sent, answered and seen is recorded and checked by ``benchmarks.invariants`` in the
end; the first violation that shows itself earlier ends the run. A canary measures round trips.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import random
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.devices import ACCOUNTS, Device, Link, ViolationError
from benchmarks.invariants import Witness, check
from benchmarks.programs import Parley, resident, stop
from framing.frames import encode_frame

_CANARY_MS = 250.0


class Hunt:
    """One hunt."""

    def __init__(self, data: Path, minutes: float, seed: int) -> None:
        self.data = data
        self.until = time.monotonic() + minutes * 60
        self.dice = random.Random(seed)
        self.ending = False
        self.acknowledged = 0
        self.kills = 0
        self.last_seq = 0
        self.round_trips: list[float] = []
        self.most_resident = 0
        self.most_descriptors = 0
        self.port = 0
        self.server: Parley | None = None
        guests = [f"guest{number}" for number in range(5)]
        self.nicks = [*guests, *ACCOUNTS, "nobody-at-all"]
        self.devices = [Device(self, Witness(nick, 1)) for nick in guests]
        for nick in ACCOUNTS:
            for id_ in (1, 2):
                self.devices.append(Device(self, Witness(nick, id_, account=nick.lower())))
        self.retired: list[Device] = []

    async def run(self) -> list[str]:
        """Hunt. Return what was violated."""
        self._make_accounts()
        self._start()
        tasks = [asyncio.create_task(self._device(number)) for number in range(len(self.devices))]
        tasks += [asyncio.create_task(self._pest(n)) for n in range(3)]
        tasks.append(asyncio.create_task(self._canary()))
        killer = asyncio.create_task(self._killer())
        done, _ = await asyncio.wait({killer, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        self.ending = True
        for task in done:
            if task.exception() is not None:
                for other in tasks:
                    other.cancel()
                raise task.exception() or RuntimeError()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return await self._finish()

    async def _finish(self) -> list[str]:
        everybody = [*self.devices, *self.retired]
        # First all settle what is open, then each sees all there is.
        for _ in range(2):
            self.last_seq = len(self._history())
            for device in everybody:
                if device.cursor is None and not device.waiting:
                    continue
                for _ in range(50):
                    link = await Link.open(self.port)
                    try:
                        await device.drain(link)
                        break
                    except ConnectionError:
                        await asyncio.sleep(0.2)
                    finally:
                        link.drop("close")
                else:
                    return [f"{device.witness.nick} could not come back"]
                await asyncio.sleep(0.05)
        assert self.server is not None
        code = stop(self.server.process, signal.SIGTERM)
        wrong = check(self._history(), [device.witness for device in everybody])
        if code != 0:
            wrong.append(f"the server ended with {code}")
        if "Traceback" in self.server.said:
            wrong.append(f"the server broke: {self.server.said[-3000:]}")
        return wrong

    # The server

    def _make_accounts(self) -> None:
        accounts = {}
        for nick, password in ACCOUNTS.items():
            salt = secrets.token_bytes(16)
            salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
            stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
            server = hmac.digest(salted, b"Server Key", "sha256")
            salt64, stored64, server64 = (
                base64.b64encode(part).decode() for part in (salt, stored, server)
            )
            accounts[nick] = {"scram": f"SCRAM-SHA-256$4096:{salt64}${stored64}:{server64}"}
        (self.data / "users.json").write_text(json.dumps(accounts))

    def _start(self) -> None:
        options = ["--rate", "100", "--burst", "100", "--log-level", "info", "--grace", "1"]
        options += ["--keep", "200K"]
        self.server = Parley(self.data, options, self.port)
        self.port = self.server.port

    async def _killer(self) -> None:
        assert self.server is not None
        while time.monotonic() < self.until:
            await asyncio.sleep(self.dice.uniform(1, 12))
            with contextlib.suppress(FileNotFoundError):
                self.most_resident = max(self.most_resident, resident(self.server.pid))
                found = sum(1 for _ in Path(f"/proc/{self.server.pid}/fd").iterdir())
                self.most_descriptors = max(self.most_descriptors, found)
            if self.server.process.poll() is not None:
                raise ViolationError(f"the server died: {self.server.said[-2000:]}")
            self.port, port = 0, self.port
            self.kills += 1
            if self.dice.random() < 0.7:
                stop(self.server.process, signal.SIGKILL)
            else:
                code = await asyncio.to_thread(stop, self.server.process, signal.SIGTERM)
                if code != 0:
                    raise ViolationError(f"SIGTERM ended with {code}: {self.server.said[-2000:]}")
            if self.dice.random() < 0.05:
                for path in self.data.glob("history.index*"):
                    path.unlink()
            self.port = port
            self._start()
            if "Traceback" in self.server.said:
                raise ViolationError(self.server.said[-3000:])

    def _history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for path in [*sorted(self.data.glob("history-*.json")), self.data / "history.json"]:
            found += msgspec.json.decode(path.read_bytes())
        return found

    # The clients

    @contextlib.asynccontextmanager
    async def _link(self, dice: random.Random) -> AsyncIterator[Link]:
        while self.port == 0:
            await asyncio.sleep(0.05)
        link = await Link.open(self.port)
        try:
            yield link
        finally:
            link.drop(dice.choice(["close", "close", "reset", "half"]))

    async def _device(self, number: int) -> None:
        dice = random.Random(self.dice.random())
        while not self.ending:
            device = self.devices[number]
            guest = device.witness.account is None
            if guest and device.witness.token and not device.waiting and dice.random() < 0.03:
                # Somebody else takes the nick, or another window of the same person opens.
                witness = Witness(device.witness.nick, dice.randrange(1, 2**31 - 1))
                if dice.random() < 0.5:
                    witness.token = device.witness.token
                self.retired.append(device)
                device = self.devices[number] = Device(self, witness)
            try:
                async with self._link(dice) as link:
                    await device.live(link, dice)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                pass
            await asyncio.sleep(dice.uniform(0, 0.5))

    async def _pest(self, number: int) -> None:
        """Send what nobody should."""
        dice = random.Random(self.dice.random())
        while not self.ending:
            try:
                async with self._link(dice) as link:
                    act = dice.randrange(4)
                    if act == 0:
                        link.writer.write(dice.randbytes(dice.randrange(1, 5000)))
                    elif act == 1:
                        ping = encode_frame(b'{"purpose":"ping","ref":"p"}')
                        link.writer.write(ping * 3000)
                    elif act == 2:
                        frame = encode_frame(b'{"purpose":"join","nick":"' + b"p" * 50 + b'"}')
                        link.writer.write(frame[: dice.randrange(len(frame))])
                    else:
                        link.send(purpose="join", nick=f"pest{number}", id=number, time=0)
                        for _ in range(200):
                            link.send(
                                purpose=dice.choice(["users", "nonsense", "history"]), ref="r"
                            )
                    await asyncio.wait_for(link.writer.drain(), 2)
                    await asyncio.sleep(dice.uniform(0, 1))
            except (OSError, TimeoutError):
                pass

    async def _canary(self) -> None:
        """Measure round trips while the server is up."""
        dice = random.Random(1)
        while not self.ending:
            try:
                async with self._link(dice) as link:
                    while not self.ending:
                        began = time.monotonic()
                        link.send(purpose="ping", ref="c")
                        await link.recv()
                        self.round_trips.append(time.monotonic() - began)
                        await asyncio.sleep(0.1)
            except (OSError, TimeoutError):
                await asyncio.sleep(0.1)


def main() -> int:
    """Hunt and say what was found. Return 1 if anything was violated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    # Writing to a server that has just been killed is what this does all the time.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    place = Path(tempfile.mkdtemp(prefix="parley-hunt-"))
    hunt = Hunt(place, options.minutes, options.seed)
    try:
        wrong = asyncio.run(hunt.run())
    except ViolationError as violation:
        wrong = [str(violation)]
    finally:
        if hunt.server is not None:
            stop(hunt.server.process, signal.SIGKILL)
    trips = sorted(hunt.round_trips) or [0.0]
    p99 = trips[int(len(trips) * 0.99)] * 1000
    if p99 > _CANARY_MS and options.minutes >= 1:
        wrong.append(f"the canary's 99th percentile is {p99:.0f} ms")
    if hunt.most_descriptors > 200:
        wrong.append(f"the server had {hunt.most_descriptors} descriptors open")
    print(
        f"{hunt.acknowledged} messages acknowledged, {hunt.kills} kills, canary p50 "
        f"{trips[len(trips) // 2] * 1000:.1f} ms p99 {p99:.1f} ms of {len(trips)}, "
        f"at most {hunt.most_resident / 1e6:.0f} MB and {hunt.most_descriptors} descriptors"
    )
    for sentence in wrong[:20]:
        print(f"VIOLATED: {sentence}")
    if wrong:
        print(f"seed {options.seed}; the files are in {place}")
        return 1
    print("nothing violated")
    for path in sorted(place.rglob("*"), reverse=True):
        path.unlink()
    place.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
