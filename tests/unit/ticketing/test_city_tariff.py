"""A city's tariff file: what it promises, and what it refuses by file and field."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketing.city_file import parse_city_tariff
from ticketing.errors import TariffError
from ticketing.fare_tables import read_fares

TARIFFS = Path(__file__).parents[3] / "ticketing" / "tariffs"
HEAD = 'version = 1\ncity = { uk = "М", en = "C" }\ncurrency = "EUR"\ntimezone = "Europe/Kyiv"\n'
NAME = 'name = { uk = "Н", en = "N" }\n'
FARE = f'[[fare]]\nid = "ride"\n{NAME}price_minor = 200\n'


@pytest.mark.parametrize("path", sorted(TARIFFS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_shipped_files_are_right_and_named_in_both_languages(path):
    tariff = parse_city_tariff(path.read_text(), path.name)
    assert all(name.uk and name.en for name in tariff.names.values())
    assert all(re.search("[а-яіїєґ]", name.uk, re.IGNORECASE) for name in tariff.names.values())


def test_there_are_three_examples():
    assert {path.stem for path in TARIFFS.glob("*.toml")} == {"kyiv", "lviv", "london"}


def lines(fields: dict[str, str]) -> str:
    return "".join(f"{key} = {value}\n" for key, value in fields.items() if value)


def with_fare(**fields: str) -> str:
    return HEAD + FARE + lines(fields)


def with_cap(**fields: str) -> str:
    rows = {"period": '"day"', "amount_minor": "500"} | fields
    return (
        HEAD
        + FARE
        + f'[[cap]]\nid = "c"\n{NAME}'
        + "".join(f"{key} = {value}\n" for key, value in rows.items() if value)
    )


def with_transfer(**fields: str) -> str:
    rows = {"minutes": "60"} | fields
    return (
        HEAD + FARE + f'[[transfer]]\nid = "t"\n{NAME}' + "".join(f"{key} = {value}\n" for key, value in rows.items())
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version = ", "Invalid value"),
        (HEAD, "fare: there is none"),
        (HEAD + FARE + "colour = 1\n", "fare 'ride'"),
        (HEAD + FARE + FARE, "product 'ride'.id: it is there twice"),
        (HEAD.replace("EUR", "euro") + FARE, "currency: 'euro'"),
        (HEAD.replace("Europe/Kyiv", "Mars/Base") + FARE, "timezone: 'Mars/Base'"),
        ('service_day_starts = "25:00"\n' + HEAD + FARE, "service_day_starts: write a time HH:MM"),
        ('week_starts = "monday"\n' + HEAD + FARE, "week_starts: write one of mon"),
        (HEAD + FARE.replace("200", "-1"), "fare 'ride'.price_minor: write minor units"),
        (HEAD + FARE.replace("200", "2.5"), "fare 'ride'.price_minor"),
        (HEAD + FARE.replace('"ride"', '"a ride"'), "id: it has 1 to 32"),
        (with_fare(networks='["moon"]'), "fare 'ride'.networks: 'moon' is defined nowhere"),
        (with_fare(within='["9"]'), "fare 'ride'.within: '9' is defined nowhere"),
        (with_fare(hours='"never"'), "fare 'ride'.hours: 'never' is defined nowhere"),
        (with_fare(media='["stone"]'), "fare 'ride'.media: 'stone'"),
        (with_fare(categories='["king"]'), "fare 'ride'.categories: 'king'"),
        (with_fare(below_m="0"), "fare 'ride'.below_m: write a whole number from 1"),
        (with_cap(amount_minor=""), "cap 'c'.amount_minor: give it, or after_rides"),
        (with_cap(after_rides="3"), "cap 'c'.amount_minor: give it, or after_rides; not both"),
        (with_cap(period='"year"'), "cap 'c'.period: write one of day, week, month, rolling"),
        (with_cap(period='"rolling"'), "cap 'c'.rolling_days: give it"),
        (with_cap(rolling_days="7"), "cap 'c'.rolling_days: give it, or rolling_hours, with"),
        (with_cap(then_percent="101"), "cap 'c'.then_percent"),
        (with_transfer(minutes="0"), "transfer 't'.minutes: write a whole number from 1 to 1440, not 0"),
        (with_transfer(groups='["bus"]'), "transfer 't'.groups: 'bus' is defined nowhere"),
        (with_transfer(changes_max="0"), "transfer 't'.changes_max: write -1"),
        (with_transfer(pays='"nothing"'), "transfer 't'.pays: write one of extra, difference, discount, total"),
        (with_transfer(counted_from='"birth"'), "transfer 't'.counted_from"),
        (HEAD + FARE + '[[hours]]\nid = "h"\nstart = "22:00"\nuntil = "22:00"\n', "hours 'h'.until: it is the same"),
        (HEAD + FARE + '[[hours]]\nid = "h"\nweekdays = ["Monday"]\n', "hours 'h'.weekdays: write one of"),
        (HEAD + FARE + '[[debit]]\nmedia = []\nrhythm = "pair"\n', "debit 1.odd_at: give it with the rhythm pair"),
        (HEAD + FARE + '[[media]]\nid = "m"\ntype = "wood"\n', "media 'm'.type: write one of none, paper"),
        (
            HEAD + FARE + f'[[product]]\nid = "p"\n{NAME}price_minor = 1\nvalid = {{ }}\n',
            "product 'p'.valid: name exactly one",
        ),
        (HEAD + FARE + "[trips]\nbulk = []\ntop_up_max = 5\nheld_max = 5\n", "trips.bulk.trips: begin with 1"),
        (HEAD + FARE + "[group]\ncompanions_max = -1\n", "group.companions_max"),
        (
            HEAD + FARE + '[[network]]\nid = "n"\nexit = { max_minutes = 0, missing_minor = 5 }\n',
            "'n'.exit.max_minutes",
        ),
        (HEAD + FARE + '[[join]]\nfrom_stops = ["a"]\n', "join 1.from_stops: give both"),
        (
            HEAD + FARE + f'[[surcharge]]\nid = "s"\n{NAME}price_minor = 1\non = "sunday"\n',
            "surcharge 's'.on: write one of boarding, exit, either",
        ),
    ],
)
def test_what_is_wrong_is_named_by_file_and_field(text, message):
    with pytest.raises(TariffError) as error:
        parse_city_tariff(text, "city.toml")
    assert str(error.value).startswith("city.toml: ")
    assert message in str(error.value)


def test_an_absurdly_nested_file_is_refused():
    with pytest.raises(TariffError, match="nested"):
        parse_city_tariff("x = " + "[" * 100_000, "city.toml")


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200), st.integers(0, 400))
def test_a_damaged_file_is_refused_or_read_and_nothing_else(noise, place):
    text = (TARIFFS / "lviv.toml").read_text()
    damaged = text[: place * 5] + noise + text[place * 5 + len(noise) :]
    with contextlib.suppress(TariffError):
        parse_city_tariff(damaged, "city.toml")


def test_a_networks_taps_are_known_by_route_or_by_operator():
    head = HEAD + FARE + '[[network]]\nid = "tram"\nroutes = ["1"]\n[[network]]\nid = "bus"\noperators = ["kpt"]\n'
    tariff = parse_city_tariff(head, "city.toml")
    assert (tariff.network_of("1", "kpt"), tariff.network_of("2", "kpt")) == ("tram", "bus")
    assert (tariff.network_of(None, "kpt"), tariff.network_of("2", None)) == ("bus", None)


def test_a_pass_ends_by_the_citys_clock():
    lviv = parse_city_tariff((TARIFFS / "lviv.toml").read_text(), "lviv.toml")
    assert lviv.passes is not None
    assert lviv.pass_until_s(lviv.passes["month"], 1_772_600_000) == 1_772_600_000 + 30 * 86_400


FEED = {
    "agency.txt": b"agency_id,agency_timezone\na,Europe/Kyiv\n",
    "fare_products.txt": b"fare_product_id,fare_product_name,amount,currency\nA,Adult,1.00,EUR\n",
    "fare_leg_rules.txt": b"leg_group_id,network_id,fare_product_id\na,na,A\n",
}


def test_a_file_adds_to_what_the_feed_says():
    feed = read_fares(FEED)
    tariff = parse_city_tariff(
        HEAD + f'[[cap]]\nid = "c"\n{NAME}period = "day"\namount_minor = 150\nnetworks = ["na"]\n', "city.toml", feed
    )
    assert tariff.names["A"].en == "Adult"
    assert tariff.caps[0].networks == ("na",)


def test_a_feed_in_another_currency_is_refused():
    with pytest.raises(TariffError, match="one city has one currency"):
        parse_city_tariff(HEAD.replace("EUR", "UAH"), "city.toml", read_fares(FEED))
