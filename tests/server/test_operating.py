"""Running the program: options, its log, its limits, hostile peers."""

import ast
import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, ChatServer, Make, cpu
from tests.wire import Wire, frame, texts


def test_options_come_from_line_environment_and_file(make_server: Make, tmp_path: Path) -> None:
    config = tmp_path / "server.conf"
    config.write_text("motd = from the file\nrate = 3\nburst = 5\n")
    server = make_server("--config", str(config), "--burst", "7", env={"PARLEY_RATE": "4"})
    server.start()
    welcome = server.wire().join("ann")
    assert welcome["motd"] == "from the file"
    assert (welcome["limits"]["rate"], welcome["limits"]["burst"]) == (4, 7)


@pytest.mark.parametrize(
    "options", [["99999"], ["--rate", "x"], ["--max-clients", "0"], ["--fsync", "perhaps"], ["-x"]]
)
def test_bad_usage_is_explained_and_exits_with_2(options: list[str]) -> None:
    command = [sys.executable, str(ROOT / "chat_server.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "usage" in done.stderr and "Traceback" not in done.stderr


def test_a_port_in_use_is_explained(server: ChatServer, make_server: Make) -> None:
    other = make_server()
    other.launch(port=server.port)
    assert other.wait() == 1
    assert f"127.0.0.1:{server.port}" in other.said and "running there already" in other.said


def test_the_log_has_a_line_for_comings_and_goings_and_none_of_what_is_said(
    server: ChatServer,
) -> None:
    ann = server.joined("ann")
    before = server.said.count("\n")
    for _ in range(20):
        ann.say("confidential")
    assert server.said.count("\n") == before
    ann.send(purpose="disconnect")
    ann.ended()
    bob = server.joined("bob")
    bob.quiet()
    said = server.said
    assert said.count("joined nick=ann id=1") == 1 and "left nick=ann" in said
    assert "reason=disconnect" in said and "confidential" not in said


def test_the_log_can_be_json(make_server: Make) -> None:
    server = make_server("--log-json").start()
    server.joined("ann")
    lines = [json.loads(line) for line in server.said.splitlines()]
    assert any("joined nick=ann" in line["message"] for line in lines)
    assert all({"time", "level", "message"} <= line.keys() for line in lines)


def test_a_log_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "chat_server.py"), "0", "--data", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stderr is not None
        found = re.search(rb"listening on 127.0.0.1:(\d+)", process.stderr.readline())
        assert found is not None
        for number in range(1500):
            with Wire(int(found[1])) as wire:
                wire.join("somebody-with-a-rather-long-nick"[:28] + str(number % 10), bot=True)
                wire.send(purpose="disconnect")
                wire.ended()
        with Wire(int(found[1])) as wire:
            wire.join("ann")
            wire.say("still here")
        process.stderr.read1(65536)  # type: ignore[attr-defined]
        with Wire(int(found[1])) as wire:
            wire.join("bob")
        rest = b""
        while b"were dropped" not in rest:
            rest += process.stderr.read1(65536)  # type: ignore[attr-defined]
    finally:
        process.kill()
        process.wait()


def test_the_server_is_one_thread_under_load(server: ChatServer) -> None:
    wires = [server.joined(f"n{i}", bot=True) for i in range(30)]
    for number in range(20):
        for wire in wires:
            wire.send(purpose="message", ref=f"r{number}", text="x")
        assert len(os.listdir(f"/proc/{server.pid}/task")) == 1
    wires[0].quiet()


def test_the_servers_source_has_no_threads_and_no_asyncio() -> None:
    forbidden = {"threading", "asyncio", "concurrent", "multiprocessing", "socketserver"}
    files = [ROOT / "chat_server.py", *ROOT.glob("framing/*.py"), *ROOT.glob("parley/server/*.py")]
    assert len(files) > 20
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in forbidden, f"{path}: {name}"
                assert not ("server" in path.parts and name.startswith("parley.client")), path
                assert not ("framing" in path.parts and name.startswith("parley")), path


@pytest.mark.parametrize(
    "data",
    [b"$99999999999{", b"$-1{", b"$007{}$", "$\u0661\u0662{".encode(), b"GET / HTTP/1.1\r\n",
     b"$2{}x", b"\x16\x03\x01", b"$16385{", b"$$", b"$2{]$$"],
)  # fmt: skip
def test_what_is_no_frame_gets_an_error_and_an_end(server: ChatServer, data: bytes) -> None:
    wire = server.wire()
    wire.raw(data + b"x" * 100_000)
    try:
        events = wire.ended()
    except ConnectionError:
        pytest.fail("the connection was torn before the error could be read")
    assert [e.get("error") for e in events][-1:] == ["BAD_FRAME"]
    assert events[-1]["code"] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b'{"purpose":"nope","ref":"r"}', b'{"purpose":5}', b'{"purpose":"ping"}',
        b'{"purpose":"ping","ref":""}', b'{"purpose":"ping","ref":"' + b"r" * 65 + b'"}',
        b'{"purpose":"ping","ref":"\\ud800"}', b'{"purpose":"ping","ref":"\xff"}',
        b'{"purpose":"ping","ref":"r","x":' + b"[" * 8000 + b"]" * 8000 + b"}",
        b'{"purpose":"join","nick":"a","id":true,"time":0}',
        b'{"purpose":"join","nick":"a","id":1.5,"time":0}',
        b'{"purpose":"join","nick":"a","id":-1,"time":0}',
        b'{"purpose":"join","nick":"a","id":2147483648,"time":0}',
        b'{"purpose":"join","nick":"a","id":' + b"9" * 5000 + b',"time":0}',
        b'{"purpose":"join","nick":"a","id":1,"time":1e400}',
        b'{"purpose":"join","nick":"a","id":1,"time":NaN}',
        b'{"purpose":"join","nick":"a","id":1}', b'{"purpose":"join","id":1,"time":0}',
        b'{"purpose":"join","nick":["a"],"id":1,"time":0}', b'{"purpose":"ping" "ref":"r"}',
    ],
)  # fmt: skip
def test_what_is_no_request_gets_an_error_and_lives_on(server: ChatServer, body: bytes) -> None:
    wire = server.wire()
    wire.raw(frame(body))
    assert wire.error("BAD_REQUEST")["code"] == 400
    wire.join("ann")


def test_unknown_fields_are_ignored(server: ChatServer) -> None:
    wire = server.wire()
    wire.join("ann", hat="red", nested={"a": [1, {"b": None}]})
    assert wire.say("fine")


def test_longer_frames_are_taken_once_one_has_joined(server: ChatServer) -> None:
    wire = server.wire()
    wire.join("ann")
    body = json.dumps({"purpose": "ping", "ref": "r", "x": "y" * 60_000}).encode()
    wire.raw(frame(body))
    assert wire.until("pong")["ref"] == "r"
    wire.raw(b"$65537{")
    assert wire.ended()[-1]["error"] == "BAD_FRAME"


def test_a_flood_in_one_segment_harms_nobody_else(make_server: Make) -> None:
    server = make_server().start()
    canary, flooder = server.joined("canary"), server.joined("flooder")
    one = json.dumps({"purpose": "message", "ref": "r", "text": "spam"}).encode()
    many = b"".join(frame(one.replace(b'"r"', b'"r%d"' % i)) for i in range(10_000))
    flooder.sock.setblocking(False)
    sent = 0
    worst = 0.0
    while sent < len(many):
        with contextlib.suppress(BlockingIOError):
            sent += flooder.sock.send(many[sent : sent + 500_000])
        began = time.monotonic()
        canary.quiet()
        worst = max(worst, time.monotonic() - began)
        flooder.sock.settimeout(0.001)
        with contextlib.suppress(TimeoutError):
            flooder.sock.recv(1 << 20)
        flooder.sock.setblocking(False)
    canary.quiet()
    assert len(server.messages) < 1000, "the rate was not held"
    assert worst < 5, "the canary was left without an answer"


def test_a_client_that_does_not_read_is_dropped_and_comes_back_for_the_rest(
    make_server: Make,
) -> None:
    server = make_server("--rate", "0", "--backlog", "300000").start()
    slow, ann = server.wire(), server.joined("ann", bot=True)
    token = slow.join("slow")["token"]
    slow.until("history")
    said = 0
    deadline = time.monotonic() + 60
    left = None
    while left is None and time.monotonic() < deadline:
        for _ in range(20):
            ann.send(purpose="message", ref=f"r{said}", text=f"{said}:" + "x" * 15_000)
            said += 1
        left = next((e for e in ann.quiet() if e["purpose"] == "left"), None)
    assert left is not None and (left["nick"], left["reason"]) == ("slow", "slow")
    slow.close()
    back = server.wire()
    back.join("slow", token=token, since=0)
    got: list[str] = []
    while len(got) < said:
        got += texts([back.until("history", replay=True)])
    assert [text.partition(":")[0] for text in got] == [str(i) for i in range(said)]


def test_silent_and_dawdling_peers_are_let_go(make_server: Make) -> None:
    server = make_server().start()
    silent, half, dawdler = server.wire(), server.wire(), server.wire()
    half.raw(b"$100{")
    joined = server.joined("slowly")
    joined.raw(b"$100{")
    deadline = time.monotonic() + 40
    ended: dict[str, list[str]] = {}
    wires = {"silent": silent, "half": half, "dawdler": dawdler, "slowly": joined}
    while len(ended) < 4 and time.monotonic() < deadline:
        time.sleep(0.25)
        for name, wire in wires.items():
            if name in ended:
                continue
            if name in ("dawdler", "slowly"):
                with contextlib.suppress(OSError):
                    wire.raw(b" ")  # progress that must not put the deadline off
            wire.sock.setblocking(False)
            try:
                if wire.sock.recv(1000, socket.MSG_PEEK):
                    ended[name] = [e.get("error", "") for e in wire.ended()]
            except BlockingIOError:
                pass
            except ConnectionError:
                ended[name] = []
            wire.sock.setblocking(True)
    assert ended["silent"] == ["NOT_JOINED"]
    assert ended["half"][0] in ("NOT_JOINED", "BAD_FRAME")
    assert ended["slowly"] == ["BAD_FRAME"]
    assert "dawdler" in ended


def test_without_descriptors_it_does_not_spin_and_recovers(make_server: Make) -> None:
    server = make_server().start()
    first = server.joined("first")
    used = len(os.listdir(f"/proc/{server.pid}/fd"))
    _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 4, hard))
    wires = [server.wire() for _ in range(30)]
    before = cpu(server.pid)
    time.sleep(1.5)
    assert cpu(server.pid) - before < 0.75, "it turned without end"
    first.say("those who are in go on")
    told = 0
    for wire in wires:
        wire.sock.settimeout(0.2)
        with contextlib.suppress(TimeoutError, ConnectionError):
            told += b"SERVER_FULL" in wire.sock.recv(1000)
        wire.close()
    assert told > 0
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert server.joined("late").say("hello")
            return
        except (AssertionError, OSError):
            time.sleep(0.2)
    pytest.fail("nobody was let in again")


def test_a_small_limit_of_descriptors_is_kept_to(make_server: Make) -> None:
    server = make_server(prefix=("prlimit", "--nofile=64:64")).start()
    wires = []
    full = False
    for number in range(70):
        wire = server.wire()
        wires.append(wire)
        wire.send(purpose="join", nick=f"n{number}", id=1, time=0, bot=True)
        event = wire.recv()
        if event is None or event["purpose"] == "error":
            full = event is not None and event["error"] == "SERVER_FULL"
            break
    assert full and len(wires) > 15
    for wire in wires:
        wire.close()


def test_resets_in_every_state_leave_nothing_behind(server: ChatServer) -> None:
    canary = server.joined("canary")
    canary.quiet()
    before = len(os.listdir(f"/proc/{server.pid}/fd"))
    login = {"nick": "Alice", "id": 1, "time": 0, "mechanism": "SCRAM-SHA-256"}
    for number in range(10):
        server.wire().reset()
        wire = server.wire()
        wire.raw(b"$50{")
        wire.reset()
        wire = server.wire()
        wire.send(purpose="login", data="n,,n=Alice,r=abc", **login)
        wire.reset()
        wire = server.wire()
        wire.send(purpose="join", nick="ghost", id=number, time=0)
        wire.reset()
        wire = server.wire()
        wire.join(f"g{number}")
        for i in range(5):
            wire.send(purpose="message", ref=f"r{i}", text="x")
        wire.reset()
        wire = server.wire()
        wire.join(f"h{number}")
        wire.sock.shutdown(socket.SHUT_WR)
        wire.ended()
        wire.close()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        canary.send(purpose="users", ref="u")
        users = canary.until("users", ref="u")["users"]
        left = len(os.listdir(f"/proc/{server.pid}/fd"))
        if left <= before and [u["nick"] for u in users] == ["canary"]:
            return
        time.sleep(0.1)
    pytest.fail(f"{left - before} descriptors and the nicks of {users} are left")


def test_what_one_asks_or_says_last_never_makes_a_frame_too_long(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.raw(frame(b'{"purpose":"history","ref":"h","with":"' + b"\x7f" * 60_000 + b'"}'))
    assert len(ann.error("BAD_REQUEST")["text"]) <= 500
    ann.send(purpose="disconnect", text="\x01" * 10_900)
    assert bob.until("left")["nick"] == "ann"
