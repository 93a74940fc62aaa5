"""Devices of the hunt: client programs that do random things and note what they did and saw."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import random
import secrets
import socket
import struct
from typing import Any, Final, Protocol

import msgspec

from benchmarks.invariants import Sent, Witness
from framing.frames import FrameDecoder, encode_frame

ACCOUNTS: Final = {"Alice": "123", "Bob": "456"}

_MOST_PATIENCE: Final = 20.0  # seconds for an answer while the server is up


class Hunted(Protocol):
    """What devices share: the ``nicks`` to talk to, how many messages were ``acknowledged`` in all,
    the log's ``last_seq``; ``ending``: it is time to go."""

    nicks: list[str]
    acknowledged: int
    last_seq: int
    ending: bool


class ViolationError(Exception):
    """Something that must hold does not."""


class Link:
    """A connection that speaks frames of JSON objects."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = FrameDecoder()

    @classmethod
    async def open(cls, port: int) -> "Link":
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def send(self, **fields: Any) -> None:
        """Send one object."""
        self.writer.write(encode_frame(json.dumps(fields).encode()))

    async def recv(self) -> dict[str, Any]:
        """Return the next event. Raises ``ConnectionError`` at the end of the connection."""
        while (body := self._decoder.next_body()) is None:
            data = await asyncio.wait_for(self.reader.read(1 << 16), _MOST_PATIENCE)
            if not data:
                raise ConnectionError
            self._decoder.receive_data(data)
        event: dict[str, Any] = msgspec.json.decode(body)
        return event

    def drop(self, how: str) -> None:
        """End the connection in one of the ways clients do."""
        with contextlib.suppress(OSError):
            sock = self.writer.get_extra_info("socket")
            if how == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif how == "half":
                sock.shutdown(socket.SHUT_WR)
            self.writer.close()


class Device:
    """A client program with a witness of what it did and saw."""

    def __init__(self, hunt: Hunted, witness: Witness) -> None:
        self.hunt = hunt
        self.witness = witness
        self.cursor: int | None = None
        self.waiting: list[Sent] = []

    async def live(self, link: Link, dice: random.Random) -> None:
        """Join and do random things until the connection ends, by either side."""
        witness = self.witness
        await self._join(link)
        for _ in range(dice.randrange(5, 120)):
            if self.hunt.ending:
                return
            act = dice.random()
            if act < 0.55:
                await self._say(link, dice)
            elif act < 0.60 and witness.sent:
                # Not one of several that are open: its answer would come before theirs.
                known = [sent for sent in witness.sent.values() if sent.seq is not None]
                again = dice.choice(known[-20:] or self.waiting[:1] or [*witness.sent.values()][:1])
                link.send(purpose="message", ref=again.ref, text=again.text, to=again.to)
                await self._until(link, again.ref, again)
            elif act < 0.65:
                ref = secrets.token_hex(4)
                other = dice.choice(["#lobby", *(f"@{n}" for n in self.hunt.nicks)])
                link.send(
                    purpose="history", ref=ref, **{"with": other, "limit": dice.randrange(1, 600)}
                )
                await self._until(link, ref)
            elif act < 0.70:
                ref = secrets.token_hex(4)
                link.send(purpose=dice.choice(["users", "away", "ping"]), ref=ref)
                await self._until(link, ref)
            elif act < 0.72:
                await asyncio.sleep(dice.uniform(0, 3))  # reads nothing meanwhile
            elif act < 0.74:
                await self._burst(link, dice)
            else:
                await asyncio.sleep(dice.uniform(0, 0.3))
        if dice.random() < 0.4:
            link.send(purpose="disconnect", text="bye")

    async def drain(self, link: Link) -> None:
        """Join once more, settle what is open, and see everything there is."""
        await self._join(link)
        while self.waiting:
            await self._send(link, self.waiting[0])
        ref = secrets.token_hex(4)
        link.send(purpose="ping", ref=ref)
        await self._until(link, ref)
        self.witness.upto = self.hunt.last_seq

    async def _join(self, link: Link) -> None:
        witness = self.witness
        since: dict[str, Any] = {"bot": True} if self.cursor is None else {"since": self.cursor}
        if witness.account is not None:
            await self._login(link, ACCOUNTS[witness.nick], since)
        else:
            token = {"token": witness.token} if witness.token else {}
            link.send(purpose="join", nick=witness.nick, id=witness.id, time=0, **token, **since)
        event = await link.recv()
        if event["purpose"] != "welcome":
            if event["purpose"] == "error" and event["error"] in (
                "USER_IN_USE", "SHUTTING_DOWN", "LIMIT_EXCEEDED", "STORE_UNAVAILABLE", "SERVER_FULL"
            ):  # fmt: skip
                raise ConnectionError
            raise ViolationError(f"{witness.nick} {witness.id} could not join: {event}")
        if "token" in event:
            if witness.token is not None:
                raise ViolationError(f"a good token of {witness.nick} was not taken")
            witness.token = event["token"]
        if self.cursor is None:
            self.cursor = witness.after = event["seq"]
            return
        while True:
            event = await link.recv()
            self._take(event)
            if event["purpose"] == "history" and event.get("replay") and event["end"]:
                return

    async def _login(self, link: Link, password: str, since: dict[str, Any]) -> None:
        nonce, nick = secrets.token_urlsafe(12), self.witness.nick
        bare = f"n={nick},r={nonce}"
        link.send(
            purpose="login", nick=nick, id=self.witness.id, time=0, mechanism="SCRAM-SHA-256",
            data=f"n,,{bare}", **since,
        )  # fmt: skip
        event = await link.recv()
        if event["purpose"] != "challenge":
            raise ConnectionError
        values = dict(part.split("=", 1) for part in event["data"].split(","))
        salted = hashlib.pbkdf2_hmac(
            "sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"])
        )
        key = hmac.digest(salted, b"Client Key", "sha256")
        without = f"c=biws,r={values['r']}"
        auth = f"{bare},{event['data']},{without}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
        link.send(purpose="response", data=f"{without},p={proof.decode()}")

    async def _say(self, link: Link, dice: random.Random) -> None:
        if self.waiting:
            await self._send(link, self.waiting[0])
            return
        to = "#lobby" if dice.random() < 0.7 else f"@{dice.choice(self.hunt.nicks)}"
        length = dice.choice([1, 20, 20, 20, 200, 3000])
        sent = Sent(secrets.token_hex(8), to, f"{secrets.token_hex(4)} {'é' * length}")
        self.witness.sent[sent.ref] = sent
        self.waiting.append(sent)
        await self._send(link, sent)

    async def _send(self, link: Link, sent: Sent) -> None:
        link.send(purpose="message", ref=sent.ref, text=sent.text, to=sent.to)
        await self._until(link, sent.ref, sent)

    async def _burst(self, link: Link, dice: random.Random) -> None:
        """Send many at once; what comes of each is left to be found out by a repetition."""
        if self.waiting:
            return
        for _ in range(dice.randrange(2, 40)):
            sent = Sent(secrets.token_hex(8), "#lobby", "burst")
            self.witness.sent[sent.ref] = sent
            self.waiting.append(sent)
            link.send(purpose="message", ref=sent.ref, text=sent.text)
        # What is refused for now, and what breaks off, is sent again one by one.
        ref = secrets.token_hex(4)
        link.send(purpose="ping", ref=ref)
        await self._until(link, ref)

    async def _until(self, link: Link, ref: str, sent: Sent | None = None) -> None:
        """Take what comes up to the answer to ``ref``."""
        while True:
            event = await link.recv()
            self._take(event)
            if event.get("ref") != ref:
                continue
            if event["purpose"] == "error" and sent is not None:
                if event["error"] == "NO_SUCH_NICK":
                    self._settled(sent)
                elif event["error"] in ("LIMIT_EXCEEDED", "STORE_UNAVAILABLE"):
                    await asyncio.sleep(event["retry_after"])
                elif event["error"] == "SHUTTING_DOWN":
                    raise ConnectionError
                else:
                    raise ViolationError(f"a message was refused: {event}")
            return

    def _acknowledged(self, event: dict[str, Any]) -> None:
        sent = self.witness.sent.get(event["ref"])
        if sent is None:
            return
        if sent.seq is not None and sent.seq != event["seq"]:
            raise ViolationError(f"{sent} was acknowledged again as {event}")
        if sent.seq is None:
            sent.seq = event["seq"]
            self.hunt.acknowledged += 1
            # Kept in the order of being acknowledged, which must be that of the log.
            self.witness.sent[sent.ref] = self.witness.sent.pop(sent.ref)
        self._settled(sent)

    def _settled(self, sent: Sent) -> None:
        if sent in self.waiting:
            self.waiting.remove(sent)

    def _take(self, event: dict[str, Any]) -> None:
        purpose = event["purpose"]
        if purpose == "message":
            self._see(event)
        elif purpose == "ok" and event.get("seq") is not None:
            self._acknowledged(event)
        elif purpose == "history" and event.get("replay"):
            for message in event["messages"]:
                self._see(message)
        elif (purpose == "error" and event["error"] == "EVICTED") or purpose == "shutdown":
            raise ConnectionError

    def _see(self, message: dict[str, Any]) -> None:
        assert self.cursor is not None
        if message["seq"] <= self.cursor:
            raise ViolationError(
                f"{self.witness.nick} {self.witness.id} had {self.cursor} and got {message}"
            )
        self.cursor = message["seq"]
        self.witness.seen.append(message["seq"])
