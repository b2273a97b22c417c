"""Token buckets: a burst, then a rate, in a table that does not grow."""

import pytest

from deploy.limits import Rate, TokenBuckets, retry_after


def test_a_burst_passes_and_the_next_waits() -> None:
    buckets = TokenBuckets(Rate(per_s=10, burst=200))
    assert [buckets.take("validator", 0.0) for _ in range(200)] == [0.0] * 200
    assert buckets.take("validator", 0.0) == pytest.approx(0.1)
    assert buckets.refused == 1


def test_time_fills_a_bucket_to_its_brim() -> None:
    buckets = TokenBuckets(Rate(per_s=10, burst=5))
    for _ in range(5):
        buckets.take("a", 0.0)
    assert buckets.take("a", 0.1) == 0.0
    assert [buckets.take("a", 1000.0) == 0.0 for _ in range(6)] == [True] * 5 + [False]


def test_one_caller_does_not_pay_for_another() -> None:
    buckets = TokenBuckets(Rate(per_s=1, burst=1))
    assert buckets.take("a", 0.0) == 0.0
    assert buckets.take("b", 0.0) == 0.0


def test_a_clock_set_back_neither_fills_nor_freezes() -> None:
    buckets = TokenBuckets(Rate(per_s=1, burst=1))
    assert buckets.take("a", 1000.0) == 0.0
    assert buckets.take("a", 10.0) > 0.0
    assert buckets.take("a", 11.0) == 0.0


def test_a_million_addresses_take_no_more_room_than_the_table() -> None:
    buckets = TokenBuckets(Rate(per_s=1, burst=1), keys_max=100)
    for address in range(10_000):
        buckets.take(str(address), 0.0)
    assert len(buckets) == 100


@pytest.mark.parametrize(("wait_s", "header"), [(0.01, "1"), (1.0, "1"), (1.2, "2")])
def test_retry_after_is_whole_seconds(wait_s: float, header: str) -> None:
    assert retry_after(wait_s) == header
