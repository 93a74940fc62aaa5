"""The client without a screen: pipes, ``--send``, ``--jsonl``, exit codes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from parley.client.options import parse
from tests.conftest import ROOT, ChatServer, Make
from tests.wire import Wire


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "config"
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(place))
    return place


def command(server: ChatServer | int, *arguments: str) -> list[str]:
    port = server if isinstance(server, int) else server.port
    first, *rest = arguments
    where = ["localhost", str(port), first]
    return [sys.executable, str(ROOT / "chat_client.py"), *where, *rest]


def run(server: ChatServer | int, *arguments: str, stdin: str = "") -> Any:
    return subprocess.run(
        command(server, *arguments), input=stdin, capture_output=True, text=True, timeout=60
    )


def test_a_line_from_a_pipe_is_stored_before_it_ends_well(server: ChatServer) -> None:
    done = run(server, "bot", "9", stdin="hi\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert server.messages == ["hi"]


def test_many_lines_come_whole_and_in_order(make_server: Make) -> None:
    server = make_server("--rate", "500", "--burst", "50").start()
    lines = [f"line {number}" for number in range(700)]
    done = run(server, "bot", "9", "--wait", "30", stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert server.messages == lines


def test_it_waits_as_long_as_acknowledgements_come(make_server: Make) -> None:
    server = make_server("--rate", "20", "--burst", "5").start()
    lines = [f"line {number}" for number in range(80)]
    done = run(server, "bot", "9", "--wait", "2", stdin="\n".join(lines))
    assert (done.returncode, done.stderr) == (0, "")
    assert server.messages == lines


def test_what_no_frame_can_hold_is_refused_once_and_holds_nothing_up(server: ChatServer) -> None:
    done = run(server, "bot", "9", "--wait", "10", stdin="\x01" * 15_000 + "\nand on")
    assert done.returncode == 4
    assert "longer than a frame" in done.stderr
    assert server.messages == ["and on"]


def test_who_is_connected_and_not_answered_gives_up_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run(silent.getsockname()[1], "bot", "9", "--send", "x", "--wait", "0.5")
    assert done.returncode == 3
    assert "has said nothing for 1 s" in done.stderr


def test_interrupted_it_says_goodbye(server: ChatServer) -> None:
    bob = server.joined("bob")
    for arguments, code in ((), 0), (("--jsonl",), 130):
        client = subprocess.Popen(
            command(server, "ann", "1", *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        bob.until("joined")
        client.send_signal(signal.SIGINT)
        assert bob.until("left")["reason"] == "disconnect"
        client.communicate(timeout=20)
        assert client.returncode == code


def test_what_is_left_out_is_what_was_used_last(server: ChatServer) -> None:
    assert run(server, "bot", "9", stdin="one\n").returncode == 0
    bare = [sys.executable, str(ROOT / "chat_client.py")]
    for given in [], ["localhost", str(server.port)]:
        done = subprocess.run([*bare, *given], input="again\n", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert [(r["from"], r["id"]) for r in server.records if r["purpose"] == "message"] == [
        ("bot", 9)
    ] * 3


def test_what_is_said_comes_out_a_line_each(server: ChatServer) -> None:
    bob = server.joined("bob")
    bob.say("before")
    client = subprocess.Popen(
        command(server, "ann", "1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin is not None and client.stdout is not None
    line = client.stdout.readline()
    assert line.startswith("[History] [") and line.endswith("] bob: before\n")
    bob.until("joined")
    bob.say("live\nin two lines")
    assert client.stdout.readline().endswith("] bob: live\n")
    assert client.stdout.readline() == "    in two lines\n"
    bob.say("psst \x1b[31m", "@ann")
    assert client.stdout.readline().endswith("] bob -> @ann: psst ␛[31m\n")
    client.stdin.write("q!\n")
    client.stdin.flush()
    assert client.wait(20) == 0
    assert bob.until("left")["reason"] == "disconnect"


def test_what_is_changed_or_taken_back_comes_out_as_that(server: ChatServer) -> None:
    bob = server.joined("bob")
    first = [bob.say("frist")["seq"], bob.say("slip")["seq"]]
    bob.send(purpose="edit", ref="e", seq=first[0], text="first")
    bob.send(purpose="redact", ref="r", seq=first[1])
    bob.until("ok", ref="r")
    client = subprocess.Popen(
        command(server, "ann", "1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin is not None and client.stdout is not None
    line = client.stdout.readline()
    assert line.endswith("] bob: first (edited)\n"), line
    assert client.stdout.readline().endswith("] bob: (taken back)\n")
    bob.until("joined")
    last = bob.say("live")["seq"]
    assert client.stdout.readline().endswith("] bob: live\n")
    bob.send(purpose="edit", ref="e2", seq=last, text="life")
    assert client.stdout.readline().endswith("] bob: life (edited)\n")
    bob.send(purpose="redact", ref="r2", seq=last)
    assert client.stdout.readline().endswith("] bob: (taken back)\n")
    client.stdin.write("q!\n")
    client.stdin.flush()
    assert client.wait(20) == 0


def test_what_is_changed_while_one_is_away_comes_out_once_and_as_it_is(server: ChatServer) -> None:
    bob = server.joined("bob")
    token = bob.passed[0]["token"]

    def edit(*texts: str) -> None:
        for text in texts:
            bob.send(purpose="edit", ref=text, seq=seq, text=text)
            bob.until("ok", ref=text)

    seq = bob.say("one")["seq"]
    edit("two")
    client = subprocess.Popen(
        command(server, "ann", "1"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin is not None and client.stdout is not None
    assert client.stdout.readline().endswith("] bob: two (edited)\n")
    bob.until("joined")
    os.kill(client.pid, signal.SIGSTOP)
    server.stop()
    server.start()
    bob = server.joined("bob", token=token)
    edit("three", "four")
    bob.say("that was all")
    os.kill(client.pid, signal.SIGCONT)
    assert client.stdout.readline().endswith("] bob: four (edited)\n")
    assert client.stdout.readline().endswith("] bob: that was all\n")
    client.stdin.write("q!\n")
    client.stdin.flush()
    assert client.wait(20) == 0


def test_a_room_is_entered_first(server: ChatServer) -> None:
    bob = server.joined("bob")
    bob.send(purpose="enter", ref="e", room="#lab", private=True)
    bob.until("ok", ref="e")
    assert run(server, "ann", "1", "--room", "own", "--send", "hi").returncode == 0
    assert (
        run(server, "ann", "1", "--room", "own", "--send", "ho", "--to", "#lobby").returncode == 0
    )
    said = [(r["to"], r["text"]) for r in server.records if r["purpose"] == "message"]
    assert said == [("#own", "hi"), ("#lobby", "ho")]
    bob.send(purpose="enter", ref="e2", room="#den")
    bob.until("ok", ref="e2")
    outside = run(server, "ann", "1", "--to", "#den", "--send", "hi")
    assert outside.returncode == 4 and "enter #den first: --room #den does" in outside.stderr
    refused = run(server, "ann", "1", "--room", "lab", "--send", "hi")
    assert refused.returncode == 4 and "#lab is private" in refused.stderr
    assert run(server, "ann", "1", "--room", "a b", "--send", "hi").returncode == 2


def test_send_and_to(server: ChatServer) -> None:
    bob = server.joined("bob")
    assert run(server, "ann", "1", "--send", "one", "--send", "two").returncode == 0
    assert run(server, "ann", "1", "--send", "secret", "--to", "@bob").returncode == 0
    assert [bob.until("message")["text"] for _ in range(3)] == ["one", "two", "secret"]
    assert run(server, "ann", "1", "--send", "caf\udce9").returncode == 0
    assert bob.until("message")["text"] == "caf\ufffd"
    done = run(server, "ann", "1", "--send", "x", "--to", "@nobody")
    assert done.returncode == 4 and "nobody" in done.stderr


def test_a_failed_run_is_not_sent_later(accounts_server: ChatServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("nope\n")
    right = tmp_path / "right"
    right.write_text("123\n")
    arguments = ("alice", "1", "--send", "x")
    done = run(accounts_server, *arguments)
    assert done.returncode == 4 and "needs its password: --password-file gives it" in done.stderr
    done = run(accounts_server, *arguments, "--password-file", str(wrong))
    assert done.returncode == 4 and "password is wrong" in done.stderr
    done = run(accounts_server, *arguments, "--password-file", str(right))
    assert done.returncode == 0, done.stderr
    assert accounts_server.messages == ["x"]


def test_exit_codes_and_their_sentences(
    make_server: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server("--max-clients", "2").start()
    server.joined("ann")
    done = run(server, "ann", "1", "--send", "x", "--wait", "0.5")
    assert done.returncode == 4 and "taken" in done.stderr
    server.joined("bob")
    done = run(server, "cyd", "1", "--send", "x", "--wait", "0.5")
    assert done.returncode == 4 and "no room" in done.stderr
    server.stop()
    done = run(server, "ann", "1", "--send", "x", "--wait", "0.5")
    assert done.returncode == 3 and "no server is listening" in done.stderr
    done = run(server, "a b", "1", "--send", "x")
    assert done.returncode == 2 and "no nick" in done.stderr
    assert run(server, "ann", "-7", "--send", "x").returncode == 2
    assert run(server, "ann", "1", "--send", "x", "--to", "bob").returncode == 2
    monkeypatch.setenv("PARLEY_CONFIG_DIR", str(tmp_path / "fresh"))
    only_host = [sys.executable, str(ROOT / "chat_client.py"), "localhost"]
    told = subprocess.run(only_host, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert told.returncode == 2 and "must be given" in told.stderr
    other = make_server()
    assert "Traceback" not in done.stderr and other


@pytest.mark.parametrize("host", ["chat..example", "a" * 64 + ".example"])
def test_what_is_no_host_is_said(host: str, config: Path) -> None:
    bare = [sys.executable, str(ROOT / "chat_client.py")]
    given = [host, "10500", "ann", "1", "--send", "x"]
    done = subprocess.run([*bare, *given], capture_output=True, text=True)
    assert done.returncode == 2 and f"{host!r} is no host" in done.stderr
    config.mkdir(exist_ok=True)
    last = {"host": host, "port": 10500, "nick": "ann", "id": 1}
    (config / "last.json").write_text(json.dumps(last))
    given = ["--send", "x", "--wait", "0.1"]
    done = subprocess.run([*bare, *given], capture_output=True, text=True, input="")
    assert (done.returncode, done.stderr) == (3, f"chat_client: {host} is no name of a host\n")


def test_a_path_in_the_config_file_may_begin_at_home(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config.mkdir()
    (config / "client.conf").write_text("downloads = ~/chat\nca = ~/ca.pem\npassword-file = ~/p\n")
    found = parse([])
    assert found.downloads == tmp_path / "chat"
    assert (found.ca, found.password_file) == (tmp_path / "ca.pem", tmp_path / "p")
    with pytest.raises(SystemExit, match="2"):
        parse(["--downloads", "~nobody-of-this-name/chat"])


@pytest.mark.parametrize("kind", ["a folder", "no text"])
def test_a_config_file_that_cannot_be_read_is_named(config: Path, kind: str) -> None:
    file = config / "client.conf"
    if kind == "a folder":
        file.mkdir(parents=True)
    else:
        config.mkdir()
        file.write_bytes(b"theme = \xff\n")
    done = run(1, "ann", "1", "--send", "x")
    assert done.returncode == 2
    assert f"cannot read {file}: " in done.stderr and "Traceback" not in done.stderr


def test_what_answers_is_no_chat_server() -> None:
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return
                with sock:
                    sock.sendall(b"SSH-2.0-OpenSSH_9\r\n")

        threading.Thread(target=answer, daemon=True).start()
        port = listening.getsockname()[1]
        done = run(port, "ann", "1", "--send", "x", "--wait", "0.5")
        listening.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 3 and "no chat server" in done.stderr


def test_json_lines_both_ways(server: ChatServer) -> None:
    bob = server.joined("bob")
    client = subprocess.Popen(
        command(server, "ann", "1", "--jsonl"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert client.stdin is not None and client.stdout is not None

    def until(purpose: str) -> dict[str, Any]:
        assert client.stdout is not None
        while line := client.stdout.readline():
            event: dict[str, Any] = json.loads(line)
            if event["purpose"] == purpose:
                return event
        raise AssertionError(f"no {purpose}")

    welcome = until("welcome")
    assert welcome["nick"] == "ann" and "token" not in welcome, "a token is a secret"
    for line in (
        '{"text":"hello"}',
        '{"to":"@bob","text":"psst"}',
        "oops",
        '{"purpose":"users","ref":"u"}',
    ):
        client.stdin.write(line + "\n")
    client.stdin.flush()
    assert bob.until("message")["text"] == "hello"
    assert bob.until("message")["to"] == "@bob"
    assert until("invalid")["text"]
    assert until("users")["ref"] == "u"
    client.stdin.close()
    assert client.wait(20) == 0


def test_the_echo_bot(server: ChatServer) -> None:
    lines = (ROOT / "examples/echo_bot.py").read_text().splitlines()
    assert len([line for line in lines if line and not line.startswith(('"""', "#"))]) <= 17
    bot = subprocess.Popen(
        [sys.executable, str(ROOT / "examples/echo_bot.py"), "localhost", str(server.port)],
        stderr=subprocess.PIPE,
    )
    try:
        ann = server.joined("ann")
        while not any(u["nick"] == "echo" for u in _users(ann)):
            ann.until("joined")
        ann.say("are you there?", "@echo")
        assert ann.until("message")["text"] == "are you there?"
        ann.say("!echo to all")
        assert ann.until("message") | {"text": "to all", "to": "#lobby"} == ann.passed[-1]
    finally:
        bot.send_signal(signal.SIGINT)
        _, complaints = bot.communicate(timeout=10)
    assert complaints == b""


def _users(wire: Wire) -> list[dict[str, Any]]:
    wire.send(purpose="users", ref="u")
    users: list[dict[str, Any]] = wire.until("users", ref="u")["users"]
    return users


def test_a_reader_that_goes_away_ends_it_quietly(server: ChatServer) -> None:
    bob = server.joined("bob")
    read, write = os.pipe()
    client = subprocess.Popen(
        command(server, "ann", "1"), stdin=subprocess.PIPE, stdout=write, stderr=subprocess.PIPE
    )
    os.close(write)
    bob.until("joined")
    os.close(read)
    bob.say("anybody?")
    _, complaint = client.communicate(timeout=20)
    assert b"Traceback" not in complaint
    assert client.returncode == 0


def test_killed_while_sending_it_leaves_each_line_once(server: ChatServer) -> None:
    text = "\n".join(f"line {number}" for number in range(3000))
    client = subprocess.Popen(command(server, "bot", "9"), stdin=subprocess.PIPE, text=True)
    assert client.stdin is not None
    client.stdin.write(text)
    client.stdin.flush()
    watcher = server.joined("watcher")
    watcher.until("message")
    client.send_signal(signal.SIGKILL)
    client.wait(10)
    stored = server.messages
    assert stored == [f"line {number}" for number in range(len(stored))]
