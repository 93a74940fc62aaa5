"""Running the program: options, its log, its limits, hostile peers."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, ChatServer, Make
from tests.wire import Wire, frame


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


@pytest.mark.parametrize("beside", ["file", "file/in it"])
def test_a_file_where_the_data_should_be_is_explained(tmp_path: Path, beside: str) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / beside
    command = [sys.executable, str(ROOT / "chat_server.py"), "0", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    says = f"chat_server: --data {data}: a file stands where a directory is to be"
    assert done.stderr.startswith(says)


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
    packages = ("framing", "parley/server", "parley/udp")
    files = [file for package in packages for file in ROOT.joinpath(package).rglob("*.py")]
    assert len(files) > 70
    for path in [ROOT / "chat_server.py", ROOT / "parley" / "binding.py", *files]:
        for node in ast.walk(ast.parse(path.read_text())):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] not in forbidden, f"{path}: {name}"


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


def test_what_one_asks_or_says_last_never_makes_a_frame_too_long(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.raw(frame(b'{"purpose":"history","ref":"h","with":"' + b"\x7f" * 60_000 + b'"}'))
    assert len(ann.error("BAD_REQUEST")["text"]) <= 500
    ann.send(purpose="disconnect", text="\x01" * 10_900)
    assert bob.until("left")["nick"] == "ann"
