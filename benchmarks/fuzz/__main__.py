"""Coverage-guided fuzzing, by atheris.

    python -m benchmarks.fuzz [TARGET ...] [--minutes 60] [--corpus DIR]

Without a target all of ``targets`` take turns. Each runs in a process of its own and begins with
its seeds (``seeds/TARGET``) and what earlier runs have kept in the corpus. What breaks a target is
written beside the corpus and ends the run with 1; put it among the seeds with the mending.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SEEDS = Path(__file__).parent / "seeds"


def fuzz(name: str, arguments: Sequence[str]) -> None:
    """Run one target in this process until libFuzzer's arguments end it; does not return."""
    import atheris

    with atheris.instrument_imports(include=["framing", "parley"]):
        from benchmarks.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    """Fuzz one target after the other and say how much was tried."""
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(description="coverage-guided fuzzing")
    names = sorted(path.name for path in SEEDS.iterdir())
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(names))
    parser.add_argument("--minutes", type=float, default=60.0, help="of all targets together")
    parser.add_argument("--corpus", type=Path, default=None)
    options = parser.parse_args()
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="parley-fuzz-"))
    names = options.targets or names
    broken = 0
    for name in names:
        kept = corpus / name
        kept.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "benchmarks.fuzz", "--one", name, str(kept)]
        command += [str(SEEDS / name), f"-artifact_prefix={kept}-", "-max_len=4096", "-timeout=10"]
        command += [f"-max_total_time={max(1, round(options.minutes * 60 / len(names)))}"]
        command += ["-print_final_stats=1", "-rss_limit_mb=4096"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        found = re.search(r"number_of_executed_units: ([0-9]+)", done.stderr)
        print(f"{name}: {found[1] if found else '?'} runs", flush=True)
        if done.returncode:
            broken += 1
            print(f"{name}: BROKEN\n{(done.stdout + done.stderr)[-3000:]}", flush=True)
    print(f"the corpus is in {corpus}; {broken} of {len(names)} targets broken")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
