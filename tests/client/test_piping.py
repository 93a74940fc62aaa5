"""The client without a screen: lines that are too long, output that does not take more, answers
to what a program has asked."""

import json
import os
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from framing.limits import FRAME
from parley.client.ground.piping import LONGEST
from tests.client.conftest import Open
from tests.client.hostile import FakeServer
from tests.client.test_headless import command, run
from tests.conftest import ChatServer


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "config"))


def test_a_line_that_is_too_long_is_refused_and_holds_nothing_up(server: ChatServer) -> None:
    text = f"before\n{'x' * (3 * LONGEST)}\nand on"
    done = run(server, "bot", "9", stdin=text)
    assert done.returncode == 4
    assert done.stderr == f"chat_client: not sent: a line of input is longer than {LONGEST} bytes\n"
    done = run(server, "bot", "9", "--jsonl", stdin=f"{'x' * (3 * LONGEST)}\n" + '{"text":"more"}')
    assert done.returncode == 0
    assert '"purpose":"invalid"' in done.stdout
    assert server.messages == ["before", "and on", "more"]


def test_why_a_line_is_too_long_for_a_frame_is_true(server: ChatServer) -> None:
    done = run(server, "bot", "9", stdin="x" * 70_000)
    assert done.returncode == 4
    assert f"longer than a frame, which holds {FRAME}" in done.stderr
    assert "control" not in done.stderr


def test_a_connection_that_breaks_while_a_room_is_entered_is_said() -> None:
    server = FakeServer()
    client = subprocess.Popen(
        command(server.port, "ann", "1", "--room", "lab"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    peer = server.accept()
    peer.welcome("ann")
    peer.until("enter")
    server.close()
    _, complaint = client.communicate(b"hi\n", timeout=20)
    assert client.returncode == 3
    assert b"cannot enter #lab: the connection broke" in complaint and b"Trace" not in complaint


def _much(server: ChatServer) -> None:
    bob = server.joined("bob")
    for number in range(20):
        bob.say(f"{number} " + "x" * 15_000)
    bob.say("the last")


def test_long_lines_come_whole_on_a_terminal(server: ChatServer, open_client: Open) -> None:
    _much(server)
    ann = open_client(server, "ann", "--jsonl", columns=200, lines=50)
    ann.see('"text":"the last"', '"end":true')
    assert b"Traceback" not in ann.raw and ann.raw.count(b"x" * 15_000) == 20
    ann.type('{"text":"hi"}\r')
    ann.see('"purpose":"stored"')
    ann.type("\x04")
    assert ann.ended() == 0


def test_output_that_does_not_wait_gets_all(server: ChatServer) -> None:
    _much(server)
    read, write = os.pipe()
    os.set_blocking(write, False)
    client = subprocess.Popen(
        command(server, "ann", "1", "--jsonl"), stdin=subprocess.PIPE, stdout=write
    )
    os.close(write)
    texts: list[str] = []
    with os.fdopen(read) as out:
        while "the last" not in texts:
            texts += [m["text"] for m in json.loads(out.readline()).get("messages", ())]
        client.communicate(timeout=20)
    assert client.returncode == 0
    assert len(texts) == 21


def test_a_full_disk_is_said(server: ChatServer) -> None:
    _much(server)
    with Path("/dev/full").open("wb") as full:
        client = subprocess.Popen(
            command(server, "ann", "1"), stdin=subprocess.PIPE, stdout=full, stderr=subprocess.PIPE
        )
        _, complaint = client.communicate(timeout=20)
    assert client.returncode == 1
    assert complaint == b"chat_client: cannot write what is said: No space left on device\n"


def test_input_that_cannot_be_read_is_said(server: ChatServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        far, _ = listening.accept()
    bob = server.joined("bob")
    client = subprocess.Popen(
        command(server, "ann", "1"),
        stdin=near.fileno(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    near.close()
    bob.until("joined")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()  # a reset, not an end
    _, complaint = client.communicate(timeout=20)
    assert client.returncode == 2
    assert complaint == b"chat_client: cannot read what is to be sent: Connection reset by peer\n"


def test_a_pong_that_was_asked_for_comes_out(server: ChatServer) -> None:
    client = subprocess.Popen(
        command(server, "ann", "1", "--jsonl"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert client.stdin is not None and client.stdout is not None
    client.stdin.write(b'{"purpose":"ping","ref":"mine"}\n{"purpose":"users","ref":"u"}\n')
    client.stdin.flush()
    answers: list[dict[str, str]] = []
    while not answers or answers[-1]["purpose"] != "users":
        event = json.loads(client.stdout.readline())
        if event.get("ref"):
            answers.append(event)
    assert [event["ref"] for event in answers if event["purpose"] == "pong"] == ["mine"]
    client.communicate(timeout=20)
    assert client.returncode == 0
