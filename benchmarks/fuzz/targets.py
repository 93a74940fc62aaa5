"""What must hold for any bytes at all, one function for each part that meets bytes first.

Each takes the fuzzer's bytes and raises ``AssertionError`` if something does not hold; anything
else that escapes is a fault too. Nothing here needs the fuzzer: the seeds run in the tests.
"""

import contextlib
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.fuzz import reference
from framing.codec import decode_event, decode_request, encode
from framing.errors import BodyError, FrameError
from framing.events import AnyEvent
from framing.frames import FrameDecoder, encode_frame
from framing.limits import FRAME_BEFORE_JOIN
from framing.requests import AnyRequest
from parley.client.ground.clean import MARKS_ON_A_LETTER, clean, clean_text
from parley.client.model.conversation import Conversation
from parley.client.model.lines import lines_of
from parley.client.model.model import Model
from parley.server.doors.native import NativeDoor

_LIMIT: Final = 1000
"""Longest frame here: small enough for the fuzzer to reach it."""


def frames(data: bytes) -> None:
    """The decoder gives what the grammar gives, however the bytes are split, and no more is kept
    than has come. The first byte says how they are split."""
    cut, data = (data[0] if data else 0), data[1:]
    expected, broken = reference.frames(data, _LIMIT)
    for pieces in (_pieces(data, 1 + cut % 7), _pieces(data, 1 + cut), iter([data])):
        decoder = FrameDecoder(_LIMIT)
        found, failed = [], False
        try:
            for piece in pieces:
                decoder.receive_data(piece)
                while (body := decoder.next_body()) is not None:
                    found.append(body)
        except FrameError:
            failed = True
        assert found == expected, (found, expected)
        assert failed == broken, (failed, broken)
        rest = len(data) - sum(len(encode_frame(body)) for body in expected)
        assert len(decoder.rest()) == (0 if failed else rest)
        if failed:
            with contextlib.suppress(FrameError):
                decoder.receive_data(b"$2{}$")
                raise AssertionError(decoder.next_body())


def door(data: bytes) -> None:
    """A peer's bytes give the same requests and errors however they are split, and after each
    refused body the next one is taken."""
    cut, data = (data[0] if data else 0), data[1:]
    expected: list[object] = []
    bodies, broken = reference.frames(data, FRAME_BEFORE_JOIN)
    for body in bodies:
        try:
            expected.append(decode_request(body))
        except BodyError as problem:
            expected.append(str(problem))
    for pieces in (_pieces(data, 1 + cut), iter([data])):
        peer = NativeDoor()
        found: list[object] = []
        failed = False
        for piece in pieces:
            peer.receive_data(piece)
            while not failed:
                try:
                    request = peer.next_request()
                except BodyError as problem:
                    found.append(str(problem))
                    continue
                except FrameError:
                    failed = True
                    break
                if request is None:
                    break
                found.append(request)
        assert (found, failed) == (expected, broken)


def requests(data: bytes) -> None:
    """A body is a request exactly if it is by the reference, the same one, and comes back from
    its encoding."""
    _same(data, decode_request, AnyRequest)


def events(data: bytes) -> None:
    """The same for what a server says."""
    _same(data, decode_event, AnyEvent)


def cleaning(data: bytes) -> None:
    """Nothing that a terminal obeys comes through, nothing is lost without a mark, and what is
    clean stays as it is."""
    text = data.decode(errors="surrogateescape")
    for made, newline in ((clean(text), ""), (clean_text(text), "\n")):
        check_shown(made, newline)
        if newline:
            assert made.count("\n") == text.count("\n")
        again = clean_text(made) if newline else clean(made)
        assert again == made, (made, again)


def model(data: bytes) -> None:
    """Whatever a server says, in whatever order, what is shown of it is clean."""
    shown = Model("ann")
    batch: list[Any] = []
    for body in data.split(b"\n")[:100]:
        try:
            batch.append(decode_event(body))
        except BodyError as problem:
            check_shown(clean(str(problem)), "")
    shown.take(batch, 1e9)
    for line in _shown_in(shown):
        check_shown(line, "\n")


def check_shown(text: str, newline: str) -> None:
    """Raise ``AssertionError`` if ``text`` does more than show."""
    marks = 0
    for at, char in enumerate(text):
        if char == newline:
            marks = 0
            continue
        category = unicodedata.category(char)
        if category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            joiner = char in "\u200c\u200d" and 0 < at < len(text) - 1
            assert joiner, f"U+{ord(char):04X} is shown as it is"
            assert text[at - 1] not in " \u200c\u200d" and text[at + 1] not in " \u200c\u200d"
        assert category != "Zs" or char == " ", f"U+{ord(char):04X} looks like a space"
        if category not in ("Mn", "Me"):
            marks = 0
        elif not 0xFE0E <= ord(char) <= 0xFE0F:
            marks += 1
            assert marks <= MARKS_ON_A_LETTER, "marks climb over the lines above"


def _same(data: bytes, decode: Callable[[bytes], Any], types: Any) -> None:
    if reference.depth(data) > reference.DEPTH:
        with contextlib.suppress(BodyError):
            decode(data)
        return
    expected = refused = None
    try:
        expected = reference.body(data, types)
    except ValueError as problem:
        refused = problem
    try:
        found = decode(data)
    except BodyError as problem:
        assert str(problem)
        allowed = refused is not None or reference.has_twice(data)
        assert allowed, f"refused ({problem}), but by the reference it is {expected}"
        return
    assert refused is None, f"taken as {found}, but by the reference: {refused}"
    assert found == expected, (found, expected)
    assert decode(encode(found)) == found


def _shown_in(shown: Model) -> Iterator[str]:
    for conversation in list(shown.conversations.values()):
        yield conversation.name
        yield from _lines(conversation, shown.nick)
    for person in shown.people.known:
        yield person.nick
    yield from shown.files.values()
    yield shown.motd


def _lines(conversation: Conversation, nick: str) -> Iterator[str]:
    for entry in conversation.entries:
        yield from lines_of(conversation, entry, nick)


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    function.__name__: function for function in (frames, door, requests, events, cleaning, model)
}
"""The targets by their names, which are those of their folders of seeds."""
