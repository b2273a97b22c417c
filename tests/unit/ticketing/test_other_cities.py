"""What other cities' tariffs need, said by the file alone: published prices where a source is named, else our own."""

from __future__ import annotations

from datetime import datetime

import pytest

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.errors import TariffError
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day, rate_days

DAY = "2026-03-04"  # a Wednesday


def city(timezone: str, currency: str, entries: str, start: str = "00:00") -> CityTariff:
    head = f'version = 1\ncurrency = "{currency}"\ntimezone = "{timezone}"\nservice_day_starts = "{start}"\n'
    return parse_city_tariff(head + entries, "city.toml")


def entry(kind: str, id_: str, rows: str) -> str:
    return f'[[{kind}]]\nid = "{id_}"\nname = {{ uk = "{id_}", en = "{id_}" }}\n{rows}\n'


def at(tariff: CityTariff, clock: str, day: str = DAY) -> float:
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=tariff.zone).timestamp()


def boarded(tariff: CityTariff, *rides: str, day: str = DAY) -> list[int]:
    """Charges of rides such as "08:00 bus 12 >" (clock, network, route, direction)."""
    taps = []
    for number, ride in enumerate(rides):
        clock, network, route, *_ = [*ride.split(), "any", ""]
        taps.append(FareTap(str(number), at(tariff, clock, day), network, route_id=route or None, stop_id=f"s{number}"))
    return [line.charge_minor for line in rate_day(taps, tariff, Account()).lines]


def tapped(tariff: CityTariff, *rides: tuple[str, str, str, str, int]) -> list[int]:
    """What rides with an exit cost: in, out, network, route, metres."""
    taps = []
    for number, (start, end, network, route, metres) in enumerate(rides):
        taps.append(FareTap(f"{number}in", at(tariff, start), network, "in", f"a{number}", route_id=route))
        taps.append(FareTap(f"{number}out", at(tariff, end), network, "out", f"b{number}", distance_m=metres))
    return [line.charge_minor for line in rate_day(taps, tariff, Account()).lines if line.charge_minor]


PRAGUE = city(
    "Europe/Prague",
    "CZK",
    entry("fare", "short", "price_minor = 3000")
    + entry("transfer", "half_hour", "minutes = 30")
    + entry("transfer", "basic", 'minutes = 90\npays = "total"\nprice_minor = 4000')
    + entry("cap", "day", 'period = "rolling"\nrolling_hours = 24\namount_minor = 12000'),
)


# dpp.cz, PID tariff from 1 August 2021: 30 minutes 30 Kč, 90 minutes 40 Kč, 24 hours 120 Kč.
@pytest.mark.parametrize(
    ("rides", "charged"),
    [
        (["08:00", "08:29"], [3000, 0]),
        (["08:00", "08:30"], [3000, 1000]),
        (["08:00", "08:20", "08:50", "09:29", "09:30"], [3000, 0, 1000, 0, 3000]),
        (["08:00", "09:15", "09:29"], [3000, 1000, 0]),
        ([f"{hour:02d}:00" for hour in range(8, 16)], [3000, 1000, 3000, 1000, 3000, 1000, 0, 0]),
    ],
)
def test_prague_pays_by_the_time_of_the_journey(rides, charged):
    assert boarded(PRAGUE, *rides) == charged


NEW_YORK = city(
    "America/New_York",
    "USD",
    '[[network]]\nid = "bus"\n[[network]]\nid = "subway"\n'
    + entry("fare", "ride", "price_minor = 290")
    + entry("transfer", "free", 'minutes = 120\nchanges_max = 1\nonce_on = ["subway"]\nsame_route = false')
    + entry("cap", "week", 'period = "rolling"\nrolling_days = 7\namount_minor = 3400'),
)


# new.mta.info/fares (2023 to 2025): 2.90, one free change within two hours between subway and bus or two bus routes.
@pytest.mark.parametrize(
    ("rides", "charged"),
    [
        (["08:00 subway", "09:59 bus M1"], [290, 0]),
        (["08:00 subway", "10:00 bus M1"], [290, 290]),
        (["08:00 subway", "08:40 subway"], [290, 290]),
        (["08:00 bus M1", "08:40 bus M2"], [290, 0]),
        (["08:00 bus M1", "08:40 bus M1"], [290, 290]),
        (["08:00 bus M1", "08:40 subway", "09:10 bus M2"], [290, 0, 290]),
    ],
)
def test_new_york_has_one_free_change(rides, charged):
    assert boarded(NEW_YORK, *rides) == charged


VIENNA = city("Europe/Vienna", "EUR", entry("fare", "single", "price_minor = 240")
              + entry("transfer", "journey", "minutes = 90\nreturn_trips = false\nsame_route = false"))  # fmt: skip


# wienerlinien.at (2018 to 2025): 2.40 for one journey in one direction with changes, without a way back.
def test_vienna_is_one_journey_in_one_direction():
    assert boarded(VIENNA, "08:00 u U1", "08:20 tram 49", "08:40 bus 52A") == [240, 0, 0]
    assert boarded(VIENNA, "08:00 u U1", "08:20 tram 49", "08:40 u U1") == [240, 0, 240]


BERLIN = city("Europe/Berlin", "EUR", '[[zone]]\nid = "A"\n[[zone]]\nid = "B"\n[[zone]]\nid = "C"\n'
              + entry("fare", "ab", 'price_minor = 380\nwithin = ["A", "B"]')
              + entry("fare", "abc", 'price_minor = 470\nwithin = ["A", "B", "C"]')
              + entry("transfer", "two_hours", 'minutes = 120\nreturn_trips = false\npays = "difference"'))  # fmt: skip


# bvg.de (2025): AB 3.80, ABC 4.70, two hours in one direction. That leaving the zones costs the difference is ours.
def test_berlin_pays_the_zones_of_the_whole_journey():
    def leg(number: int, clock: str, zone: str) -> FareTap:
        return FareTap(str(number), at(BERLIN, clock), None, areas=(zone,), stop_id=f"s{number}")

    taps = [leg(0, "08:00", "A"), leg(1, "08:30", "B"), leg(2, "09:00", "C"), leg(3, "10:01", "A")]
    assert [line.charge_minor for line in rate_day(taps, BERLIN, Account()).lines] == [380, 0, 90, 380]


SINGAPORE = city(
    "Asia/Singapore",
    "SGD",
    '[[network]]\nid = "bus"\nexit = { max_minutes = 180, missing_minor = 247 }\n'
    '[[network]]\nid = "rail"\nexit = { max_minutes = 180, missing_minor = 247 }\n'
    + "[[join]]\nanywhere = true\nminutes = 45\nrides_max = 6\ntotal_minutes = 120\n"
    + 'same_route = false\nonce_on = ["rail"]\n'
    + "".join(entry("fare", f"to{km}", f"below_m = {km * 1000 + 100}\nprice_minor = {price}")
              for km, price in ((3, 100), (4, 110), (5, 120), (10, 160), (40, 240))),
)  # fmt: skip


# lta.gov.sg: distance of the whole journey, up to five changes within two hours, 45 minutes between, no route twice,
# rail entered once. The prices here are our own.
@pytest.mark.parametrize(
    ("rides", "charged"),
    [
        ([("08:00", "08:10", "bus", "10", 2000)], [100]),
        ([("08:00", "08:10", "bus", "10", 2000), ("08:20", "08:30", "rail", "", 2800)], [100, 20]),
        ([("08:00", "08:10", "bus", "10", 2000), ("08:55", "09:00", "bus", "14", 2000)], [100, 100]),
        ([("08:00", "08:10", "bus", "10", 2000), ("08:20", "08:30", "bus", "10", 2000)], [100, 100]),
        ([("08:00", "08:40", "rail", "", 2000), ("08:50", "09:20", "bus", "14", 900),
          ("09:30", "09:50", "rail", "", 2000)], [100, 100]),
        ([("08:00", "08:40", "bus", "1", 500), ("09:10", "09:50", "bus", "2", 500),
          ("10:00", "10:10", "bus", "3", 500)], [100, 100]),
        ([(f"08:{n}0", f"08:{n}5", "bus", str(n), 1000) for n in range(6)]
         + [("09:00", "09:05", "bus", "7", 1000)], [100, 10, 10, 40, 100]),
    ],
)  # fmt: skip
def test_singapore_pays_by_the_distance_of_the_journey(rides, charged):
    assert tapped(SINGAPORE, *rides) == charged


SYDNEY = city(
    "Australia/Sydney",
    "AUD",
    '[[network]]\nid = "train"\nexit = { max_minutes = 180, missing_minor = 1000 }\n'
    '[[network]]\nid = "bus"\nexit = { max_minutes = 180, missing_minor = 1000 }\n'
    + entry("fare", "train_ride", 'networks = ["train"]\nprice_minor = 600')
    + entry("fare", "bus_ride", 'networks = ["bus"]\nprice_minor = 400')
    + entry("transfer", "to_bus", 'groups = ["train_ride"]\nto_groups = ["bus_ride"]\nminutes = 60\npays = "discount"\n'
            'price_minor = 200\ncounted_from = "last_exit"')
    + entry("cap", "weekday", 'period = "day"\nweekdays = ["mon", "tue", "wed", "thu"]\nnot_on = [2026-03-05]\n'
            "amount_minor = 1930")
    + entry("cap", "weekend", 'period = "day"\nweekdays = ["fri", "sat", "sun"]\nalso_on = [2026-03-05]\n'
            "amount_minor = 965")
    + entry("cap", "week", 'period = "week"\namount_minor = 5000'),
    start="04:00",
)  # fmt: skip


# transportnsw.info (July 2025 on): adults at most 19.30 a day, 9.65 from Friday to Sunday and on holidays, 50.00 a
# week; 2.00 less for a change of mode within an hour. The fares here are our own.
def test_sydneys_caps_are_those_of_the_service_day():
    def total(day: str, *starts: str) -> int:
        taps = []
        for number, start in enumerate(starts):
            at_s = at(SYDNEY, start, day)
            taps += [FareTap(f"{number}i", at_s, "train", "in"), FareTap(f"{number}o", at_s + 900, "train", "out")]
        return sum(one.total_minor for one in rate_days(taps, SYDNEY, Account()))

    rides = ("08:00", "10:00", "12:00", "14:00")
    assert total("2026-03-04", *rides) == 1930
    assert total("2026-03-06", *rides) == 965
    assert total("2026-03-05", *rides) == 965  # a holiday
    # Before four in the morning of a Friday it is still Thursday; here the one before the holiday's week.
    assert total("2026-03-13", "00:30", "01:00", "02:00", "03:00") == 1930
    assert tapped(SYDNEY, ("08:00", "08:20", "train", "", 0), ("09:19", "09:30", "bus", "", 0)) == [600, 200]
    assert tapped(SYDNEY, ("08:00", "08:20", "train", "", 0), ("09:20", "09:30", "bus", "", 0)) == [600, 400]


def test_a_night_is_one_entry_and_belongs_to_the_day_on_which_it_begins():
    tariff = city(
        "Europe/Kyiv",
        "UAH",
        entry("fare", "ride", "price_minor = 800")
        + '[[hours]]\nid = "night"\nstart = "23:00"\nuntil = "05:00"\nweekdays = ["fri", "sat"]\n'
        + entry("fare", "night_ride", 'price_minor = 1600\nhours = "night"\npriority = 1'),
    )
    friday, saturday, sunday, monday = (f"2026-03-{day:02d}" for day in (6, 7, 8, 9))
    assert boarded(tariff, "04:59", "22:59", "23:00", day=friday) == [800, 800, 1600]
    assert boarded(tariff, "00:00", "04:59", "05:00", day=saturday) == [1600, 1600, 800]
    assert boarded(tariff, "04:59", "23:30", day=sunday) == [1600, 800]
    assert boarded(tariff, "01:00", day=monday) == [800]


def test_days_of_a_weekly_cap_are_refused():
    with pytest.raises(TariffError, match=r"cap 'week'.weekdays: give it with the period day"):
        city(
            "Europe/Kyiv",
            "UAH",
            entry("fare", "ride", "price_minor = 800")
            + entry("cap", "week", 'period = "week"\namount_minor = 1\nweekdays = ["mon"]'),
        )
