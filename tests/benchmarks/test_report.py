"""The report says what was found: medians, ratios run by run, what cannot be done."""

from pathlib import Path

import pytest

from benchmarks import report


def runs(*rates: float) -> list[dict[str, float]]:
    return [{"deliveries_per_s": rate, "messages_per_s": rate / 1000} for rate in rates]


RESULTS = {
    "broadcast": {
        "many": {
            "redis": runs(1e6, 2e6, 4e6),
            "parley": runs(3e6, 5e6, 8e6),
            "inspircd": runs(1e5, 1e5, 1e5),
        },
        "long texts": {"redis": runs(10.0, 20.0, 30.0), "parley": runs(5.0, 10.0, 15.0)},
    },
    "delays": {
        "half": {
            "rate": 500,
            "found": {"parley": [{"latency": {"p50": 1000.0, "p99": 20_000.0, "p999": 30_500.0}}]},
        },
    },
}

PAGE = """before
<!-- broadcast -->
what was here
<!-- end -->
between
<!-- delays -->
<!-- end -->
<!-- idle -->
kept
<!-- end -->
after
"""


def rows(text: str, title: str) -> list[list[str]]:
    """Return the cells of the rows that begin with a title."""
    found = [line for line in text.splitlines() if line.startswith(f"| {title} |")]
    return [[cell.strip() for cell in line.split("|")[2:-1]] for line in found]


def test_tables_stand_between_their_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "PLACE", tmp_path)
    report.write(RESULTS)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "\nbetween\n" in text
    assert "what was here" not in text and "kept" in text
    medians, ratios = rows(text, "many")
    assert medians == ["5.00 M", "2.00 M", "100 k"]
    assert ratios == ["2.50 (2.00 to 3.00)", "50.00 (30.00 to 80.00)"]
    medians, ratios = rows(text, "long texts")
    assert medians == ["10", "20", ""]
    assert ratios == ["0.50 (0.50 to 0.50)", ""]
    assert rows(text, "half: 500") == [["1.0 / 20.0 / 30.5"]]
    again = text
    report.write(RESULTS)
    assert page.read_text() == again
