"""What was acknowledged is there, whatever happened to the server, its files, its disk."""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from typing import Any

import pytest

from framing.frames import encode_frame
from tests.conftest import ChatServer, Make, cpu
from tests.wire import Wire, texts


def test_every_acknowledged_message_outlives_kill_9_in_traffic(server: ChatServer) -> None:
    acknowledged: dict[str, int] = {}
    sent: list[list[str]] = [[] for _ in range(4)]
    tokens: list[str] = []

    def talk(number: int, wire: Wire) -> None:
        """Keep five messages in flight until the connection breaks."""
        in_flight = 0
        try:
            while True:
                while in_flight < 5:
                    ref = f"{number}-{len(sent[number])}"
                    sent[number].append(ref)
                    wire.send(purpose="message", ref=ref, text=ref)
                    in_flight += 1
                event = wire.recv()
                if event is None:
                    return
                if event["purpose"] == "ok":
                    acknowledged[event["ref"]] = event["seq"]
                    in_flight -= 1
        except OSError:
            return

    for round_ in range(3):
        wires = []
        for number in range(4):
            wire = server.wire()
            token: dict[str, Any] = {"token": tokens[number]} if round_ else {}
            welcome = wire.join(f"n{number}", bot=True, **token)
            if not round_:
                tokens.append(welcome["token"])
            wires.append(wire)
        before = len(acknowledged)
        threads = [threading.Thread(target=talk, args=pair) for pair in enumerate(wires)]
        for thread in threads:
            thread.start()
        while len(acknowledged) < before + 200:
            time.sleep(0.01)
        server.kill()
        for thread in threads:
            thread.join(20)
        server.start()
        by_ref = {r["ref"]: r["seq"] for r in server.records if r["purpose"] == "message"}
        assert acknowledged.items() <= by_ref.items()
    # What was not acknowledged is sent again under its ref, and stands there once.
    for number in range(4):
        wire = server.joined(f"n{number}", token=tokens[number])
        for ref in sent[number]:
            assert wire.say(ref, ref=ref)["seq"] == acknowledged.get(ref, wire.passed[-1]["seq"])
    stored = server.messages
    assert len(stored) == len(set(stored)) == sum(map(len, sent))
    for number in range(4):
        mine = [text for text in stored if text.startswith(f"{number}-")]
        assert set(mine) == set(sent[number])


def test_a_torn_tail_is_set_aside_and_the_rest_is_kept(server: ChatServer) -> None:
    ann = server.joined("ann")
    for number in range(5):
        ann.say(f"m{number}")
    server.kill()
    path = server.data / "history.json"
    whole = path.read_bytes()
    last = whole.rindex(b"\n{")
    for cut in (last + 1, last + 20, len(whole) - 5, len(whole) - 3, len(whole) - 1):
        for torn in server.data.glob("*.torn-*"):
            torn.unlink()
        path.write_bytes(whole[:cut])
        server.start()
        kept = 5 if cut >= len(whole) - 2 else 4
        assert server.messages == [f"m{i}" for i in range(kept)]
        torn_files = list(server.data.glob("history.json.torn-*"))
        if cut not in (last + 1, len(whole) - 1):
            assert [whole[last + 1 : cut] in t.read_bytes() for t in torn_files] == [True]
            assert torn_files[0].name in server.said
        wire = server.joined("bob")
        assert wire.say("and on")["seq"] == len(server.records)
        server.kill()


@pytest.mark.parametrize("index", [True, False])
def test_damage_before_the_tail_is_refused_and_nothing_is_changed(
    server: ChatServer, index: bool
) -> None:
    ann = server.joined("ann")
    for number in range(6):
        ann.say(f"m{number}")
    assert server.stop() == 0
    if not index:
        (server.data / "history.index").unlink()
    path = server.data / "history.json"
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3].replace(b'"seq"', b'"seX"')
    damaged = b"\n".join(lines)
    path.write_bytes(damaged)
    server.launch()
    assert server.wait() == 1
    assert "line 4" in server.said and "byte" in server.said
    assert path.read_bytes() == damaged


def test_an_index_that_is_gone_or_garbage_is_made_again(server: ChatServer) -> None:
    wire = server.wire()
    token = wire.join("ann")["token"]
    wire.say("old", ref="old")
    bob = server.joined("bob")
    bob.say("psst", "@ann")
    for garbage in (None, b"", b"garbage" * 1000):
        server.kill()
        for path in server.data.glob("history.index*"):
            path.unlink()
        if garbage is not None:
            (server.data / "history.index").write_bytes(garbage)
        server.start()
        ann = server.wire()
        ann.join("ann", token=token, since=0)
        assert texts([ann.until("history", end=True)]) == ["old", "psst"]
        assert ann.say("old", ref="old")["seq"] == 2
        ann.close()


@pytest.mark.parametrize("page", range(1, 8))
def test_a_damaged_page_of_the_index_loses_nothing(server: ChatServer, page: int) -> None:
    ann = server.joined("ann")
    for number in range(30):
        ann.say(f"m{number}")
    assert server.stop() == 0
    path = server.data / "history.index"
    whole = path.read_bytes()
    at, end = page * 8192, (page + 1) * 8192
    path.write_bytes(whole[:at] + b"\xa5" * 8192 + whole[end:])
    for _ in range(2):
        server.start()
        wire = server.wire()
        try:
            wire.join("bob", since=0)
            heard = texts([wire.until("history", end=True)])
            wire.say("and on", ref=f"page {page}")
        except (AssertionError, OSError):
            assert server.wait() == 1
            assert "history.index is damaged" in server.said
            continue
        assert heard == [f"m{number}" for number in range(30)]
        return
    pytest.fail("the index was not made again")


def test_a_history_edited_by_hand_is_taken_as_it_now_is(server: ChatServer) -> None:
    ann = server.joined("ann")
    ann.say("swearword")
    ann.say("second")
    assert server.stop() == 0
    path = server.data / "history.json"
    path.write_text(path.read_text().replace("swearword", "flower and more"))
    server.start()
    wire = server.wire()
    wire.join("bob")
    assert texts([wire.until("history", end=True)]) == ["flower and more", "second"]


def test_a_full_disk_refuses_and_recovers(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.say("before")
    size = (server.data / "history.json").stat().st_size
    everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size + 50, everything[1]))
    for number in range(3):
        ann.send(purpose="message", ref=f"full{number}", text="y" * 100)
        error = ann.error("STORE_UNAVAILABLE")
        assert error["code"] == 503 and error["ref"] == f"full{number}" and error["retry_after"]
    guest = server.wire()
    guest.send(purpose="join", nick="cyd", id=1, time=0)
    guest.error("STORE_UNAVAILABLE")
    assert texts(bob.quiet()) == ["before"], "nothing that is not stored may be delivered"
    before = cpu(server.pid)
    time.sleep(1)
    assert cpu(server.pid) - before < 0.5, "it turns without end"
    assert server.messages == ["before"]
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, everything)
    assert ann.say("y" * 100, ref="full1")
    guest.join("cyd")
    assert server.messages == ["before", "y" * 100]
    assert server.said.count("cannot write the log") == 1


def injecting(server: ChatServer, fault: str, file: str = "history.json") -> tuple[str, ...]:
    """Return what to start the server under, so that ``fault`` befalls its ``file``."""
    call = fault.partition(":")[0]
    path = str(server.data / file)
    trace = ("-e", f"trace={call}", "-e", f"inject={fault}")
    return ("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", path, *trace)


needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


@needs_strace
@pytest.mark.parametrize("when", range(1, 13, 2))
def test_an_index_of_which_a_sector_is_lost_is_made_again(server: ChatServer, when: int) -> None:
    ann = server.joined("ann")
    for number in range(30):
        ann.say(f"m{number}")
    assert server.stop() == 0
    server.prefix = injecting(server, f"pread64:error=EIO:when={when}", "history.index")
    try:
        server.start()
        bob = server.wire()
        bob.join("bob", since=0)
    except (AssertionError, OSError):  # it was not read while the index was opened
        assert server.wait() == 1
        assert "history.index is damaged" in server.said and "It has been removed" in server.said
        server.prefix = ()
        server.start()
        bob = server.wire()
        bob.join("bob", since=0)
    assert texts([bob.until("history", end=True)]) == [f"m{number}" for number in range(30)]
    bob.say("and on")


@needs_strace
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_when_the_disk_fails_nothing_more_is_acknowledged(make_server: Make, call: str) -> None:
    error = "EIO" if call == "fdatasync" else "ENOSPC"
    server = make_server("--rate", "0").start()
    server.stop()
    server.prefix = injecting(server, f"{call}:error={error}:when=4")
    server.start()
    ann = server.joined("ann")
    acknowledged = []
    for number in range(6):
        ann.send(purpose="message", ref=f"r{number}", text=f"m{number}")
        try:
            event = ann.recv()
        except ConnectionError:
            break
        if event is None:
            break
        if event["purpose"] == "ok":
            acknowledged.append(f"m{number}")
    if call == "fdatasync":
        assert server.wait() == os.EX_IOERR
        assert "cannot be written safely any more" in server.said
        assert len(acknowledged) < 6
        server.prefix = ()
        server.start(port=0)
        assert server.messages[: len(acknowledged)] == acknowledged
    else:
        assert len(acknowledged) == 5
        assert server.messages == acknowledged


@needs_strace
def test_killed_at_every_sync_it_loses_nothing_acknowledged(make_server: Make) -> None:
    for when in (2, 3, 4, 6):  # the first is the start's own
        server = make_server("--rate", "0")
        server.start()
        server.stop()
        server.prefix = injecting(server, f"fdatasync:signal=KILL:when={when}")
        server.start()
        acknowledged = []
        wire = server.wire()
        wire.send(purpose="join", nick="ann", id=1, time=0, bot=True)
        for number in range(8):
            try:
                wire.send(purpose="message", ref=f"r{number}", text=f"m{number}")
                event = wire.recv()
                while event is not None and event["purpose"] != "ok":
                    event = wire.recv()
            except OSError:
                break
            if event is None:
                break
            acknowledged.append(f"m{number}")
        server.wait()
        assert len(acknowledged) < 8, "it was not killed"
        server.prefix = ()
        server.start(port=0)
        assert server.messages[: len(acknowledged)] == acknowledged


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_told_acknowledged_and_in_order(server: ChatServer, number: int) -> None:
    ann, bob, idle = server.joined("ann"), server.joined("bob"), server.wire()
    ann.say("last words")
    server.signal(number)
    for wire in (ann, bob):
        told = wire.until("shutdown")
        assert told["grace"] == 5 and told["reason"]
    ann.send(purpose="message", ref="late", text="too late")
    ann.error("SHUTTING_DOWN")
    began = time.monotonic()
    for wire in (ann, bob):
        wire.send(purpose="shutdown_ack")
        wire.ended()
        wire.close()
    idle.ended()
    idle.close()
    assert server.wait(5) == 0
    assert time.monotonic() - began < 5, "it waited although all had acknowledged"
    assert server.messages == ["last words"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_as_soon_as_the_port_is_open_a_signal_is_heeded(server: ChatServer, number: int) -> None:
    for _ in range(3):
        server.kill()
        server.launch()
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", server.port)).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline
        server.signal(number)
        if number == signal.SIGHUP:
            server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_who_does_not_acknowledge_delays_a_stop_by_the_grace_only(make_server: Make) -> None:
    server = make_server("--grace", "0.5").start()
    server.joined("deaf")
    server.signal(signal.SIGTERM)
    assert server.wait(10) == 0


def test_a_second_signal_stops_at_once(make_server: Make) -> None:
    server = make_server("--grace", "60").start()
    wire = server.joined("deaf")
    wire.say("kept")
    server.signal(signal.SIGINT)
    wire.until("shutdown")
    server.signal(signal.SIGINT)
    assert server.wait(10) == 0
    assert server.messages == ["kept"]


@pytest.mark.parametrize("fsync", ["always", "everysec", "never"])
def test_each_promise_about_the_disk_is_told_and_ends_with_everything(
    make_server: Make, fsync: str
) -> None:
    server = make_server("--fsync", fsync).start()
    wire = server.wire()
    assert wire.join("ann")["fsync"] == fsync
    wire.say("x")
    assert server.stop() == 0
    assert server.messages == ["x"]


def test_jq_and_grep_read_the_history(server: ChatServer) -> None:
    server.joined("ann").say('quoted "text"')
    path = server.data / "history.json"
    assert json.loads(path.read_text())[-1]["text"] == 'quoted "text"'
    found = subprocess.run(["grep", "-c", "quoted", path], capture_output=True, text=True)
    assert found.stdout.strip() == "1"
    assert path.stat().st_mode & 0o077 == 0, "private messages stand in it"


def test_what_the_log_has_is_told_of_though_the_index_turns_out_damaged(
    server: ChatServer,
) -> None:
    server.joined("ann").say("the first")
    assert server.stop() == 0
    path = server.data / "history.index"
    with contextlib.closing(sqlite3.connect(path)) as db:
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'moment'")
    whole = path.read_bytes()
    path.write_bytes(whole[: (page - 1) * 8192] + b"\xff" * 8192 + whole[page * 8192 :])
    server.start()
    wires = [server.joined(f"n{number}", bot=True) for number in range(12)]
    for number, wire in enumerate(wires):
        said = [
            {"purpose": "message", "ref": f"{number}-{one}", "to": "#lobby", "text": "x"}
            for one in range(64)
        ]
        wire.sock.sendall(b"".join(encode_frame(json.dumps(one).encode()) for one in said))
    told = set()
    for wire in wires:
        with contextlib.suppress(AssertionError, OSError):
            while True:
                told.add(wire.until("ok")["ref"])
    assert server.wait() == 1 and "damaged" in server.said
    _, *kept = [record["ref"] for record in server.records if record["purpose"] == "message"]
    assert len(kept) > 500 and set(kept) == told
