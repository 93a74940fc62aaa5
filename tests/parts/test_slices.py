"""The log read backwards, a slice at a time, however short the slices and long the records."""

import pytest

from parley.server.log.slices import is_first, records_in, slice_before
from tests.parts.house import House
from tests.parts.test_index import add


@pytest.mark.parametrize("size", [1, 300, 1 << 20])
def test_all_records_come_once_newest_slice_first(house: House, size: int) -> None:
    for number in range(12):
        add(house, f"guest{number}", "eve", "x" * (50 + number * 100))
        if number in (4, 7):
            house.index.commit()
            house.rotate()
    start = house.log.files.address(house.log.position.end)
    seqs: list[int] = []
    while not is_first(house.log, start):
        start, data = slice_before(house.log, start, size)
        seqs[:0] = [record.seq for record, _ in records_in(data, start)]
    assert seqs == list(range(1, 13))
