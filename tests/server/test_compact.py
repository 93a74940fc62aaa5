"""--compact: what was taken back is gone from the file, and nothing else changes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, ChatServer
from tests.server.test_rooms import ask
from tests.wire import texts


def compact(data: Path) -> Any:
    program = [sys.executable, str(ROOT / "chat_server.py"), "--data", str(data), "--compact"]
    return subprocess.run(program, capture_output=True, text=True, timeout=60)


def test_the_texts_are_gone_and_all_else_stays(server: ChatServer) -> None:
    ann, bob = server.joined("ann"), server.joined("bob")
    ask(ann, "enter", room="#lab")
    secret = ann.say("hunter2")["seq"]
    ask(ann, "edit", seq=secret, text="hunter3")
    kept = ann.say("kept")["seq"]
    ask(ann, "edit", seq=kept, text="kept, changed")
    bob.say("for ann", "@ann")
    running = compact(server.data)
    assert running.returncode == 1 and "another server is running" in running.stderr
    ask(ann, "redact", seq=secret)
    token = ann.passed[0]["token"]
    assert server.stop() == 0
    path = server.data / "history.json"
    before = json.loads(path.read_text())
    done = compact(server.data)
    assert done.returncode == 0, done.stderr
    assert "2 texts that were taken back are gone" in done.stdout
    assert "hunter" not in path.read_text()
    after = json.loads(path.read_text())
    assert [record["seq"] for record in after] == [record["seq"] for record in before]
    for old, new in zip(before, after, strict=True):
        if "hunter" not in str(old):
            assert new == old
    server.start()
    ann = server.wire()
    assert ann.join("ann", token=token, bot=True)["rooms"] == ["#lobby", "#lab"]
    page = ask(ann, "history", **{"with": "#lobby"})["messages"]
    assert page[0]["redacted"] is True
    assert texts(page)[2] == "kept, changed"
    assert texts(ask(ann, "history", **{"with": "@bob"})["messages"]) == ["for ann"]
    assert compact(server.data).returncode == 1


def test_a_damaged_history_is_left_alone(server: ChatServer) -> None:
    server.joined("ann").say("x")
    server.stop()
    path = server.data / "history.json"
    bad = path.read_bytes().replace(b'"seq":1', b'"seq":"one"')
    path.write_bytes(bad)
    done = compact(server.data)
    assert done.returncode == 1 and "history.json" in done.stderr
    assert path.read_bytes() == bad
    assert not list(server.data.glob("*.new"))


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = compact(tmp_path / "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("chat_server: ") and "No such file or directory" in done.stderr
