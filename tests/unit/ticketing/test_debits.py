"""When money leaves the rider's account: pairs, days, corrections after late taps."""

from datetime import datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.debits import DebitPlan, PlannedDebit, Reason, part_of_changes, plan_debits, still_due
from ticketing.journeys import FareTap
from ticketing.rated import Account, DayRating
from ticketing.rating import rate_day
from ticketing.receipt import receipt

TARIFFS = Path(__file__).parents[3] / "ticketing" / "tariffs"


def city(name: str) -> CityTariff:
    return parse_city_tariff((TARIFFS / f"{name}.toml").read_text(), f"{name}.toml")


KYIV = city("kyiv")


def at(text: str) -> float:
    return datetime.fromisoformat(f"2026-03-04 {text}").replace(tzinfo=ZoneInfo("Europe/Kyiv")).timestamp()


def rated(*times: str, network: str = "surface") -> DayRating:
    return rate_day([FareTap(time, at(time), network) for time in times], KYIV, Account("bank"))


def plan(rating: DayRating) -> DebitPlan:
    return plan_debits(rating, KYIV, "bank")


def test_pairs_are_for_surface_transport_and_the_metro_debits_each():
    taps = [FareTap("m", at("08:30"), "metro"), *(FareTap(t, at(t), "surface") for t in ("08:00", "09:00"))]
    debits = plan(rate_day(taps, KYIV, Account("bank"))).debits
    assert [(debit.tap_ids, debit.minor, debit.reason) for debit in debits] == [
        (("m",), 800, "each"),
        (("08:00", "09:00"), 1600, "pair"),
    ]


def test_a_card_with_its_own_money_pays_each_ride():
    assert [debit.reason for debit in plan_debits(rated("08:00", "09:00"), KYIV, "card").debits] == ["each", "each"]


def test_free_rides_make_no_pair():
    lviv = city("lviv")
    taps = [FareTap(time, at(time), "city") for time in ("08:00", "08:30", "10:00")]
    rating = rate_day(taps, lviv, Account("leocard"))
    assert [debit.tap_ids for debit in plan_debits(rating, lviv, "leocard").debits] == [("08:00",), ("10:00",)]


def test_lviv_debits_a_bank_cards_day_in_one_sum_when_the_day_is_over():
    lviv = city("lviv")
    rating = rate_day([FareTap(time, at(time), "city") for time in ("08:00", "08:25")], lviv, Account("bank"))
    (debit,) = plan_debits(rating, lviv, "bank").debits
    assert (debit.minor, debit.at_s) == (4000, at("03:00") + 86_400)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (("12:00", "18:00"), ("08:00", "12:00", "18:00"), [(800, ("08:00", "12:00"))]),
        (("12:00", "18:00"), ("12:00", "18:00"), []),
        ((), ("08:00", "09:00"), [(1600, ("08:00", "09:00"))]),
    ],
)
def test_what_was_debited_is_not_debited_again_when_a_late_tap_pairs_trips_anew(before, after, expected):
    debited = {tap_id: 800 for debit in plan(rated(*before)).debits for tap_id in debit.tap_ids}
    rating = rated(*after)
    due = still_due(rating, plan(rating), debited)
    assert [(debit.minor, debit.tap_ids) for debit in due] == expected
    assert sum(debited.values()) + sum(debit.minor for debit in due) == rating.total_minor


def test_what_was_taken_too_much_goes_back():
    lviv = city("lviv")
    rating = rate_day([FareTap(time, at(time), "city") for time in ("08:00", "08:30")], lviv, Account("leocard"))
    due = still_due(rating, plan_debits(rating, lviv, "leocard"), {"08:30": 1700})
    assert [(debit.minor, debit.reason) for debit in due] == [(1700, "each"), (-1700, "correction")]


@pytest.mark.parametrize("reason", get_args(Reason))
@pytest.mark.parametrize("language", ["uk", "en"])
def test_every_kind_of_debit_has_words(reason, language):
    text = receipt(rated("08:00"), KYIV, language, (PlannedDebit(at("09:00"), 800, ("08:00",), reason),)).debits[0]
    assert "8" in text
    assert "{" not in text


@pytest.mark.parametrize(
    ("minor", "part"),
    [(30, {"c": 40, "a": -70}), (50, {"c": 40, "a": -90}), (60, {"c": 40, "a": -90, "b": -10}),
     (80, {"c": 40, "a": -90, "b": -30})],
)  # fmt: skip
def test_a_part_of_a_correction_is_for_some_of_its_taps_and_the_rest_for_the_others(minor, part):
    changes = {"a": -90, "b": -30, "c": 40}
    assert part_of_changes(changes, minor) == part
    assert sum(part.values()) == -minor
