"""The client in docs/PROTOCOL.md is about 30 lines and works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, ChatServer


def test_the_client_on_the_protocols_page_talks(server: ChatServer, tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "docs/PROTOCOL.md").read_text(), re.S)
    assert len([line for line in code.splitlines() if line]) <= 32
    program = tmp_path / "client.py"
    program.write_text(code)
    ann = server.joined("ann")
    ann.say("before it came")
    client = subprocess.Popen(
        [sys.executable, "-u", str(program), "localhost", str(server.port), "page"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin is not None and client.stdout is not None
    try:
        assert client.stdout.readline() == "ann: before it came\n"
        client.stdin.write("hello from the page\n")
        client.stdin.flush()
        assert ann.until("message")["text"] == "hello from the page"
        ann.say("and back, é")
        assert client.stdout.readline() == "ann: and back, é\n"
        client.stdin.close()
        assert client.wait(10) == 0
    finally:
        client.kill()
