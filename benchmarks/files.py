"""How fast files go, beside nginx with curl and beside qh3's own client and server.

    python -m benchmarks.files [--size 1000000000] [--runs 5]
    python -m benchmarks.files --network        what loss, delay and disorder do (root)

All in one run, in turns, from memory to memory (/dev/shm): what carries is measured, not the disk.
Then 20 transfers at once: what the server's memory grows by, and what a chat client waits.
"""

import argparse
import asyncio
import contextlib
import datetime
import hashlib
import os
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.badnet import Network, Weather, why_not
from benchmarks.programs import Parley, ProgramError, free_port, resident, stop
from benchmarks.start import Client

NGINX = """
user root; daemon off; worker_processes 1; pid {place}/nginx.pid; error_log /dev/null;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;
  uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;
  server {{ listen 127.0.0.1:{port}; root {shelf}; }}
}}
"""


class Nginx:
    """nginx with sendfile, serving ``shelf``."""

    def __init__(self, place: Path, shelf: Path) -> None:
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise ProgramError("nginx is not installed (Debian: nginx-light)")
        self.port = free_port()
        conf = place / "nginx.conf"
        conf.write_text(NGINX.format(place=place, port=self.port, shelf=shelf))
        self.process = subprocess.Popen([program, "-c", str(conf), "-p", str(place)])
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
        raise ProgramError("nginx does not start")


def curl(url: str, to: str) -> float:
    """Fetch and return the seconds that curl took for it."""
    command = ["curl", "-sS", "-o", to, "-w", "%{time_total}", url]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def joined(port: int, nick: str) -> Client:
    """Return a chat client that has joined."""
    client = Client(port)
    client.send(purpose="join", nick=nick, id=1, time=0, bot=True)
    client.until("welcome")
    return client


def ticket(client: Client, name: str) -> dict[str, Any]:
    """Ask for a ticket."""
    client.send(purpose="get", ref="t", name=name)
    return client.until("ticket")


def drain(port: int, given: str, size: int) -> float:
    """Fetch by a ticket, throw the bytes away as ``curl -o /dev/null`` does, return the seconds."""
    began = time.perf_counter()
    body = b'{"purpose":"fetch","ticket":"%s"}' % given.encode()
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(b"$%d%b$" % (len(body), body))
        buffer = bytearray(1 << 20)
        got = 0
        while count := sock.recv_into(buffer):
            got += count
    took = time.perf_counter() - began
    if got < size:
        raise ProgramError(f"only {got} of {size} bytes came")
    return took


def own_client(host: str, port: int, name: str, folder: Path, via: str) -> float:
    """Fetch with Parley's client, checked and under its name; return the seconds it took."""
    program = [sys.executable, "-m", "benchmarks.files", "--carry", host, str(port), name]
    environment = {**os.environ, "PARLEY_CONFIG_DIR": str(folder / "config")}
    done = subprocess.run(
        [*program, str(folder / "own"), via], capture_output=True, text=True, env=environment
    )
    (folder / "own").unlink(missing_ok=True)
    if done.returncode:
        raise ProgramError(f"the client could not fetch it: {done.stderr[-500:]}")
    return float(done.stdout)


async def carry(host: str, port: int, name: str, path: Path, via: str) -> float:
    """The client's side of ``own_client``, in a process of its own."""
    from parley.client.files.job import State
    from parley.client.files.work import Work
    from parley.client.ground.store import Store
    from parley.client.session.joining import Settings
    from parley.client.session.session import Session

    session = Session(Settings(host, port, f"c{os.getpid()}", 1, bot=True), Store(), lambda _: None)
    running = asyncio.create_task(session.run())
    while session.welcome is None:
        await asyncio.sleep(0.01)
    work = Work(session, lambda _: None)
    first = await work.look(name)
    began = time.perf_counter()
    job = await work.get(first, None, path, via == "udp")
    took = time.perf_counter() - began
    if job.state is not State.DONE or job.via.lower() != via:
        raise SystemExit(f"{job.state}: {job.problem} ({job.via})")
    await session.quit(1)
    await running
    return took


def qh3_pair(shelf: Path, name: str, size: int) -> float:
    """Fetch through qh3's own asyncio server and client, with sockets as ours; return seconds."""
    server_ready = free_port()
    program = [sys.executable, "-m", "benchmarks.files", "--qh3-server", str(server_ready)]
    server = subprocess.Popen([*program, str(shelf / name)], stdout=subprocess.PIPE)
    assert server.stdout is not None
    fingerprint = server.stdout.readline().decode().strip()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.files", "--qh3-client", str(server_ready),
             fingerprint, str(size)],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise ProgramError(done.stderr[-500:])
        return float(done.stdout)
    finally:
        stop(server)


def _buffers(transport: Any) -> None:
    """Give a socket buffers as large as ours have."""
    sock = transport.get_extra_info("socket")
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, 4 << 20)


async def qh3_server(port: int, path: Path) -> None:
    """Serve one file to whoever opens a stream."""
    from qh3.asyncio.server import serve

    from parley.server.net.certificate import Certificate
    from parley.udp.settings import for_server

    certificate = Certificate.made(datetime.datetime.now(datetime.UTC))
    tasks: set[asyncio.Task[None]] = set()

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        with path.open("rb") as file:
            while data := file.read(1 << 18):
                writer.write(data)
        writer.write_eof()

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(send(reader, writer))
        tasks.add(task)

    server = await serve(
        "127.0.0.1",
        port,
        configuration=for_server(certificate.certificate, certificate.key),
        stream_handler=handle,
    )
    _buffers(server._transport)
    print(certificate.fingerprint, flush=True)
    await asyncio.Event().wait()


async def qh3_client(port: int, fingerprint: str, size: int) -> float:
    """Fetch from ``qh3_server``, with the SHA-256 taken as our client does."""
    from qh3.asyncio.client import connect

    from parley.udp.settings import for_client

    configuration = for_client(fingerprint)
    configuration.verify_mode = ssl.CERT_NONE
    async with connect("127.0.0.1", port, configuration=configuration) as client:
        _buffers(client._transport)
        reader, writer = await client.create_stream()
        began = time.perf_counter()
        writer.write(b"get")
        writer.write_eof()
        got, digest = 0, hashlib.sha256()
        while data := await reader.read(1 << 20):
            got += len(data)
            digest.update(data)
        took = time.perf_counter() - began
    if got != size:
        raise SystemExit(f"only {got} of {size} bytes came")
    return took


def many(server: Parley, size: int, count: int) -> str:
    """Run ``count`` transfers at once and say what that does to memory and to the chat."""
    client = joined(server.port, "canary")
    tickets = [ticket(joined(server.port, f"n{i}"), "big")["ticket"] for i in range(count)]
    before = most = resident(server.pid)
    threads = [
        threading.Thread(target=drain, args=(server.port, one, size), daemon=True)
        for one in tickets
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in threads):
        asked = time.perf_counter()
        client.send(purpose="ping", ref="p")
        client.until("pong")
        waits.append(time.perf_counter() - asked)
        most = max(most, resident(server.pid))
        time.sleep(0.005)
    took = time.perf_counter() - began
    marks = statistics.quantiles(waits, n=100)
    return (
        f"{count} downloads at once: {count * size / took / 1e6:.0f} MB/s in all; memory "
        f"+{(most - before) / 1e6:.1f} MB; chat round trip median {marks[49] * 1000:.1f} ms, "
        f"99 % {marks[98] * 1000:.1f} ms, of {len(waits)}"
    )


def warm(path: Path, size: int) -> None:
    """Let there be as much free memory as a file takes that the machine has at hand: a virtual one
    gives back what is free for a while, and gets it slowly."""
    path.unlink(missing_ok=True)
    piece = bytes(1 << 20)
    with path.open("wb") as file:
        for _ in range(0, size, len(piece)):
            file.write(piece)
    path.unlink()


def table(rows: dict[str, list[float]], size: int) -> None:
    """Print each row's rate: the median, and the lowest and highest."""
    for name, times in rows.items():
        rates = sorted(size / took / 1e6 for took in times)
        median = statistics.median(rates)
        print(f"{name:<44} {median:>6.0f} MB/s   ({rates[0]:.0f} to {rates[-1]:.0f})")


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return how many times as fast ours is, by the medians."""
    return statistics.median(theirs) / statistics.median(ours)


def network(size: int) -> int:
    """Print what loss, delay and reordering do to both ways."""
    if (reason := why_not()) is not None:
        raise ProgramError(reason)
    weathers = {
        "nothing": Weather(),
        "1 % lost": Weather(loss=1),
        "5 % lost": Weather(loss=5),
        "100 ms there and back": Weather(delay=0.05),
        "100 ms, 1 % lost": Weather(loss=1, delay=0.05),
        "100 ms, 5 % out of order": Weather(delay=0.05, reorder=5),
        "100 ms, 25 % out of order": Weather(delay=0.05, reorder=25),
    }
    with Network(Weather()) as cable, tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        data = Path(place)
        (data / "files").mkdir()
        (data / "files" / "big").write_bytes(os.urandom(size))
        host, port = cable.addresses[0], 10500
        server = Parley(data, ["--host", host, "--rate", "0"], port=port, prefix=cable.inside(0))
        try:
            print(f"{'each way':<28} {'TCP':>10} {'QUIC':>10}   MB/s, {size / 1e6:.0f} MB")
            for name, weather in weathers.items():
                cable.weather = weather
                rates = [_over(cable, port, data, size, via) for via in ("tcp", "udp")]
                print(f"{name:<28} {rates[0]:>10} {rates[1]:>10}", flush=True)
        finally:
            stop(server.process)
    return 0


def _over(cable: Network, port: int, data: Path, size: int, via: str) -> str:
    """Fetch once over the cable; return the rate, or what went wrong."""
    done = subprocess.run(
        [*cable.inside(1), sys.executable, "-m", "benchmarks.files", "--carry",
         cable.addresses[0], str(port), "big", str(data / "got"), via],
        capture_output=True, text=True,
        env={**os.environ, "PARLEY_CONFIG_DIR": str(data / "config")},
    )  # fmt: skip
    whole = (data / "got").exists()
    (data / "got").unlink(missing_ok=True)
    return f"{size / float(done.stdout) / 1e6:.2f}" if whole else done.stderr[-40:]


def compare(size: int, runs: int, at_least: float) -> int:
    """Measure beside the peers. Return 1 if a ratio is under ``at_least``."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="parley-files-") as place:
        data = Path(place)
        shelf = data / "files"
        shelf.mkdir()
        with (shelf / "big").open("wb") as file:
            for _ in range(size // 1_000_000):
                file.write(os.urandom(1_000_000))
        with contextlib.ExitStack() as ending:
            server = Parley(data, ["--rate", "0"])
            ending.callback(stop, server.process)
            peer = Nginx(data, shelf)
            ending.callback(stop, peer.process)
            return _compare(server, peer, size, runs, at_least)


def _compare(server: Parley, peer: Nginx, size: int, runs: int, at_least: float) -> int:
    data = server.data
    url = f"http://127.0.0.1:{peer.port}/big"
    client = joined(server.port, "asker")
    ticket(client, "big")  # the server has read it through
    ways: dict[str, Callable[[], float]] = {
        "nginx, curl to /dev/null": lambda: curl(url, "/dev/null"),
        "Parley, a reader to /dev/null": lambda: drain(
            server.port, ticket(client, "big")["ticket"], size
        ),
        "nginx, curl to a file": lambda: curl(url, str(data / "got")),
        "Parley's client over TCP, SHA-256 checked": lambda: own_client(
            "127.0.0.1", server.port, "big", data, "tcp"
        ),
        "qh3's own pair, SHA-256 taken": lambda: qh3_pair(data / "files", "big", size),
        "Parley's client over QUIC, SHA-256 checked": lambda: own_client(
            "127.0.0.1", server.port, "big", data, "udp"
        ),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            warm(data / "got", size)
            times[name].append(way())
    (data / "got").unlink(missing_ok=True)
    print(f"{size / 1e6:.0f} MB, median of {runs} runs in turns (lowest to highest)")
    table(times, size)
    null, ours, curls, mine, pair, quic = times.values()
    found = {
        "TCP, the server: Parley / nginx": ratio(ours, null),
        "TCP, to a file: Parley's client / curl": ratio(mine, curls),
        "QUIC: Parley / qh3's own pair": ratio(quic, pair),
    }
    for name, times_as_fast in found.items():
        print(f"{name:<44} {times_as_fast:>6.2f}")
    print(many(server, size, 20), flush=True)
    return int(any(value < at_least for value in found.values()))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--size", type=int, default=1_000_000_000, help="bytes")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--at-least", type=float, default=0.8, metavar="RATIO")
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--carry", nargs=5, help=argparse.SUPPRESS)
    parser.add_argument("--qh3-server", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--qh3-client", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.carry:
        host, port, name, path, via = options.carry
        print(asyncio.run(carry(host, int(port), name, Path(path), via)))
        return 0
    if options.qh3_server:
        asyncio.run(qh3_server(int(options.qh3_server[0]), Path(options.qh3_server[1])))
        return 0
    if options.qh3_client:
        port, fingerprint, size = options.qh3_client
        print(asyncio.run(qh3_client(int(port), fingerprint, int(size))))
        return 0
    if options.network:
        return network(min(options.size, 10_000_000))
    return compare(options.size, options.runs, options.at_least)


if __name__ == "__main__":
    sys.exit(main())
