"""The codec: any split of any bytes gives the same frames, and garbage its own errors only."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framing import BodyError, FrameDecoder, FrameError, decode_event, decode_request, encode_frame
from framing.codec import EVENT_PURPOSES, REQUEST_PURPOSES, encode
from framing.events import Joined, Message, Ok
from framing.limits import FRAME
from framing.requests import Join, Say

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(), json_values, max_size=4).map(lambda v: json.dumps(v).encode())


def decode(decoder: FrameDecoder, pieces: list[bytes]) -> tuple[list[bytes], str | None]:
    """Feed ``pieces`` and return all bodies, and the error that ended it."""
    found: list[bytes] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            while (body := decoder.next_body()) is not None:
                found.append(body)
    except FrameError as problem:
        return found, str(problem)
    return found, None


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


cuts_strategy = st.lists(st.integers(0, 10**6), max_size=12)


@given(st.lists(bodies, max_size=6), cuts_strategy)
def test_frames_come_back_whole_however_they_are_split(
    wanted: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(map(encode_frame, wanted))
    decoder = FrameDecoder()
    assert decode(decoder, split(data, cuts)) == (wanted, None)
    assert not decoder.in_frame


pieces_of_frames = st.sampled_from(
    [
        b"$",
        b"$2{}$",
        b"{",
        b"}",
        b"$0",
        b"$00",
        b"9",
        b"$7",
        b"$30{",
        b"-",
        b"\xd9\xa1",
        b"$99999999",
    ]
)


@given(st.lists(pieces_of_frames | st.binary(max_size=8)).map(b"".join), cuts_strategy)
def test_any_bytes_give_the_same_however_they_are_split(data: bytes, cuts: list[int]) -> None:
    whole, whole_error = decode(FrameDecoder(), [data])
    parts, parts_error = decode(FrameDecoder(), split(data, cuts))
    assert parts == whole
    assert (parts_error is None) == (whole_error is None)


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_its_own_errors(data: bytes) -> None:
    found, _ = decode(FrameDecoder(), [data])
    for body in [*found, data]:
        for read in (decode_request, decode_event):
            try:
                read(body)
            except BodyError as problem:
                assert str(problem)


@pytest.mark.parametrize("limit", [10, 1000, FRAME])
@pytest.mark.parametrize("split_digits", [False, True])
def test_a_frame_over_the_limit_is_refused_by_its_length_alone(
    limit: int, split_digits: bool
) -> None:
    decoder = FrameDecoder(limit)
    head = b"$%d{" % (limit + 1)
    with pytest.raises(FrameError):
        for piece in [head[i : i + 1] for i in range(len(head))] if split_digits else [head]:
            decoder.receive_data(piece)
            assert decoder.next_body() is None
    assert not decoder.in_frame
    with pytest.raises(FrameError):
        decoder.next_body()
    longer = b"{" + b" " * (limit - 1) + b"}"
    assert decode(FrameDecoder(limit), [encode_frame(longer)])[0] == []
    fitting = b"{" + b" " * (limit - 2) + b"}"
    assert decode(FrameDecoder(limit), [encode_frame(fitting)]) == ([fitting], None)


@pytest.mark.parametrize(
    "data",
    [b"$99999999999{", b"$-1{}$", b"$007{\"a\":1}$", b"$+2{}$", b"$2_0{}$", b"$ 2{}$", b"$2 {}$",
     "$\u0662{}$".encode(), b"$2{}", b"$2{}x", b"$2[]$", b"${}$", b"$0{}$", b"2{}$", b"$$",
     b"\n$2{}$"],
)  # fmt: skip
def test_what_is_no_frame_never_becomes_one(data: bytes) -> None:
    found, error = decode(FrameDecoder(), [data, b"xxxxxxxxxxxxxxx"])
    assert found == [] and error is not None


@pytest.mark.parametrize("behind", [b"", b"$2{}$"])
def test_a_length_that_counts_the_closing_dollar_is_refused_at_once(behind: bytes) -> None:
    found, error = decode(FrameDecoder(), [b'$30{"purpose":"ping","ref":"a1"}$' + behind])
    assert found == [] and error == "the frame's length counts the closing $ too"


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]
)
@pytest.mark.parametrize(
    "body",
    [b'{"purpose":"ping","ref":"r","x":"%b"}', b'{"purpose":"ping","ref":"r","%b":[{"a":1}]}'],
)
def test_what_is_not_utf_8_is_refused_where_nobody_looks_too(body: bytes, bad: bytes) -> None:
    with pytest.raises(BodyError, match="UTF-8"):
        decode_request(body % bad)
    assert decode_request(body % "é".encode()) == decode_request(body % b"e")


@pytest.mark.parametrize(
    "wrong", ['"purpose":1', '"purpose":["ping"]', '"purpose":"nope"', '"text":"x"']
)
def test_what_is_no_request_is_answered_under_its_ref(wrong: str) -> None:
    with pytest.raises(BodyError) as caught:
        decode_request(b'{"ref":"r",%b}' % wrong.encode())
    assert caught.value.ref == "r"


def test_the_example_of_the_protocol() -> None:
    assert encode_frame(b'{"purpose":"ping","ref":"a1"}').startswith(b'$29{"purpose"')
    decoder = FrameDecoder()
    decoder.receive_data(b'$29{"purpose":"ping","ref":"a1"}$')
    body = decoder.next_body()
    assert body is not None and decode_request(body).ref == "a1"  # type: ignore[union-attr]


def test_every_purpose_is_known_once_in_each_direction() -> None:
    assert len(REQUEST_PURPOSES) == 33
    assert {"welcome", "message", "history", "error", "roster"} <= EVENT_PURPOSES


@given(st.text(max_size=50), st.integers(0, 2**31 - 1), st.floats(0, 2**40))
def test_what_is_encoded_comes_back(text: str, number: int, time: float) -> None:
    for request in (Join("ann", number, time, token=text), Say("r", text, "@bob", time)):
        assert decode_request(encode(request)) == request
    for event in (
        Message(number + 1, "ann", number, "#lobby", text, time, 3, None),
        Ok("r", number, time),
        Joined("ann", number, time),
    ):
        assert decode_event(encode(event)) == event
