"""The sans-IO parts of the door for browsers, by properties and tables."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framing.errors import BodyError, FrameError
from framing.requests import Disconnect, Ping
from parley.server.doors.door import Interlude
from parley.server.web import ranges
from parley.server.web.origins import OriginError, Origins, normal
from parley.server.web.websocket import WebSocketDoor, encode_text
from tests.web.webwire import CLOSE, CONT, PING, PONG, TEXT, frame


def dealt_with(door: WebSocketDoor) -> list[object]:
    """Return what comes of the bytes that a door has got."""
    found: list[object] = []
    while True:
        try:
            request = door.next_request()
        except Interlude as interlude:
            if interlude.reply:
                found.append(interlude.reply)
            continue
        except (BodyError, FrameError) as problem:
            found.append(type(problem))
            if isinstance(problem, FrameError):
                return found
            continue
        if request is None:
            return found
        found.append(request)


def fragments(ref: str, cuts: list[int]) -> bytes:
    """Return a request in frames, cut at these places."""
    body = json.dumps({"purpose": "ping", "ref": ref}, ensure_ascii=False).encode()
    edges = [0, *sorted(cut % len(body) for cut in cuts), len(body)]
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    return b"".join(
        frame(CONT if i else TEXT, piece, fin=i == len(pieces) - 1)
        for i, piece in enumerate(pieces)
    )


REF = st.text("abcdefgü€🙂", min_size=1, max_size=20)
SAID = st.one_of(
    st.tuples(st.just("ping"), st.binary(max_size=125)),
    st.tuples(st.just("request"), REF, st.lists(st.integers(0, 200), max_size=5)),
)


@given(st.lists(SAID, max_size=30), st.lists(st.integers(0, 9000)), st.booleans())
def test_it_matters_nowhere_where_bytes_are_cut(
    said: list[tuple[str, bytes] | tuple[str, str, list[int]]], cuts: list[int], closes: bool
) -> None:
    data = b""
    expected: list[object] = []
    for what in said:
        if len(what) == 2:
            data += frame(PING, what[1])
            expected.append(bytes([0x80 | PONG, len(what[1])]) + what[1])
        else:
            data += fragments(what[1], what[2])
            expected.append(Ping(what[1]))
    if closes:
        data += frame(CLOSE, b"\x03\xe8bye") + frame(TEXT, b"{}")
        expected.append(Disconnect())
    door = WebSocketDoor()
    found: list[object] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for begin, end in itertools.pairwise(edges):
        door.receive_data(data[begin:end])
        found += dealt_with(door)
    assert found == expected
    assert not door.in_frame
    assert door.farewell() == b"\x88" + (b"\x05\x03\xe8bye" if closes else b"\x02\x03\xe8")


@given(st.binary(max_size=300))
def test_bytes_of_any_kind_end_in_requests_or_an_error_of_the_wire(data: bytes) -> None:
    door = WebSocketDoor()
    door.receive_data(data)
    dealt_with(door)
    assert door.farewell()[0] == 0x88


@pytest.mark.parametrize("part", range(1, 8))
def test_what_has_begun_and_not_ended_is_known(part: int) -> None:
    door = WebSocketDoor()
    assert not door.in_frame
    door.receive_data(frame(TEXT, b"{}")[:part])
    dealt_with(door)
    assert door.in_frame
    door.receive_data(frame(TEXT, b"{}")[part:])
    dealt_with(door)
    assert not door.in_frame
    door.receive_data(frame(TEXT, b"{", fin=False))
    dealt_with(door)
    assert door.in_frame


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_body_goes_out_behind_the_shortest_head(size: int) -> None:
    """RFC 6455, 5.2: the minimal number of bytes must be used."""
    heads = {
        0: b"\x81\x00",
        125: b"\x81\x7d",
        126: b"\x81\x7e\x00\x7e",
        65_535: b"\x81\x7e\xff\xff",
        65_536: b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
    }
    assert encode_text(b"x" * size) == heads[size] + b"x" * size


@pytest.mark.parametrize(
    ("host", "meant"),
    [
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("localhost.", True),
        ("a.localhost:1", True),
        ("127.0.0.1", True),
        ("[::1]:8080", True),
        ("10.1.2.3:99999999", True),
        ("box", True),
        ("BOX:80", True),
        ("chat.example.org", True),
        ("example.org", False),
        ("localhost.evil.example", False),
        ("evil-localhost", False),
        ("127.0.0.1.evil.example", False),
        ("box.evil.example", False),
        ("localhost@evil.example", False),
        ("evil.example/localhost", False),
        ("", False),
        ("[::1", False),
        ("1.2.3", False),
    ],
)
def test_names_that_can_mean_this_server(host: str, meant: bool) -> None:
    origins = Origins(["https://chat.example.org"], ["box"])
    assert origins.meant(host) is meant


@pytest.mark.parametrize(
    ("origin", "host", "welcome"),
    [
        (None, "box", True),
        ("http://box", "box", True),
        ("http://box:80", "box", True),
        ("http://BOX", "box:80", True),
        ("http://box:8080", "box:8080", True),
        ("https://chat.example.org", "other", True),
        ("https://chat.example.org:443", "other", True),
        ("http://chat.example.org", "other", False),
        ("https://chat.example.org:444", "other", False),
        ("https://box", "box", False),
        ("http://box:8081", "box:8080", False),
        ("http://box/", "box", False),
        ("http://user@box", "box", False),
        ("null", "null", False),
        ("file://", "box", False),
        ("http://box:x", "box", False),
    ],
)
def test_origins_that_may_come(origin: str | None, host: str, welcome: bool) -> None:
    origins = Origins(["https://chat.example.org"], ["box"])
    assert origins.welcome(origin, host, "http") is welcome


def test_an_origin_is_one() -> None:
    assert normal("HTTPS://Chat.Example.org") == "https://chat.example.org:443"
    assert normal("http://[::1]:8080") == "http://[::1]:8080"
    for bad in (
        "chat.example.org",
        "ws://a",
        "https://",
        "https://a/b",
        "https://a?b",
        "https://*:x",
    ):
        with pytest.raises(OriginError):
            normal(bad)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_is_a_slice(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    try:
        found = ranges.asked(f"bytes={first}-{last}", size)
    except ranges.RangeError:
        assert first >= size
        return
    if last < first:
        assert found is None
        return
    assert found is not None
    assert data[found[0] : found[1]] == data[first : last + 1] != b""
