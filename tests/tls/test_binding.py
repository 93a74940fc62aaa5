"""Logins that are bound to the server's certificate (RFC 5802, RFC 5929)."""

import base64
import hashlib
import hmac
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, ChatServer, Make
from tests.tls.conftest import Certified, joined, wire
from tests.tls.middle import Middle
from tests.wire import Wire

PLUS = "SCRAM-SHA-256-PLUS"


@pytest.fixture
def guarded(make_server: Make, certified: Certified, demo_users: str) -> ChatServer:
    """A running server that speaks TLS and has the demo accounts."""
    server = make_server(*certified.options)
    (server.data / "users.json").write_text(demo_users)
    return server.start()


def login(wire: Wire, password: str, mechanism: str, header: str, bound: bytes) -> dict[str, Any]:
    """Log in as Alice by RFC 5802 with this gs2 header and these bytes; return the last event."""
    nonce = secrets.token_urlsafe(18)
    bare = f"n=Alice,r={nonce}"
    data = f"{header}{bare}"
    wire.send(purpose="login", nick="Alice", id=1, time=0, mechanism=mechanism, data=data)
    event = wire.recv()
    assert event is not None
    if event["purpose"] == "error":
        return event
    first = event["data"]
    values = dict(part.split("=", 1) for part in first.split(","))
    salted = hashlib.pbkdf2_hmac(
        "sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"])
    )
    key = hmac.digest(salted, b"Client Key", "sha256")
    c = base64.b64encode(header.encode() + bound).decode()
    without = f"c={c},r={values['r']}"
    auth = f"{bare},{first},{without}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))
    wire.send(purpose="response", data=f"{without},p={proof.decode()}")
    event = wire.recv()
    assert event is not None
    return event


def test_a_login_bound_to_the_servers_certificate_gets_in(
    guarded: ChatServer, certified: Certified
) -> None:
    bound = hashlib.sha256(certified.der).digest()
    header = "p=tls-server-end-point,,"
    alice = wire(guarded, certified.context())
    assert login(alice, "123", PLUS, header, bound)["purpose"] == "welcome"
    wrong = wire(guarded, certified.context())
    assert login(wrong, "124", PLUS, header, bound)["error"] == "AUTH_FAILED"


def test_a_login_bound_to_another_certificate_does_not(
    guarded: ChatServer, certified: Certified
) -> None:
    alice = wire(guarded, certified.context())
    bound = hashlib.sha256(b"another").digest()
    error = login(alice, "123", PLUS, "p=tls-server-end-point,,", bound)
    assert error["error"] == "FORBIDDEN" and "in between" in error["text"]
    guarded.wait_for("login through another's TLS nick=Alice")
    # Nor does one that is bound in another way.
    error = login(alice, "123", PLUS, "p=tls-unique,,", bound)
    assert error["error"] == "BAD_REQUEST"


def test_a_login_need_not_be_bound_but_must_not_think_it_cannot(
    guarded: ChatServer, certified: Certified
) -> None:
    alice = wire(guarded, certified.context())
    error = login(alice, "123", "SCRAM-SHA-256", "y,,", b"")
    assert error["error"] == "BAD_REQUEST"
    for header in ("n,,", "y,,"):
        assert login(alice, "123", PLUS, header, b"")["error"] == "BAD_REQUEST"
    assert login(alice, "123", "SCRAM-SHA-256", "n,,", b"")["purpose"] == "welcome"


def test_without_tls_nothing_is_bound(accounts_server: ChatServer) -> None:
    alice = accounts_server.wire()
    bound = hashlib.sha256(b"any").digest()
    error = login(alice, "123", PLUS, "p=tls-server-end-point,,", bound)
    assert error["error"] == "BAD_REQUEST" and "but SCRAM-SHA-256" in error["text"]
    assert login(alice, "123", "SCRAM-SHA-256", "y,,", b"")["purpose"] == "welcome"


def client(port: int, place: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run the client as Alice, sending something."""
    password = place / "password"
    password.write_text("123\n")
    command = [sys.executable, str(ROOT / "chat_client.py"), "localhost", str(port), "Alice", "2"]
    more = ["--password-file", str(password), "--send", "hello", *options]
    env = {"PARLEY_CONFIG_DIR": str(place / "config")}
    return subprocess.run([*command, *more], capture_output=True, text=True, timeout=60, env=env)


def test_the_client_binds_and_somebody_in_between_gets_nothing(
    guarded: ChatServer, certified: Certified, tmp_path: Path
) -> None:
    done = client(guarded.port, tmp_path, "--ca", str(certified.ca))
    assert (done.returncode, done.stderr) == (0, "")
    watcher = joined(guarded, certified.context(), "watcher")
    (tmp_path / "other").mkdir()
    other = Certified(tmp_path / "other")
    with Middle(other.cert, other.key, guarded.port, certified.context()) as middle:
        # The person trusts the one in between, who passes all on as it is.
        done = client(middle.port, tmp_path, "--ca", str(other.ca))
        assert done.returncode == 4
        assert "somebody is in between" in done.stderr
    assert watcher.quiet() == []
    assert guarded.messages == ["hello"]


def test_the_client_logs_in_through_a_proxy_that_speaks_tls_for_a_plain_server(
    accounts_server: ChatServer, certified: Certified, tmp_path: Path
) -> None:
    with Middle(certified.cert, certified.key, accounts_server.port, None) as middle:
        done = client(middle.port, tmp_path, "--ca", str(certified.ca))
        assert (done.returncode, done.stderr) == (0, "")
    assert accounts_server.messages == ["hello"]
