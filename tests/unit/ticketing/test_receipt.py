"""Receipts: every rule has words in both languages, with the facts that it used."""

from datetime import datetime
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.debits import PlannedDebit
from ticketing.journeys import FareTap
from ticketing.rated import Account, HeldPass, Step, StepKind
from ticketing.rating import rate_day
from ticketing.receipt import Paid, explain_paid, explain_step, money, receipt

TARIFFS = Path(__file__).parents[3] / "ticketing" / "tariffs"


def city(name: str) -> CityTariff:
    return parse_city_tariff((TARIFFS / f"{name}.toml").read_text(), f"{name}.toml")


def at(text: str, zone: str = "Europe/London") -> float:
    return datetime.fromisoformat(f"2026-03-04 {text}").replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize("kind", get_args(StepKind))
@pytest.mark.parametrize("language", ["uk", "en"])
@pytest.mark.parametrize("rider", [0, 2])
def test_every_rule_has_words_in_both_languages(kind, language, rider):
    london = city("london")
    bare, full = (
        Step(kind, -100, "bus", rider),
        Step(kind, -100, "bus", rider, "t", at("08:00"), at("09:00"), 525, 350, 3, 50, "hopper"),
    )
    for step in (bare, full):
        text = explain_step(step, london, language)
        assert text
        assert "{" not in text
        assert ("2" in text) or rider == 0


@pytest.mark.parametrize(
    ("minor", "currency", "uk", "en"),
    [
        (800, "UAH", "8,00\u00a0₴", "UAH\u00a08.00"),
        (-30, "GBP", "-0,30\u00a0GBP", "-£0.30"),
        (1234567, "EUR", "12\u00a0345,67\u00a0EUR", "€12,345.67"),
        (150, "JPY", "150\u00a0¥", "JP¥150"),
    ],
)
def test_money_is_written_as_the_language_writes_it(minor, currency, uk, en):
    assert (money(minor, currency, "uk"), money(minor, currency, "en")) == (uk, en)


def test_a_london_day_reads_like_this():
    london = city("london")
    taps = [
        FareTap("a", at("08:00"), "bus", route_id="25"),
        FareTap("b", at("08:30"), "rail", "in", areas=("1",)),
        FareTap("c", at("08:50"), "rail", "out", areas=("2",)),
        FareTap("d", at("08:59"), "bus", route_id="25"),
    ]
    rating = rate_day(taps, london, Account("contactless"))
    debit = PlannedDebit(at("23:00"), rating.total_minor, ("a", "c"), "day")
    assert receipt(rating, london, "en", (debit,)).text().splitlines() == [
        "London, Wednesday, 4 March 2026",
        "",
        "08:00  Bus and tram 25  £1.75",
        "       Fare “Bus or tram”: £1.75",
        "08:30  Tube and rail",
        "       Tapped in: charged after tapping out",
        "08:50  Tube and rail  £3.50",
        "       Fare “Morning peak, zones 1-2”: £3.50",
        "08:59  Bus and tram 25  free",
        "       Fare “Bus or tram”: £1.75",
        "       Transfer “Hopper”: the first ride was at 08:00, it lasts until 09:00: -£1.75",
        "",
        "Total: £5.25",
        "£5.25 for the whole day in one debit, 4 Mar 2026 at 23:00",
    ]
    in_ukrainian = receipt(rating, london, "uk").text()
    assert "Лондон, середа, 4 березня 2026" in in_ukrainian
    assert "Пересадка «Година пересадок»: перша поїздка о 08:00, діє до 09:00" in in_ukrainian


@pytest.mark.parametrize(
    ("paid", "en", "uk"),
    [
        (Paid(350, 350), ["Charged: £3.50"], ["Списано: 3,50\u00a0GBP"]),
        (
            Paid(350, 100, 150),
            ["Charged: £1.00", "Still to be charged: £1.00", "Owed: £1.50"],
            ["Списано: 1,00\u00a0GBP", "Ще буде списано: 1,00\u00a0GBP", "Заборгованість: 1,50\u00a0GBP"],
        ),
        (Paid(350, 0), ["Charged: £0.00", "Still to be charged: £3.50"], None),
        (Paid(0, 150), ["Charged: £1.50", "To be given back: £1.50"], None),
        (Paid(0, 0), [], []),
    ],
)
def test_a_receipt_says_what_of_the_day_is_charged_and_owed(paid, en, uk):
    london = city("london")
    rating = rate_day([FareTap("a", at("08:00"), "bus", route_id="25")], london, Account("contactless"))
    assert explain_paid(paid, "GBP", "en") == tuple(en)
    assert uk is None or explain_paid(paid, "GBP", "uk") == tuple(uk)
    text = receipt(rating, london, "en", paid=paid).text().splitlines()
    assert text[text.index("Total: £1.75") + 1 :] == en


def test_a_trip_bought_ahead_says_how_many_are_left():
    kyiv = city("kyiv")
    rating = rate_day(
        [FareTap("a", at("08:00", "Europe/Kyiv"), "metro")],
        kyiv,
        Account("card", passes=(HeldPass("h", "trips", 0, 4e9, 10),)),
    )
    assert "A trip bought ahead: 9 left" in receipt(rating, kyiv, "en").text()
    assert "Поїздка, куплена наперед: лишилося 9" in receipt(rating, kyiv, "uk").text()


def test_a_name_that_the_tariff_no_longer_has_is_its_id():
    assert explain_step(Step("fare", 100, "gone"), city("kyiv"), "en") == "Fare “gone”"


def test_a_day_without_rides_says_so():
    kyiv = city("kyiv")
    rating = rate_day([], kyiv, Account("card"))
    in_english, in_ukrainian = (receipt(rating, kyiv, language).text().splitlines() for language in ("en", "uk"))
    assert in_english[1:-1] == ["", "No rides on this day", ""]
    assert in_ukrainian[1:-1] == ["", "Поїздок цього дня немає", ""]
