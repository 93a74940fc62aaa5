"""The hunt's checker rejects what it must, and half a minute of the hunt finds nothing."""

import copy
import hashlib
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.invariants import Sent, Witness, check
from tests.conftest import ROOT

Run = tuple[list[dict[str, Any]], list[Witness]]


@pytest.fixture
def good() -> Run:
    """A run in which all is well."""

    def guest(seq: int, nick: str) -> dict[str, Any]:
        token = hashlib.sha256(f"token-{nick}".encode()).hexdigest()
        return {"seq": seq, "purpose": "guest", "nick": nick, "token": token}

    def said(seq: int, by: str, ref: str, to: str, **more: str) -> dict[str, Any]:
        return {"seq": seq, "purpose": "message", "id": 1, "by": by, "ref": ref, "to": to,
                "text": f"text {ref}", **more}  # fmt: skip

    history = [
        guest(1, "ann"), guest(2, "bob"), guest(3, "eve"),
        said(4, "~1", "a1", "#lobby"), said(5, "~1", "a2", "@bob", **{"for": "~2"}),
        said(6, "~2", "b1", "#lobby"), said(7, "~1", "a3", "#lobby"),
    ]  # fmt: skip
    ann = Witness("ann", 1, "token-ann", after=3, upto=7, seen=[6])
    ann.sent = {
        "a1": Sent("a1", "#lobby", "text a1", 4),
        "a2": Sent("a2", "@bob", "text a2", 5),
        "a3": Sent("a3", "#lobby", "text a3", None),
    }
    bob = Witness("bob", 1, "token-bob", after=3, upto=7, seen=[4, 5, 7])
    bob.sent = {"b1": Sent("b1", "#lobby", "text b1", 6)}
    eve = Witness("eve", 1, "token-eve", after=3, upto=7, seen=[4, 6, 7])
    return history, [ann, bob, eve]


def test_a_good_run_passes(good: Run) -> None:
    assert check(*good) == []


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda h, w: h.pop(5), "stands at place"),
        (lambda h, w: (h.pop(), h[5].update(seq=6)) and w[0].sent["a3"].__setattr__("seq", 7),
         "was acknowledged as seq 7"),
        (lambda h, w: h.append({**h[3], "seq": 8}), "stands at seq 4 and at 8"),
        (lambda h, w: w[0].sent.pop("a3"), "nobody sent"),
        (lambda h, w: h[6].update(text="other"), "is not what was sent"),
        (lambda h, w: w[0].sent["a2"].__setattr__("seq", 6), "was acknowledged as seq 6"),
        (lambda h, w: w[0].sent.update(a1=w[0].sent.pop("a1")), "stands before an earlier one"),
        (lambda h, w: w[2].seen.insert(1, 5), "saw what it may not"),
        (lambda h, w: w[2].seen.remove(6), "missed 1"),
        (lambda h, w: w[1].seen.insert(0, 4), "twice or out of order"),
        (lambda h, w: w[1].seen.reverse(), "twice or out of order"),
    ],
)  # fmt: skip
def test_a_broken_run_is_rejected(good: Run, harm: Any, says: str) -> None:
    history, witnesses = copy.deepcopy(good)
    harm(history, witnesses)
    assert any(says in sentence for sentence in check(history, witnesses)), check(
        history, witnesses
    )


def test_some_seconds_of_the_hunt_find_nothing() -> None:
    command = [sys.executable, "-m", "benchmarks.hunt", "--minutes", "0.25"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "nothing violated" in done.stdout
