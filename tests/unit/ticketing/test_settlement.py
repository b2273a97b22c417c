"""Sharing out: parts that sum to the whole, whatever the weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.settlement_document import SalesLine, ShareLine, TapsLine, share_out, share_sales


@pytest.mark.parametrize(
    ("whole", "weights", "shares"),
    [
        (100, [1, 1, 1], [34, 33, 33]),
        (-100, [1, 1, 1], [-34, -33, -33]),
        (5, [0, 3, 0], [0, 5, 0]),
        (0, [4, 4], [0, 0]),
        (7, [], []),
        (7, [0, 0], []),
        (1, [49, 51], [0, 1]),
    ],
)
def test_a_whole_in_parts(whole, weights, shares):
    assert share_out(whole, weights) == shares


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_parts_sum_to_the_whole_and_none_is_off_by_one(whole, weights):
    shares = share_out(whole, weights)
    if not sum(weights):
        assert shares == []
        return
    assert sum(shares) == whole
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share - whole * weight / sum(weights)) < 1


def taps(operator, route_id, product, riders):
    return TapsLine(operator, route_id, product, "qr", riders, riders, 0, 0, 0)


def test_sales_of_a_product_are_shared_by_its_own_rides():
    sales = [SalesLine("single", "UAH", 10, 8000, 1, 800), SalesLine("month", "UAH", 1, 90_000, 0, 0)]
    lines = [
        taps("a", "1", "single", 2),
        taps("a", "2", "single", 1),
        taps("b", None, "single", 6),
        taps("b", "9", "day", 5),
    ]
    assert share_sales(sales, lines) == (
        ShareLine("a", "1", "single", "UAH", 2, 1600),
        ShareLine("a", "2", "single", "UAH", 1, 800),
        ShareLine("b", None, "single", "UAH", 6, 4800),
        ShareLine(None, None, "month", "UAH", 0, 90_000),
    )
