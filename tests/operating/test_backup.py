"""A copy of a running server's data is as good as the data."""

import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, ChatServer, Make
from tests.files.carrying import bring
from tests.wire import Wire, texts

BACKUP = ROOT / "contrib" / "backup.sh"


def backup(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the script."""
    command = ["sh", str(BACKUP), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


class Talker:
    """Somebody who never stops to talk, in a thread of the test."""

    def __init__(self, server: ChatServer) -> None:
        self._wire: Wire = server.joined("talker", bot=True)
        self._over = threading.Event()
        self.acknowledged: list[str] = []
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self) -> None:
        number = 0
        while not self._over.is_set():
            for _ in range(50):
                number += 1
                text = f"{number}:" + "x" * (number % 700)
                self._wire.send(purpose="message", ref=f"r{number}", text=text)
            self._wire.until("ok", ref=f"r{number}")
            self.acknowledged += [str(n) for n in range(number - 49, number + 1)]
            time.sleep(0.02)  # thirty files closed in a second are enough

    def stop(self) -> None:
        """Be silent."""
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize("keep", [(), ("--keep", "60K"), ("--keep", "200K", "--drop")])
def test_a_copy_made_while_all_talk_has_all_that_was_acknowledged(
    make_server: Make, tmp_path: Path, keep: tuple[str, ...]
) -> None:
    server = make_server("--rate", "0", *keep).start()
    ann = server.joined("ann")
    assert bring(server, ann, "plan.bin", b"x" * 50_000)["purpose"] == "ok"
    talker = Talker(server)
    copies: list[tuple[Path, int]] = []
    try:
        while len(copies) < 5 or len(talker.acknowledged) < 2000:
            before = len(talker.acknowledged)
            done = backup(server.data, tmp_path / f"copy{len(copies)}")
            assert done.returncode == 0, done.stderr
            copies.append((tmp_path / f"copy{len(copies)}", before))
            assert len(copies) < 500
    finally:
        talker.stop()
    assert server.stop() == 0
    for place, acknowledged in [*copies[:2], *copies[-3:]]:
        restored = make_server(*keep, data=place).start()
        assert (place / "files" / "plan.bin").read_bytes() == b"x" * 50_000
        bob = restored.wire()
        bob.join("bob", since=0)
        got: list[str] = []
        while True:
            event = bob.until("history", replay=True)
            got += [text.partition(":")[0] for text in texts([event])]
            if event["end"]:
                break
        got = [text for text in got if text.isdecimal()]
        first = int(got[0]) if "--drop" in keep and got else 1
        assert got == [str(n) for n in range(first, first + len(got))]
        assert first + len(got) > acknowledged
        assert bob.say("it goes on")
        assert restored.stop() == 0


def test_a_copy_is_never_written_over(make_server: Make, tmp_path: Path) -> None:
    server = make_server().start()
    assert backup(server.data, tmp_path / "copy").returncode == 0
    again = backup(server.data, tmp_path / "copy")
    assert again.returncode == 1 and "holds a copy already" in again.stderr


def test_what_is_no_data_directory_is_told(tmp_path: Path) -> None:
    done = backup(tmp_path, tmp_path / "copy")
    assert done.returncode == 1 and "no server's data directory" in done.stderr


def test_the_certificate_that_clients_trust_is_copied_too(
    make_server: Make, tmp_path: Path
) -> None:
    server = make_server().start()
    for name in ("tls.crt", "tls.key"):
        (server.data / name).write_text(name)
    assert backup(server.data, tmp_path / "copy").returncode == 0
    for name in ("tls.crt", "tls.key"):
        assert (tmp_path / "copy" / name).read_text() == name


def test_without_arguments_the_usage_is_told() -> None:
    done = backup()
    assert done.returncode == 2 and "backup.sh DATA COPY [FILES]" in done.stderr
