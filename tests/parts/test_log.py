"""The log keeps what it acknowledged, whatever a crash leaves behind."""

import json
import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framing.events import Message
from parley.server.log import recovery
from parley.server.log.log import Fsync, Log, Position, Span, StoreUnavailableError
from parley.server.log.records import Guest, Origin, Record, Said
from parley.server.log.recovery import Checkpoint, HistoryError, Recovery
from parley.server.log.segments import Stamp, stamp_of


def said(text: str, ref: str = "r") -> Said:
    size = len(text.encode())
    return Said(Message(0, "ann", 1, "#lobby", text, 1.5, size), Origin(ref, "~1"))


def open_log(path: Path, fsync: Fsync = "always") -> Log:
    recovery = Recovery(path)
    return Log(recovery.files, recovery.position, fsync)


def texts(path: Path) -> list[str]:
    return [record["text"] for record in json.loads(path.read_text())]


@given(
    batches=st.lists(st.lists(st.text(min_size=1, max_size=40), max_size=4), max_size=5),
    reopen=st.lists(st.booleans(), min_size=5, max_size=5),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_file_is_a_json_array_with_a_record_a_line_after_every_commit(
    tmp_path: Path, batches: list[list[str]], reopen: list[bool]
) -> None:
    path = tmp_path / "history.json"
    path.unlink(missing_ok=True)
    log = open_log(path)
    expected: list[str] = []
    for batch, again in zip(batches, reopen, strict=False):
        for text in batch:
            log.append(said(text))
        stored = log.commit(0.0)
        expected += batch
        assert texts(path) == expected
        lines = path.read_text().split("\n")
        assert lines[0] == "[" and lines[-1] == "]"
        assert [json.loads(line.removesuffix(",")) for line in lines[1:-1]] == json.loads(
            path.read_text()
        )
        read = log.read(Span(s.offset, s.length) for s in stored)
        assert [r.message.text for r in read if isinstance(r, Said)] == batch
        assert [r.seq for r in read] == [s.record.seq for s in stored]
        if again:
            log.close()
            log = open_log(path)
            assert log.seq == len(expected)
    log.close()


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, int, bytes]:
    """A log of three records, and what a fourth and fifth write over its end, in one tick."""
    path = tmp_path / "history.json"
    log = open_log(path)
    for text in ("one", "two", "th{}ree,\n"):
        log.append(said(text))
    log.commit(0.0)
    before = path.read_bytes()
    for text in ("four ]}", "five"):
        log.append(said(text))
    log.commit(0.0)
    log.close()
    after = path.read_bytes()
    start = len(before) - len(b"\n]")
    path.write_bytes(before)
    return path, start, after[start:]


def test_a_crash_at_every_byte_of_an_append_loses_nothing_acknowledged(
    written: tuple[Path, int, bytes],
) -> None:
    path, start, data = written
    before = path.read_bytes()
    for cut in range(len(data) + 1):
        for torn in path.parent.glob("*.torn-*"):
            torn.unlink()
        # The bytes that came to the disk went over the end of what stood there.
        path.write_bytes(before[:start] + data[:cut] + before[start + cut :])
        recovery = Recovery(path)
        log = Log(recovery.files, recovery.position, "always")
        whole = [t for t in ("four ]}", "five") if cut >= data.index(f'"{t}"'.encode()) + len(t)]
        kept = texts(path)
        assert kept[:3] == ["one", "two", "th{}ree,\n"]
        assert kept[3:] == ["four ]}", "five"][: len(kept) - 3]
        assert len(kept) - 3 <= len(whole)
        rest = b"".join(torn.read_bytes() for torn in path.parent.glob("*.torn-*"))
        if b"{" in rest:
            assert rest.strip(b",\n") in data
        log.append(said("after the crash"))
        log.commit(0.0)
        log.close()
        assert texts(path) == [*kept, "after the crash"]
        assert [record["seq"] for record in json.loads(path.read_text())] == list(
            range(1, len(kept) + 2)
        )


def test_a_file_cut_anywhere_in_its_last_record_keeps_the_others(
    written: tuple[Path, int, bytes],
) -> None:
    path, _, _ = written
    whole = path.read_bytes()
    second = whole.rindex(b"\n{")
    for size in range(second, len(whole)):
        path.write_bytes(whole[:size])
        os.close(Recovery(path).fd)
        is_whole = size > whole.rindex(b"}")
        assert texts(path) == ["one", "two", "th{}ree,\n"][: 3 if is_whole else 2]


def test_every_damaged_byte_before_the_tail_is_refused_or_harmless(
    written: tuple[Path, int, bytes],
) -> None:
    path, _, _ = written
    whole = path.read_bytes()
    last = whole.rindex(b"\n{")
    refused = 0
    for at in range(last):
        path.write_bytes(whole[:at] + b"\x00" + whole[at + 1 :])
        damaged = path.read_bytes()
        try:
            os.close(Recovery(path).fd)
        except HistoryError as problem:
            refused += 1
            assert "line" in str(problem) and "byte" in str(problem)
            assert path.read_bytes() == damaged, "a refused file must stay as it was"
        else:
            pytest.fail(f"byte {at} was damaged and nobody noticed")
    assert refused == last


def test_a_missing_record_is_refused(written: tuple[Path, int, bytes]) -> None:
    path, _, _ = written
    lines = path.read_bytes().split(b"\n")
    del lines[2]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(HistoryError, match="seq 3 stands where 2 is due"):
        Recovery(path)


@pytest.mark.parametrize("content", [b"", b"[", b"[]", b"[]\n", b" [ ]", b"[\n]\n"])
def test_a_new_or_empty_file_is_taken_up(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(content)
    log = open_log(path)
    log.append(said("first"))
    log.commit(0.0)
    log.close()
    assert texts(path) == ["first"]


@pytest.mark.parametrize(
    "old, new", [(b"[\n", b"[\n\n"), (b"\n{", b"\n  {"), (b",\n", b" ,\n\n"), (b"\n]", b"]")]
)
def test_blank_lines_and_spaces_between_records_are_no_damage(
    written: tuple[Path, int, bytes], old: bytes, new: bytes
) -> None:
    path, _, _ = written
    before = texts(path)
    path.write_bytes(path.read_bytes().replace(old, new))
    recovery = Recovery(path)
    assert recovery.began == 1.5, "when the first record was made is read from its line"
    log = Log(recovery.files, recovery.position, "always")
    log.append(said("more"))
    log.commit(0.0)
    log.close()
    assert texts(path) == [*before, "more"]


@pytest.mark.parametrize(
    "content", [b'[{"seq":1}]', b"{}", b"not json at all", b'[\n  {\n    "seq": 1\n  }\n]\n{}']
)
def test_a_file_that_is_something_else_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "history.json"
    path.write_bytes(content)
    with pytest.raises(HistoryError, match=r"line [12] "):
        Recovery(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("of_last", [b'"purpose":"later"', b'"purpose":"message"'])
def test_a_whole_line_that_is_no_record_is_not_taken_for_a_torn_one(
    written: tuple[Path, int, bytes], of_last: bytes
) -> None:
    path, _, _ = written
    whole = path.read_bytes()
    foreign = whole[: whole.rindex(b"\n]")] + b',\n{%b,"seq":4}\n]' % of_last
    for content in foreign, foreign[:-2]:
        path.write_bytes(content)
        with pytest.raises(HistoryError, match=r"line 5 .*no record that this version knows"):
            Recovery(path)
        assert path.read_bytes() == content


def test_a_checkpoint_is_trusted_only_while_everything_before_it_is_the_same(
    written: tuple[Path, int, bytes],
) -> None:
    path, _, _ = written
    first = Recovery(path)
    os.close(first.fd)
    again = Recovery(path, Checkpoint(first.position, {}))
    os.close(again.fd)
    assert again.trusted == first.position and again.tail == []
    path.write_bytes(path.read_bytes().replace(b'"one"', b'"ONE"'))
    changed = Recovery(path, Checkpoint(first.position, {}))
    os.close(changed.fd)
    assert changed.trusted is None and changed.position.seq == 3


def test_a_long_file_that_was_closed_in_order_is_known_by_its_time(
    written: tuple[Path, int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _, _ = written
    first = Recovery(path)
    os.close(first.fd)
    closed = stamp_of(path.stat())
    unlike = replace(first.position, crc=first.position.crc ^ 1)

    def taken(position: Position, last: Stamp | None) -> Position | None:
        again = Recovery(path, Checkpoint(position, {}, last))
        os.close(again.fd)
        assert again.position.seq == 3
        return again.trusted

    assert taken(unlike, closed) is None  # it is short: its CRC-32 is taken
    monkeypatch.setattr(recovery, "LONG", 10)
    assert taken(unlike, closed) == unlike
    assert taken(unlike, None) is None
    assert taken(replace(unlike, end=unlike.end - 1), closed) is None
    path.write_bytes(path.read_bytes().replace(b'"one"', b'"ONE"'))
    os.utime(path, ns=(closed.mtime_ns, closed.mtime_ns + 1))
    assert taken(first.position, closed) is None


def test_without_a_checkpoint_recovery_gives_every_record_that_is_no_message(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.json"
    log = open_log(path)
    records: list[Record] = [Guest(0, 1.0, "ann", "aa"), said("x"), Guest(0, 2.0, "bob", "bb")]
    for record in records:
        log.append(record)
    log.commit(0.0)
    log.close()
    recovery = Recovery(path)
    os.close(recovery.fd)
    assert [r.nick for r, _ in recovery.tail if isinstance(r, Guest)] == ["ann", "bob"]
    assert len(recovery.tail) == 2


def test_a_full_disk_takes_nothing_back_and_the_log_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.json"
    log = open_log(path)
    log.append(said("kept"))
    log.commit(0.0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
    try:
        log.append(said("x" * 500))
        with pytest.raises(StoreUnavailableError):
            log.commit(0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert texts(path) == ["kept"]
    [record] = log.take_back()
    assert isinstance(record, Said) and record.message.text == "x" * 500
    log.append(said("and on"))
    assert [s.record.seq for s in log.commit(0.0)] == [2]
    log.close()
    assert texts(path) == ["kept", "and on"]


def test_once_a_second_is_a_promise_of_at_most_a_second(tmp_path: Path) -> None:
    log = open_log(tmp_path / "history.json", "everysec")
    assert log.sync_due() is None
    log.append(said("x"))
    log.commit(10.0)
    assert log.sync_due() == 11.0
    log.append(said("y"))
    log.commit(10.5)
    assert log.sync_due() == 11.0, "a later write must not put off the sync of an earlier one"
    log.sync_if_due(11.0)
    assert log.sync_due() is None
    log.close()


def test_torn_ends_are_numbered_and_none_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    for number in range(1, 4):
        log = open_log(path)
        log.append(said(f"whole {number}"))
        log.commit(0.0)
        log.close()
        whole = path.read_bytes().removesuffix(b"\n]")
        path.write_bytes(whole + b',\n{"purpose":"mess%d' % number)
        os.close(Recovery(path).fd)
        torn = path.with_name(f"history.json.torn-{number}")
        assert torn.read_bytes().endswith(b"mess%d" % number)
    assert len(texts(path)) == 3
    shutil.rmtree(tmp_path)


PAGE = 4096


def pages_lost(before: bytes, after: bytes, lost: set[int]) -> bytes:
    """Return what is on the disk if of ``after`` these pages did not come to it."""
    before = before.ljust(len(after), b"\0")
    pages = range(0, len(after), PAGE)
    return b"".join(
        (before if at // PAGE in lost else after)[at : min(at + PAGE, len(after))] for at in pages
    )


def written_twice(path: Path, size: int) -> tuple[bytes, bytes]:
    """Write a tick that ends the file at ``size`` bytes, and one over several pages. Return the
    file after each."""
    path.unlink(missing_ok=True)
    log = open_log(path)
    log.append(said("first"))
    log.commit(0.0)
    log.append(said(""))
    log.commit(0.0)
    log.close()
    short = size - path.stat().st_size
    path.unlink()
    log = open_log(path)
    log.append(said("first"))
    log.commit(0.0)
    log.append(said("x" * short))
    log.commit(0.0)
    before = path.read_bytes()
    for number in range(14):
        log.append(said(f"{number}" + "y" * (number * 397 % 2000)))
    log.commit(0.0)
    log.close()
    return before, path.read_bytes()


@pytest.mark.parametrize("size", [PAGE - 3, PAGE - 2, PAGE - 1, PAGE, PAGE + 1, PAGE + 2, 3000])
def test_a_power_cut_in_an_append_over_many_pages_loses_nothing_acknowledged(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "history.json"
    before, after = written_twice(path, size)
    assert abs(len(before) - size) <= 4
    pages = range((len(before) - 2) // PAGE, (len(after) - 1) // PAGE + 1)
    assert len(pages) >= 4
    for which in range(1 << len(pages)):
        for torn in path.parent.glob("*.torn-*"):
            torn.unlink()
        lost = {page for number, page in enumerate(pages) if which >> number & 1}
        path.write_bytes(pages_lost(before, after, lost))
        log = open_log(path)
        kept = texts(path)
        assert kept[:2] == texts_of(before) and kept == texts_of(after)[: len(kept)]
        assert lost or kept == texts_of(after)
        log.append(said("goes on"))
        log.commit(0.0)
        log.close()
        assert texts(path) == [*kept, "goes on"]


def texts_of(content: bytes) -> list[str]:
    return [record["text"] for record in json.loads(content)]


def test_a_lost_page_of_what_was_acknowledged_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    before, after = written_twice(path, 3000)
    log = open_log(path)
    for text in ("acknowledged, so what stands before it was durable", "and so on"):
        log.append(said(text))
    log.commit(0.0)
    log.close()
    whole = path.read_bytes()
    for page in range(len(before) // PAGE, len(after) // PAGE):
        at = page * PAGE
        for hole in (bytes(PAGE), before[at : at + PAGE].ljust(PAGE, b"\0")):
            damaged = whole[:at] + hole + whole[at + PAGE :]
            path.write_bytes(damaged)
            with pytest.raises(HistoryError, match="is damaged"):
                Recovery(path)
            assert path.read_bytes() == damaged


def test_a_lost_page_of_the_last_write_is_damage_if_somebody_has_seen_it_whole(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.json"
    before, after = written_twice(path, 3000)
    seen = Recovery(path)
    os.close(seen.fd)
    path.write_bytes(pages_lost(before, after, {1}))
    with pytest.raises(HistoryError, match="Whole records follow"):
        Recovery(path, Checkpoint(seen.position, {}))
    os.close(Recovery(path).fd)
    assert len(texts(path)) < len(texts_of(after))
