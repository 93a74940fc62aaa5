"""The measurement of the index writes into a real one."""

from benchmarks.indexing import in_private, measure, to_all


def test_a_message_in_private_takes_more_of_the_index_than_one_to_all() -> None:
    (time_to_all, size_to_all), (time_in_private, size_in_private) = (
        measure(make, 4096) for make in (to_all, in_private)
    )
    assert time_to_all > 0 and time_in_private > 0
    assert 0 < size_to_all < size_in_private
