"""Rules of a tariff that few words of a city's case can tell: ways back, zones nobody knows, and their receipts."""

from __future__ import annotations

from datetime import datetime

import pytest

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day
from ticketing.receipt import receipt

HEAD = 'version = 1\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\nservice_day_starts = "04:00"\n'
NAME = 'name = { uk = "Н", en = "N" }'


def tariff(*entries: str) -> CityTariff:
    return parse_city_tariff(HEAD + "\n".join(entries), "city.toml")


def at(clock: str) -> float:
    return datetime.fromisoformat(f"2026-03-04T{clock}+02:00").timestamp()


def charges(city: CityTariff, *taps: FareTap) -> list[int]:
    return [line.charge_minor for line in rate_day(taps, city, Account()).lines]


BACK = f"""
fare = [{{ id = "ferry", {NAME}, price_minor = 3000 }}]
transfer = [{{ id = "back", {NAME}, until = "04:00", pays = "total", price_minor = 5000, return_trips = "only" }}]
"""


@pytest.mark.parametrize(
    ("first", "second", "charged"),
    [
        (("12", 0), ("12", 1), 2000),
        (("12", 0), ("12", 0), 3000),
        (("12", 0), ("13", 1), 3000),
        (("12", None), ("12", 1), 3000),
    ],
)
def test_the_way_back_is_told_by_the_route_where_nobody_taps_out(first, second, charged):
    taps = [
        FareTap(str(number), at(clock), route_id=route, direction_id=direction)
        for number, (clock, (route, direction)) in enumerate((("08:00", first), ("18:00", second)))
    ]
    assert charges(tariff(BACK), *taps) == [3000, charged]


ZONES = f"""
zone = [
  {{ id = "a", beside = ["b"], stops = ["a1", "border"] }},
  {{ id = "b", beside = ["c"], stops = ["b1", "border"] }},
  {{ id = "c", stops = ["c1"] }},
  {{ id = "island", stops = ["i1"] }},
]
network = [{{ id = "train", operators = ["*"], exit = {{ max_minutes = 240, missing_minor = 900 }} }}]
fare = [
  {{ id = "z1", {NAME}, price_minor = 100, zones_max = 1 }},
  {{ id = "z2", {NAME}, price_minor = 180, zones_max = 2 }},
  {{ id = "z3", {NAME}, price_minor = 250, zones_max = 3 }},
]
"""


@pytest.mark.parametrize(
    ("start", "end", "charged"),
    [
        ("a1", "b1", 180),
        ("a1", "c1", 250),
        ("a1", "border", 100),
        ("border", "b1", 100),
        ("border", "c1", 180),
        ("i1", "i1", 100),
        ("a1", "i1", 0),
        ("nowhere", "a1", 0),
    ],
)
def test_zones_are_counted_along_the_shortest_way(start, end, charged):
    taps = (FareTap("in", at("08:00"), "train", "in", start), FareTap("out", at("08:30"), "train", "out", end))
    assert sum(charges(tariff(ZONES), *taps)) == charged


@pytest.mark.parametrize(("end", "charged"), [("siam", 4300), ("asok", 2800), ("bearing", 4700), ("mo-chit", 1700)])
def test_a_fare_by_stations_needs_no_metres(end, charged):
    """As on Bangkok's trains: the way is told in stations, and nobody says how long it is."""
    fares = ((1, 1700), (3, 2800), (7, 4300))
    rows = [f'{{ id = "{most}", {NAME}, price_minor = {minor}, stops_max = {most} }}' for most, minor in fares]
    rows.append(f'{{ id = "far", {NAME}, price_minor = 4700, priority = -1 }}')
    ways = (("siam", 7), ("asok", 3), ("bearing", 20))
    far = [f'{{ ends = ["mo-chit", "{stop}"], stops = {stops} }}' for stop, stops in ways]
    network = 'network = [{ id = "train", exit = { max_minutes = 120, missing_minor = 6200 } }]'
    city = tariff(f"fare = [{', '.join(rows)}]", f"distance = [{', '.join(far)}]", network)
    taps = (FareTap("in", at("08:00"), "train", "in", "mo-chit"), FareTap("out", at("08:30"), "train", "out", end))
    assert charges(city, *taps) == [0, charged]


def test_two_rides_do_not_become_one_that_has_no_price():
    join = "join = [{ anywhere = true, minutes = 60 }]\n"
    fare = f'fare = [{{ id = "near", {NAME}, price_minor = 500, below_m = 10000 }}]\n'
    network = 'network = [{ id = "train", exit = { max_minutes = 240, missing_minor = 900 } }]\n'
    taps = [
        FareTap("a", at("08:00"), "train", "in"),
        FareTap("b", at("08:20"), "train", "out", distance_m=6000),
        FareTap("c", at("08:30"), "train", "in"),
        FareTap("d", at("08:50"), "train", "out", distance_m=6000),
    ]
    assert charges(tariff(join + fare + network), *taps) == [0, 500, 0, 500]


@pytest.mark.parametrize(
    ("networks", "charged"),
    [
        (("bus", "tram", "bus"), [500, 0, 0]),
        (("bus", "ferry"), [500, 500]),
        (("bus", "tram", "ferry"), [500, 0, 500]),
    ],
)
def test_rides_are_one_on_the_networks_that_a_join_names(networks, charged):
    city = tariff(
        f"""
        network = [{{ id = "bus" }}, {{ id = "tram" }}, {{ id = "ferry" }}]
        fare = [{{ id = "ride", {NAME}, price_minor = 500 }}]
        join = [{{ networks = ["bus", "tram"], anywhere = true, minutes = 60 }}]
        """
    )
    taps = [FareTap(str(number), at(f"08:{number}0"), network) for number, network in enumerate(networks)]
    assert charges(city, *taps) == charged


def test_a_surcharge_may_be_less_for_some():
    """Sydney's airport stations ask of a child what is less than an adult's station fee (transportnsw.info)."""
    city = tariff(
        f"""
        default_category = "adult"
        category = [{{ id = "adult", {NAME} }}, {{ id = "child", {NAME}, percent = 50 }}]
        fare = [{{ id = "ride", {NAME}, price_minor = 500 }}]
        surcharge = [
          {{ id = "gate", {NAME}, price_minor = 1700, categories = ["adult"], stops = ["airport"] }},
          {{ id = "child_gate", {NAME}, price_minor = 1500, categories = ["child"], stops = ["airport"] }},
        ]
        """
    )
    tap = FareTap("a", at("08:00"), stop_id="airport")
    paid = {who: rate_day([tap], city, Account(None, who)).total_minor for who in (None, "adult", "child")}
    assert paid == {None: 2200, "adult": 2200, "child": 1750}


def test_who_comes_along_has_the_caps_of_his_own_category():
    city = tariff(
        f"""
        default_category = "adult"
        category = [{{ id = "adult", {NAME} }}, {{ id = "child", {NAME}, percent = 50 }}]
        group = {{ companions_max = 1, caps = true }}
        fare = [{{ id = "ride", {NAME}, price_minor = 400 }}]
        cap = [
          {{ id = "day", {NAME}, period = "day", amount_minor = 600, categories = ["adult"] }},
          {{ id = "child_day", {NAME}, period = "day", amount_minor = 300, categories = ["child"] }},
        ]
        """
    )
    taps = [FareTap(str(hour), at(f"{hour:02d}:00"), companions=("child",)) for hour in (8, 10, 12)]
    assert charges(city, *taps) == [600, 300, 0]


@pytest.mark.parametrize(("who", "paid"), [(None, 800), ("senior", 500), ("somebody", 800)])
def test_the_price_of_the_one_concession_is_for_those_who_have_it(who, paid):
    """As a file is written first: a price for everybody, and one for seniors; it names no default category."""
    city = tariff(
        f"""
        category = [{{ id = "senior", {NAME} }}]
        network = [{{ id = "train", exit = {{ max_minutes = 90, missing_minor = 900 }} }}]
        fare = [
          {{ id = "ride", {NAME}, price_minor = 800 }},
          {{ id = "senior", {NAME}, price_minor = 500, categories = ["senior"] }},
          {{ id = "open", {NAME}, price_minor = 100, categories = ["senior"], without_exit = true }},
        ]
        """
    )
    assert rate_day([FareTap("a", at("08:00"))], city, Account(None, who)).total_minor == paid
    missing = 100 if who == "senior" else 900
    assert rate_day([FareTap("a", at("08:00"), "train", "in")], city, Account(None, who)).total_minor == missing


def test_time_runs_from_the_exit_of_a_train_in_which_a_bus_was_tapped():
    """The bus ends first, yet the journey's time is that of its first ride: ten minutes from 9:05."""
    city = tariff(
        f"""
        network = [
          {{ id = "bus" }},
          {{ id = "train", exit = {{ max_minutes = 120, missing_minor = 900 }} }},
        ]
        fare = [
          {{ id = "train", {NAME}, price_minor = 800, networks = ["train"] }},
          {{ id = "bus", {NAME}, price_minor = 200, networks = ["bus"] }},
        ]
        transfer = [
          {{ id = "to_bus", {NAME}, minutes = 60, groups = ["train"], to_groups = ["bus"] }},
          {{ id = "on", {NAME}, minutes = 10, groups = ["bus"], counted_from = "exit" }},
        ]
        """
    )
    taps = [
        FareTap("in", at("08:00"), "train", "in"),
        FareTap("on_the_way", at("08:10"), "bus"),
        FareTap("out", at("09:05"), "train", "out"),
        FareTap("after", at("09:12"), "bus"),
        FareTap("late", at("09:15"), "bus"),
    ]
    assert charges(city, *taps) == [0, 0, 800, 0, 200]


def test_the_least_way_is_no_way():
    fare = (
        f'fare = [{{ id = "way", {NAME}, price_minor = 100, by_distance = {{ adds_minor = 10, every_m = 1000 }} }}]\n'
    )
    network = 'network = [{ id = "train", exit = { max_minutes = 240, missing_minor = 900 } }]\n'
    taps = [FareTap("a", at("08:00"), "train", "in", "s"), FareTap("b", at("08:20"), "train", "out", "s")]
    assert charges(tariff(fare + network), *taps) == [0, 100]


def lines(city: CityTariff, category: str | None, *taps: FareTap) -> str:
    rating = rate_day(taps, city, Account(None, category))
    said = (receipt(rating, city, language).text() for language in ("uk", "en"))
    return "\n".join(said).replace("\u00a0", " ")


def test_a_receipt_says_how_many_cheap_rides_are_left():
    city = tariff(
        f"""
        category = [{{ id = "free", {NAME} }}, {{ id = "cheap", {NAME} }}]
        fare = [{{ id = "ride", {NAME}, price_minor = 1700 }}]
        cap = [
          {{ id = "f", {NAME}, period = "month", first_rides = 60, categories = ["free"] }},
          {{ id = "c", {NAME}, period = "month", first_rides = 60, then_minor = 400, categories = ["cheap"] }},
        ]
        """
    )
    free, cheap = (lines(city, category, FareTap("a", at("08:00"))) for category in ("free", "cheap"))
    assert "«Н»: сплачуєте 0 %, таких поїздок лишилося: 59" in free
    assert "“N”: you pay 0%, such rides left: 59" in free
    assert "«Н»: сплачуєте 4,00 ₴, таких поїздок лишилося: 59" in cheap
    assert "“N”: you pay UAH 4.00, such rides left: 59" in cheap


def test_a_receipt_says_from_when_a_change_counts():
    city = tariff(
        f"""
        network = [{{ id = "train", exit = {{ max_minutes = 240, missing_minor = 900 }} }}]
        fare = [{{ id = "ride", {NAME}, price_minor = 1700 }}]
        transfer = [{{ id = "t", {NAME}, minutes = 30, counted_from = "last_exit" }}]
        """
    )
    taps = [
        FareTap("a", at("08:00"), "train", "in"),
        FareTap("b", at("08:20"), "train", "out"),
        FareTap("c", at("08:49")),
    ]
    said = lines(city, None, *taps)
    assert "Пересадка «Н»: час від 08:20 до 08:50" in said
    assert "Transfer “N”: the time is from 08:20 until 08:50" in said


def test_a_receipt_says_until_which_hour_a_change_holds():
    city = tariff(
        f"""
        fare = [{{ id = "ride", {NAME}, price_minor = 1700 }}]
        transfer = [{{ id = "t", {NAME}, until = "12:00" }}]
        """
    )
    said = lines(city, None, FareTap("a", at("08:00")), FareTap("b", at("11:59")))
    assert "перша поїздка о 08:00, діє до 12:00" in said
    assert "the first ride was at 08:00, it lasts until 12:00" in said


def test_a_missing_tap_is_not_called_the_greatest_price():
    city = tariff(
        f"""
        network = [{{ id = "train", exit = {{ max_minutes = 240, missing_minor = 900 }} }}]
        hours = [{{ id = "evening", start = "18:00" }}]
        category = [{{ id = "half", {NAME}, percent = 50 }}]
        fare = [
          {{ id = "ride", {NAME}, price_minor = 500 }},
          {{ id = "open", {NAME}, price_minor = 300, hours = "evening", without_exit = true }},
        ]
        """
    )
    taps = (FareTap("a", at("08:00"), "train", "in"), FareTap("b", at("18:00"), "train", "in"))
    assert charges(city, *taps) == [900, 300]
    said = lines(city, "half", *taps)
    assert "Немає вчасної відмітки про вихід: ціна без неї: 4,50" in said
    assert "No tap out in time: the fare without one: UAH 1.50" in said
