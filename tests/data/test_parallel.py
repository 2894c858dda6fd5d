"""Threads keep the order, read only so far ahead, and pass errors on."""

import pytest

from sigma_bench.data.parallel import READ_AHEAD, in_threads


def test_the_order_is_that_of_the_items() -> None:
    assert list(in_threads(lambda item: item**2, range(300))) == [item**2 for item in range(300)]


def test_it_reads_ahead_only_so_far() -> None:
    begun: list[int] = []
    results = in_threads(lambda item: begun.append(item) or item, range(1000))
    assert next(results) == 0
    assert len(begun) <= READ_AHEAD


def test_an_error_comes_where_its_item_would() -> None:
    results = in_threads(lambda item: 1 // item, [1, 1, 0, 1])
    assert [next(results), next(results)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
