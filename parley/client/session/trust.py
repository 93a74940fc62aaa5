"""Whom to trust: whether connections to a server are encrypted, and how one knows that it is that
server which answers.

By itself the client speaks TLS as soon as the server has shown that it does, and never again
without. A certificate is good if a CA of this system (or the one in ``--ca``) vouches for it and it
is for this host. Any other is shown to the person by its fingerprint, once; from then on it must
be that one, as with SSH's hosts.

No connection is made here, and nobody is asked: that is the session's.
"""

import hashlib
import ssl
import time
from pathlib import Path

from parley.client.ground.store import Known, Store


class UntrustedError(Exception):
    """The server's certificate is not to be trusted, for the reason in the text.

    ``changed``: there was another that was. ``may_ask``: a person may trust it nevertheless.
    """

    def __init__(self, text: str, changed: bool = False, may_ask: bool = True) -> None:
        super().__init__(text)
        self.changed = changed
        self.may_ask = may_ask


class Trust:
    """What is known of the server at ``host`` and ``port``, as ``store`` has it.

    ``tls``: what the person wants, True, False, or None for what the server speaks. ``ca`` and
    ``fingerprint`` are theirs too, if given.
    """

    def __init__(
        self,
        host: str,
        port: int,
        store: Store,
        tls: bool | None = None,
        ca: Path | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._store = store
        self._tls = True if ca is not None or fingerprint is not None else tls
        self._ca = ca
        self._given = fingerprint
        self._known = store.known(host, port)
        self._contexts: dict[bool, ssl.SSLContext] = {}

    @property
    def where(self) -> str:
        """The server, for people."""
        return f"{self.host}:{self.port}"

    @property
    def encrypts(self) -> bool:
        """Whether the next connection will be encrypted."""
        return self._known.tls if self._tls is None else self._tls

    @property
    def forbids(self) -> bool:
        """Whether the person wants no TLS."""
        return self._tls is False

    @property
    def spoke_before(self) -> bool:
        """Whether the server has spoken TLS at some time."""
        return self._known.tls

    @property
    def _pinned(self) -> str | None:
        if self._given is not None or self._ca is not None:
            return self._given
        return self._known.fingerprint

    def context(self) -> ssl.SSLContext | None:
        """Return how to connect; None: not encrypted. Whoever connects so calls ``check`` before a
        byte is sent.

        Raises ``UntrustedError`` if the file of ``--ca`` cannot be used.
        """
        if not self.encrypts:
            return None
        return self._context(self._pinned is None)

    def unchecked(self) -> ssl.SSLContext:
        """Return how to connect only to see the certificate."""
        return self._context(False)

    def check(self, der: bytes) -> None:
        """Take a connection on which the server has shown this certificate, or raise
        ``UntrustedError``."""
        found = fingerprint(der)
        pinned = self._pinned
        if pinned is None:
            if self._ca is not None:
                self.speaks_tls()
            elif not self._known.vouched:
                self._keep(Known(True, None, True, round(time.time())))
            return
        if found != pinned:
            if self._given is not None:
                text = f"the certificate of {self.where} is not the one given: it has {found}"
                raise UntrustedError(text, may_ask=False)
            raise UntrustedError(self._changed(f"was {pinned}, known since {self._since}"), True)
        if self._known.fingerprint != found:
            self.trust(der)

    def refused(self, problem: ssl.SSLCertVerificationError) -> UntrustedError:
        """Return what it means that OpenSSL does not take the server's certificate."""
        why = problem.verify_message
        if self._ca is not None:
            text = f"{self._ca} does not vouch for the certificate of {self.where}: {why}"
            return UntrustedError(text, may_ask=False)
        if self._known.vouched:
            text = f"was vouched for by a CA, since {self._since}, and is not now: {why}"
            return UntrustedError(self._changed(text), True)
        return UntrustedError(f"nobody known vouches for the certificate of {self.where}: {why}")

    def trust(self, der: bytes) -> None:
        """The person trusts this certificate from now on. Raises ``StoreError`` if that cannot be
        remembered; it is in force all the same."""
        self._keep(Known(True, fingerprint(der), False, round(time.time())))

    def speaks_tls(self) -> None:
        """The server has said that it speaks TLS. Raises as ``trust``."""
        if not self._known.tls:
            self._keep(Known(True))

    def _keep(self, known: Known) -> None:
        self._known = known
        self._store.save_known(self.host, self.port, known)

    def _changed(self, how: str) -> str:
        return (
            f"THE CERTIFICATE OF {self.where} HAS CHANGED: it {how}. Somebody may be in between, "
            f"reading along. If whoever runs the server has not renewed it, stop here"
        )

    @property
    def _since(self) -> str:
        return time.strftime("%Y-%m-%d", time.localtime(self._known.since))

    def _context(self, checked: bool) -> ssl.SSLContext:
        if checked not in self._contexts:
            try:
                made = ssl.create_default_context(
                    cafile=None if self._ca is None else str(self._ca)
                )
            except (OSError, ssl.SSLError) as problem:
                why = problem.strerror or problem
                raise UntrustedError(f"cannot use {self._ca}: {why}", may_ask=False) from None
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            if not checked:
                # Not by CAs: ``check`` compares with the one certificate that may be there.
                made.check_hostname = False
                made.verify_mode = ssl.CERT_NONE
            self._contexts[checked] = made
        return self._contexts[checked]


def fingerprint(der: bytes) -> str:
    """Return a certificate's SHA-256, in lower-case hex."""
    return hashlib.sha256(der).hexdigest()
