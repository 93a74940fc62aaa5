"""systemd's two protocols, with a launcher and a socket in its place."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ChatServer, Make
from tests.operating.conftest import ask
from tests.operating.supervisor import Notices, inheritable, launcher, open_descriptors
from tests.wire import Wire


@pytest.fixture
def notices(tmp_path: Path) -> Iterator[Notices]:
    """A socket for notices."""
    made = Notices(str(tmp_path / "notify"))
    yield made
    made.close()


def chat_socket(host: str = "127.0.0.1") -> socket.socket:
    """Return a listening socket as a socket unit makes it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # systemd's default
    sock.bind((host, 0))
    sock.listen(128)
    return sock


def activated(make_server: Make, *socks: socket.socket, names: str = "", **more: Any) -> ChatServer:
    """Return a server, not yet started, that gets ``socks``."""
    fds = [inheritable(sock) for sock in socks]
    options = more.pop("options", ())
    server = make_server(*options, prefix=launcher(names, fds), pass_fds=fds, **more)
    server.port = socks[0].getsockname()[1]
    return server


def test_a_socket_that_was_handed_over_is_served(make_server: Make) -> None:
    with chat_socket() as sock:
        server = activated(make_server, sock).start()
        ann = server.joined("ann")
        assert ann.say("over a socket of somebody else's")
        assert not ann.sock.get_inheritable()
        environment = Path(f"/proc/{server.pid}/environ").read_bytes()
        assert b"LISTEN_FDS=1" in environment, "the launcher did not do its part"


def test_a_restart_loses_no_connection_that_waits(make_server: Make) -> None:
    with chat_socket() as sock:
        server = activated(make_server, sock).start()
        server.joined("ann").say("before")
        assert server.stop() == 0
        waiting = [Wire(server.port) for _ in range(20)]
        for number, wire in enumerate(waiting):
            wire.send(purpose="join", nick=f"n{number}", id=1, time=0, since=0)
        server.start()
        for wire in waiting:
            server.wires.append(wire)
            assert wire.until("welcome")["server"]
            replay = wire.until("history", replay=True)["messages"]
            assert [message["text"] for message in replay] == ["before"]


def test_a_name_and_a_kind_tell_what_a_socket_is_for(make_server: Make) -> None:
    with chat_socket() as sock, chat_socket() as side, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        names = "metrics:parley.socket:parley.socket"
        server = activated(make_server, side, udp, sock, names=names)
        server.port = sock.getsockname()[1]
        server.start()
        ann = server.joined("ann")
        (server.data / "files").mkdir(exist_ok=True)
        (server.data / "files" / "a.txt").write_text("a")
        ann.send(purpose="get", ref="g", name="a.txt")
        assert ann.until("ticket")["quic"]["port"] == udp.getsockname()[1]
        assert ask(server, "/healthz").status == 200
        assert str(side.getsockname()[1]) in server.said


def test_an_address_of_ipv4_stays_one_on_a_socket_for_both(make_server: Make) -> None:
    with chat_socket("::1") as probe:
        assert probe
    with chat_socket("::") as sock:
        server = activated(make_server, sock).start()
        server.joined("ann")
        server.wait_for("joined nick=ann")
        assert "address=127.0.0.1 " in server.said


def test_what_was_handed_over_to_another_process_is_not_touched(make_server: Make) -> None:
    env = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    server = make_server(env=env).start()
    assert server.joined("ann").say("on a socket of its own")


def test_a_socket_of_no_use_is_explained(make_server: Make, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "unix"))
        sock.listen()
        server = make_server(prefix=launcher("", [inheritable(sock)]), pass_fds=[sock.fileno()])
        server.launch()
        assert server.wait() == 1
        assert "descriptor 3 was handed over: no internet socket" in server.said
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right, chat_socket() as sock, socket.create_connection(sock.getsockname()) as one:
        server = make_server(prefix=launcher("", [inheritable(one)]), pass_fds=[one.fileno()])
        server.launch()
        assert server.wait() == 1
        assert "Accept=no" in server.said


def test_published_passwords_keep_it_from_other_machines_here_too(
    make_server: Make, demo_users: str
) -> None:
    with chat_socket("0.0.0.0") as sock:
        server = activated(make_server, sock)
        (server.data / "users.json").write_text('{"Alice": "123"}')
        server.launch()
        assert server.wait() == 1
        assert "demo password" in server.said


@pytest.mark.parametrize("abstract", [False, True])
def test_it_says_when_it_is_ready_and_when_it_stops(
    make_server: Make, tmp_path: Path, abstract: bool
) -> None:
    name = f"parley-{os.getpid()}-{time.monotonic_ns()}"
    address = f"@{name}" if abstract else str(tmp_path / "notify")
    notices = Notices("\0" + name if abstract else address)
    server = make_server(env={"NOTIFY_SOCKET": address}).start()
    assert notices.next("READY")["READY"] == "1"
    ann = server.joined("ann")
    server.signal(signal.SIGTERM)
    stopping = notices.next("STOPPING")
    assert stopping["STOPPING"] == "1" and stopping["STATUS"] == "telling 1 clients"
    ann.until("shutdown")
    ann.send(purpose="shutdown_ack")
    assert server.wait() == 0
    notices.close()


def test_a_reload_is_told_from_its_beginning_to_its_end(
    make_server: Make, notices: Notices, tmp_path: Path
) -> None:
    server = make_server(env={"NOTIFY_SOCKET": str(tmp_path / "notify")}).start()
    notices.next("READY")
    before = time.monotonic_ns() // 1000
    server.signal(signal.SIGHUP)
    began = notices.next("RELOADING")
    assert before <= int(began["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    assert notices.next("READY")["READY"] == "1"


def test_the_watchdog_is_fed_by_a_loop_that_turns_and_by_no_other(
    make_server: Make, notices: Notices, tmp_path: Path
) -> None:
    env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    server = make_server(env=env).start()
    for _ in range(5):
        notices.next("WATCHDOG")
    server.signal(signal.SIGSTOP)
    try:
        while Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.005)
        notices.drain()
        assert notices.silent(1.0), "something else than the loop feeds it"
    finally:
        server.signal(signal.SIGCONT)
    notices.next("WATCHDOG")


def test_a_watchdog_of_another_process_is_not_fed(
    make_server: Make, notices: Notices, tmp_path: Path
) -> None:
    env = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "100000",
        "WATCHDOG_PID": "1",
    }
    make_server(env=env).start()
    notices.next("READY")
    assert notices.silent(1.0)


def test_processes_it_starts_get_nothing_of_this(make_server: Make, tmp_path: Path) -> None:
    with chat_socket() as sock:
        notices = Notices(str(tmp_path / "notify"))
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        server = activated(make_server, sock, env=env).start()
        assert any(name.startswith("socket:") for name in open_descriptors(server.pid))
        flags = [
            int(line.split()[1], 8)
            for info in Path(f"/proc/{server.pid}/fdinfo").iterdir()
            for line in info.read_text().splitlines()
            if line.startswith("flags:") and int(info.name) > 2
        ]
        assert flags and all(flag & os.O_CLOEXEC for flag in flags)
        notices.close()


def test_nobody_to_tell_is_no_reason_to_stop(make_server: Make, tmp_path: Path) -> None:
    server = make_server(env={"NOTIFY_SOCKET": str(tmp_path / "gone")}).start()
    assert server.joined("ann").say("all the same")
    assert "the supervisor cannot be told" in server.said
