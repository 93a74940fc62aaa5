"""A house for each test that wants one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Log, index and chat in an empty directory."""
    made = House(tmp_path)
    yield made
    made.close()
