"""Certificates, servers that speak TLS, and wires over it."""

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.conftest import ChatServer, Make
from tests.wire import PATIENCE, Wire


class Certified:
    """A server's certificate by a CA of the tests' own, in files."""

    def __init__(self, place: Path, *names: str) -> None:
        self.authority = trustme.CA()
        self.ca = place / "ca.pem"
        self.cert = place / "server.crt"
        self.key = place / "server.key"
        self.authority.cert_pem.write_to_path(str(self.ca))
        self.renew(*(names or ("localhost", "127.0.0.1")))

    def renew(self, *names: str) -> None:
        """Write another certificate and key into the same files."""
        issued = self.authority.issue_cert(*names)
        pem = b"".join(part.bytes() for part in issued.cert_chain_pems)
        self.cert.write_bytes(pem)
        self.key.touch(0o600)
        issued.private_key_pem.write_to_path(str(self.key))
        self.der = ssl.PEM_cert_to_DER_cert(pem.decode())

    @property
    def options(self) -> tuple[str, ...]:
        """What a server is started with."""
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))

    def context(self) -> ssl.SSLContext:
        """Return a client's settings that trust the CA, and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca))


def connected(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection after its handshake."""
    plain = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return context.wrap_socket(plain, server_hostname="localhost")


def wire(server: ChatServer, context: ssl.SSLContext) -> Wire:
    """Return a wire over TLS."""
    made = Wire.__new__(Wire)
    made.adopt(connected(server.port, context))
    server.wires.append(made)
    return made


def joined(server: ChatServer, context: ssl.SSLContext, nick: str, id_: int = 1) -> Wire:
    """Return a wire over TLS that has joined and been given its replay."""
    made = wire(server, context)
    made.join(nick, id_)
    made.until("history", end=True)
    return made


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """Return a certificate for localhost."""
    return Certified(tmp_path)


@pytest.fixture
def tls_server(make_server: Make, certified: Certified) -> ChatServer:
    """A running server that speaks TLS, without limits to the rate."""
    return make_server("--rate", "0", *certified.options).start()
