"""Attacks by bytes: slow ones, frames that are none, JSON that is too much.

What single frames and bodies are answered with is tested in tests/server/test_operating.py and
tests/framing; here they come in numbers, while others talk.
"""

import contextlib
import json
import time

import pytest

from tests.conftest import Make
from tests.faults.conftest import Siege
from tests.wire import Event, Wire, frame


def ends(wires: list[Wire], patience: float = 30.0) -> list[list[Event]]:
    """Return what each of these gets before the server ends it."""
    found = []
    deadline = time.monotonic() + patience
    for wire in wires:
        found.append(wire.ended(max(0.1, deadline - time.monotonic())))
        wire.close()
    return found


@pytest.mark.row(1)
def test_slow_peers_are_let_go_however_they_dawdle(siege: Siege) -> None:
    server = siege.begin("--join-timeout", "3", "--frame-timeout", "2")
    silent = [server.wire() for _ in range(500)]
    halves = [server.wire() for _ in range(100)]
    dawdlers = [server.joined(f"slow{number}", bot=True) for number in range(20)]
    for number, wire in enumerate(halves):
        wire.raw((b"$", b"$100{", b"$16000{" + b" " * 8000)[number % 3])
    for wire in dawdlers:
        wire.raw(b"$60000{")
    gone: set[Wire] = set()
    deadline = time.monotonic() + 30
    while len(gone) < len(dawdlers):
        assert time.monotonic() < deadline, "a byte now and then put the deadline off"
        for wire in dawdlers:
            if wire in gone:
                continue
            with contextlib.suppress(OSError):
                wire.raw(b" ")
            try:
                event = wire.recv(0.02)
            except TimeoutError:
                continue
            if event is None or event["purpose"] == "error":
                assert event is None or event["error"] == "BAD_FRAME"
                gone.add(wire)
    assert [[e["error"] for e in end] for end in ends(silent)] == [["NOT_JOINED"]] * 500
    for end in ends(halves):
        assert [e["error"] for e in end] in (["BAD_FRAME"], ["NOT_JOINED"])


@pytest.mark.row(1)
def test_one_address_has_only_so_many_connections_and_fewer_that_only_connect(
    siege: Siege,
) -> None:
    server = siege.begin(
        "--exempt", "none", "--address-clients", "40", "--address-newcomers", "30",
        "--join-timeout", "600",
    )  # fmt: skip
    newcomers = [server.wire() for _ in range(30)]
    newcomers[-1].send(purpose="ping", ref="p")
    newcomers[-1].until("pong")
    refused = server.wire()
    assert refused.error("LIMIT_EXCEEDED")["code"] == 429
    assert refused.ended() == []
    for number, wire in enumerate(newcomers[:8]):
        wire.join(f"n{number}", bot=True)
    more = [server.joined(f"m{number}", bot=True) for number in range(8)]  # 40 with the canary
    over = server.wire()
    over.error("LIMIT_EXCEEDED")
    over.ended()
    more[0].close()
    more[1].until("left", nick="m0")
    assert server.joined("late").say("there is room again")


@pytest.mark.row(1)
def test_those_who_only_connect_keep_nobody_out_of_a_full_server(siege: Siege) -> None:
    server = siege.begin("--max-clients", "50", "--join-timeout", "600")
    silent = [server.wire() for _ in range(48)]
    silent[-1].send(purpose="ping", ref="p")
    silent[-1].until("pong")
    deadline = time.monotonic() + 20
    while True:  # those who have just come keep their place for a moment
        late = server.wire()
        late.send(purpose="join", nick="late", id=1, time=0)
        event = late.recv()
        if event is not None and event["purpose"] == "welcome":
            break
        assert event is None or event["error"] == "SERVER_FULL"
        late.close()
        assert time.monotonic() < deadline, "nobody was let in"
    late.until("history")
    assert late.say("in")
    assert silent[0].ended() == []


HEADS = [
    b"$99999999999{", b"$-1{", b"$007{", b"$+2{}$", b"$1_0{", b"$2{}x", b"$16385{", b"$ 2{}$",
    "$\u0661\u0662{".encode(), b"$2[]$", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02",
]  # fmt: skip


@pytest.mark.row(2)
def test_lengths_that_are_none_reserve_nothing(siege: Siege) -> None:
    server = siege.begin()
    siege.memory = 16 << 20
    for _ in range(15):
        wires = []
        for head in HEADS:
            wire = server.wire()
            wires.append(wire)
            with contextlib.suppress(ConnectionError):  # it may have been refused by now
                wire.raw(head + b"x" * 50_000)
        for wire in wires:
            assert [e["error"] for e in wire.ended()] == ["BAD_FRAME"]


DEEP = b"[" * 32_000 + b"]" * 32_000
WIDE = b"[" + b",".join([b"{}"] * 21_000) + b"]"


@pytest.mark.row(3, 4)
def test_json_that_is_deep_or_wide_holds_nobody(siege: Siege) -> None:
    server = siege.begin()
    wires = [server.joined(f"n{number}", bot=True) for number in range(4)]
    for field in (b'"text":%b', b'"text":"t","x":%b'):
        for value in (DEEP, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, WIDE):
            body = b'{"purpose":"message","ref":"r",' + field % value + b"}"
            assert len(body) <= 65536
            for wire in wires:
                wire.raw(frame(body) * 5)
    for wire in wires:
        told = [e for e in wire.quiet() if e["purpose"] in ("error", "ok")]
        # Deep is refused anywhere; wide only where a text must be. It is one message five times.
        assert [e["purpose"] for e in told] == ["error"] * 25 + ["ok"] * 5
        assert {e["error"] for e in told[:25]} == {"BAD_REQUEST"}
    half_a_million = server.joined("wide", bot=True)
    with contextlib.suppress(ConnectionError):
        half_a_million.raw(frame(b'{"x":[' + b",".join([b"{}"] * 500_000) + b"]}"))
    assert half_a_million.ended()[-1]["error"] == "BAD_FRAME"


@pytest.mark.row(3)
def test_deep_json_of_who_has_not_joined_needs_no_large_stack(make_server: Make) -> None:
    server = make_server(prefix=("prlimit", "--stack=524288")).start()
    wire = server.wire()
    for opening, closing in ((b"[", b"]"), (b'{"":', b"}")):
        levels = 16_000 // len(opening + closing)
        value = opening * levels + b"1" + closing * levels
        wire.raw(frame(b'{"purpose":"ping","ref":"r","x":' + value + b"}"))
        event = wire.recv()  # each Python has a depth of its own, up to which it is passed over
        assert event is not None and (event["purpose"] == "pong" or event["error"] == "BAD_REQUEST")
    assert server.joined("ann").say("it lives")


BAD = [
    # 5: numbers
    b'{"purpose":"history","ref":"r","with":"#lobby","before":' + b"9" * 5000 + b"}",
    b'{"purpose":"history","ref":"r","with":"#lobby","before":9223372036854775808}',
    b'{"purpose":"history","ref":"r","with":"#lobby","before":-1}',
    b'{"purpose":"history","ref":"r","with":"#lobby","before":-0}',
    b'{"purpose":"message","ref":"r","text":"x","time": -0 }',
    b'{"purpose":"history","ref":"r","with":"#lobby","before":1.5}',
    b'{"purpose":"history","ref":"r","with":"#lobby","before":true}',
    b'{"purpose":"history","ref":"r","with":"#lobby","limit":"5"}',
    b'{"purpose":"search","ref":"r","text":"x","since":1e400}',
    b'{"purpose":"search","ref":"r","text":"x","since":NaN}',
    b'{"purpose":"search","ref":"r","text":"x","since":-Infinity}',
    b'{"purpose":"search","ref":"r","text":"x","since":0x10}',
    # 6: fields
    b'{"purpose":"ping"}', b'{"ref":"r"}', b'{"purpose":null,"ref":"r"}', b'{"purpose":["ping"]}',
    b'{"purpose":"ping","purpose":"users","ref":"r"}', b'{"purpose":"message","ref":"r","text":1}',
    b'{"purpose":"ping","ref":null}', b'{"purpose":"PING","ref":"r"}', b'{"ref":"r" "x":1}',
    # 7: text that is none
    b'{"purpose":"message","ref":"r","text":"\\ud800"}',
    b'{"purpose":"message","ref":"r","text":"\\udc00\\ud800"}',
    b'{"purpose":"message","ref":"\\ud800","text":"x"}',
    b'{"purpose":"message","ref":"r","text":"\xff"}', b'{"purpose":"ping","ref":"r","x":"\xff"}',
    b'{"purpose":"ping","ref":"r","\xc3":1}', b'{"purpose":"users","ref":"\xed\xa0\x80"}',
]  # fmt: skip


@pytest.mark.row(5, 6, 7)
def test_what_is_no_request_is_refused_at_the_door_however_often(siege: Siege) -> None:
    server = siege.begin()
    before, after = server.wire(), server.joined("ann", bot=True)
    for wire in (before, after):
        for _ in range(20):
            wire.raw(b"".join(map(frame, BAD)))
        told = [e for e in wire.quiet() if e["purpose"] not in ("message", "joined")]
        assert [e.get("error") for e in told] == ["BAD_REQUEST"] * 20 * len(BAD)
    # One meaning everywhere: of two values the last counts, and the log has that one.
    after.raw(frame(b'{"purpose":"message","ref":"a","text":"no","ref":"b","text":"yes"}'))
    seq = after.until("ok", ref="b")["seq"]
    record = server.records[seq - 1]
    assert (record["ref"], record["text"]) == ("b", "yes")
    after.send(purpose="history", ref="h", limit=3, **{"with": "#lobby"})
    assert "yes" in json.dumps(after.until("history", ref="h"))
