"""--keep closes history.json and numbers it; all can be read. --drop drops the oldest files."""

import contextlib
import json
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from framing.frames import encode_frame
from tests.conftest import ChatServer, Make, unchanged, until
from tests.server.test_rooms import ask
from tests.wire import Wire, texts


def closed(data: Path) -> list[Path]:
    return sorted(p for p in data.glob("history-*.json") if not p.name.endswith("000000.json"))


def talk_until(wire: Wire, said: list[str], data: Path, files: int) -> None:
    """Talk until there are so many closed files."""
    name = data / f"history-{files:06}.json"
    deadline = time.monotonic() + 60
    while not any(p >= name for p in closed(data)):
        assert time.monotonic() < deadline
        said.append(f"word{len(said)} " + "x" * 200)
        wire.say(said[-1])


def all_pages(wire: Wire) -> list[str]:
    """Page back through the whole lobby."""
    found: list[str] = []
    before: dict[str, Any] = {}
    while True:
        page = ask(wire, "history", limit=7, **{"with": "#lobby"}, **before)
        found = texts([page]) + found
        if page["end"]:
            return found
        before = {"before": page["messages"][0]["seq"]}


def records(data: Path) -> list[dict[str, Any]]:
    """All records in all files, each of which must be a whole JSON array. If a file is closed or
    dropped meanwhile they are read once more."""
    while True:
        found: list[dict[str, Any]] = []
        before = closed(data)
        with contextlib.suppress(FileNotFoundError):
            for path in [*before, data / "history.json"]:
                found += json.loads(unchanged(path))
            if closed(data) == before:
                return found


def test_all_can_be_read_over_all_files_before_and_after_restarts(make_server: Make) -> None:
    server = make_server("--rate", "0", "--keep", "4K").start()
    ann = server.joined("ann")
    token = ann.passed[0]["token"]
    said: list[str] = []
    talk_until(ann, said, server.data, 1)
    first = ann.say("to be changed")["seq"]
    said.append("changed")
    talk_until(ann, said, server.data, 3)
    # A change of what stands in a closed file is a record of its own, in the file that grows.
    changed = ask(ann, "edit", seq=first, text="changed")["seq"]
    said.append("changed")
    server.joined("late", since=changed - 1).close()

    for how in ("as it is", "stopped", "killed", "without its index"):
        if how == "killed":
            server.kill()
        elif how != "as it is":
            server.stop()
        if how == "without its index":
            for path in server.data.glob("history.index*"):
                path.unlink()
        if how != "as it is":
            server.start()
            ann = server.wire()
            ann.join("ann", token=token, bot=True)
        found = all_pages(ann)
        assert found == said, how
        hit = ask(ann, "search", text="word2")
        assert texts([hit]) == [said[2]], how
        again = server.wire()
        again.join(f"again-{how.replace(' ', '')}", since=0)
        events = [again.until("history", replay=True)]
        while not events[-1]["end"]:
            events.append(again.until("history", replay=True))
        assert texts(events) == said
        seqs = [record["seq"] for record in records(server.data)]
        assert seqs == list(range(1, len(seqs) + 1)), how
    assert all(4000 < p.stat().st_size < 6000 for p in closed(server.data)[:3])


def test_what_is_old_is_dropped_and_who_is_who_stays(make_server: Make) -> None:
    server = make_server("--rate", "0", "--keep", "16K", "--drop").start()
    ann, bob = server.joined("ann"), server.joined("bob")
    tokens = {"ann": ann.passed[0]["token"], "bob": bob.passed[0]["token"]}
    ask(ann, "enter", room="#closed", private=True)
    ask(ann, "invite", room="#closed", nick="bob")
    ask(bob, "enter", room="#closed")
    ask(ann, "topic", room="#closed", text="what stays")
    ask(ann, "topic", text="and for all")
    ask(ann, "enter", room="#left")
    ask(ann, "leave", room="#left")
    bob.say("old and private", "@ann")
    said: list[str] = []
    for files in (12, 24):  # twice: what was kept of the first is kept of the second
        talk_until(ann, said, server.data, files)
    marks = server.data / "history-000000.json"
    server.wait_for("was dropped")
    assert closed(server.data)[0].name > "history-000004.json"

    for how in ("as it is", "stopped", "without its index", "killed"):
        if how == "killed":
            server.kill()
        elif how != "as it is":
            server.stop()
        if how == "without its index":
            for path in server.data.glob("history.index*"):
                path.unlink()
        if how != "as it is":
            server.start()
            ann, bob = server.wire(), server.wire()
            for nick, wire in (("ann", ann), ("bob", bob)):
                welcome = wire.join(nick, token=tokens[nick], bot=True)
                assert welcome["rooms"] == ["#lobby", "#closed"], how
        rooms = {r["room"]: r for r in ask(bob, "rooms")["rooms"]}
        assert rooms["#closed"]["topic"] == "what stays" and "#left" not in rooms
        assert rooms["#lobby"]["topic"] == "and for all"
        kept = all_pages(ann)
        assert 5 < len(kept) < len(said) and kept == said[-len(kept) :], how
        assert ask(bob, "history", **{"with": "@ann"})["messages"] == []
        assert ask(ann, "search", text="word0")["messages"] == []
        assert texts([ask(ann, "search", text=kept[0].split()[0])]) == kept[:1]
        seqs = [record["seq"] for record in records(server.data)]
        assert seqs == list(range(seqs[0], seqs[-1] + 1)) and seqs[0] > 1
        outlived = json.loads(marks.read_text())
        assert outlived[0]["purpose"] == "dropped" and outlived[0]["seq"] == seqs[0] - 1
        assert "word" not in marks.read_text() and "#left" not in marks.read_text()
        assert ann.say(f"goes on, {how}")["seq"] == seqs[-1] + 1
        said.append(f"goes on, {how}")
    held = sum(p.stat().st_size for p in closed(server.data))
    assert held < 16 * 1024 + 6000


def test_a_file_ends_after_its_days(make_server: Make) -> None:
    server = make_server("--keep", "0.00001").start()  # not quite a second
    ann = server.joined("ann")
    ann.say("old")
    until(lambda: closed(server.data), "no file was closed")
    until((server.data / "history.json").exists, "no other file was begun")
    assert [r["text"] for r in records(server.data) if r["purpose"] == "message"] == ["old"]
    assert json.loads((server.data / "history.json").read_text()) == []
    time.sleep(1.5)
    assert len(closed(server.data)) == 1, "an empty file is not closed"
    ann.say("new")
    until(lambda: len(closed(server.data)) == 2, "the next file was not closed")
    assert all_pages(ann) == ["old", "new"]


def test_what_is_kept_can_be_changed_while_it_runs(make_server: Make) -> None:
    server = make_server()
    conf = server.data / "server.conf"
    conf.write_text("motd = one\n")
    server.options = ("--config", str(conf))
    server.start()
    ann = server.joined("ann")
    ann.say("x" * 1000)
    conf.write_text("keep = 1K\n")
    server.signal(signal.SIGHUP)
    until(lambda: closed(server.data), "no file was closed")
    assert all_pages(ann) == ["x" * 1000]


@pytest.mark.parametrize("left", ["renamed", "begun", "both"])
def test_a_crash_while_a_file_is_being_closed_loses_nothing(make_server: Make, left: str) -> None:
    server = make_server("--keep", "4K").start()
    ann = server.joined("ann")
    token = ann.passed[0]["token"]
    said: list[str] = []
    talk_until(ann, said, server.data, 2)
    said.append("last")
    ann.say("last")
    server.kill()
    new = server.data / "history.json.new"
    if left != "renamed":
        new.write_bytes(b"[\n]" if left == "both" else b"[")
    if left != "begun":
        (server.data / "history.json").rename(server.data / "history-000003.json")
    server.start()
    ann = server.wire()
    ann.join("ann", token=token, bot=True)
    assert all_pages(ann) == said
    seq = ann.say("goes on")["seq"]
    found = [record["seq"] for record in records(server.data)]
    assert found == list(range(1, seq + 1))


def test_a_file_that_is_missing_or_damaged_is_said(make_server: Make) -> None:
    server = make_server("--keep", "4K").start()
    said: list[str] = []
    talk_until(server.joined("ann"), said, server.data, 3)
    server.stop()
    paths = closed(server.data)
    second = paths[1].read_bytes()
    paths[1].rename(server.data / "elsewhere")
    server.launch()
    assert server.wait() == 1
    assert re.search(r"history-000003.json is here and \S*history-000002.json", server.said)
    paths[1].write_bytes(second.replace(b'"seq"', b'"sex"', 1))
    server.launch()
    assert server.wait() == 1
    assert re.search(r"history-000002.json is damaged at line 2 \(byte 2\)", server.said)
    paths[1].write_bytes(second)
    # The first may be taken away: then what stood there is not known any more.
    paths[0].unlink()
    server.start()
    assert "history-000002.json: what stood before seq" in server.said
    bob = server.joined("bob", bot=True)
    kept = all_pages(bob)
    assert kept == said[-len(kept) :] and 0 < len(kept) < len(said)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--keep", "a while"), "neither a number of days, such as 30, nor a size"),
        (("--keep", "0"), "neither a number of days"),
        (("--keep", "-3"), "expected one argument|neither a number of days"),
        (("--drop",), "give --keep too"),
    ],
)
def test_what_makes_no_sense_is_refused(
    make_server: Make, options: tuple[str, ...], words: str
) -> None:
    server: ChatServer = make_server()
    server.launch(*options)
    assert server.wait() == 2
    assert re.search(words, server.said)


def test_a_file_is_closed_at_its_size_however_much_is_said(make_server: Make) -> None:
    server = make_server("--rate", "0", "--keep", "20K").start()
    wires = [server.joined(f"n{number}", bot=True) for number in range(12)]
    server.signal(signal.SIGSTOP)  # so that each tick then has as much as it takes
    for number, wire in enumerate(wires):
        said = [
            {"purpose": "message", "ref": f"{number}-{one}", "to": "@n0", "text": "x" * 50}
            for one in range(640)
        ]
        wire.sock.sendall(b"".join(encode_frame(json.dumps(one).encode()) for one in said))
    server.signal(signal.SIGCONT)
    for number, wire in enumerate(wires):
        wire.until("ok", ref=f"{number}-639")
    assert len(closed(server.data)) >= 5  # as soon as it is full, not once a second
