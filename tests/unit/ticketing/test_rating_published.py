"""Published worked examples of Kyiv, Lviv, London and ORCA; amounts are restated with their source."""

import json
from datetime import datetime
from itertools import count
from pathlib import Path

import pytest

from tests.unit.ticketing.journey_cost import journey_minor
from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.debits import close_waiting, plan_debits
from ticketing.fare_tables import read_fares
from ticketing.journeys import FareTap
from ticketing.legs import Leg, Rider
from ticketing.rated import Account, DayRating, HeldPass
from ticketing.rating import rate_day, rate_days
from ticketing.receipt import receipt

TARIFFS = Path(__file__).parents[3] / "ticketing" / "tariffs"
DAY = "2026-03-04"
"""A Wednesday."""


def city(name: str) -> CityTariff:
    return parse_city_tariff((TARIFFS / f"{name}.toml").read_text(), f"{name}.toml")


def clock(tariff: CityTariff, text: str, day: str = DAY) -> float:
    return datetime.fromisoformat(f"{day} {text}").replace(tzinfo=tariff.zone).timestamp()


def taps(tariff: CityTariff, times: list[str], network: str | None = None, **more: object) -> list[FareTap]:
    return [FareTap(f"t{n}", clock(tariff, time), network, **more) for n, time in enumerate(times)]  # type: ignore[arg-type]


def charges(rating: DayRating) -> list[int]:
    return [line.charge_minor for line in rating.lines]


def minor(text: str) -> int:
    whole, _, cents = text.partition(".")
    return int(whole) * 100 + int(cents.ljust(2, "0") or 0)


def london_buses(fare: int, cap: int) -> CityTariff:
    return parse_city_tariff(
        f"""
        version = 1
        city = {{ uk = "Лондон", en = "London" }}
        currency = "GBP"
        timezone = "Europe/London"
        service_day_starts = "04:30"
        [[fare]]
        id = "bus"
        name = {{ uk = "Автобус", en = "Bus" }}
        price_minor = {fare}
        [[cap]]
        id = "day"
        name = {{ uk = "Межа на день", en = "Daily cap" }}
        period = "day"
        amount_minor = {cap}
        """,
        "london.toml",
    )


HOURLY = ["08:00", "10:00", "12:00", "14:00", "16:00"]


@pytest.mark.parametrize(
    ("fare", "cap", "expected"),
    [
        (90, 300, [90, 90, 90, 30, 0]),  # londonbanter.co.uk post73705 (2008)
        (150, 450, [150, 150, 150, 0]),  # oysterfares.com bus-hopper-arriving (2016)
    ],
)
def test_the_last_charge_before_londons_cap_is_a_part(fare, cap, expected):
    tariff = london_buses(fare, cap)
    rating = rate_day(taps(tariff, HOURLY[: len(expected)]), tariff, Account())
    assert charges(rating) == expected
    assert rating.total_minor == cap


# tfl.gov.uk: unlimited buses within an hour of the first charged touch; rail between allowed since 2018-01-31.
@pytest.mark.parametrize(
    ("touches", "expected"),
    [
        (["08:00", "08:30", "08:59"], [175, 0, 0]),
        (["08:00", "08:59", "09:10"], [175, 0, 175]),
        (["08:00", "08:59", "09:00"], [175, 0, 175]),  # half-open: sixty minutes later is too late
    ],
)
def test_the_hopper_counts_from_the_first_charged_touch(touches, expected):
    london = city("london")
    assert charges(rate_day(taps(london, touches, "bus"), london, Account("contactless"))) == expected


def test_the_tube_may_lie_between_two_buses_of_a_hopper():
    london = city("london")
    ridden = [
        FareTap("a", clock(london, "08:00"), "bus"),
        FareTap("b", clock(london, "08:20"), "rail", "in", areas=("1",)),
        FareTap("c", clock(london, "08:40"), "rail", "out", areas=("2",)),
        FareTap("d", clock(london, "08:50"), "bus"),
    ]
    assert charges(rate_day(ridden, london, Account("contactless"))) == [175, 0, 350, 0]


def test_twenty_five_buses_within_the_hour_cost_one():
    london = city("london")
    times = ["08:00", *(f"08:{minute:02d}" for minute in range(2, 52, 2))]
    assert rate_day(taps(london, times, "bus"), london, Account("contactless")).total_minor == 175


ZONES_1_TO_8 = """
version = 1
city = { uk = "Лондон", en = "London" }
currency = "GBP"
timezone = "Europe/London"
zone = [{ id = "1" }, { id = "2" }, { id = "3" }, { id = "4" }, { id = "8" }]
network = [{ id = "rail", exit = { max_minutes = 120, missing_minor = 900 } }]
fare = [
    { id = "z13", name = { uk = "1-3", en = "1-3" }, within = ["1", "2", "3"], price_minor = 330 },
    { id = "z18", name = { uk = "1-8", en = "1-8" }, price_minor = 900 },
]
extension = [{ id = "e48", name = { uk = "4-8", en = "4-8" }, zones = ["4", "8"], price_minor = 400 }]
[[cap]]
id = "c13"
name = { uk = "1-3", en = "1-3" }
period = "day"
within = ["1", "2", "3"]
amount_minor = 870
[[cap]]
id = "c18"
name = { uk = "1-8", en = "1-8" }
period = "day"
amount_minor = 1740
"""


def test_a_cap_and_extensions_win_where_they_are_cheaper_than_the_wider_cap():
    """oysterfares.com reply 1030 (FOI): the 1-3 cap of 8.70 and 2 extensions at 4.00 beat the 1-8 cap of 17.40."""
    tariff = parse_city_tariff(ZONES_1_TO_8, "london.toml")
    rides = [("07:00", "8", "1"), ("10:00", "1", "3"), ("12:00", "3", "1"), ("18:00", "1", "8")]
    tapped = [
        FareTap(f"{time} {kind}", clock(tariff, time) + (kind == "out") * 1800, "rail", kind, areas=(place,))
        for time, *ends in rides
        for kind, place in zip(("in", "out"), ends, strict=True)
    ]
    rating = rate_day(tapped, tariff, Account())
    assert rating.total_minor == 870 + 2 * 400 == 1670
    assert any(step.kind == "combination" for line in rating.lines for step in line.explanation)
    assert all(line.charge_minor >= 0 for line in rating.lines)
    assert rate_day(tapped[:2], tariff, Account()).total_minor == 900  # alone the ride costs what it costs


# sud.ua 282505 (2023-10-05): a debit after every second trip, an odd one after 21:07.
@pytest.mark.parametrize(
    ("trips", "expected"),
    [
        (["08:00", "18:00"], [("18:00", 1600)]),
        (["08:00"], [("21:07", 800)]),
        (["08:00", "12:00", "18:00"], [("12:00", 1600), ("21:07", 800)]),
        (["08:00", "09:00", "17:00", "18:00"], [("09:00", 1600), ("18:00", 1600)]),
        (["21:30"], [("21:30", 800)]),
        (["22:30"], []),
    ],
)
def test_kyiv_debits_a_bank_card_after_every_second_trip(trips, expected):
    kyiv = city("kyiv")
    rating = rate_day(taps(kyiv, trips, "surface"), kyiv, Account("bank"))
    plan = plan_debits(rating, kyiv, "bank")
    assert charges(rating) == [800] * len(trips)
    assert [(debit.at_s, debit.minor) for debit in plan.debits] == [
        (clock(kyiv, at), amount) for at, amount in expected
    ]
    assert len(plan.waiting) == (trips == ["22:30"])


def test_an_odd_trip_of_the_late_evening_waits_for_one_of_the_next_day():
    kyiv = city("kyiv")
    days = rate_days(
        [FareTap("a", clock(kyiv, "22:30"), "surface"), FareTap("b", clock(kyiv, "09:00", "2026-03-05"), "surface")],
        kyiv,
        Account("bank"),
    )
    evening = plan_debits(days[0], kyiv, "bank")
    morning = plan_debits(days[1], kyiv, "bank", evening.waiting)
    assert [(debit.minor, debit.tap_ids) for debit in morning.debits] == [(1600, ("a", "b"))]
    alone = close_waiting(datetime(2026, 3, 5).date(), kyiv, "bank", evening.waiting)
    assert [(debit.at_s, debit.minor) for debit in alone.debits] == [(clock(kyiv, "21:07", "2026-03-05"), 800)]


# muse.org.ua, apostrophe.ua 250135 (1, 10 and 50 are stated, the steps between follow the ladder of 2015).
@pytest.mark.parametrize(
    ("trips", "each"), [(1, 800), (9, 800), (10, 770), (19, 770), (20, 740), (30, 710), (49, 680), (50, 650)]
)
def test_kyivs_trips_in_bulk(trips, each):
    assert city("kyiv").bulk_minor(trips) == trips * each


def test_kyiv_sells_at_most_fifty_trips_at_once():
    with pytest.raises(ValueError, match="1 to 50"):
        city("kyiv").bulk_minor(51)


def test_trips_bought_ahead_are_taken_one_by_one():
    kyiv = city("kyiv")
    held = HeldPass("h", "trips", 0, 4e9, 2)
    rating = rate_day(taps(kyiv, HOURLY[:3], "metro"), kyiv, Account("card", passes=(held,)))
    assert charges(rating) == [0, 0, 800]
    assert rating.rides_used == {"h": 2}


def penalty_minor(tariff: CityTariff, network: str) -> int:
    (price_minor,) = {one.price_minor for one in tariff.penalties if network in one.networks or not one.networks}
    return price_minor


@pytest.mark.parametrize(
    ("name", "network", "penalty"), [("kyiv", "surface", 16000), ("kyiv", "city_train", 30000), ("lviv", "city", 30000)]
)
def test_penalties(name, network, penalty):
    assert penalty_minor(city(name), network) == penalty


# politeka 433530, 4studio.com.ua: 17.00 for all validations within 40 minutes of the first, for LeoCard only.
@pytest.mark.parametrize(
    ("media", "times", "expected"),
    [
        ("leocard", ["08:00", "08:25", "08:39"], [1700, 0, 0]),
        ("leocard", ["08:00", "08:40"], [1700, 1700]),
        ("leocard", ["08:00", "08:41"], [1700, 1700]),
        ("bank", ["08:00", "08:25"], [2000, 2000]),
        ("cash", ["08:00"], [2500]),
    ],
)
def test_lviv(media, times, expected):
    lviv = city("lviv")
    assert charges(rate_day(taps(lviv, times, "city"), lviv, Account(media))) == expected


def test_lvivs_month_pass_covers_every_ride():
    lviv = city("lviv")
    held = HeldPass("p", "month", clock(lviv, "00:00"), clock(lviv, "00:00") + 30 * 86400)
    rating = rate_day(taps(lviv, HOURLY, "city"), lviv, Account("leocard", passes=(held,)))
    assert rating.total_minor == 0


def test_three_days_with_their_receipts_in_words():
    kyiv, lviv, london = city("kyiv"), city("lviv"), london_buses(90, 300)
    in_kyiv = rate_day(taps(kyiv, ["08:00", "09:00", "17:00", "18:00"], "surface"), kyiv, Account("bank"))
    in_lviv = rate_day(taps(lviv, ["08:00", "08:25", "08:39"], "city"), lviv, Account("leocard"))
    in_london = rate_day(taps(london, HOURLY), london, Account())
    debits = plan_debits(in_kyiv, kyiv, "bank").debits
    assert "16,00\u00a0₴ списано після другої поїздки о 09:00" in receipt(in_kyiv, kyiv, "uk", debits).text()
    assert "debited after the second trip at 18:00" in receipt(in_kyiv, kyiv, "en", debits).text()
    assert "діє до 08:40" in receipt(in_lviv, lviv, "uk").text()
    assert "it lasts until 08:40" in receipt(in_lviv, lviv, "en").text()
    assert "не більше 3,00" in receipt(in_london, london, "uk").text()
    assert "no more than £3.00, £2.70 had been paid before this ride: -£0.60" in receipt(in_london, london, "en").text()


def test_every_case_of_the_shared_file(shared):
    cases = json.loads((shared / "data/ticket-vectors/fares/fare_cases.json").read_text())
    kyiv, lviv, london = city("kyiv"), city("lviv"), city("london")
    passed = count()

    for network, fare in cases["kyiv"]["flat"].items():
        if network in ("confidence", "source"):
            continue
        of = {"metro": "metro", "city_train": "city_train"}.get(network, "surface")
        assert charges(rate_day(taps(kyiv, ["08:00"], of), kyiv, Account("card"))) == [minor(fare)]
        next(passed)
    for row in cases["kyiv"]["bulk_per_trip"]:
        for trips in (row["from"], row["to"]):
            assert kyiv.bulk_minor(trips) == trips * minor(row["price"])
        next(passed)
    passes = kyiv.passes or {}
    ids = {"month_unlimited": "month", "half_month_unlimited": "half_month", "student": "student_month",
           "pupil": "pupil_month", "46_trips": "rides46", "62_trips": "rides62", "92_trips": "rides92",
           "124_trips": "rides124", "24h": "hours24", "48h": "hours48", "72h": "hours72"}  # fmt: skip
    for name, ours in ids.items():
        assert passes[ours].price_minor == minor(cases["kyiv"]["passes"][name])
        next(passed)
    assert passes["qr_single"].valid.days == cases["kyiv"]["qr_single"]["valid_days_unused"]
    limits = cases["kyiv"]["limits"]
    assert kyiv.trips is not None
    assert (kyiv.trips.top_up_max, kyiv.trips.held_max) == (limits["max_trips_per_topup"], limits["max_trips_on_card"])
    assert penalty_minor(kyiv, "surface") == minor(cases["kyiv"]["penalty"]["city"])
    assert penalty_minor(kyiv, "city_train") == minor(cases["kyiv"]["penalty"]["city_rail"])
    for case in cases["kyiv"]["pair_settlement"]["tests"]:
        rating = rate_day(taps(kyiv, case["trips"], "surface"), kyiv, Account("bank"))
        debits = [(debit.at_s, debit.minor) for debit in plan_debits(rating, kyiv, "bank").debits]
        assert debits == [(clock(kyiv, at.rstrip("+")), minor(amount)) for at, amount in case["debits"]]
        next(passed)

    for case in cases["lviv"]["tests"]:
        times = [tap.split()[0] for tap in case["taps"]]
        assert rate_day(taps(lviv, times, "city"), lviv, Account(case["medium"])).total_minor == minor(case["total"])
        next(passed)
    for media in ("leocard", "bank"):
        fare = cases["lviv"]["leocard" if media == "leocard" else "bank_card"]
        assert charges(rate_day(taps(lviv, ["08:00"], "city"), lviv, Account(media))) == [minor(fare)]
    assert (lviv.passes or {})["month"].price_minor == minor(cases["lviv"]["month"])
    assert (lviv.passes or {})["student_month"].price_minor == minor(cases["lviv"]["student_month"])
    assert lviv.group.companions_max == cases["lviv"]["extra_tickets_per_validation_max"]
    assert penalty_minor(lviv, "city") == minor(cases["lviv"]["penalty"])

    for case in cases["london"]["tests"]:
        if "taps" not in case:
            continue  # the cap with extensions has a test of its own, with journeys that add up to it
        tariff = london_buses(minor(case["fare"]), minor(case["cap"]))
        rating = rate_day(taps(tariff, HOURLY[: case["taps"]]), tariff, Account())
        assert charges(rating) == [minor(charge) for charge in case["charges"]]
        next(passed)
    for case in cases["london"]["hopper"]["tests"][:2]:
        rating = rate_day(taps(london, case["touches"], "bus"), london, Account("contactless"))
        assert charges(rating) == [minor(charge) for charge in case["charges"]]
        next(passed)
    daily = {cap.id: cap.amount_minor for cap in london.caps}
    for zones, amount in cases["london"]["daily_cap_2025_03"].items():
        assert daily[f"zones{zones.replace('-', '')}_day"] == minor(amount)
        next(passed)
    assert next(passed) > 30


def test_the_orca_cases(shared):
    folder = shared / "data/ticket-vectors/gtfs-fares-v2"
    feed = {path.name: path.read_bytes() for path in (folder / "orca").iterdir()}
    fares = read_fares(feed, "America/Los_Angeles")
    naive_feed = feed | {
        "fare_transfer_rules.txt": feed["fare_transfer_rules.txt"].replace(
            b"nonconsecutive_transfers_allowed", b"other"
        )
    }
    naive = read_fares(naive_feed, "America/Los_Angeles")
    network = {rule.group.removesuffix("_leg"): next(iter(rule.networks)) for rule in fares.leg_rules}
    for case in json.loads((folder / "expected.json").read_text())["cases"]:
        legs = [Leg((str(n),), n * 600, n * 600 + 300, network[name]) for n, name in enumerate(case["legs"])]
        assert journey_minor(legs, (fares,), Rider(media="orca_card")) == minor(case["correct"])
        assert journey_minor(legs, (naive,), Rider(media="orca_card")) == minor(case["naive_consecutive"])


def new_york(fare: int, cap: int, period: str) -> CityTariff:
    return parse_city_tariff(
        f"""
        version = 1
        city = {{ uk = "Нью-Йорк", en = "New York" }}
        currency = "USD"
        timezone = "America/New_York"
        [[fare]]
        id = "ride"
        name = {{ uk = "Поїздка", en = "Ride" }}
        price_minor = {fare}
        [[cap]]
        id = "week"
        name = {{ uk = "Межа на тиждень", en = "Weekly cap" }}
        {period}
        amount_minor = {cap}
        """,
        "new-york.toml",
    )


def test_new_yorks_twelfth_ride_of_seven_days_is_a_part():
    """hamodia.com 2023-09-07: fare 2.90, cap 34.00 in seven days from the first ride; the 12th ride costs 2.10."""
    tariff = new_york(290, 3400, 'period = "rolling"\nrolling_days = 7')
    days = [f"2026-03-{day:02d}" for day in range(5, 13)]  # from a Thursday; the eighth day begins anew
    ridden = [FareTap(f"{day} {time}", clock(tariff, time, day)) for day in days for time in ("08:00", "18:00")]
    paid = [charge for rating in rate_days(ridden, tariff, Account()) for charge in charges(rating)]
    assert paid == [290] * 11 + [210, 0, 0] + [290] * 2


def test_new_yorks_week_from_monday_to_sunday():
    """omny.info/fares: after 12 rides at 2.75, which are 33.00, the rest of the week is free."""
    tariff = new_york(275, 3300, 'period = "week"')
    days = [f"2026-03-{day:02d}" for day in range(2, 10)]
    ridden = [FareTap(f"{day} {time}", clock(tariff, time, day)) for day in days for time in ("08:00", "18:00")]
    assert [rating.total_minor for rating in rate_days(ridden, tariff, Account())] == [550] * 6 + [0, 550]


def test_londons_week_at_its_cap():
    """tfl.gov.uk/campaign/new-fares (March 2025): zones 1-2, 8.90 a day, 44.70 from Monday to Sunday."""
    london = city("london")

    def there_and_back(day: str) -> list[FareTap]:
        rides = [("08:00", "1", "2"), ("12:00", "2", "1"), ("17:30", "1", "2"), ("20:00", "2", "1")]
        return [
            FareTap(
                f"{day} {time} {kind}", clock(london, time, day) + (kind == "out") * 1800, "rail", kind, areas=(at,)
            )
            for time, *ends in rides
            for kind, at in zip(("in", "out"), ends, strict=True)
        ]

    days = rate_days([tap for n in range(2, 9) for tap in there_and_back(f"2026-03-0{n}")], london, Account("oyster"))
    assert [charge for charge in charges(days[0]) if charge] == [350, 290, 250]  # peak, off-peak, what is left of 8.90
    assert [day.total_minor for day in days] == [890] * 5 + [20, 0]


def zone_caps(table: dict[str, object]) -> CityTariff:
    """Rides at 3.00 in nine zones, and the caps of a published table: for any time, and off-peak where it says so."""
    caps = []
    for zones, amount in table.items():
        within = [str(zone) for zone in range(1, int(zones[-1]) + 1)]
        for kind, text in amount.items() if isinstance(amount, dict) else [("anytime", amount)]:
            hours = 'hours = "quiet"' if kind == "offpeak" else ""
            caps.append(
                f'[[cap]]\nid = "c{zones}_{kind}"\nname = {{ uk = "М", en = "C" }}\nperiod = "day"\n'
                f"within = {json.dumps(within)}\namount_minor = {minor(str(text))}\n{hours}\n"
            )
    zones_ = "".join(f'[[zone]]\nid = "{zone}"\n' for zone in range(1, 10))
    head = 'version = 1\ncity = { uk = "Лондон", en = "London" }\ncurrency = "GBP"\ntimezone = "Europe/London"\n'
    fare = '[[fare]]\nid = "ride"\nname = { uk = "П", en = "R" }\nprice_minor = 300\n'
    return parse_city_tariff(
        head + fare + zones_ + '[[hours]]\nid = "quiet"\nstart = "09:30"\n' + "".join(caps), "l.toml"
    )


@pytest.mark.parametrize("year", ["daily_cap_2025_03", "daily_cap_2024", "daily_cap_2019_adult"])
def test_londons_daily_caps_of_several_years(shared, year):
    table = json.loads((shared / "data/ticket-vectors/fares/fare_cases.json").read_text())["london"][year]
    tariff = zone_caps(table)
    for zones, amount in table.items():
        farthest = zones[-1]
        for start, kind in (("06:30", "anytime"), ("09:30", "offpeak")):
            first = clock(tariff, start)
            ridden = [FareTap(f"t{n}", first + n * 1200, areas=("1" if n % 2 else farthest,)) for n in range(30)]
            expected = amount[kind] if isinstance(amount, dict) else amount
            assert rate_day(ridden, tariff, Account()).total_minor == minor(expected)


def test_kyivs_ladder_of_2015(shared):
    cases = json.loads((shared / "data/ticket-vectors/fares/fare_cases.json").read_text())["kyiv"]
    rows = [(int(span.split("-")[0]), minor(price)) for span, price in cases["bulk_2015_full_ladder"]]
    bulk = ", ".join(f"{{ trips = {trips}, price_minor = {price} }}" for trips, price in rows)
    text = (TARIFFS / "kyiv.toml").read_text()
    start, end = text.index("bulk = ["), text.index("]\n", text.index("bulk = [")) + 2
    kyiv = parse_city_tariff(text[:start] + f"bulk = [{bulk}]\n" + text[end:], "kyiv-2015.toml")
    assert [kyiv.bulk_minor(trips) // trips for trips in (1, 9, 10, 19, 20, 30, 40, 49, 50)] == [
        400, 400, 390, 390, 380, 370, 360, 360, 350,
    ]  # fmt: skip
