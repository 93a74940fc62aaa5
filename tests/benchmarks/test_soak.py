"""Some seconds of the soak find nothing, and its judgement finds what grows."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.soak import Note, judged
from tests.conftest import ROOT


def notes(**slopes: float) -> list[Note]:
    """Return notes of an hour in which these grow by so much each minute."""
    steady = {"at": 0.0, "clients": 100, "resident": 50_000_000, "descriptors": 120,
              "log": 900_000, "index_size": 2_000_000, "shelf": 0, "acknowledged": 9,
              "canary": 5.0}  # fmt: skip
    slopes["at"] = 60.0
    return [
        Note(**{n: type(v)(v + slopes.get(n, 0) * minute) for n, v in steady.items()})  # type: ignore[arg-type]
        for minute in range(60)
    ]


def test_what_is_steady_is_well() -> None:
    assert judged(notes(), 1_000_000) == []


@pytest.mark.parametrize(
    ("name", "by"), [("resident", 300_000), ("descriptors", 1), ("index_size", 50_000)]
)
def test_what_grows_on_is_found(name: str, by: float) -> None:
    assert any(name in wrong for wrong in judged(notes(**{name: by}), 1_000_000))


def test_a_log_that_is_not_dropped_is_found() -> None:
    assert any("log" in wrong for wrong in judged(notes(log=100_000), 1_000_000))


def test_some_seconds_of_the_soak_find_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--hours", "0.0025", "--clients", "40"]
    command += ["--every", "1", "--keep", "50000", "--notes", str(tmp_path / "soak.csv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "nothing grew" in done.stdout
    assert len((tmp_path / "soak.csv").read_text().splitlines()) >= 4
