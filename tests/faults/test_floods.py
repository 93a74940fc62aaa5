"""Attacks by amount: those who read nothing, who send without end, who ask without end, and all
who come back at once."""

import contextlib
import itertools
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import ChatServer
from tests.faults.conftest import Siege
from tests.wire import Wire, frame, texts


@contextmanager
def flooding(wires: list[Wire], data: Callable[[int], bytes], reads: bool = True) -> Iterator[None]:
    """Send ``data`` of 0, 1 and so on over all ``wires`` as fast as they take it, and read what
    comes if it ``reads``, beside what the test does."""
    over = threading.Event()

    def flood() -> None:
        numbers = itertools.count()
        left = dict.fromkeys(wires, b"")
        for wire in wires:
            wire.sock.setblocking(False)
        while left and not over.is_set():
            for wire in list(left):
                try:
                    left[wire] = left[wire] or data(next(numbers))
                    left[wire] = left[wire][wire.sock.send(left[wire]) :]
                except BlockingIOError:
                    pass
                except OSError:
                    del left[wire]
                    continue
                if reads:
                    with contextlib.suppress(BlockingIOError, OSError):
                        wire.sock.recv(1 << 20)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def message(number: int, text: str = "spam") -> bytes:
    return frame(json.dumps({"purpose": "message", "ref": f"f{number}", "text": text}).encode())


@pytest.mark.row(9)
def test_slow_readers_are_dropped_and_come_back_for_the_rest(siege: Siege) -> None:
    server = siege.begin("--rate", "0", "--backlog", "300000")
    slow = [server.wire() for _ in range(10)]
    tokens = []
    for number, wire in enumerate(slow):
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        tokens.append(wire.join(f"slow{number}", bot=True)["token"])
    ann = server.joined("ann", bot=True)
    said = 0
    gone: set[str] = set()
    deadline = time.monotonic() + 60
    while len(gone) < len(slow):
        assert time.monotonic() < deadline, f"only {gone} were dropped"
        for _ in range(10):
            ann.raw(message(said, f"{said}:" + "x" * 15_000))
            said += 1
        gone |= {e["nick"] for e in ann.quiet() if e["purpose"] == "left" and e["reason"] == "slow"}
    back = server.wire()
    back.join("slow3", token=tokens[3], since=0)
    got: list[str] = []
    while len(got) < said:
        page = back.until("history", replay=True)
        got += [text for text in texts([page]) if ":" in text]
    assert [text.partition(":")[0] for text in got] == [str(i) for i in range(said)]


@pytest.mark.row(9)
def test_when_too_much_waits_in_all_the_slowest_go_first(siege: Siege) -> None:
    server = siege.begin("--rate", "0", "--backlog", "1000000000", "--backlog-total", "6000000")
    siege.memory = 48 << 20
    slow = []
    for number in range(6):
        wire = server.wire()
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wire.join(f"slow{number}", bot=True)
        slow.append(wire)
    ann, patient = server.joined("ann", bot=True), server.joined("patient", bot=True)
    gone: list[str] = []
    deadline = time.monotonic() + 60
    for said in itertools.count():
        assert time.monotonic() < deadline, f"only {gone} were dropped"
        ann.raw(message(said, "x" * 15_000))
        if said % 20 == 0:
            patient.quiet()
            gone += [e["nick"] for e in ann.quiet() if e["purpose"] == "left"]
            if len(gone) == len(slow):
                break
    assert sorted(gone) == [f"slow{number}" for number in range(6)]
    assert "dropped" in server.said
    assert patient.quiet() is not None


@pytest.mark.row(9)
def test_who_has_not_joined_and_reads_nothing_is_dropped_soon(siege: Siege) -> None:
    server = siege.begin("--join-timeout", "600")
    siege.memory = 24 << 20
    wires = []
    for _ in range(4):
        wire = server.wire()
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wires.append(wire)
    nonsense = frame(b'{"purpose":"message","ref":"%b","text":"x"}' % (b"r" * 60)) * 100
    with flooding(wires, lambda _: nonsense, reads=False):
        deadline = time.monotonic() + 60
        for wire in wires:
            while True:
                assert time.monotonic() < deadline, "somebody could let it wait for ever"
                try:
                    wire.sock.getpeername()
                    wire.sock.send(b"")
                    if wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                        break
                except OSError:
                    break
                time.sleep(0.02)


@pytest.mark.row(21)
def test_ten_thousand_frames_in_one_segment_are_dealt_with_in_many_ticks(siege: Siege) -> None:
    server = siege.begin()
    flooder = server.joined("flooder", bot=True)
    ten_thousand = b"".join(map(message, range(10_000)))
    sent = 0
    flooder.sock.setblocking(False)
    while sent < len(ten_thousand):
        with contextlib.suppress(BlockingIOError):
            sent += flooder.sock.send(ten_thousand[sent:])
        with contextlib.suppress(BlockingIOError):
            flooder.sock.recv(1 << 20)
    flooder.sock.setblocking(True)
    server.joined("ann").say("after the flood")
    assert server.messages.count("spam") < 2500, "the rate was not held"


@pytest.mark.row(21)
def test_many_who_flood_at_once_leave_others_their_turns(siege: Siege) -> None:
    server = siege.begin()
    siege.memory = 300 << 20  # what --backlog-total lets wait, since they hardly read
    joined = [server.joined(f"n{number}", bot=True) for number in range(60)]
    strangers = [server.wire() for _ in range(60)]
    ann = server.joined("ann", bot=True)
    others = ann.say("said by somebody else")["seq"]
    bodies = (
        b'{"purpose":"ping","ref":"p"}',
        b'{"purpose":"nonsense"}',
        # What is refused, and costs more than what is done.
        b'{"purpose":"edit","ref":"e","seq":999999,"text":"x"}',
        b'{"purpose":"redact","ref":"r","seq":%d}' % others,
        b'{"purpose":"message","ref":"m","to":"@nobody","text":"x"}',
    )
    with flooding(joined + strangers, lambda n: frame(bodies[n % 5]) * 300):
        for number in range(20):
            assert ann.say(f"through {number}")
            assert ann.quiet() is not None


def fill(server: ChatServer, messages: int) -> Wire:
    """Let there be something to be asked for."""
    wire = server.joined("writer", bot=True)
    for start in range(0, messages, 500):
        wire.raw(b"".join(message(n, f"word{n % 7} {n} " + "x" * 100)
                          for n in range(start, start + 500)))  # fmt: skip
        wire.quiet()
    return wire


PAGE = frame(b'{"purpose":"history","ref":"h","with":"#lobby"}')
SEARCH = frame(b'{"purpose":"search","ref":"s","text":"word1","limit":500}')


@pytest.mark.row(21)
def test_many_who_ask_without_end_keep_nobody_waiting(siege: Siege, demo_users: str) -> None:
    users = json.loads(demo_users)
    users["Alice"]["role"] = "admin"
    data = siege.place("users.json", json.dumps(users))
    server = siege.begin("--rate", "0", data=data)
    fill(server, 3000)
    alice, quiet = server.wire(), server.joined("quiet", bot=True)
    assert alice.login("Alice", "123")["purpose"] == "welcome"
    alice.until("history", end=True)
    pollers = [server.joined(f"n{number}", bot=True) for number in range(60)]
    # While all their questions wait, the answer comes first to her who moderates, and then to who
    # has asked for nothing lately, though they ask last; what one says next shows when that was.
    for wire in (*pollers, alice):
        wire.send(purpose="history", ref="before", **{"with": "#lobby"})
        wire.until("history", ref="before")
    server.signal(signal.SIGSTOP)
    for number, wire in enumerate((*pollers, quiet, alice)):
        wire.raw(PAGE + message(number, f"asker {number}"))
    server.signal(signal.SIGCONT)
    for number, wire in enumerate((*pollers, quiet, alice)):
        wire.until("ok", ref=f"f{number}")
    order = [text for text in server.messages if text.startswith("asker")]
    assert order.index("asker 61") < 16, "the moderator had to wait for all"
    assert order.index("asker 60") < 24, "who asks seldom had to wait for all"
    # And for minutes on end, nobody stands still.
    with flooding(pollers, lambda n: (PAGE, SEARCH)[n % 2] * 20):
        for number in range(5):
            assert alice.say(f"through {number}")
            alice.send(purpose="search", ref=f"s{number}", text="word2")
            assert alice.until("history", ref=f"s{number}")["messages"]


@pytest.mark.row(21)
def test_one_has_only_so_many_queries(siege: Siege) -> None:
    server = siege.begin("--queries", "30/60")
    ann = server.joined("ann", bot=True)
    for number in range(50):
        ann.send(purpose="history", ref=f"h{number}", **{"with": "#lobby"})
    told = [e for e in ann.quiet() if e["purpose"] in ("history", "error")]
    assert [e["purpose"] for e in told] == ["history"] * 30 + ["error"] * 20
    assert all(0 < e["retry_after"] <= 2.1 for e in told[30:])


@pytest.mark.row(21)
def test_one_address_joins_and_brings_guests_at_a_rate(siege: Siege) -> None:
    server = siege.begin(
        "--exempt", "none", "--address-joins", "30/600", "--address-guests", "12/6000"
    )
    first = server.wire()
    token = first.join("ann", bot=True)["token"]
    first.close()
    answers = []
    for number in range(15):
        wire = server.wire()
        wire.send(purpose="join", nick=f"guest{number}", id=1, time=0, bot=True)
        answers.append(wire.recv())
        wire.close()
    purposes = [a and a["purpose"] for a in answers]
    assert purposes == ["welcome"] * 9 + ["error"] * 6  # the canary brought two, ann was one
    assert answers[-1] and answers[-1]["error"] == "LIMIT_EXCEEDED"
    assert 400 < answers[-1]["retry_after"] <= 500
    guests = sum(record["purpose"] == "guest" for record in server.records)
    words = []
    for _ in range(30):
        wire = server.wire()
        wire.send(purpose="join", nick="ann", id=1, time=0, token=token, bot=True)
        event = wire.recv()
        assert event is not None
        words.append(event.get("error", event["purpose"]))
        wire.send(purpose="disconnect")
        wire.ended()
        wire.close()
    assert words[:10] == ["welcome"] * 10 and words[-1] == "LIMIT_EXCEEDED"
    assert sum(record["purpose"] == "guest" for record in server.records) == guests


@pytest.mark.row(22)
def test_all_who_come_back_at_once_after_a_restart_are_taken_in(siege: Siege) -> None:
    server = siege.begin("--rate", "0")
    crowd = [server.wire() for _ in range(150)]
    tokens = [wire.join(f"n{n}", bot=True)["token"] for n, wire in enumerate(crowd)]
    seqs = [wire.say(f"from {n}")["seq"] for n, wire in enumerate(crowd[:20])]
    siege.kill()
    for wire in crowd:
        wire.close()
    siege.start()
    again = [server.wire() for _ in crowd]
    for number, wire in enumerate(again):
        fields = {"token": tokens[number], "since": seqs[9]}
        wire.send(purpose="join", nick=f"n{number}", id=1, time=0, **fields)
    for wire in again:
        got: list[str] = []
        while True:
            page = wire.until("history", 30, replay=True)
            got += [text for text in texts([page]) if text.startswith("from")]
            if page["end"]:
                break
        assert got == [f"from {n}" for n in range(10, 20)]
