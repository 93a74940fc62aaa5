"""The page's own cryptography against published vectors, in the browser that runs it."""

import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.web.page.conftest import Visit
from tests.web.page.person import Person

BYTES = "hex => Uint8Array.from(hex.match(/../g) ?? [], each => parseInt(each, 16))"
HEX = "bytes => Array.from(bytes, each => each.toString(16).padStart(2, '0')).join('')"


@pytest.fixture
def at_gate(visit: Visit) -> Person:
    return visit()


def run(person: Person, body: str, *arguments: Any) -> Any:
    """Run ``body`` with the page's own modules ``sha`` and ``scram``."""
    return person.page.evaluate(
        f"""async args => {{
          const [sha, scram] = await Promise.all([import('/sha256.js'), import('/scram.js')]);
          const bytes = {BYTES}, hex = {HEX};
          {body}
        }}""",
        list(arguments),
    )


def test_sha256(at_gate: Person) -> None:
    sizes = [0, 1, 3, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000]
    inputs = [bytes(i * 7 % 256 for i in range(size)) for size in sizes]
    body = "return args[0].map(each => hex(sha.sha256(bytes(each))));"
    found = run(at_gate, body, [each.hex() for each in inputs])
    assert found == [hashlib.sha256(each).hexdigest() for each in inputs]
    # In pieces of any size it is the same.
    body = """const whole = bytes(args[0]), hash = new sha.Sha256();
      for (let at = 0, size = 1; at < whole.length; at += size, size = size % 97 + 13) {
        hash.update(whole.subarray(at, at + size));
      }
      return hex(hash.digest());"""
    found = run(at_gate, body.replace("at += size, size = size % 97 + 13", "at += size"), "61" * 9)
    assert found == hashlib.sha256(b"a" * 9).hexdigest()
    body = """const whole = new Uint8Array(100000).fill(97), hash = new sha.Sha256();
      let at = 0;
      for (let size = 1; at < whole.length; size = size % 197 + 13) {
        hash.update(whole.subarray(at, at + size));
        at += size;
      }
      return hex(hash.digest());"""
    assert run(at_gate, body) == hashlib.sha256(b"a" * 100_000).hexdigest()


def test_hmac(at_gate: Person) -> None:
    cases = [
        (b"\x0b" * 20, b"Hi There"), (b"Jefe", b"what do ya want for nothing?"),
        (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
    ]  # fmt: skip
    for key, data in cases:  # RFC 4231, 4.2, 4.3 and 4.7
        found = run(
            at_gate, "return hex(sha.hmac(bytes(args[0]), bytes(args[1])));", key.hex(), data.hex()
        )
        assert found == hmac.digest(key, data, "sha256").hex()


@pytest.mark.parametrize(
    ("password", "salt", "rounds", "key"),
    [
        # RFC 7914, 11, its first 32 bytes
        ("passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
        ("Password", "NaCl", 80000,
         "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
        # RFC 6070's inputs, with SHA-256
        ("password", "salt", 2, "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43"),
        ("password", "salt", 4096,
         "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a"),
    ],
)  # fmt: skip
def test_pbkdf2(at_gate: Person, password: str, salt: str, rounds: int, key: str) -> None:
    body = """const utf8 = text => new TextEncoder().encode(text);
      let breaths = 0;
      const breathe = () => new Promise(done => { breaths += 1; setTimeout(done, 0); });
      const found = hex(await sha.pbkdf2(utf8(args[0]), utf8(args[1]), args[2], breathe));
      return [found, breaths];"""
    found, breaths = run(at_gate, body, password, salt, rounds)
    assert found == key
    assert breaths > 0 or rounds < 80000, "the page would freeze"


def test_scram(at_gate: Person) -> None:
    """The example of RFC 7677, 3."""
    body = """const proof = new scram.Proof("user", { password: "pencil" }, "rOprNGfwEbeRWgbNEkqO");
      const first = proof.first;
      const answer = await proof.answer(args[0]);
      proof.check(args[1]);
      let refused = 0;
      for (const wrong of ["v=AAAA", "", null, "e=other-error"]) {
        try { proof.check(wrong); }
        catch (problem) { refused += problem instanceof scram.ScramError; }
      }
      return [first, answer, refused];"""
    challenge = (
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    first, answer, refused = run(at_gate, body, challenge, final)
    assert first == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert answer == (
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert refused == 4


@pytest.mark.parametrize(
    "challenge",
    ["r=other,s=c2FsdA==,i=4096", "r=mine,s=c2FsdA==,i=4096", "r=mineX,s=c2FsdA==,i=1",
     "r=mineX,s=c2FsdA==,i=99999999", "r=mineX,s=!,i=4096", "m=1,r=mineX,s=c2FsdA==,i=4096", ""],
)  # fmt: skip
def test_a_challenge_that_is_none(at_gate: Person, challenge: str) -> None:
    body = """const proof = new scram.Proof("user", { password: "pencil" }, "mine");
      return proof.answer(args[0]).then(() => "answered", problem => problem.constructor.name);"""
    assert run(at_gate, body, challenge) == "ScramError"


def test_passwords_are_prepared_as_the_server_prepares_them(at_gate: Person) -> None:
    body = """return args[0].map(each => {
      try { return scram.prepared(each); } catch { return null; }
    });"""
    typed = ["I\u00adX", "user", "\u00aa", "\u2168", "a\u00a0b", "\u0007", "\u0627\u0031", "", "ä"]
    # RFC 4013, 3, and more
    assert run(at_gate, body, typed) == ["IX", "user", "a", "IX", "a b", None, None, None, "ä"]


def test_first_paint_is_light(at_gate: Person) -> None:
    """All that the page loads at its start, as it comes over the wire."""
    sizes = at_gate.page.evaluate(
        "['resource', 'navigation'].flatMap(each => performance.getEntriesByType(each))"
        ".map(each => [each.name, each.encodedBodySize])"
    )
    assert len(sizes) > 20
    assert 20_000 < sum(size for _, size in sizes) < 100_000, sizes
    assert {urlsplit(name).netloc for name, _ in sizes} == {urlsplit(at_gate.url).netloc}
