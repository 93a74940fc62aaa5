"""The server's options: from the command line, the environment, and a config file."""

import dataclasses
import io
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import configargparse

from parley.server.files.shelf import ShelfLimits
from parley.server.ground.bounds import Acts, Bounds, Network
from parley.server.ground.reading import read_regular
from parley.server.index.retention import Keep
from parley.server.log.log import Fsync
from parley.server.web.origins import OriginError, normal

DEFAULT_PORT = 10500
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MOTD_BYTES = 2000  # as JSON it takes up to six times as many, of a frame with much else in it


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. Times are in seconds, sizes in bytes; see ``--help`` for the rest."""

    host: str
    port: int
    data: Path
    max_clients: int | None
    fsync: Fsync
    rate: float
    burst: int
    timeout: float
    grace: float
    backlog: int
    motd: str
    log_level: str
    log_json: bool
    add_user: str | None
    set_password: str | None
    admin: str | None
    compact: bool
    keep: Keep
    files: Path | None
    shelf: ShelfLimits
    udp: bool
    io_uring: bool
    bounds: Bounds
    tls_cert: Path | None
    tls_key: Path | None
    make_cert: list[str] | None
    web: int | None
    web_origins: list[str]
    web_proxies: tuple[Network, ...]
    metrics: tuple[str, int] | None


def parse(arguments: list[str] | None = None) -> Options:
    """Return the options in ``arguments`` (by default the process's). Exits with 2 on a bad one."""
    parser = configargparse.ArgumentParser(
        prog="chat_server.py",
        usage="%(prog)s [PORT] [options]",  # all of them would bury what is wrong
        description="A chat server in one thread. Who talks, and what was said, stands in two "
        "files in the data directory: users.json and history.json.",
        auto_env_var_prefix="PARLEY_",
        config_file_open_func=_open_config,
        default_config_files=["/etc/parley/server.conf"],
        add_env_var_help=False,
        add_config_file_help=False,
        epilog="Every option can also be given as an environment variable (--max-clients is "
        "PARLEY_MAX_CLIENTS) or as a line in a config file (max-clients = 200): in "
        "/etc/parley/server.conf, or the file that --config names. The command line goes before "
        "the environment, the environment before the file. SIGHUP reads users.json, the message of "
        "the day, the limits and the certificate again. Ctrl+c tells the clients and stops.",
    )
    add = parser.add_argument
    add(
        "PORT", nargs="?", type=_port, help=f"TCP port; 0 takes a free one (default {DEFAULT_PORT})"
    )
    add("--port", type=_port, help=configargparse.SUPPRESS)
    add("--config", is_config_file=True, metavar="FILE", help="read options from FILE")

    group = parser.add_argument_group("where")
    group.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default 127.0.0.1: this machine only; 0.0.0.0 for all)",
    )
    group.add_argument(
        "--data",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="directory of users.json and history.json (default: this one)",
    )

    group.add_argument(
        "--web",
        type=_port,
        metavar="PORT",
        help="let browsers in on this port too, by a page of the server's own; 0 takes a free one "
        "(default: no browsers)",
    )
    group.add_argument(
        "--web-origin",
        type=_origin,
        action="append",
        default=[],
        metavar="ORIGIN",
        help="where the page is also reached, such as https://chat.example.org behind a proxy; "
        "may be given several times. Pages from elsewhere are refused",
    )
    group.add_argument(
        "--web-proxy",
        type=_networks,
        default=(),
        metavar="NETWORK,...",
        help="networks of proxies of your own before --web, such as 127.0.0.1: what they say in "
        "X-Forwarded-For or Forwarded is whose a connection is, for limits and bans of addresses "
        "(default: nobody is believed)",
    )

    group = parser.add_argument_group("what it promises")
    group.add_argument(
        "--fsync",
        choices=["always", "everysec", "never"],
        default="always",
        help="when a message is on the disk for good: before it is acknowledged (always, the "
        "default), within a second of it, or when the system likes",
    )
    group.add_argument(
        "--motd",
        type=_motd,
        default="",
        metavar="TEXT",
        help="a message of the day for everybody who joins",
    )

    group.add_argument(
        "--keep",
        type=_keep,
        default=Keep(),
        metavar="DAYS|SIZE",
        help="when history.json holds so many days (30) or bytes (500M, 2G), close it as "
        "history-000001.json and so on, and begin another; all of them stay readable in the chat "
        "(default: one file for ever)",
    )
    group.add_argument(
        "--drop",
        action="store_true",
        help="with --keep: drop what is older than that, or over that size, for good; files "
        "are then closed at an eighth of it",
    )

    group = parser.add_argument_group("files")
    group.add_argument(
        "--files",
        type=Path,
        metavar="DIR",
        help="directory of the files that are shared; what you put there is shared with "
        "everybody (default: files in the data directory)",
    )
    group.add_argument(
        "--file-size",
        type=_bytes,
        default=2 << 30,
        metavar="SIZE",
        help="most that one file may have; 0 lets nobody share (default 2G)",
    )
    group.add_argument(
        "--shelf-size",
        type=_bytes,
        default=20 << 30,
        metavar="SIZE",
        help="most that all files together may have (default 20G)",
    )
    group.add_argument(
        "--file-day",
        type=_bytes,
        default=5 << 30,
        metavar="SIZE",
        help="most that one account, or the guests of one address, may share in a day (default 5G)",
    )

    group.add_argument(
        "--no-udp",
        action="store_true",
        help="let files go over TCP only, not over QUIC on the UDP port of the same number",
    )

    group = parser.add_argument_group("encryption; without it anybody on the way can read along")
    group.add_argument(
        "--tls-cert",
        type=Path,
        metavar="FILE",
        help="speak TLS, and only that, with this certificate (PEM, with the chain to its CA); "
        "read again at SIGHUP",
    )
    group.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM)")
    group.add_argument(
        "--make-cert",
        nargs="*",
        metavar="NAME",
        help="make a certificate that signs itself, for these names and addresses of this machine "
        "(default: those it knows of), write tls.crt and tls.key into the data directory, and exit",
    )

    group = parser.add_argument_group("limits")
    group.add_argument(
        "--max-clients",
        type=_positive,
        metavar="N",
        help="most clients at once (default: as many as the system has descriptors for)",
    )
    group.add_argument(
        "--rate",
        type=_amount,
        default=50.0,
        metavar="N",
        help="messages a second that one client may send for long; 0 is no limit (default 50)",
    )
    group.add_argument(
        "--burst",
        type=_positive,
        default=1000,
        metavar="N",
        help="messages that one client may send at once (default 1000)",
    )
    group.add_argument(
        "--timeout",
        type=_seconds,
        default=90.0,
        metavar="SECONDS",
        help="silence after which a client is taken for lost; clients ping (default 90)",
    )
    group.add_argument(
        "--backlog",
        type=_positive,
        default=8 * 1024 * 1024,
        metavar="BYTES",
        help="what may wait for a client that reads too slowly before it is dropped, to come back "
        "for the rest when it can (default 8388608)",
    )
    group.add_argument(
        "--grace",
        type=_amount,
        default=5.0,
        metavar="SECONDS",
        help="time for the clients to acknowledge that the server stops (default 5)",
    )

    group.add_argument(
        "--no-io-uring",
        action="store_true",
        help="send to each client by a call of its own, also where the kernel's io_uring could "
        "send to many by one",
    )

    group = parser.add_argument_group(
        "limits of one address, of one person, and in all",
        "N/SECONDS: so many at once, and so many again in that time; 0 is no limit.",
    )
    for bound in dataclasses.fields(Bounds):
        group.add_argument(
            "--" + bound.name.replace("_", "-"),
            type=_KINDS[bound.type],
            default=bound.default,
            metavar=bound.metadata["metavar"],
            help=f"{bound.metadata['reason']} (default {shown(bound.default)})",
        )

    group = parser.add_argument_group(
        "what the server says of itself: a log on standard error, and metrics"
    )
    group.add_argument(
        "--log-level",
        choices=["debug", "info", "warning", "error"],
        default="info",
        help="least level to log (default info: a line for each coming and going)",
    )
    group.add_argument("--log-json", action="store_true", help="log a JSON object a line")
    group.add_argument(
        "--metrics",
        type=_address,
        metavar="[ADDRESS:]PORT",
        help="answer HTTP there with /metrics for Prometheus, /healthz and /readyz (default: no; "
        "without an address on 127.0.0.1)",
    )

    group = parser.add_argument_group("accounts; the server may be running or not")
    group.add_argument(
        "--add-user", metavar="NAME", help="make an account, ask for its password, and exit"
    )
    group.add_argument(
        "--set-password", metavar="NAME", help="give an account another password, and exit"
    )
    group.add_argument(
        "--admin", metavar="NAME", help="make an account an admin, who may moderate, and exit"
    )
    group = parser.add_argument_group("the history; while no server runs")
    group.add_argument(
        "--compact",
        action="store_true",
        help="rewrite history.json without the texts that were taken back, and exit",
    )

    found = parser.parse_args(arguments)
    if found.drop and found.keep == Keep():
        parser.error("--drop drops what --keep does not keep: give --keep too")
    if (found.tls_cert is None) != (found.tls_key is None):
        parser.error("--tls-cert and --tls-key go together: give both")
    port = found.PORT if found.PORT is not None else found.port
    return Options(
        host=found.host,
        port=DEFAULT_PORT if port is None else port,
        data=found.data,
        max_clients=found.max_clients,
        fsync=cast(Fsync, found.fsync),
        rate=found.rate,
        burst=found.burst,
        timeout=found.timeout,
        grace=found.grace,
        backlog=found.backlog,
        motd=found.motd,
        log_level=found.log_level,
        log_json=found.log_json,
        add_user=found.add_user,
        set_password=found.set_password,
        admin=found.admin,
        compact=found.compact,
        keep=found.keep._replace(drop=found.drop),
        files=found.files,
        udp=not found.no_udp,
        io_uring=not found.no_io_uring,
        tls_cert=found.tls_cert,
        tls_key=found.tls_key,
        make_cert=found.make_cert,
        web=found.web,
        web_origins=found.web_origin,
        web_proxies=found.web_proxy,
        metrics=found.metrics,
        shelf=ShelfLimits(found.file_size, found.shelf_size, found.file_day),
        bounds=Bounds(**{b.name: getattr(found, b.name) for b in dataclasses.fields(Bounds)}),
    )


def shown(default: object) -> str:
    """Return a bound's default as one would write it."""
    if isinstance(default, tuple) and not isinstance(default, Acts):
        return ",".join(map(str, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def _open_config(path: str, mode: str = "r") -> io.StringIO:
    """Open a config file: a pipe or a device in its place must not keep the start waiting."""
    try:
        return io.StringIO(read_regular(Path(path)).decode())
    except UnicodeDecodeError:
        raise OSError(f"{path} is no text in UTF-8") from None


def _motd(text: str) -> str:
    if len(text.encode()) > MOTD_BYTES:
        raise configargparse.ArgumentTypeError(f"longer than {MOTD_BYTES} bytes")
    return text


def _keep(text: str) -> Keep:
    amount, unit = _quantity(text)
    if not 0 < amount < 1e9 or unit not in ("", "D", *_UNITS):
        raise configargparse.ArgumentTypeError(
            f"{text!r} is neither a number of days, such as 30, nor a size, such as 500M or 2G"
        )
    if unit in ("", "D"):
        return Keep(seconds=amount * 86400)
    return Keep(size=int(amount * _UNITS[unit]))


def _bytes(text: str) -> int:
    amount, unit = _quantity(text)
    if not 0 <= amount < 1e15 or unit not in ("", *_UNITS):
        raise configargparse.ArgumentTypeError(f"{text!r} is no size, such as 500M or 2G")
    return int(amount * _UNITS.get(unit, 1))


def _quantity(text: str) -> tuple[float, str]:
    """Return a number and the letter behind it, in upper case; -1 if it is none."""
    number, unit = text.strip(), ""
    if number and not number[-1].isdecimal():
        number, unit = number[:-1], number[-1].upper()
    try:
        return float(number), unit
    except ValueError:
        return -1.0, unit


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise configargparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return int(text)


def _origin(text: str) -> str:
    try:
        return normal(text)
    except OriginError as problem:
        raise configargparse.ArgumentTypeError(str(problem)) from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]") or "127.0.0.1", _port(port)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise configargparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1e9:
        raise configargparse.ArgumentTypeError(f"{text!r} is no number, 0 or more")
    return number


def _seconds(text: str) -> float:
    number = _amount(text)
    if number < 1:
        raise configargparse.ArgumentTypeError(f"{text!r} s is too short: at least 1")
    return number


def _acts(text: str) -> Acts:
    count, _, seconds = text.partition("/")
    acts = Acts(_amount(count), _amount(seconds or "1"))
    if 0 < acts.most < 1 or (acts.most and not acts.seconds):
        raise configargparse.ArgumentTypeError(f"{text!r} is not of the form 300/60, nor 0")
    return acts


def _networks(text: str) -> tuple[Network, ...]:
    if text.strip().lower() == "none":
        return ()
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(","))
    except ValueError as problem:
        raise configargparse.ArgumentTypeError(f"{text!r}: {problem}") from None


_KINDS: dict[Any, Callable[[str], Any]] = {
    int: _positive,
    float: _amount,
    Acts: _acts,
    tuple[Network, ...]: _networks,
}
"""What reads a bound of each type from text."""
