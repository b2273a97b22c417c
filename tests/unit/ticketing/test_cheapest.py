"""The cheapest lawful combination, held against trying every one of them."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.fare_cases import check_case
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day

UNHURRIED = settings(deadline=None, max_examples=80)
DAY_S = 1_772_600_400.0
NAME = '{ uk = "Н", en = "N" }'


def city(entries: str) -> CityTariff:
    return parse_city_tariff(f'version = 1\ncurrency = "CZK"\ntimezone = "Europe/Prague"\n{entries}', "city.toml")


def by_time(short: tuple[int, int], long: tuple[int, int]) -> CityTariff:
    """Two tickets by time, as (minutes, price): a fare with free changes, and a price for the whole journey."""
    return city(
        f"""
        fare = [{{ id = "short", name = {NAME}, price_minor = {short[1]} }}]
        transfer = [
            {{ id = "on", name = {NAME}, minutes = {short[0]} }},
            {{ id = "long", name = {NAME}, minutes = {long[0]}, pays = "total", price_minor = {long[1]} }},
        ]
        """
    )


def cheapest_tickets(minutes: list[int], tickets: list[tuple[int, int]]) -> int:
    """What covers all rides for the least money, a ticket beginning with some ride: every way is tried."""
    if not minutes:
        return 0
    return min(
        price + cheapest_tickets([later for later in minutes if later >= minutes[0] + span], tickets)
        for span, price in tickets
    )


@UNHURRIED
@given(
    st.lists(st.integers(0, 240), max_size=9, unique=True).map(sorted),
    st.tuples(st.integers(10, 45), st.integers(1, 50)),
    st.tuples(st.integers(46, 120), st.integers(0, 60)),
)
def test_tickets_by_time_are_bought_the_cheapest_way_after_every_ride(minutes, short, longer):
    long = (longer[0], short[1] + longer[1])  # the longer ticket is never the cheaper one
    tariff = by_time(short, long)
    taps = [FareTap(f"{minute:04d}", DAY_S + minute * 60) for minute in minutes]
    lines = rate_day(taps, tariff, Account()).lines
    running = 0
    for number, line in enumerate(lines, 1):
        assert line.charge_minor >= 0
        assert line.charge_minor == sum(step.amount_minor for step in line.explanation)
        running += line.charge_minor
        assert running == cheapest_tickets(minutes[:number], [short, long])


def begun(rides: list[tuple[int, str]], span: int, changes: int) -> list[bool]:
    """Whether each ride begins a journey: else it joins that of the latest ride which still allows the change."""
    journeys: list[list[tuple[int, str]]] = []
    begins = []
    for minute, route in rides:
        in_time = [one for one in journeys if minute < one[0][0] + span and len(one) <= changes]
        open_ = [one for one in in_time if route not in {ridden for _, ridden in one}]
        begins.append(not open_)
        if open_:
            max(open_, key=lambda one: one[-1]).append((minute, route))
        else:
            journeys.append([(minute, route)])
    return begins


@UNHURRIED
@given(
    st.dictionaries(st.integers(0, 240), st.sampled_from("123"), max_size=14).map(lambda day: sorted(day.items())),
    st.integers(30, 150),
    st.integers(1, 3),
)
def test_a_journey_that_is_used_up_gives_way_to_an_earlier_one(rides, span, changes):
    tariff = city(
        f"""
        fare = [{{ id = "ride", name = {NAME}, price_minor = 10 }}]
        transfer = [{{ id = "on", name = {NAME}, minutes = {span}, changes_max = {changes}, same_route = false }}]
        """
    )
    taps = [FareTap(f"{minute:04d}", DAY_S + minute * 60, route_id=route) for minute, route in rides]
    paid = [line.charge_minor > 0 for line in rate_day(taps, tariff, Account()).lines]
    assert paid == begun(rides, span, changes)


ZONES = city(
    f"""
    zone = [{{ id = "1" }}, {{ id = "2" }}, {{ id = "3" }}]
    fare = [
        {{ id = "inner", name = {NAME}, within = ["1", "2"], price_minor = 290 }},
        {{ id = "all", name = {NAME}, price_minor = 410 }},
    ]
    network = [{{ id = "rail", exit = {{ max_minutes = 120, missing_minor = 900 }} }}]
    extension = [{{ id = "outer", name = {NAME}, zones = ["3"], price_minor = 150 }}]
    cap = [
        {{ id = "inner_day", name = {NAME}, period = "day", within = ["1", "2"], amount_minor = 700 }},
        {{ id = "day", name = {NAME}, period = "day", amount_minor = 1100 }},
    ]
    """
)


def cheapest_day(rides: list[tuple[str, str]]) -> int:
    """Every ride to zone 3 counts whole, or its inner part under the inner cap and an extension beside it."""
    best = 10**9
    outer = [at for at, ends in enumerate(rides) if "3" in ends]
    splittable = [at for at in outer if rides[at] != ("3", "3")]
    for split in product((False, True), repeat=len(splittable)):
        inside = beyond = 0
        for at, ends in enumerate(rides):
            if at in outer and not (at in splittable and split[splittable.index(at)]):
                beyond += 410
            elif at in outer:
                inside, beyond = inside + 410 - 150, beyond + 150
            else:
                inside += 290 if "3" not in ends else 0
        whole_cap = not any(split)
        best = min(best, min(1100, min(700, inside) + beyond) if whole_cap else min(700, inside) + beyond)
    return best


@UNHURRIED
@given(st.lists(st.tuples(st.sampled_from("123"), st.sampled_from("123")), max_size=5))
def test_caps_with_and_without_extensions_cost_no_more_than_any_way_of_counting(rides):
    taps = []
    for number, (start, end) in enumerate(rides):
        at_s = DAY_S + number * 3600
        taps.append(FareTap(f"{number}i", at_s, "rail", "in", areas=(start,)))
        taps.append(FareTap(f"{number}o", at_s + 900, "rail", "out", areas=(end,)))
    total = rate_day(taps, ZONES, Account()).total_minor
    assert total <= min(1100, sum(410 if "3" in ends else 290 for ends in rides))
    assert total == min(1100, cheapest_day(rides))


LADDER = city(
    f"""
    fare = [{{ id = "ride", name = {NAME}, price_minor = 1000 }}]
    cap = [
        {{ id = "from3", name = {NAME}, period = "month", after_rides = 2, then_percent = 80 }},
        {{ id = "from5", name = {NAME}, period = "month", after_rides = 4, then_percent = 60 }},
        {{ id = "seventh", name = {NAME}, period = "month", after_rides = 6, then_percent = 0, then_rides = 1 }},
    ]
    """
)


def test_of_a_ladder_one_step_counts_and_every_seventh_ride_is_free():
    case = {"rides": 15, "charges": [f"{c}.00" for c in (10, 10, 8, 8, 6, 6, 0, 6, 6, 6, 6, 6, 6, 0, 6)]}
    assert check_case(case, LADDER).differs == ()
