"""A disk that is full, fails, writes half or cannot be written at all: what of it was acknowledged
is there, what was not is said, the chat goes on, and all is as before when the disk is well again.

The faults come from ``disk.c``, preloaded, and once from a file system that is truly full.
"""

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ChatServer, Make, cpu, until
from tests.faults.powercut import between
from tests.files.carrying import Carrying, bring, fetch, put, sha256
from tests.server.test_retention import all_pages, closed
from tests.server.test_rooms import ask
from tests.wire import Wire, keys, texts

Fault = Callable[..., None]


@pytest.fixture
def faulty(make_server: Make, tmp_path: Path) -> Iterator[tuple[ChatServer, Fault]]:
    """A server, not started, and what brings faults upon its disk: lines of ``disk.c``."""
    server = make_server("--rate", "0")
    server.log = tmp_path / "stderr.log"
    faults = tmp_path / "faults"
    server.env |= between(tmp_path, server.data, faults=faults)

    def fault(*lines: str) -> None:
        new = tmp_path / "faults.new"
        new.write_text("\n".join(lines))
        new.rename(faults)

    yield server, fault
    fault()


def refused(wire: Wire, text: str) -> None:
    """Say something, and be told that it cannot be stored."""
    wire.send(purpose="message", ref=text, text=text)
    error = wire.error("STORE_UNAVAILABLE")
    assert error["ref"] == text and error["retry_after"]


@pytest.mark.parametrize("action", [f"{errno.ENOSPC}", f"half:{errno.ENOSPC}", f"{errno.EIO}"])
def test_what_the_log_cannot_take_is_refused_and_nothing_of_it_stays(
    faulty: tuple[ChatServer, Fault], action: str
) -> None:
    server, fault = faulty
    server.start()
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.say("before")
    fault(f"write history.json$ {action}")
    for number in range(3):
        refused(ann, f"refused {number}")
        assert server.messages == ["before"]
    assert texts(bob.quiet()) == ["before"], "nothing that is not stored may be delivered"
    before = cpu(server.pid)
    assert texts([ask(bob, "history", **{"with": "#lobby"})]) == ["before"]
    assert cpu(server.pid) - before < 0.5
    fault()
    ann.say("refused 1", ref="refused 1")
    assert texts(bob.quiet()) == ["refused 1"]
    assert server.messages == ["before", "refused 1"]
    assert server.stop() == 0
    server.start()
    assert server.messages == ["before", "refused 1"]
    assert not list(server.data.glob("*.torn-*"))


def test_writes_that_take_half_of_what_they_are_given_lose_nothing(
    faulty: tuple[ChatServer, Fault],
) -> None:
    server, fault = faulty
    server.start()
    ann, bob = server.joined("ann"), server.joined("bob")
    fault("write history.json$ half", "write users.json half", "write .parts half")
    said = [f"{number} " + "x" * number * 100 for number in range(10)]
    for text in said:
        ann.say(text)
    assert ask(bob, "register", **keys("secret"))["purpose"] == "ok"
    data = bytes(range(256)) * 1000
    assert bring(server, ann, "half.bin", data)["sha256"] == sha256(data)
    fault()
    assert fetch(server, bob, "half.bin") == data
    assert server.messages[:10] == said
    assert list(json.loads((server.data / "users.json").read_text())) == ["bob"]


@pytest.mark.parametrize("call", ["write", "sync", "rename", "open"])
def test_an_account_that_cannot_be_written_is_none(
    faulty: tuple[ChatServer, Fault], call: str
) -> None:
    server, fault = faulty
    server.start()
    ann, bob = server.joined("ann"), server.joined("bob")
    assert ask(ann, "register", **keys("secret"))["purpose"] == "ok"
    before = (server.data / "users.json").read_bytes()
    fault(f"{call} users.json {errno.ENOSPC if call == 'write' else errno.EIO}")
    assert ask(bob, "register", **keys("secret"))["error"] == "STORE_UNAVAILABLE"
    assert (server.data / "users.json").read_bytes() == before
    ann.say("the chat goes on")
    assert server.wire().login("ann", "secret", 7)["purpose"] == "welcome"
    assert server.wire().login("bob", "secret", 7)["error"] == "AUTH_FAILED"
    fault()
    assert ask(bob, "register", **keys("secret"))["purpose"] == "ok"
    assert list(json.loads((server.data / "users.json").read_text())) == ["ann", "bob"]


def test_an_index_that_cannot_be_written_holds_nobody_up_and_forgets_nothing(
    faulty: tuple[ChatServer, Fault],
) -> None:
    server, fault = faulty
    server.start()
    ann = server.joined("ann")
    ann.say("before")
    fault(f"write history.index {errno.ENOSPC}")
    for number in range(600):  # more than ever wait for it
        ann.say(f"word{number}")
    server.wait_for("cannot write the index")
    assert server.messages == ["before", *(f"word{number}" for number in range(600))]
    fault()
    while (page := ask(ann, "search", text="word77"))["purpose"] == "error":
        assert page["error"] == "STORE_UNAVAILABLE"
    assert texts([page]) == ["word77"]
    fault(f"write history.index {errno.EIO}", f"sync history.index {errno.EIO}")
    ann.say("last")
    assert server.stop() == 0, "it stops in order though the index cannot be closed"
    fault()
    server.start()
    bob = server.joined("bob", since=0)
    assert texts([ask(bob, "search", text="last")]) == ["last"]


def test_an_upload_the_disk_cannot_take_is_refused_and_gone_on_with(
    faulty: tuple[ChatServer, Fault],
) -> None:
    server, fault = faulty
    server.start()
    ann, bob = server.joined("ann"), server.joined("bob")
    data = b"a line of it\n" * 50_000
    for line, name in (
        (f"write .parts half:{errno.ENOSPC}", "a"),
        (f"sync .parts {errno.EIO}", "b"),
        (f"link files/ {errno.EIO}", "c"),
        (f"sync files$ {errno.EIO}", "d"),
    ):
        fault(line)
        ticket = put(ann, name, data)
        carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"], offset=0)
        assert carrying.event()["purpose"] == "ok"
        carrying.sock.sendall(data)
        answer = carrying.event()
        carrying.close()
        assert answer["error"] == "STORE_UNAVAILABLE", (line, answer)
        ann.say(f"the chat goes on, {name}")
        if name == "d":
            break  # it has its name, which only a power cut could take away again
        assert not (server.data / "files" / name).exists()
        fault()
        ticket = put(ann, name, data)
        carrying = Carrying(
            server.port, purpose="store", ticket=ticket["ticket"], offset=ticket.get("offset", 0)
        )
        begins = carrying.event()["offset"]
        carrying.sock.sendall(data[begins:])
        assert carrying.event().get("sha256") == sha256(data), line
        carrying.close()
        assert fetch(server, bob, name) == data


@pytest.mark.parametrize(
    "where", ["open json.new", "write json.new", "rename history-000001", "sync data0$"]
)
def test_a_file_that_cannot_be_closed_goes_on_growing(
    faulty: tuple[ChatServer, Fault], where: str
) -> None:
    server, fault = faulty
    server.start("--keep", "2K")
    ann = server.joined("ann")
    fault(f"{where} {errno.EIO}" if "write" not in where else f"{where} {errno.ENOSPC}")
    ann.say("x" * 2000)
    server.wait_for("cannot be rotated")
    ann.say("y")
    assert not closed(server.data) and server.messages == ["x" * 2000, "y"]
    assert server.stop() == 0
    fault()
    server.start("--keep", "2K")
    bob = server.joined("bob")
    bob.say("z")
    until(lambda: closed(server.data), "no file was closed")
    assert all_pages(bob) == ["x" * 2000, "y", "z"]


@pytest.mark.parametrize("part", ["history.json$", "data0$"])
def test_a_sync_that_fails_while_a_file_is_closed_ends_the_server(
    faulty: tuple[ChatServer, Fault], part: str
) -> None:
    server, fault = faulty
    server.start("--keep", "2K", "--fsync", "never")
    ann = server.joined("ann")
    if part == "data0$":
        fault(f"sync {part} {errno.EIO}", f"rename history.json$ {errno.EIO}")
    else:
        fault(f"sync {part} {errno.EIO}")
    ann.send(purpose="message", ref="r", text="x" * 3000)
    assert server.wait() == os.EX_IOERR
    assert "cannot be written safely any more" in server.said
    fault()
    server.start("--keep", "1G", port=0)
    server.joined("bob").say("goes on")


def test_what_is_there_at_a_start_must_be_on_the_disk(faulty: tuple[ChatServer, Fault]) -> None:
    server, fault = faulty
    server.start()
    server.joined("ann").say("perhaps in memory alone")
    server.kill()
    fault(f"sync history.json$ {errno.EIO}")
    for _ in range(2):
        server.launch()
        assert server.wait() == os.EX_IOERR
        assert "cannot be written safely any more" in server.said and "Traceback" not in server.said
    fault()
    server.start()
    assert server.messages == ["perhaps in memory alone"]


def test_a_disk_that_becomes_read_only_lets_one_read(faulty: tuple[ChatServer, Fault]) -> None:
    server, fault = faulty
    server.start()
    ann = server.joined("ann")
    ann.say("before")
    ask(ann, "search", text="before")
    fault(*(f"{call} data0 {errno.EROFS}" for call in
            ("open", "write", "truncate", "rename", "link", "mkdir")))  # fmt: skip
    for number in range(3):
        refused(ann, f"refused {number}")
    assert texts([ask(ann, "history", **{"with": "#lobby"})]) == ["before"]
    assert ask(ann, "register", **keys("secret"))["error"] == "STORE_UNAVAILABLE"
    ticket = put(ann, "a", b"data")
    if ticket["purpose"] == "ticket":
        carrying = Carrying(server.port, purpose="store", ticket=ticket["ticket"], offset=0)
        assert carrying.event()["error"] == "STORE_UNAVAILABLE"
        carrying.close()
    assert server.messages == ["before"]
    fault()
    ann.say("after")
    assert ask(ann, "register", **keys("secret"))["purpose"] == "ok"
    assert server.messages == ["before", "after"]


def in_a_namespace() -> bool:
    done = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    return done.returncode == 0


needs_mounts = pytest.mark.skipif(
    shutil.which("unshare") is None or not in_a_namespace(), reason="needs mount namespaces"
)


def mounted(how: str, data: Path) -> tuple[str, ...]:
    """Return what to start a server under, so that it finds ``data`` mounted so."""
    script = f'{how.format(shlex_quote(data))} && exec "$@"'
    return ("unshare", "-rm", "sh", "-c", script, "sh")


def shlex_quote(path: Path) -> str:
    return f"'{path}'"


@needs_mounts
def test_a_disk_that_is_read_only_at_the_start_is_said(make_server: Make) -> None:
    server = make_server()
    server.log = server.data.parent / "stderr.log"
    server.start()
    server.joined("ann").say("before")
    assert server.stop() == 0
    server.prefix = mounted("mount --bind {0} {0} && mount -o remount,bind,ro {0}", server.data)
    server.launch()
    assert server.wait() == 1
    assert "Read-only file system" in server.said and "Traceback" not in server.said
    server.prefix = ()
    server.start()
    assert server.messages == ["before"]


@needs_mounts
def test_a_file_system_that_is_full_refuses_and_recovers(make_server: Make) -> None:
    server = make_server("--rate", "0")
    server.log = server.data.parent / "stderr.log"
    server.prefix = mounted("mount -t tmpfs -o size=1M none {0}", server.data)
    server.start()
    inside = Path(f"/proc/{server.pid}/root{server.data}")
    ann, bob = server.joined("ann"), server.joined("bob")
    ann.say("before")
    with (inside / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError as problem:
            assert problem.errno == errno.ENOSPC
    stored = ["before"]
    for number in range(20):  # what is left of the last page may still take some
        ann.send(purpose="message", ref=f"{number}", text=f"{number} " + "x" * 1000)
        event = ann.recv()
        assert event is not None
        if event["purpose"] == "ok":
            stored.append(f"{number} " + "x" * 1000)
    assert event is not None and event["error"] == "STORE_UNAVAILABLE"
    assert ask(bob, "register", **keys("secret"))["error"] == "STORE_UNAVAILABLE"
    found = json.loads((inside / "history.json").read_text())
    assert [r["text"] for r in found if r["purpose"] == "message"] == stored
    (inside / "filler").unlink()
    ann.say("after")
    assert ask(bob, "register", **keys("secret"))["purpose"] == "ok"
    page = ask(ann, "search", text="after")
    assert texts([page]) == ["after"]
    found = json.loads((inside / "history.json").read_text())
    assert [r["text"] for r in found if r["purpose"] == "message"] == [*stored, "after"]
