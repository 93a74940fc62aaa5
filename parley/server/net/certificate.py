"""The certificate by which clients know the server: read from files, or made here.

Files are read once, whole, and everything is taken from what was read: a renewal that comes
between leaves no certificate with another's key. What is wrong with them is said in words, before
OpenSSL says it in its own.
"""

import datetime
import hashlib
import ipaddress
import os
import ssl
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from parley.binding import end_point
from parley.server.ground.reading import read_regular

SOON: Final = datetime.timedelta(days=14)
"""How long before its end one is told of it: renewals are tried from 30 days before on."""

_LASTS: Final = datetime.timedelta(days=3650)
_PEM_MOST: Final = 1 << 20  # bytes; a chain has some ten thousand


class CertificateError(Exception):
    """A certificate or its key cannot be used. The text says which, why, and what to do."""


class Certificate:
    """A certificate (with the chain to its CA, if there is one) and its key, as PEM.

    ``fingerprint`` is its SHA-256 in hex, ``ends`` when it is no longer valid, ``binding`` what
    binds a login to it.
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.certificate = certificate
        self.key = key
        found = x509.load_pem_x509_certificates(certificate)[0]
        der = found.public_bytes(serialization.Encoding.DER)
        self.fingerprint = hashlib.sha256(der).hexdigest()
        self.ends = found.not_valid_after_utc
        self.binding = end_point(der)

    @classmethod
    def made(
        cls, now: datetime.datetime, names: Sequence[str] = ("parley", "127.0.0.1")
    ) -> "Certificate":
        """Make one that signs itself, for these hosts' names and addresses: whoever pins it needs
        nobody else's word."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + _LASTS)
            .add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(key, hashes.SHA256())
        )
        return cls(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    @classmethod
    def read(cls, certificate: Path, key: Path, now: datetime.datetime) -> "Certificate":
        """Return what stands in the two files. Raises ``CertificateError``.

        A key file that others may read is closed to them, as ``users.json`` is; if that cannot
        be, it is refused.
        """
        chain = _read(certificate)
        secret = _read_key(key)
        try:
            found = x509.load_pem_x509_certificates(chain)[0]
        except ValueError as problem:
            raise CertificateError(f"{certificate} is no certificate in PEM: {problem}") from None
        try:
            private = serialization.load_pem_private_key(secret, None)
        except TypeError:
            raise CertificateError(
                f"{key} is locked by a passphrase, and nobody is there to type it: "
                f"openssl pkey -in {key} -out OPEN.key makes one that is not"
            ) from None
        except (ValueError, UnsupportedAlgorithm) as problem:
            raise CertificateError(f"{key} is no private key in PEM: {problem}") from None
        if _public(private.public_key()) != _public(found.public_key()):
            raise CertificateError(f"{key} is not the key of {certificate}: they do not fit")
        if found.not_valid_after_utc < now:
            ended = found.not_valid_after_utc.date()
            raise CertificateError(f"{certificate} was valid until {ended}: it must be renewed")
        made = cls(chain, secret)
        try:
            made.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except ssl.SSLError as problem:
            raise CertificateError(f"{certificate}: OpenSSL does not take it: {problem}") from None
        return made

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` show it. Raises ``ssl.SSLError``."""
        # OpenSSL's binding takes names of files only: this one is in memory.
        fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
        with os.fdopen(fd, "wb") as file:
            file.write(self.certificate + b"\n" + self.key)
            file.flush()
            context.load_cert_chain(f"/proc/self/fd/{fd}")


def write_pair(directory: Path, names: Sequence[str], now: datetime.datetime) -> Certificate:
    """Make a certificate for ``names`` and write it to ``tls.crt`` and ``tls.key`` there.

    Raises ``CertificateError``, for a bad name or if one of the files is there already.
    """
    paths = directory / "tls.crt", directory / "tls.key"
    for path in paths:
        if os.path.lexists(path):
            raise CertificateError(f"{path} is there already: nothing is written over")
    made = Certificate.made(now, names)
    written: list[Path] = []
    try:
        for path, data, mode in zip(
            paths, (made.certificate, made.key), (0o644, 0o600), strict=True
        ):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            written.append(path)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
    except OSError as problem:
        for path in written:
            path.unlink()
        raise CertificateError(f"cannot write {problem.filename}: {problem.strerror}") from None
    return made


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode())
    except (ValueError, UnicodeError):
        raise CertificateError(f"{name!r} is neither a host's name nor an address") from None


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, _PEM_MOST)
    except OSError as problem:
        raise CertificateError(f"cannot read {path}: {problem.strerror}") from None


def _read_key(path: Path) -> bytes:
    data = _read(path)
    try:
        found = path.stat()
        # A group may read what is root's: so it is that services of one machine share a key.
        allowed = 0o700 if found.st_uid else 0o740
        if stat.S_IMODE(found.st_mode) & 0o777 & ~allowed:
            path.chmod(0o600)
    except OSError as problem:
        raise CertificateError(
            f"{path} can be read by others, and that cannot be mended: {problem.strerror}. "
            f"Whoever has this key can pass for the server"
        ) from None
    return data


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded
