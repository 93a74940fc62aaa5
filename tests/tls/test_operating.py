"""What whoever runs a server does with certificates: making, giving, renewing them."""

import datetime
import hashlib
import os
import signal
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from parley.server.net.certificate import Certificate
from tests.conftest import ROOT, ChatServer, Make
from tests.tls.conftest import Certified, connected, joined, wire


def shown(server: ChatServer) -> bytes:
    """Return the certificate that the server shows, as DER."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with connected(server.port, context) as sock:
        der = sock.getpeercert(binary_form=True)
    assert der is not None
    return der


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    """Run the server program until it ends by itself."""
    command = [sys.executable, str(ROOT / "chat_server.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_certificate_is_made_used_and_never_written_over(
    make_server: Make, tmp_path: Path
) -> None:
    place = tmp_path / "made"
    names = ("chat.example", "192.0.2.7", "localhost")
    made = run("--data", str(place), "--make-cert", *names)
    assert made.returncode == 0, made.stderr
    cert, key = place / "tls.crt", place / "tls.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    found = x509.load_pem_x509_certificate(cert.read_bytes())
    der = found.public_bytes(serialization.Encoding.DER)
    assert hashlib.sha256(der).hexdigest() in made.stdout
    assert f"--tls-cert {cert} --tls-key {key}" in made.stdout
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in alternative] == [*names[:2], "localhost"]
    before = cert.read_bytes(), key.read_bytes()
    again = run("--data", str(place), "--make-cert")
    assert again.returncode == 1 and "nothing is written over" in again.stderr
    assert (cert.read_bytes(), key.read_bytes()) == before

    server = make_server("--tls-cert", str(cert), "--tls-key", str(key)).start()
    context = ssl.create_default_context(cafile=str(cert))
    joined(server, context, "ann").say("hello")
    assert f"tls=sha256:{hashlib.sha256(der).hexdigest()}" in server.said


def test_a_certificate_knows_the_machines_own_names(tmp_path: Path) -> None:
    made = run("--data", str(tmp_path), "--make-cert")
    assert made.returncode == 0
    found = x509.load_pem_x509_certificate((tmp_path / "tls.crt").read_bytes())
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    names = {str(name.value) for name in alternative}
    assert {"localhost", "127.0.0.1", "::1", os.uname().nodename} <= names


def spoilt(kind: str, certified: Certified, place: Path) -> str:
    """Spoil one of the files. Return what the server must say of that."""
    other = place / "other"
    other.mkdir()
    if kind == "missing":
        certified.cert.unlink()
        return "No such file"
    if kind == "mismatched":
        certified.key.write_bytes(Certified(other).key.read_bytes())
        return "they do not fit"
    if kind == "locked":
        open_ = serialization.load_pem_private_key(certified.key.read_bytes(), None)
        certified.key.write_bytes(
            open_.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )
        return "locked by a passphrase"
    if kind == "expired":
        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=4000)
        made = Certificate.made(then, ["localhost"])
        certified.cert.write_bytes(made.certificate)
        certified.key.write_bytes(made.key)
        return "was valid until"
    if kind == "exchanged":
        cert, key = certified.cert.read_bytes(), certified.key.read_bytes()
        certified.cert.write_bytes(key)
        certified.key.write_bytes(cert)
        return "is no certificate in PEM"
    certified.key.unlink()
    os.mkfifo(certified.key)
    return "not a regular file"


KINDS = ["missing", "mismatched", "locked", "expired", "exchanged", "pipe"]


@pytest.mark.parametrize("kind", KINDS)
def test_bad_files_are_told_of_in_words_and_the_last_good_ones_stay(
    tls_server: ChatServer, certified: Certified, tmp_path: Path, kind: str
) -> None:
    words = spoilt(kind, certified, tmp_path)
    tls_server.signal(signal.SIGHUP)
    tls_server.wait_for("the certificate read before stays in force")
    assert words in tls_server.said
    assert shown(tls_server) == certified.der
    place = tmp_path / "second"
    done = run("0", "--data", str(place), *certified.options)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


def test_one_file_alone_is_bad_usage(certified: Certified) -> None:
    for options in (certified.options[:2], certified.options[2:]):
        done = run("0", *options)
        assert done.returncode == 2 and "give both" in done.stderr


def test_a_renewed_certificate_is_shown_to_newcomers_while_others_stay(
    tls_server: ChatServer, certified: Certified
) -> None:
    ann = joined(tls_server, certified.context(), "ann")
    before = certified.der
    assert shown(tls_server) == before
    certified.renew("localhost", "127.0.0.1")
    tls_server.signal(signal.SIGHUP)
    tls_server.wait_for("the certificate has been read again")
    assert certified.der != before
    assert shown(tls_server) == certified.der
    bob = joined(tls_server, certified.context(), "bob")
    bob.say("with the new one")
    assert ann.until("message")["text"] == "with the new one"
    ann.say("with the old one")
    assert bob.until("message")["text"] == "with the old one"


def test_a_key_that_others_can_read_is_closed_to_them(
    make_server: Make, certified: Certified
) -> None:
    certified.key.chmod(0o644)
    server = make_server(*certified.options).start()
    assert stat.S_IMODE(certified.key.stat().st_mode) == 0o600
    certified.key.chmod(0o606)
    server.signal(signal.SIGHUP)
    server.wait_for("the certificate has been read again")
    assert stat.S_IMODE(certified.key.stat().st_mode) == 0o600


def test_the_options_may_stand_in_a_config_file(
    make_server: Make, certified: Certified, tmp_path: Path
) -> None:
    config = tmp_path / "server.conf"
    config.write_text(f"tls-cert = {certified.cert}\ntls-key = {certified.key}\n")
    server = make_server("--config", str(config)).start()
    assert shown(server) == certified.der
    (tmp_path / "moved").mkdir()
    moved = Certified(tmp_path / "moved")
    config.write_text(f"tls-cert = {moved.cert}\ntls-key = {moved.key}\n")
    server.signal(signal.SIGHUP)
    server.wait_for("the certificate has been read again")
    assert shown(server) == moved.der
    env = {"PARLEY_TLS_CERT": str(certified.cert), "PARLEY_TLS_KEY": str(certified.key)}
    assert shown(make_server(env=env).start()) == certified.der


def test_beyond_this_machine_a_server_without_tls_says_so(
    make_server: Make, certified: Certified
) -> None:
    words = "not encrypted: whoever is on the way"
    for options, is_said in (
        (["--host", "0.0.0.0"], True),
        (["--host", "0.0.0.0", *certified.options], False),
        ([], False),
    ):
        server = make_server(*options).start()
        assert server.stop() == 0
        assert (words in server.said) == is_said


def test_files_over_quic_show_the_same_certificate_and_the_renewed_one(
    tls_server: ChatServer, certified: Certified
) -> None:
    ann = wire(tls_server, certified.context())
    ann.join("ann")
    for _ in range(2):
        ann.send(purpose="put", ref="put", name="a.txt", size=1, sha256="0" * 64)
        ticket = ann.until("ticket", ref="put")
        assert ticket["quic"]["fingerprint"] == hashlib.sha256(certified.der).hexdigest()
        certified.renew("localhost")
        tls_server.signal(signal.SIGHUP)
        tls_server.wait_for("the certificate has been read again")
