"""What whoever runs a server has to do with TLS: which certificate it shows, renewing it while it
runs, and making one for a start."""

import contextlib
import datetime
import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from framing.events import Quic
from parley.server.carrying.quic import QuicFiles
from parley.server.chat.sharing import Sharing
from parley.server.net.certificate import SOON, Certificate, CertificateError, write_pair
from parley.server.net.tls import Tls
from parley.server.options import Options

logger = logging.getLogger(__name__)


def read_certificate(options: Options) -> Certificate | None:
    """Return the certificate that was asked for, None if none was.

    Raises ``CertificateError``.
    """
    if options.tls_cert is None or options.tls_key is None:
        return None
    now = datetime.datetime.now(datetime.UTC)
    certificate = Certificate.read(options.tls_cert, options.tls_key, now)
    if certificate.ends - now < SOON:
        text = "%s is valid until %s only: renew it, and SIGHUP"
        logger.warning(text, options.tls_cert, certificate.ends.date())
    return certificate


def renew(options: Options, tls: Tls, quic: Sequence[QuicFiles], sharing: Sharing) -> None:
    """Read certificate and key again, for connections to come. Bad ones are refused, and those
    before stay."""
    try:
        certificate = read_certificate(options)
    except CertificateError as problem:
        logger.error("%s; the certificate read before stays in force", problem)
        return
    if certificate is None:
        return  # it is not asked for any more, which needs a restart
    tls.use(certificate)
    for carrier in quic:
        carrier.use(certificate)
    if sharing.quic is not None:
        sharing.quic = Quic(sharing.quic.port, certificate.fingerprint)
    logger.info("the certificate has been read again: sha256:%s", certificate.fingerprint)


def make_certificate(options: Options) -> str:
    """Make a certificate in the data directory. Return what was done, for people.

    Raises ``CertificateError``.
    """
    names = options.make_cert or _own_names()
    try:
        options.data.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise CertificateError(f"{options.data}: {problem.strerror}") from None
    made = write_pair(options.data, names, datetime.datetime.now(datetime.UTC))
    paths = options.data / "tls.crt", options.data / "tls.key"
    data = "" if options.data == Path() else f" --data {options.data}"
    files = f"--tls-cert {paths[0]} --tls-key {paths[1]}"
    lines = (
        f"{paths[0]} and {paths[1]} are made, for {', '.join(names)}, until {made.ends.date()}.",
        "The SHA-256 fingerprint, which a client shows when it first connects:",
        f"  {made.fingerprint}",
        f"To start: python chat_server.py --host 0.0.0.0{data} {files}",
    )
    return "\n".join(lines)


def _own_names() -> list[str]:
    """Return the names and addresses by which this machine is likely to be reached."""
    own = socket.gethostname()
    names = ["localhost", "127.0.0.1", "::1", own, socket.getfqdn()]
    with contextlib.suppress(OSError):  # its own name may be known to nobody
        names += [str(address[0]) for *_, address in socket.getaddrinfo(own, None)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect(("192.0.2.1", 9))  # sends nothing: the route tells the address, if any
        names.append(sock.getsockname()[0])
    return list(dict.fromkeys(name for name in names if "%" not in name))
