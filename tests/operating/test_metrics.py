"""What the server tells those who run it: metrics, health, readiness."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, ChatServer, Make
from tests.operating.conftest import Answer, ask, metrics, side_port


@pytest.fixture
def watched(make_server: Make, demo_users: str) -> ChatServer:
    """A running server with the demo accounts and a side door."""
    server = make_server("--rate", "0", "--metrics", "0")
    (server.data / "users.json").write_text(demo_users)
    return server.start()


def test_what_is_said_and_delivered_is_counted(watched: ChatServer) -> None:
    before = metrics(watched)
    ann, ben, cyd = (watched.joined(nick) for nick in ("ann", "ben", "cyd"))
    for number in range(10):
        ann.say(f"message {number}")
    for wire in (ben, cyd):
        wire.until("message", text="message 9")
    ann.send(purpose="message", ref="r", text="x", to="@nobody")
    ann.error("NO_SUCH_NICK")
    now = metrics(watched)

    def more(name: str) -> float:
        return now[name] - before[name]

    assert more("parley_messages_total") == 10
    assert more("parley_deliveries_total") >= 3 * 10
    assert more("parley_sent_bytes_total") > 10 * 3 * 50
    assert more("parley_received_bytes_total") > 10 * 30
    assert more("parley_joins_total{kind=guest}") == 3
    assert more("parley_refusals_total{error=NO_SUCH_NICK}") == 1
    assert more("parley_connections_accepted_total") == 3
    assert (now["parley_sessions"], now["parley_people"], now["parley_connections"]) == (3, 3, 3)
    assert now["parley_log_seq"] == before["parley_log_seq"] + 3 + 10  # a record for each guest
    assert now["parley_log_bytes"] == (watched.data / "history.json").stat().st_size - len("\n]")
    assert now["parley_accounts"] == 3


def test_comings_and_goings_are_counted_by_kind(watched: ChatServer) -> None:
    alice = watched.wire()
    alice.login("Alice", "123")
    assert watched.wire().login("Bob", "wrong")["error"] == "AUTH_FAILED"
    ann = watched.joined("ann")
    ann.send(purpose="disconnect")
    ann.ended()
    alice.until("left")
    now = metrics(watched)
    assert now["parley_joins_total{kind=account}"] == 1
    assert now["parley_left_total{reason=disconnect}"] == 1
    assert now["parley_refusals_total{error=AUTH_FAILED}"] == 1
    assert now["parley_left_total{reason=slow}"] == 0, "what has not come about is shown too"


def test_time_is_told_by_stage(watched: ChatServer) -> None:
    ann = watched.joined("ann")
    before = metrics(watched)
    for number in range(20):
        ann.say(f"{number}")
    now = metrics(watched)
    stages = ("wait", "read", "requests", "write", "apply", "replay", "index", "send", "upkeep")
    for stage in stages:
        label = f"{{stage={stage}}}"
        count, total = (f"parley_tick_stage_seconds_{what}{label}" for what in ("count", "sum"))
        assert now[count] - before[count] >= 20, stage
        assert now[total] > before[total], stage
        assert now[f"parley_tick_stage_seconds_bucket{{le=+Inf,stage={stage}}}"] == now[count]
    assert now["parley_sync_seconds_count"] - before["parley_sync_seconds_count"] == 20
    # A write holds its sync, a tick all its stages but the wait.
    parts = [now[f"parley_tick_stage_seconds_sum{{stage={stage}}}"] for stage in stages[1:]]
    assert now["parley_sync_seconds_sum"] <= parts[stages.index("write") - 1]
    assert now["parley_tick_seconds_sum"] == pytest.approx(sum(parts), rel=0.2)


def test_what_waits_for_a_slow_reader_is_seen_and_its_end_counted(make_server: Make) -> None:
    server = make_server("--rate", "0", "--metrics", "0", "--backlog", "3000000").start()
    slow, ann = server.wire(), server.joined("ann", bot=True)
    slow.join("slow", bot=True)
    ann.quiet()
    seen = 0.0
    for number in range(2000):
        ann.send(purpose="message", ref=f"r{number}", text="x" * 15_000)
        if number % 20 == 0:
            ann.quiet()
            now = metrics(server)
            assert now["parley_backlog_biggest_bytes"] <= now["parley_backlog_bytes"] <= 3_000_000
            seen = max(seen, now["parley_backlog_bytes"])
            if now["parley_left_total{reason=slow}"]:
                break
    assert seen > 100_000
    assert metrics(server)["parley_left_total{reason=slow}"] == 1


def test_the_process_and_the_version_are_told(watched: ChatServer) -> None:
    now = metrics(watched)
    assert now["process_open_fds"] == pytest.approx(
        len(os.listdir(f"/proc/{watched.pid}/fd")), abs=2
    )
    assert now["process_resident_memory_bytes"] > 10e6 and now["process_cpu_seconds_total"] > 0
    assert any(name.startswith("parley_build_info{") and "0.1.0" in name for name in now)


def test_openmetrics_is_given_to_whoever_asks_for_it(watched: ChatServer) -> None:
    answer = ask(watched, "/metrics", "application/openmetrics-text; version=1.0.0")
    assert answer.type.startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_the_side_door_is_the_same_thread(watched: ChatServer) -> None:
    for _ in range(5):
        ask(watched, "/metrics")
        assert len(os.listdir(f"/proc/{watched.pid}/task")) == 1


def test_a_ready_server_says_so_and_a_stopping_one_that_it_is_not(watched: ChatServer) -> None:
    ann = watched.joined("ann")
    assert ask(watched, "/healthz")[::2] == (200, "ok\n")
    assert ask(watched, "/readyz")[::2] == (200, "ready\n")
    watched.signal(signal.SIGTERM)
    ann.until("shutdown")
    answer = ask(watched, "/readyz")
    assert answer.status == 503 and "stopping" in answer.text
    assert ask(watched, "/healthz").status == 200
    assert metrics(watched)["parley_ready"] == 0
    ann.send(purpose="shutdown_ack")
    assert watched.wait() == 0


def test_a_full_server_is_not_ready(make_server: Make) -> None:
    server = make_server("--metrics", "0", "--max-clients", "1").start()
    ann = server.joined("ann")
    assert "no room" in ask(server, "/readyz").text
    ann.send(purpose="disconnect")
    ann.ended()
    ann.close()
    server.wait_for("left nick=ann")
    assert ask(server, "/readyz").status == 200


def test_a_server_that_can_store_nothing_is_not_ready(tmp_path: Path, make_server: Make) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = f'mount -t tmpfs -o size=2m none {place} && exec "$@"'
    prefix = ("unshare", "-rm", "sh", "-c", mount, "sh")
    server = make_server("--metrics", "0", data=tmp_path / "log", prefix=prefix)
    server.launch("--data", str(place))
    server.wait_for("listening on")
    server.port = int(server.said.partition("listening on 127.0.0.1:")[2].partition(" ")[0])
    assert ask(server, "/readyz").status == 200
    inside = Path(f"/proc/{server.pid}/root{place}")
    filler = inside / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(4096))
    answer = until_ready(server, 503)
    assert "data directory cannot be written: No space left" in answer.text, "nobody has tried yet"
    ann = server.wire()
    ann.join("ann")  # for so much there is room in the last page of the file
    ann.send(purpose="message", ref="r", text="x" * 15_000)
    ann.error("STORE_UNAVAILABLE")
    assert "log could not be written" in ask(server, "/readyz").text
    filler.unlink()
    assert ann.say("there is room again")
    assert until_ready(server, 200).text == "ready\n"


def until_ready(server: ChatServer, status: int) -> Answer:
    """Wait until the server says of its readiness what it should."""
    deadline = time.monotonic() + 30
    while (answer := ask(server, "/readyz")).status != status:
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer


def test_without_the_option_its_packages_are_not_even_imported(make_server: Make) -> None:
    code = (
        "import sys, chat_server\n"
        "from parley.server.options import parse\n"
        f"chat_server.start(parse(['0', '--data', {str(make_server().data)!r}]), list)\n"
        "print({'prometheus_client', 'parley.server.operating.monitor'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout == "set()\n", done.stderr


def test_a_missing_package_is_named(make_server: Make, tmp_path: Path) -> None:
    (tmp_path / "prometheus_client.py").write_text(
        "raise ModuleNotFoundError(name='prometheus_client')"
    )
    server = make_server("--metrics", "0", env={"PYTHONPATH": str(tmp_path)})
    server.launch()
    assert server.wait() == 1
    assert (
        "--metrics needs the package prometheus_client: pip install 'parley-chat[metrics]', "
        "or in a checkout '.[metrics]'" in server.said
    )


def test_a_port_that_is_taken_is_explained(watched: ChatServer, make_server: Make) -> None:
    other = make_server("--metrics", str(side_port(watched)))
    other.launch()
    assert other.wait() == 1
    assert f"--metrics: cannot listen on 127.0.0.1:{side_port(watched)}" in other.said


@pytest.mark.parametrize("where", ["x", "127.0.0.1:", "70000", "[::1]"])
def test_a_bad_place_for_metrics_is_bad_usage(make_server: Make, where: str) -> None:
    server = make_server("--metrics", where)
    server.launch()
    assert server.wait() == 2


def test_what_docs_and_alerts_name_is_there(watched: ChatServer) -> None:
    text = ask(watched, "/metrics").text
    rules = ROOT / "contrib" / "prometheus" / "parley.rules.yml"
    for path in (ROOT / "docs" / "OPERATING.md", rules):
        named = set(re.findall(r"\b(?:parley|process)_[a-z_]+[a-z]\b", path.read_text()))
        assert len(named) > 5
        for name in named - {"process_start_time"}:
            assert re.search(rf"^{name}[ {{]", text, re.MULTILINE) or f"# TYPE {name} " in text, (
                name
            )


def test_options_in_the_docs_are_options() -> None:
    command = [sys.executable, str(ROOT / "chat_server.py"), "--help"]
    known = subprocess.run(command, capture_output=True, text=True, timeout=30).stdout
    text = (ROOT / "docs" / "OPERATING.md").read_text()
    for line in re.findall(r"chat-server (.*)", text):
        for option in re.findall(r"(?<= )--[a-z-]+", " " + line.partition("#")[0]):
            assert option in known, option
