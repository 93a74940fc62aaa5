"""How many logins a second: SCRAM-SHA-256, each on a new connection, an account a thread.

    python -m benchmarks.logins [--logins 2000]

What a client derives from its password it derives once, as a client that comes back does: the
server is measured, and the threads that ask it have the other core.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.programs import Parley, pin, stop
from framing.frames import FrameDecoder, encode_frame

THREADS = 16
PASSWORD = b"a long enough password"


class Account:
    """One account, with what its password makes for a salt."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._salted: dict[tuple[bytes, int], bytes] = {}

    def salted(self, salt: bytes, iterations: int) -> bytes:
        """Return the salted password (RFC 5802), from memory if it was asked for before."""
        found = self._salted.get((salt, iterations))
        if found is None:
            found = hashlib.pbkdf2_hmac("sha256", PASSWORD, salt, iterations)
            self._salted[salt, iterations] = found
        return found

    def log_in(self, port: int) -> None:
        """Connect, log in, and go. Raises ``AssertionError`` if that is refused."""
        nonce = secrets.token_urlsafe(18)
        bare = f"n={self.name},r={nonce}"
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            decoder = FrameDecoder()
            first = _ask(
                sock, decoder, purpose="login", nick=self.name, id=1, time=0, bot=True,
                mechanism="SCRAM-SHA-256", data=f"n,,{bare}",
            )  # fmt: skip
            assert first["purpose"] == "challenge", first
            values = dict(part.split("=", 1) for part in first["data"].split(","))
            salted = self.salted(base64.b64decode(values["s"]), int(values["i"]))
            key = hmac.digest(salted, b"Client Key", "sha256")
            without = f"c=biws,r={values['r']}"
            auth = f"{bare},{first['data']},{without}".encode()
            signature = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
            proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
            data = f"{without},p={proof.decode()}"
            welcome = _ask(sock, decoder, purpose="response", data=data)
            assert welcome["purpose"] == "welcome", welcome


def _ask(sock: socket.socket, decoder: FrameDecoder, **fields: object) -> dict[str, Any]:
    sock.sendall(encode_frame(json.dumps(fields).encode()))
    while (body := decoder.next_body()) is None:
        data = sock.recv(1 << 16)
        assert data, "the server closed the connection"
        decoder.receive_data(data)
    found: dict[str, Any] = json.loads(body)
    return found


def _log_in_often(account: Account, port: int, times: int) -> None:
    for _ in range(times):
        account.log_in(port)


def logins_per_s(count: int) -> float:
    """Return how many of ``count`` logins a server takes in a second."""
    names = [f"user{number}" for number in range(THREADS)]
    with tempfile.TemporaryDirectory(prefix="parley-logins-") as place:
        accounts = dict.fromkeys(names, PASSWORD.decode())
        (Path(place) / "users.json").write_text(json.dumps(accounts))
        server = Parley(Path(place), ["--rate", "0"])
        try:
            pin(server.pid, 0)
            pin(os.getpid(), 1)
            mine = [Account(name) for name in names]
            for account in mine:
                account.log_in(server.port)
            each = count // THREADS
            threads = [
                threading.Thread(target=_log_in_often, args=(account, server.port, each))
                for account in mine
            ]
            began = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return each * THREADS / (time.perf_counter() - began)
        finally:
            stop(server.process)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--logins", type=int, default=2000)
    options = parser.parse_args()
    print(f"{logins_per_s(options.logins):.0f} logins a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
