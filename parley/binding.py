"""What binds a login to a TLS connection, for both sides: ``tls-server-end-point`` (RFC 5929)."""

import hashlib

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm


def end_point(der: bytes) -> bytes | None:
    """Return the hash of a server's certificate by the function with which it is signed, or by
    SHA-256 instead of MD5 and SHA-1 (RFC 5929, 4.1). None if its signature has no hash function
    of that kind, such as Ed25519's: nothing can be bound to it.

    Raises ``ValueError`` if it is no certificate.
    """
    try:
        used = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if used is None:
        return None
    return hashlib.new("sha256" if used.name in ("md5", "sha1") else used.name, der).digest()
