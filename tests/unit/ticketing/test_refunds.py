"""What a ticket brings that is given back: whole, in part, or nothing and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.city_sales import Refund
from ticketing.errors import TariffError
from ticketing.refunds import DAY_S, GivenBack, Held, back_minor, owed_minor
from ticketing.tariff import parse_tariff

CAREFUL = Refund()
REST = Refund(days=0, used="rest")
SINGLE = Held(800, 0.0, 0.0, 15 * DAY_S, 0, 1)
TEN = Held(7700, 0.0, 0.0, 90 * DAY_S, 0, 10)
MONTH = Held(70_000, 0.0, 0.0, 31 * DAY_S, 0, None)
TARIFF = """
version = 1
currency = "UAH"
timezone = "Europe/Kyiv"
[purse]
fare_minor = 800
[[product]]
id = "single"
name = { uk = "Разовий", en = "Single" }
price_minor = 800
valid = { days = 15 }
rides = 1
[[product]]
id = "month"
name = { uk = "Місяць", en = "Month" }
price_minor = 70000
valid = { months = 1 }
refund = { days = 3, used = "rest" }
"""


def test_an_unused_ticket_brings_its_price_within_the_days():
    assert back_minor(CAREFUL, SINGLE, 14 * DAY_S - 1) == 800
    assert back_minor(CAREFUL, MONTH, 13 * DAY_S) == 70_000


@pytest.mark.parametrize(
    ("rule", "ticket", "at_s", "why"),
    [
        (CAREFUL, SINGLE._replace(uses=1), 60.0, "used once"),
        (CAREFUL, TEN._replace(uses=3), 60.0, "used 3 times"),
        (CAREFUL, SINGLE, 14.0 * DAY_S, "more than 14 days ago"),
        (CAREFUL, SINGLE, 15.0 * DAY_S, "time is over"),
        (Refund(days=0), SINGLE, 60.0, "is not given back"),
        (REST, SINGLE._replace(uses=1), 60.0, "nothing is left"),
        (REST, MONTH._replace(uses=40), 30.5 * DAY_S, "nothing is left"),
    ],
)
def test_what_brings_nothing_is_told_why(rule, ticket, at_s, why):
    said = back_minor(rule, ticket, at_s)
    assert isinstance(said, str)
    assert why in said


def test_the_rest_is_what_is_left_of_rides_or_whole_days():
    assert back_minor(REST, TEN._replace(uses=3), 60.0) == 5390
    assert back_minor(REST, MONTH._replace(uses=9), 10.5 * DAY_S) == 70_000 * 20 // 31
    assert back_minor(REST, MONTH, 0.0) == 70_000
    not_begun = MONTH._replace(from_s=10.0 * DAY_S, until_s=41.0 * DAY_S)
    assert back_minor(REST, not_begun, 0.0) == 70_000


@given(
    price=st.integers(0, 10**9),
    uses=st.integers(0, 60),
    allowed=st.one_of(st.none(), st.integers(1, 50)),
    sold_s=st.floats(0, 1e6),
    lasts_s=st.floats(1, 1e8),
    at_s=st.floats(0, 1e8),
    days=st.integers(0, 100),
    used=st.sampled_from(["none", "rest"]),
)
def test_never_less_than_something_and_never_more_than_the_price(
    price, uses, allowed, sold_s, lasts_s, at_s, days, used
):
    uses = min(uses, allowed) if allowed else uses
    back = back_minor(Refund(days, used), Held(price, sold_s, sold_s, sold_s + lasts_s, uses, allowed), at_s)
    assert isinstance(back, str) or 0 <= back <= price


def test_a_product_says_its_own_rule_and_the_file_the_others():
    tariff = parse_tariff(TARIFF, "t.toml")
    assert (tariff.refund_of("single"), tariff.refund_of("month")) == (CAREFUL, Refund(3, "rest"))
    assert tariff.refund_of("sold long ago") == CAREFUL
    never = parse_tariff(TARIFF + "[refund]\ndays = 0\n", "t.toml")
    assert (never.refund_of("single").days, never.refund_of("month").days) == (0, 3)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("[refund]\ndays = -1\n", "t.toml: refund.days"),
        ('[refund]\nused = "half"\n', "t.toml: refund.used"),
        ('[refund]\nused_days = "half"\n', "refund"),
        ("[top_up]\nmin_minor = 0\n", "t.toml: top_up.min_minor"),
        ("[top_up]\nmax_minor = 900000\n", "t.toml: top_up.min_minor"),
        ("[top_up]\nbalance_max_minor = 99999999999999999\n", "t.toml: top_up.min_minor"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(more, named):
    with pytest.raises(TariffError, match=named):
        parse_tariff(TARIFF + more, "t.toml")


@pytest.mark.parametrize(
    ("ticket", "owed"),
    [
        (GivenBack(800, 800, 1, 0, 0, 0), 800),  # the ride that a single was for
        (GivenBack(800, 800, 1, 0, 1, 800), 0),  # a copy of it
        (GivenBack(7700, 7700, 10, 0, 0, 0), 770),
        (GivenBack(7700, 7700, 10, 0, 10, 7700), 0),
        (GivenBack(100, 33, 3, 2, 0, 0), 33),  # two were ridden, and the third was given back
        (GivenBack(100, 66, 3, 1, 0, 0), 33),
        (GivenBack(100, 66, 3, 1, 1, 33), 33),
        (GivenBack(800, 800, 1, 1, 0, 0), 0),  # given back by an admin though it was used, known of then
        (GivenBack(70_000, 70_000, None, 0, 0, 0), 850),
        (GivenBack(900, 900, None, 0, 1, 850), 50),
        (GivenBack(70_000, 30_000, None, None, 0, 0), 0),  # the days until then were kept: they paid for it
        (GivenBack(70_000, 30_000, None, 4, 0, 0), 0),
    ],
)
def test_a_ride_of_before_that_is_told_of_late_is_owed_as_far_as_it_was_given_back(ticket, owed):
    assert owed_minor(ticket, 850) == owed


@given(st.integers(1, 10_000), st.integers(1, 50), st.data())
def test_late_rides_are_owed_what_a_refund_with_them_known_had_kept(price, allowed, data):
    kept = data.draw(st.integers(0, allowed - 1))
    back = price * (allowed - kept) // allowed
    owed = 0
    for late in range(allowed + 2):
        owed += owed_minor(GivenBack(price, back, allowed, kept, late, owed), 850)
        assert back - owed == price * max(0, allowed - kept - late - 1) // allowed
