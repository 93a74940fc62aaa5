"""Accounts: logging in, registering, the file."""

import base64
import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import DEMO, ROOT, ChatServer, Make
from tests.wire import keys, texts


@pytest.mark.parametrize("nick", ["Alice", "Bob", "Charlie", "aLICE"])
def test_an_account_logs_in_with_its_password(accounts_server: ChatServer, nick: str) -> None:
    wire = accounts_server.wire()
    welcome = wire.login(nick, DEMO[nick.capitalize()])
    assert welcome["purpose"] == "welcome" and welcome["nick"] == nick.capitalize()
    assert "token" not in welcome


def test_wrong_password_and_unknown_nick_look_the_same(accounts_server: ChatServer) -> None:
    answers = []
    for nick in ("Alice", "Nobody"):
        wire = accounts_server.wire()
        error = wire.login(nick, "wrong")
        assert (error["code"], error["error"]) == (401, "AUTH_FAILED")
        answers.append(error)
        assert wire.login("Bob", "456")["purpose"] == "welcome", "may try again"
        wire.send(purpose="disconnect")
        wire.ended()
    assert answers[0] == answers[1]


def test_the_salt_of_a_nick_without_account_stays_the_same(accounts_server: ChatServer) -> None:
    def challenge(nick: str) -> tuple[str, str]:
        wire = accounts_server.wire()
        data = f"n,,n={nick},r=abc"
        wire.send(purpose="login", nick=nick, id=1, time=0, mechanism="SCRAM-SHA-256", data=data)
        values = dict(part.split("=", 1) for part in wire.until("challenge")["data"].split(","))
        return values["s"], values["r"]

    before = challenge("nobody")
    again = challenge("NOBODY")
    assert before[0] == again[0] and before[1] != again[1]
    assert challenge("somebody")[0] != before[0]
    accounts_server.kill()
    accounts_server.start()
    assert challenge("nobody")[0] == before[0]
    assert len(base64.b64decode(before[0])) == len(base64.b64decode(challenge("Alice")[0]))


def test_an_account_s_nick_takes_its_password(accounts_server: ChatServer) -> None:
    wire = accounts_server.wire()
    wire.send(purpose="join", nick="alice", id=1, time=0)
    assert wire.error("ACCOUNT_REQUIRED")["code"] == 401
    wire.join("ann")


@pytest.mark.parametrize(
    "data", ["", "x", "n,,n=Alice", "n,,n=Bob,r=abc", "p=tls-unique,,n=Alice,r=abc", "y" * 4000]
)
def test_malformed_login_steps_are_refused(accounts_server: ChatServer, data: str) -> None:
    wire = accounts_server.wire()
    wire.send(purpose="login", nick="Alice", id=1, time=0, mechanism="SCRAM-SHA-256", data=data)
    wire.error("BAD_REQUEST")
    wire.send(purpose="response", data="c=biws,r=x,p=AAAA")
    wire.error("BAD_REQUEST")
    assert wire.login("Alice", "123")["purpose"] == "welcome"


def test_a_challenge_is_good_for_one_answer(accounts_server: ChatServer) -> None:
    wire = accounts_server.wire()
    for data in ("nonsense", "c=biws,r=x,p=AAAA", "c=biws,r=x,p=%%%"):
        wire.send(
            purpose="login", nick="Alice", id=1, time=0, mechanism="SCRAM-SHA-256",
            data="n,,n=Alice,r=abc",
        )  # fmt: skip
        wire.until("challenge")
        wire.send(purpose="response", data=data)
        wire.error("AUTH_FAILED")
        wire.send(purpose="response", data=data)
        wire.error("BAD_REQUEST")


def test_guessing_is_slowed_and_the_owner_is_not_locked_out(accounts_server: ChatServer) -> None:
    wire = accounts_server.wire()
    refused = None
    for _ in range(15):
        answer = wire.login("Alice", "guess")
        if answer["error"] == "LIMIT_EXCEEDED":
            refused = answer
            break
    assert refused is not None and 0 < refused["retry_after"] <= 5
    assert accounts_server.wire().login("Bob", "456")["purpose"] == "welcome"
    time.sleep(refused["retry_after"] + 0.05)
    assert wire.login("Alice", "123")["purpose"] == "welcome"


def test_registering_makes_an_account_that_lasts_with_its_history(server: ChatServer) -> None:
    ann, bob = server.wire(), server.joined("bob")
    token = ann.join("Ann")["token"]
    bob.say("before", "@ann")
    ann.send(purpose="register", ref="r", **keys("sésame"))
    ann.until("ok", ref="r")
    ann.send(purpose="register", ref="r2", **keys("other"))
    assert ann.error("ACCOUNT_EXISTS")["code"] == 409
    ann.close()
    bob.until("left")
    bob.say("while away", "@ann")
    wire = server.wire()
    wire.send(purpose="join", nick="ann", id=1, time=0, token=token)
    wire.error("ACCOUNT_REQUIRED")
    assert wire.login("ann", "wrong")["error"] == "AUTH_FAILED"
    server.kill()
    server.start()
    wire = server.wire()
    assert wire.login("ann", "sésame", since=0)["nick"] == "Ann"
    assert texts([wire.until("history", end=True)]) == ["before", "while away"]
    text = (server.data / "users.json").read_text()
    assert "sésame" not in text and "SCRAM-SHA-256$4096:" in text


def test_an_account_changes_its_password(accounts_server: ChatServer) -> None:
    wire = accounts_server.wire()
    wire.login("Alice", "123")
    wire.send(purpose="register", ref="r", change=True, **keys("new"))
    wire.until("ok", ref="r")
    wire.close()
    other = accounts_server.wire()
    assert other.login("Alice", "123")["error"] == "AUTH_FAILED"
    assert other.login("Alice", "new")["purpose"] == "welcome"
    guest = accounts_server.joined("guest")
    guest.send(purpose="register", ref="r", stored_key="AAAA", **{
        k: v for k, v in keys("x").items() if k != "stored_key"
    })  # fmt: skip
    guest.error("BAD_REQUEST")


def test_private_messages_wait_for_an_account_that_is_offline(
    accounts_server: ChatServer,
) -> None:
    ann = accounts_server.joined("ann")
    ann.say("see you", "@alice")
    alice = accounts_server.wire()
    alice.login("Alice", "123", since=0)
    assert texts([alice.until("history", end=True)]) == ["see you"]


def test_plain_passwords_are_converted_at_start(make_server: Make) -> None:
    server = make_server()
    path = server.data / "users.json"
    path.write_text('{"Alice": "123", "Bob": {"password": "456", "role": "admin"}}')
    path.chmod(0o644)
    server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = json.loads(path.read_text())
    assert found["Alice"]["scram"].startswith("SCRAM-SHA-256$600000:")
    assert found["Bob"]["role"] == "admin" and "password" not in found["Bob"]
    assert server.wire().login("Alice", "123")["purpose"] == "welcome"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{\n  "Alice": "123",\n  oops\n}', "line 3, column 3"),
        ('{"Alice": {"scram": "nonsense"}}', "Alice"),
        ('{"Alice": {}}', "neither"),
        ('{"Al ice": "123"}', "nick"),
        ('{"Alice": "1", "ALICE": "2"}', "same nick"),
        ('["Alice"]', "object"),
        ('{"Alice": {"password": "x", "role": "king"}}', "account 'Alice': Invalid enum"),
        ('{"Bob": "1", "Alice": 5}', "account 'Alice': Expected"),
        ('{\n "Bob": "1"', "line 2, column 12"),
        ("\n", "is empty"),
        ('{"Alice": "a\\u0000b"}', "account 'Alice': the password cannot be used: control"),
    ],
)
def test_a_bad_users_file_is_refused_with_its_place(
    make_server: Make, content: str, says: str
) -> None:
    server = make_server()
    path = server.data / "users.json"
    path.write_text(content)
    server.launch(port=0)
    assert server.wait() == 1
    assert "users.json" in server.said and says in server.said
    assert path.read_text() == content


def shell(data: Path, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(data), *options]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30)


def test_accounts_are_made_and_changed_from_the_shell_while_the_server_runs(
    server: ChatServer,
) -> None:
    assert shell(server.data, "--add-user", "Dora", stdin="pw1\n").returncode == 0
    wire = server.wire()
    assert wire.login("dora", "pw1")["nick"] == "Dora"
    assert shell(server.data, "--set-password", "dora", stdin="pw2\n").returncode == 0
    assert server.wire().login("dora", "pw1")["error"] == "AUTH_FAILED"
    assert server.wire().login("dora", "pw2", 2)["purpose"] == "welcome"
    eve = server.joined("eve")
    eve.send(purpose="register", ref="r", **keys("x"))
    eve.until("ok")
    assert sorted(json.loads((server.data / "users.json").read_text())) == ["Dora", "eve"]
    for options, stdin, says in (
        (("--add-user", "DORA"), "x\n", "--set-password"),
        (("--set-password", "nobody"), "x\n", "--add-user"),
        (("--add-user", "a b"), "x\n", "nick"),
        (("--add-user", "Fay"), "\n", "empty"),
        (("--add-user", "Fay"), "a\tb\n", "control characters"),
    ):
        done = shell(server.data, *options, stdin=stdin)
        assert done.returncode == 1 and says in done.stderr, done
        assert "Traceback" not in done.stderr
    done = shell(Path("/dev/null/x"), "--add-user", "Fay", stdin="x\n")
    assert done.returncode == 1 and "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_shell_asks_for_a_password_hidden(tmp_path: Path) -> None:
    pid, fd = pty.fork()
    if pid == 0:
        program = str(ROOT / "chat_server.py")
        os.execv(
            sys.executable, [sys.executable, program, "--data", str(tmp_path), "--add-user", "Gil"]
        )
    seen = b""
    for answer in (b"secret-word\n", b"secret-word\n", None):
        while not seen.endswith(b": ") and answer is not None:
            seen += os.read(fd, 1000)
        if answer is not None:
            os.write(fd, answer)
            seen += b"|"
    try:
        while data := os.read(fd, 1000):
            seen += data
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"secret-word" not in seen and b"account made" in seen
    assert "Gil" in json.loads((tmp_path / "users.json").read_text())


def test_demo_passwords_are_refused_beyond_this_machine(make_server: Make) -> None:
    server = make_server("--host", "0.0.0.0")
    (server.data / "users.json").write_text('{"Alice": "123", "Bob": "changed"}')
    server.launch(port=0)
    assert server.wait() == 1
    assert "Alice" in server.said and "Bob" not in server.said.split("refusing")[1]
    assert "--set-password" in server.said


def test_a_plain_password_written_while_the_server_runs_holds(make_server: Make) -> None:
    server = make_server()
    path = server.data / "users.json"
    path.write_text('{"Alice": "123"}')
    server.start()
    users = json.loads(path.read_text())
    users |= {"Alice": "new", **{f"n{number}": f"p{number}" for number in range(17)}}
    path.write_text(json.dumps(users))
    server.signal(signal.SIGHUP)
    server.wait_for("read again: 18 accounts")
    assert server.wire().login("Alice", "123")["error"] == "AUTH_FAILED"
    assert server.wire().login("Alice", "new")["purpose"] == "welcome"
    assert server.wire().login("n14", "p14")["purpose"] == "welcome"
    assert server.wire().login("n16", "p16")["error"] == "AUTH_FAILED"
    assert "so many: n15, n16\n" in server.said
    guest = server.joined("guest")
    guest.send(purpose="register", ref="r", **keys("x"))
    guest.until("ok", ref="r")
    assert server.wire().login("n14", "p14", 2)["purpose"] == "welcome"
    changer = server.wire()
    changer.login("n13", "p13")
    changer.send(purpose="register", ref="r", change=True, **keys("another"))
    changer.until("ok", ref="r")
    server.stop()
    server.start()
    assert server.wire().login("n16", "p16")["purpose"] == "welcome"
    assert server.wire().login("n13", "another")["purpose"] == "welcome"
    assert "password" not in path.read_text()


def test_a_users_file_broken_while_the_server_runs_leaves_the_last_good_one(
    accounts_server: ChatServer,
) -> None:
    path = accounts_server.data / "users.json"
    good = path.read_text()
    path.write_text("{oops")
    assert accounts_server.wire().login("Alice", "123")["purpose"] == "welcome"
    assert "line 1, column 2" in accounts_server.said
    eve = accounts_server.joined("eve")
    eve.send(purpose="register", ref="r", **keys("x"))
    eve.error("STORE_UNAVAILABLE")
    assert path.read_text() == "{oops", "a file somebody is mending must not be written over"
    path.write_text(good)
    assert accounts_server.wire().login("Bob", "456")["purpose"] == "welcome"


def test_a_users_file_that_cannot_even_be_looked_at_leaves_the_last_good_one(
    accounts_server: ChatServer,
) -> None:
    path = accounts_server.data / "users.json"
    good = path.read_text()
    path.unlink()
    path.symlink_to(path)
    for _ in range(2):
        assert accounts_server.wire().login("Alice", "123")["purpose"] == "welcome"
    assert accounts_server.said.count("stay in force") == 1
    path.unlink()
    path.write_text(good.replace("Bob", "Rob"))
    assert accounts_server.wire().login("Rob", "456")["purpose"] == "welcome"
    assert accounts_server.wire().login("Bob", "456")["error"] == "AUTH_FAILED"


def test_whose_role_was_taken_away_does_not_bring_it_back(accounts_server: ChatServer) -> None:
    path = accounts_server.data / "users.json"
    kept = json.loads(path.read_text())
    kept["Alice"]["role"] = "admin"
    path.write_text(json.dumps(kept))
    alice = accounts_server.wire()
    assert alice.login("Alice", "123")["purpose"] == "welcome"
    del kept["Alice"]["role"]
    path.write_text(json.dumps(kept))
    alice.send(purpose="register", ref="r", change=True, **keys("another"))
    alice.until("ok", ref="r")
    assert "role" not in json.loads(path.read_text())["Alice"]


@pytest.mark.parametrize("left", ["", "\n", None])
def test_while_the_users_file_is_empty_or_away_nobodys_account_is_gone(
    accounts_server: ChatServer, left: str | None
) -> None:
    server = accounts_server
    guest = server.joined("guest")
    path = server.data / "users.json"
    good = path.read_text()
    path.unlink() if left is None else path.write_text(left)
    for _ in range(2):
        assert server.wire().login("nobody", "x")["error"] == "AUTH_FAILED"
    assert server.said.count("the accounts read before stay in force") == 1
    other = server.wire()
    other.send(purpose="join", nick="Alice", id=1, time=0)
    other.error("ACCOUNT_REQUIRED")
    assert other.login("Alice", "123")["purpose"] == "welcome"
    guest.send(purpose="register", ref="r", **keys("x"))
    guest.error("STORE_UNAVAILABLE")
    assert not path.exists() if left is None else path.read_text() == left
    path.write_text(good)
    guest.send(purpose="register", ref="r", **keys("x"))
    guest.until("ok", ref="r")
    assert {"Alice", "guest"} <= json.loads(path.read_text()).keys()


def test_a_registration_never_takes_an_account_made_meanwhile(server: ChatServer) -> None:
    guest = server.joined("hal")
    assert shell(server.data, "--add-user", "Hal", stdin="admins choice\n").returncode == 0
    guest.send(purpose="register", ref="r", **keys("mine"))
    guest.error("ACCOUNT_EXISTS")
    assert server.wire().login("hal", "mine")["error"] == "AUTH_FAILED"
    assert server.wire().login("hal", "admins choice")["purpose"] == "welcome"


def test_guessing_in_parallel_is_no_way_round(accounts_server: ChatServer) -> None:
    wires = [accounts_server.wire() for _ in range(40)]
    for wire in wires:
        wire.send(
            purpose="login", nick="Alice", id=1, time=0, mechanism="SCRAM-SHA-256",
            data="n,,n=Alice,r=abc",
        )  # fmt: skip
    answers = [wire.recv() for wire in wires]
    challenged = [a for a in answers if a is not None and a["purpose"] == "challenge"]
    assert 0 < len(challenged) <= 15


@pytest.mark.parametrize("name", ["users.json", "server.secret", "server.conf"])
def test_a_pipe_or_a_device_in_the_place_of_a_file_keeps_no_start_waiting(
    make_server: Make, name: str
) -> None:
    server = make_server("--config", "server.conf") if name == "server.conf" else make_server()
    path = server.data / name
    server.options = tuple(str(path) if option == name else option for option in server.options)
    os.mkfifo(path)
    for _ in range(2):
        server.launch()
        assert server.wait(30) in (1, 2)
        assert "not a regular file" in server.said.splitlines()[-1]
        path.unlink()
        path.symlink_to("/dev/zero")


def test_a_pipe_put_there_while_it_runs_stops_nobody(accounts_server: ChatServer) -> None:
    path = accounts_server.data / "users.json"
    path.unlink()
    os.mkfifo(path)
    assert accounts_server.wire().login("Alice", "123")["purpose"] == "welcome"
    accounts_server.wait_for("stay in force")
    accounts_server.signal(signal.SIGHUP)
    accounts_server.wait_for("stay in force")
    assert accounts_server.joined("ann").say("hello")
