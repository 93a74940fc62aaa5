"""Starting: the parts of a server are made here, in the order in which they need each other."""

import datetime
import fcntl
import ipaddress
import logging
import os
import resource
import secrets
import signal
import socket
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from framing.events import Limits, Quic
from framing.limits import FRAME, PAGE, TEXT
from parley.server.accounts.accounts import Accounts
from parley.server.accounts.scram import Secret
from parley.server.carrying.quic import QuicFiles
from parley.server.carrying.transfers import Transfers
from parley.server.chat.addresses import Addresses
from parley.server.chat.chat import Chat
from parley.server.chat.entrance import Greeting
from parley.server.chat.sharing import Sharing
from parley.server.delivery import EACH_BY_ITSELF, Delivery
from parley.server.doors.peer import Settings
from parley.server.encryption import read_certificate, renew
from parley.server.files.shelf import Shelf
from parley.server.gate import Gate
from parley.server.ground.durable import make_directory, sync_directory
from parley.server.ground.limits import Rate
from parley.server.index.archive import Archive
from parley.server.index.errors import IndexBehindError, PastUnreadableError
from parley.server.index.file import give_up, is_held, is_kept
from parley.server.index.index import Index
from parley.server.index.retention import Retention
from parley.server.log.compact import compact
from parley.server.log.log import Log, LogBrokenError
from parley.server.log.recovery import Recovery
from parley.server.log.segments import MARKS, Segments
from parley.server.net.certificate import Certificate
from parley.server.net.listener import listen, set_up
from parley.server.net.loop import Loop
from parley.server.net.ring import Ring
from parley.server.net.tls import Tls
from parley.server.operating.systemd import Notifier, take_sockets
from parley.server.options import Options
from parley.server.server import HEEDED, Server
from parley.server.web.front import Front
from parley.server.web.origins import Origins, own_names
from parley.server.web.pages import read_pages
from parley.server.web.proxies import Proxies
from parley.server.web.site import Site

VERSION: Final = "0.1.0"

_OTHER_DESCRIPTORS: Final = 100
"""Descriptors that are no clients': the log's files, the index, listeners, the selector, clients
that are being turned away, who asks for health and metrics. Of very few, half are clients'."""

logger = logging.getLogger(__name__)


class StartError(Exception):
    """The server cannot be started so. The text says why and what to do."""


def start(options: Options, again: Callable[[], Options]) -> Server:
    """Return a server that listens and is ready to run. ``again`` returns the options as they
    are later, when they are to be read again.

    Raises ``StartError``, ``HistoryError``, ``AccountsError`` or ``CertificateError`` with a
    sentence for people, and ``LogBrokenError`` as ``Server.run`` does.
    """
    try:
        for above in make_directory(options.data):
            sync_directory(above)
        _lock(options.data / "history.json.lock")
        accounts = open_accounts(options.data)
        secret = Secret(options.data / "server.secret")
        log, index = _open_log(options)
    except LogBrokenError:
        raise
    except (FileExistsError, NotADirectoryError):
        text = f"--data {options.data}: a file stands where a directory is to be"
        raise StartError(text) from None
    except OSError as problem:
        raise StartError(f"{problem.filename or options.data}: {problem.strerror}") from None
    except (sqlite3.Error, IndexBehindError) as problem:
        why = _why_kept(problem)
        raise StartError(f"{options.data / 'history.index'} cannot be written: {why}") from None
    try:
        return _listening(options, again, accounts, secret, log, index)
    except BaseException:
        index.let_go()  # whoever deals with it can still read something in it
        raise


def _listening(
    options: Options,
    again: Callable[[], Options],
    accounts: Accounts,
    secret: Secret,
    log: Log,
    index: Index,
) -> Server:
    """Return a server over these that listens."""
    certificate = read_certificate(options)
    try:
        given = take_sockets(os.environ)
    except ValueError as problem:
        raise StartError(str(problem)) from None
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)  # until there is a server to heed them
    listening = _listen(options, accounts, given.chat)
    chat = Chat(
        accounts,
        secret,
        Archive(log, index),
        log.append,
        _greeting(options),
        Rate(options.rate, options.burst),
        lambda: secrets.token_urlsafe(24),
        Shelf(options.files or options.data / "files", options.shelf),
        Addresses(options.bounds),
    )
    chat.sharing.shelf.recover()
    loop = Loop()
    transfers = Transfers(loop, chat.sharing)
    retention = Retention(options.keep, log, index)
    quic = _quic(options, listening, given.files, loop, transfers, chat.sharing, certificate)
    tls = None if certificate is None else Tls(certificate)
    gate = Gate(loop, chat, transfers, _settings(options), tls)
    gate.open(listening)
    delivery = Delivery(_ring() if options.io_uring else None)
    server = Server(loop, gate, chat, log, index, retention, transfers, quic, delivery)

    def reload() -> None:
        now = _reload(server, chat, accounts, again) or options
        if tls is not None:
            renew(now, tls, quic, chat.sharing)

    server.reload = reload
    if options.web is not None:
        _open_web(options, options.web, gate, loop, transfers)
    server.supervisor = Notifier(os.environ)
    if options.metrics is not None or given.metrics:
        _open_monitor(options, given.metrics, loop, server, chat, log, index, transfers, accounts)
    for sock in listening:
        logger.info(
            "listening on %s tls=%s data=%s fsync=%s messages=%d accounts=%d",
            _shown(sock),
            "no" if certificate is None else f"sha256:{certificate.fingerprint}",
            options.data.resolve(),
            options.fsync,
            log.seq,
            len(accounts),
        )
    if tls is None and _beyond_loopback(listening):
        logger.warning(
            "not encrypted: whoever is on the way to %s can read along. --make-cert makes a "
            "certificate, --tls-cert and --tls-key use it",
            listening[0].getsockname()[0],
        )
    return server


def _reload(
    server: Server, chat: Chat, accounts: Accounts, again: Callable[[], Options]
) -> Options | None:
    """Read users.json, the message of the day and the limits again. What is bad is refused,
    and what was before stays. Return the options, None if they are bad."""
    accounts.refresh(again=True)
    try:
        options = again()
    except SystemExit:
        logger.error("the options are bad (see above): what was before stays in force")
        chat.reload(None, None, None)
        return None
    chat.reload(_greeting(options), Rate(options.rate, options.burst), options.bounds)
    server.gate.settings = _settings(options)
    server.retention.keep = options.keep
    chat.sharing.shelf.limits = options.shelf
    need = (
        "host, ports, data, fsync, UDP, io_uring, origins and proxies of the page, and TLS or not"
    )
    logger.info("options and accounts read again; %s need a restart", need)
    return options


def _greeting(options: Options) -> Greeting:
    return Greeting(
        server=f"Parley/{VERSION}",
        motd=options.motd,
        fsync=options.fsync,
        limits=Limits(FRAME, TEXT, PAGE, options.rate, options.burst, options.timeout),
    )


def _settings(options: Options) -> Settings:
    return Settings(
        _most_clients(options), options.timeout, options.grace, options.backlog, options.bounds
    )


def open_accounts(data: Path) -> Accounts:
    """Return the accounts in ``data``, with plain passwords turned into verifiers."""
    accounts = Accounts(data / "users.json")
    converted = accounts.convert()
    if converted:
        logger.info("%s: %d plain passwords turned into verifiers", accounts.path, converted)
    return accounts


def compact_history(options: Options) -> str:
    """Rewrite the history without what was taken back. Return what was done, as a sentence.

    Raises ``StartError`` if a server is running or the history is damaged.
    """
    path = options.data / "history.json"
    try:
        _lock(options.data / "history.json.lock")
        files = Segments(path)
        files.close()
        paths = [*(files.name(number) for number in files.closed if number != MARKS), path]
        before = sum(p.stat().st_size for p in paths)
        gone = compact(paths)
    except OSError as problem:
        raise StartError(f"{problem.filename or path}: {problem.strerror}") from None
    except ValueError as problem:
        raise StartError(f"{path}: {problem}; a start of the server says more") from None
    try:
        remove_index(options.data)
    except sqlite3.OperationalError as problem:
        raise StartError(
            f"the history is rewritten, but {options.data / 'history.index'} still has the texts "
            f"that are gone from it: {_why_kept(problem)}. The next start of the server, or "
            f"--compact again, makes an end of them"
        ) from None
    after = sum(p.stat().st_size for p in paths)
    return f"{path}: {gone} texts that were taken back are gone, {before} bytes became {after}"


def _lock(path: Path) -> None:
    """Hold ``path`` locked as long as the process lives: two servers on one log would ruin it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise StartError(
            f"another server is running on {path.parent.resolve()}: stop it, or give this one "
            f"a directory of its own with --data"
        ) from None


def _open_log(options: Options) -> tuple[Log, Index]:
    """Open the log and its index; an index that turns out damaged is made anew."""
    try:
        return _open_with_index(options)
    except (sqlite3.DatabaseError, UnicodeDecodeError, PastUnreadableError) as problem:
        if is_kept(problem):
            raise
        logger.warning("%s: %s; making it again", options.data / "history.index", problem)
        remove_index(options.data)
        return _open_with_index(options)


def remove_index(data: Path) -> None:
    """Delete the index in ``data``, but for what people have read: the next start makes it
    again."""
    give_up(data / "history.index")


def _why_kept(problem: Exception) -> str:
    """Say why the index cannot be written or removed."""
    return "another program has it open; close that" if is_held(problem) else str(problem)


def _open_with_index(options: Options) -> tuple[Log, Index]:
    index = Index(options.data / "history.index", _boot())
    path = options.data / "history.json"
    try:
        recovery = Recovery(path, index.checkpoint)
        log = Log(recovery.files, recovery.position, options.fsync, recovery.began)
        index.start(log, recovery.tail, recovery.trusted is not None, recovery.floor)
        Archive(log, index).deeds()  # if it is damaged, it is better known here
    except BaseException:
        index.let_go()  # whoever deals with it can still read something in it
        raise
    if index.behind:
        logger.info("making the index of %d records, newest first; the chat goes on", log.seq)
    return log, index


def _open_web(options: Options, port: int, gate: Gate, loop: Loop, transfers: Transfers) -> None:
    """Let browsers in on ``port``."""
    sockets = _bound(options, port, "--web PORT")
    origins = Origins(options.web_origins, own_names(options.host))
    scheme = "http" if options.tls_cert is None else "https"
    site = Site(read_pages(), origins, Proxies(options.web_proxies), transfers, scheme)
    gate.open_door(sockets, Front(loop, gate, site))
    for sock in sockets:
        logger.info("for browsers: %s://%s/", scheme, _shown(sock))


def _shown(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _bound(options: Options, port: int, another: str) -> list[socket.socket]:
    """Listen on ``port``; ``another`` is how another one is given. Raises ``StartError``."""
    try:
        return listen(options.host, port, options.timeout)
    except socket.gaierror as problem:
        raise StartError(f"cannot listen on {options.host!r}: {problem.strerror}") from None
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        raise StartError(
            f"cannot listen on {options.host}:{port}: {reason}. Is a server running there "
            f"already? Another port can be given: chat_server.py {another}"
        ) from None


def _listen(
    options: Options, accounts: Accounts, given: list[socket.socket]
) -> list[socket.socket]:
    """Return the sockets for the chat: those that were handed over, else new ones."""
    where = f"{options.host}:{options.port}"
    for sock in given:
        set_up(sock, options.timeout)
    listening = given or _bound(options, options.port, "PORT")
    if _beyond_loopback(listening):
        known = accounts.with_published_password()
        if known:
            for sock in listening:
                sock.close()
            raise StartError(
                f"refusing to listen on {where}: {', '.join(known)} still have the demo password "
                f"that everybody knows. Give each another with --set-password NAME, or remove "
                f"them from {accounts.path}"
            )
    return listening


def _beyond_loopback(listening: Sequence[socket.socket]) -> bool:
    return any(not ipaddress.ip_address(s.getsockname()[0]).is_loopback for s in listening)


def _quic(
    options: Options,
    listening: list[socket.socket],
    given: list[socket.socket],
    loop: Loop,
    transfers: Transfers,
    sharing: Sharing,
    certificate: Certificate | None,
) -> list[QuicFiles]:
    """Return what carries files over UDP: on sockets that were handed over, else on the ports of
    ``listening``; none if that cannot be."""
    if not options.udp:
        return []
    try:
        socks = given or [_udp_beside(sock) for sock in listening]
    except OSError as problem:
        logger.warning("files go over TCP only: the UDP port cannot be had: %s", problem.strerror)
        return []
    certificate = certificate or Certificate.made(datetime.datetime.now(datetime.UTC))
    sharing.quic = Quic(socks[0].getsockname()[1], certificate.fingerprint)
    return [QuicFiles(sock, loop, transfers, sharing, certificate) for sock in socks]


def _open_monitor(
    options: Options,
    given: list[socket.socket],
    loop: Loop,
    server: Server,
    chat: Chat,
    log: Log,
    index: Index,
    transfers: Transfers,
    accounts: Accounts,
) -> None:
    """Open the port for metrics, health and readiness, on sockets that were handed over or where
    ``--metrics`` says."""
    try:
        from parley.server.operating.monitor import Monitor
        from parley.server.sideport import Parts, pages
    except ModuleNotFoundError as problem:
        raise StartError(
            f"--metrics needs the package {problem.name}: pip install 'parley-chat[metrics]', "
            f"or in a checkout '.[metrics]'"
        ) from None
    host, port = options.metrics or ("", 0)
    try:
        listening = given or listen(host, port, options.timeout)
    except OSError as problem:
        raise StartError(f"--metrics: cannot listen on {host}:{port}: {problem.strerror}") from None
    parts = Parts(server, chat, log, index, transfers, accounts, options.data)
    server.beside.append(Monitor(loop, listening, pages(parts, VERSION), lambda: server.gate.mono))
    for sock in listening:
        host, port = sock.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        logger.info("metrics on http://%s:%d/metrics", shown, port)


def _ring() -> Ring | None:
    """Return a ring to send by; None where this process may not have one."""
    try:
        return Ring()
    except OSError as problem:
        logger.info("io_uring cannot be used: %s; %s", problem.strerror, EACH_BY_ITSELF)
        return None


def _udp_beside(listening: socket.socket) -> socket.socket:
    sock = socket.socket(listening.family, socket.SOCK_DGRAM)
    try:
        if listening.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(listening.getsockname())
    except BaseException:
        sock.close()
        raise
    return sock


def _most_clients(options: Options) -> int:
    """Return how many clients there may be: as asked, or as the descriptors allow."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return options.max_clients or max(1, hard - min(_OTHER_DESCRIPTORS, hard // 2))


def _boot() -> str:
    """Return what names this boot of the machine, or "" where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
