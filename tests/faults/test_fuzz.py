"""What the fuzzer checks holds for its seeds, and for seeds that are changed at random."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz import reference
from benchmarks.fuzz.live import fuzz
from benchmarks.fuzz.targets import TARGETS, check_shown, frames
from framing.frames import FrameDecoder
from tests.conftest import ROOT

SEEDS = ROOT / "benchmarks" / "fuzz" / "seeds"

Change = tuple[int, int, bytes]
changes = st.lists(
    st.tuples(st.integers(0, 4096), st.integers(0, 8), st.binary(max_size=8)), max_size=6
)


def changed(seed: bytes, how: list[Change]) -> bytes:
    """Return ``seed`` with some bytes put in the place of others."""
    for at, gone, instead in how:
        place = at % (len(seed) + 1)
        seed = seed[:place] + instead + seed[place + gone :]
    return seed


def seeds(target: str) -> list[Path]:
    return sorted((SEEDS / target).iterdir())


def test_each_target_has_seeds() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_seeds_say_holds(target: str) -> None:
    for path in seeds(target):
        TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_it_holds_for_changed_seeds_too(target: str) -> None:
    known = [path.read_bytes() for path in seeds(target)]

    @settings(
        max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(known), changes)
    def run(seed: bytes, how: list[Change]) -> None:
        TARGETS[target](changed(seed, how))

    run()


def test_some_seconds_of_fuzzing_a_live_server_find_nothing(tmp_path: Path) -> None:
    wrong, count = fuzz(tmp_path / "data", 5, 20)
    assert wrong == []
    assert count["ok"] and count["BAD_REQUEST"] and count["at the end: BAD_FRAME"]


def test_the_reference_and_the_checks_find_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reference.frames(b"$2{}$$2{}$$", 10) == ([b"{}", b"{}"], False)
    assert reference.frames(b"$2{}$$02{}$", 10) == ([b"{}"], True)
    for bad in ("a\x1b[0m", "a\u202eb", "a\u200b", "e" + "\u0301" * 5, "a\nb"):
        with pytest.raises(AssertionError):
            check_shown(bad, "")
    monkeypatch.setattr(FrameDecoder, "_check_part_of_head", lambda *_: None)
    with pytest.raises(AssertionError):
        frames(b"\0xx")
