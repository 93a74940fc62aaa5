"""WebSocket against RFC 6455, section by section, over real sockets, and the wire within it.

The cases follow the sections of the RFC, and the groups of the Autobahn suite (framing, pings,
reserved bits, opcodes, fragmentation, UTF-8, closing, limits), which does not run on Python 3:
``python -m benchmarks.autobahn`` runs that.
"""

import base64
import json
import socket
from collections.abc import Callable

import pytest

from tests.conftest import ChatServer, Make
from tests.web.conftest import Join, web_port
from tests.web.webwire import BINARY, CLOSE, CONT, PING, PONG, TEXT, WebWire, frame, upgrade
from tests.wire import PATIENCE, Wire

Web = Callable[..., WebWire]
KEY = base64.b64encode(b"sixteen bytes ok").decode()


def request(port: int, head: bytes) -> bytes:
    """Send a head and return all that comes until the server ends or waits."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(head)
        got = b""
        while b"\r\n\r\n" not in got:
            data = sock.recv(65536)
            if not data:
                break
            got += data
        return got


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


# The handshake: 4.1, 4.2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 101),
        ({"Upgrade": "WebSocket"}, 101),
        ({"Connection": "keep-alive, Upgrade"}, 101),
        ({"Sec-WebSocket-Protocol": "chat"}, 101),
        ({"Sec-WebSocket-Extensions": "permessage-deflate"}, 101),
        ({"Sec-WebSocket-Version": "8"}, 426),
        ({"Sec-WebSocket-Version": None}, 426),
        ({"Sec-WebSocket-Key": None}, 400),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, 400),
        ({"Sec-WebSocket-Key": "not base64 at all"}, 400),
        ({"Sec-WebSocket-Key": "c2l4dGVlbiBieXRlcyBvaü=="}, 400),
        ({"Upgrade": None}, 426),
        ({"Upgrade": "h2c"}, 426),
        ({"Connection": "close"}, 426),
        ({"Host": None}, 400),
    ],
    ids=str,
)
def test_a_handshake_is_made_or_refused(
    port: int, change: dict[str, str | None], status: int
) -> None:
    answer = request(port, upgrade(port, KEY, change))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    head = answer.lower()
    assert b"permessage-deflate" not in head  # no extension is agreed to
    assert b"sec-websocket-protocol" not in head
    if status == 426:
        assert b"upgrade: websocket" in head


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://127.0.0.1:PORT", 101),
        ("http://127.0.0.1:1", 403),
        ("http://127.0.0.1", 403),
        ("https://127.0.0.1:PORT", 403),
        ("http://127.0.0.1:PORT.example.org", 403),
        ("http://example.org", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_from_elsewhere_are_refused(port: int, origin: str | None, status: int) -> None:
    """RFC 6455, 10.2."""
    given = origin.replace("PORT", str(port)) if origin is not None else None
    answer = request(port, upgrade(port, KEY, {"Origin": given}))
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer


def test_a_name_that_was_made_to_mean_this_server_is_refused(port: int) -> None:
    """DNS rebinding: Host and Origin agree, and are a stranger's."""
    host = f"evil.example:{port}"
    answer = request(port, upgrade(port, KEY, {"Host": host, "Origin": f"http://{host}"}))
    assert answer.startswith(b"HTTP/1.1 421 "), answer


def test_an_origin_that_was_named_may_come(make_server: Make) -> None:
    server = make_server("--web", "0", "--web-origin", "https://chat.example.org").start()
    port = web_port(server)
    host: dict[str, str | None] = {"Host": "chat.example.org", "Origin": "https://chat.example.org"}
    assert request(port, upgrade(port, KEY, host)).startswith(b"HTTP/1.1 101 ")
    other: dict[str, str | None] = {**host, "Origin": "https://chat.example.org.evil.example"}
    assert request(port, upgrade(port, KEY, other)).startswith(b"HTTP/1.1 403 ")


def test_what_comes_with_the_handshake_is_not_lost(web: Web) -> None:
    wire = web(behind=frame(TEXT, body(purpose="join", nick="ann", id=1, time=0)))
    wire.until("welcome")


# Framing: 5.2, 5.3, 5.4


def test_a_frame_may_come_a_byte_at_a_time(web: Web) -> None:
    wire = web()
    for byte in frame(TEXT, body(purpose="join", nick="ann", id=1, time=0)):
        wire.raw(bytes([byte]))
    wire.until("welcome")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 4000, 15_000])
def test_texts_of_every_kind_of_length(join: Join, size: int) -> None:
    ann, ben = join("ann"), join("ben")
    ann.say("x" * max(1, size))
    assert ben.until("message")["text"] == "x" * max(1, size)


def test_a_message_in_pieces_with_pings_between(join: Join) -> None:
    ann, ben = join("ann"), join("ben")
    whole = body(purpose="message", ref="r1", text="in pieces ü")
    parts = [whole[:1], b"", whole[1:-7], whole[-7:-5], whole[-5:]]  # within a character too
    ann.raw(frame(TEXT, parts[0], fin=False))
    for number, part in enumerate(parts[1:-1]):
        ann.raw(frame(PING, b"%d" % number) + frame(CONT, part, fin=False))
    ann.raw(frame(CONT, parts[-1]))
    ann.until("ok", ref="r1")
    assert [c for c in ann.controls if c[0] == PONG] == [(PONG, b"0"), (PONG, b"1"), (PONG, b"2")]
    assert ben.until("message")["text"] == "in pieces ü"


def pieces(*sizes: int) -> bytes:
    """Return a message in fragments of these sizes."""
    frames = [
        frame(TEXT if not i else CONT, b" " * size, fin=False) for i, size in enumerate(sizes)
    ]
    return b"".join(frames)


BROKEN = {
    "5.1 unmasked": (frame(TEXT, b"{}", mask=None), 1002),
    "5.2 reserved bit 1": (frame(TEXT, b"{}", rsv=4), 1002),
    "5.2 reserved bit 2": (frame(TEXT, b"{}", rsv=2), 1002),
    "5.2 reserved bit 3": (frame(PING, b"", rsv=1), 1002),
    **{f"5.2 opcode {n}": (frame(n, b""), 1002) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "5.4 nothing to continue": (frame(CONT, b"{}"), 1002),
    "5.4 nothing to continue, not the last": (frame(CONT, b"{}", fin=False), 1002),
    "5.4 text within a text": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), 1002),
    "5.5 long ping": (frame(PING, b"x" * 126), 1002),
    "5.5 long pong": (frame(PONG, b"x" * 126), 1002),
    "5.5 long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "5.5 ping in pieces": (frame(PING, b"x", fin=False), 1002),
    "5.5 close in pieces": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "5.5.1 close of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{
        f"7.4 close with {code}": (frame(CLOSE, code.to_bytes(2, "big")), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    },
    "7.1.6 reason is no UTF-8": (frame(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\xed\xa0"), 1007),
    "5.6 binary": (frame(BINARY, b"{}"), 1003),
    "8.1 no UTF-8": (frame(TEXT, b'{"purpose":"ping","ref":"\xff"}'), 1007),
    "8.1 a surrogate": (frame(TEXT, b'{"purpose":"ping","ref":"\xed\xa0\x80"}'), 1007),
    "8.1 overlong": (frame(TEXT, b'{"purpose":"ping","ref":"\xc0\xaf"}'), 1007),
    "8.1 over U+10FFFF": (frame(TEXT, b'{"purpose":"ping","ref":"\xf4\x90\x80\x80"}'), 1007),
    "8.1 half a character": (frame(TEXT, b'{"\xce'), 1007),
    "8.1 no UTF-8, and more to come": (frame(TEXT, b'{"\xff', fin=False), 1007),
    "10.4 longer than before a join": (frame(TEXT, b" " * 16_385), 1009),
    "10.4 a length of 2**62": (b"\x81\xff\x40" + b"\0" * 7 + b"mask", 1009),
    "10.4 pieces that are too long together": (pieces(16_000, 200, 200), 1009),
}


@pytest.mark.parametrize("data,code", BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_protocol_ends_the_connection(web: Web, data: bytes, code: int) -> None:
    wire = web()
    wire.raw(data)
    events = wire.ended()
    assert [event["error"] for event in events] in (["BAD_FRAME"], []), events
    assert wire.closed_with == code
    if data[0] & 15 != CLOSE:
        assert events, "it is also said in words"


def test_nothing_is_read_behind_what_broke(join: Join, web: Web) -> None:
    ann, ben = join("ann"), join("ben")
    ann.raw(frame(BINARY, b"x") + frame(TEXT, body(purpose="message", ref="r", text="too late")))
    ann.ended()
    assert [e for e in ben.quiet() if e["purpose"] == "message"] == []


def test_a_joined_client_may_send_longer_messages(join: Join) -> None:
    ann = join("ann")
    ann.raw(frame(TEXT, body(purpose="ping", ref="r", more="x" * 60_000)))
    ann.until("pong", ref="r")
    ann.raw(frame(TEXT, b" " * 65_537))
    ann.ended()
    assert ann.closed_with == 1009


# Control frames: 5.5


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff\xfe", b"y" * 125])
def test_a_ping_is_answered_alike(web: Web, payload: bytes) -> None:
    wire = web()
    wire.raw(frame(PING, payload))
    wire.raw(frame(TEXT, body(purpose="ping", ref="r")))
    wire.until("pong", ref="r")
    assert wire.controls == [(PONG, payload)]


def test_a_thousand_pings_in_one_segment(web: Web) -> None:
    wire = web()
    numbers = [b"%d" % n for n in range(1000)]
    wire.raw(b"".join(frame(PING, number) for number in numbers))
    wire.raw(frame(TEXT, body(purpose="ping", ref="r")))
    wire.until("pong", ref="r")
    assert wire.controls == [(PONG, number) for number in numbers]


def test_a_pong_that_nobody_asked_for_is_passed_over(web: Web) -> None:
    wire = web()
    wire.raw(frame(PONG, b"here I am"))
    wire.raw(frame(TEXT, body(purpose="ping", ref="r")))
    wire.until("pong", ref="r")
    assert wire.controls == []


# Closing: 5.5.1, 7


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", 1005),
        *((c.to_bytes(2, "big"), c) for c in (1000, 1001, 1002, 1003, 1007, 1011, 3000, 4999)),
        (b"\x03\xe8" + "vorbei ü".encode(), 1000),
        (b"\x03\xe8" + b"x" * 123, 1000),
    ],
)
def test_a_close_is_answered_alike(web: Web, payload: bytes, code: int) -> None:
    wire = web()
    wire.raw(frame(CLOSE, payload))
    wire.ended()
    assert wire.controls == [(CLOSE, payload)]
    assert wire.closed_with == code


def test_a_close_may_come_between_the_parts_of_a_message(web: Web) -> None:
    """5.4: it is a control frame like others (Autobahn 7.1.5)."""
    wire = web()
    wire.raw(frame(TEXT, b"{", fin=False) + frame(CLOSE, b"\x03\xe8") + frame(CONT, b"}"))
    wire.ended()
    assert wire.controls == [(CLOSE, b"\x03\xe8")]


def test_who_closes_has_left_and_what_was_said_before_is_answered(join: Join) -> None:
    ann, ben = join("ann"), join("ben")
    ann.raw(
        frame(TEXT, body(purpose="message", ref="r1", text="last"))
        + frame(PING, b"p")
        + frame(CLOSE, b"\x03\xe9")
        + frame(TEXT, body(purpose="message", ref="r2", text="behind"))
    )
    events = ann.ended()
    assert [e["ref"] for e in events if e["purpose"] == "ok" and "ref" in e] == ["r1"]
    assert ann.controls == [(PONG, b"p"), (CLOSE, b"\x03\xe9")]
    ben.until("message", text="last")
    assert "left" in [e["purpose"] for e in ben.passed] or ben.until("left")
    assert [e["reason"] for e in ben.passed if e["purpose"] == "left"] == ["disconnect"]


def test_a_connection_that_breaks_is_lost(join: Join) -> None:
    ann, ben = join("ann"), join("ben")
    ann.reset()
    assert ben.until("left")["reason"] == "lost"


def test_the_server_closes_in_good_order(make_server: Make) -> None:
    server = make_server("--web", "0").start()
    ann = WebWire(web_port(server))
    ann.join("ann")
    server.signal(15)
    ann.until("shutdown")
    ann.send(purpose="shutdown_ack")
    ann.ended()
    assert ann.closed_with == 1000
    assert server.wait() == 0


# The wire within


def test_the_same_bodies_go_through_both_doors(join: Join, web_server: ChatServer) -> None:
    ann, ben = join("ann"), web_server.joined("ben")
    for number in range(50):
        (ann if number % 2 else ben).say(f"text {number}")
    assert said(ben) == [f"text {n}" for n in range(1, 50, 2)]
    assert said(ann) == [f"text {n}" for n in range(0, 50, 2)]


def said(wire: Wire) -> list[str]:
    """Return the messages that have come to a wire."""
    wire.quiet()
    return [e["text"] for e in wire.passed if e["purpose"] == "message"]


def test_a_login_by_scram(web: Web) -> None:
    assert web().login("Alice", "123")["account"] is True
    assert web().login("Alice", "wrong")["error"] == "AUTH_FAILED"


def test_a_body_that_is_no_request_goes_on(web: Web) -> None:
    wire = web()
    for bad in (b"{", b"[]", b'{"purpose":"none"}', b"[" * 10_000, b'{"purpose":"ping","ref":1}'):
        wire.raw(frame(TEXT, bad))
        wire.error("BAD_REQUEST")
    wire.send(purpose="fetch", ticket="x")
    assert "HTTP" in wire.error("BAD_REQUEST")["text"]
    wire.send(purpose="ping", ref="r")
    wire.until("pong")


def test_ten_thousand_messages_in_pieces_of_any_size(join: Join) -> None:
    ann, ben = join("ann"), join("ben", bot=False)
    texts = [f"text {n}" for n in range(3000)]
    data = b"".join(
        frame(TEXT, body(purpose="message", ref=f"r{n}", text=text)) for n, text in enumerate(texts)
    )
    for at in range(0, len(data), 4999):
        ann.raw(data[at : at + 4999])
    got = [ben.until("message", patience=30)["text"] for _ in texts]
    assert got == texts


def test_who_reads_too_slowly_is_ended_and_comes_back(
    make_server: Make,
) -> None:
    server = make_server("--rate", "0", "--web", "0", "--backlog", "200000").start()
    slow = WebWire(web_port(server))
    slow.join("slow")
    fast = server.joined("fast")
    for number in range(600):
        fast.send(purpose="message", ref=f"r{number}", text="x" * 15_000)
    fast.until("left", nick="slow", reason="slow", patience=30)
    slow.close()
