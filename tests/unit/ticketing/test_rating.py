"""What a day costs under each kind of rule that cities have, on tariffs of one screen."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.days import day_bounds_s, service_day
from ticketing.journeys import FareTap
from ticketing.rated import Account, DayRating, HeldPass, after_day, difference, difference_of_days
from ticketing.rating import rate_day, rate_days

ZONE = ZoneInfo("Europe/London")
HEAD = """
version = 1
city = { uk = "Місто", en = "City" }
currency = "EUR"
timezone = "Europe/London"
service_day_starts = "04:30"
"""
FLAT = HEAD + '[[fare]]\nid = "ride"\nname = { uk = "Поїздка", en = "Ride" }\nprice_minor = 200\n'


def entry(kind: str, id_: str, **fields: object) -> str:
    """One [[kind]] of a tariff file, with a name."""
    rows = "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items())
    return f'[[{kind}]]\nid = "{id_}"\nname = {{ uk = "{id_}", en = "{id_}" }}\n{rows}'


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(_toml(item) for item in value) + "]"
        case str():
            return f'"{value}"'
    return str(value)


def tariff(*parts: str) -> CityTariff:
    return parse_city_tariff("".join(parts), "city.toml")


def at(text: str) -> float:
    """An instant by the city's clock; without a date it is Wednesday, 4 March 2026."""
    return datetime.fromisoformat(text if "-" in text else f"2026-03-04 {text}").replace(tzinfo=ZONE).timestamp()


def tap(when: str, network: str | None = None, **more: object) -> FareTap:
    return FareTap(f"{when} {more.get('kind', '')}", at(when), network, **more)  # type: ignore[arg-type]


def charges(rating: DayRating) -> list[int]:
    return [line.charge_minor for line in rating.lines]


def rate(city: CityTariff, *taps: FareTap, **account: object) -> list[int]:
    return charges(rate_day(taps, city, Account(**account)))  # type: ignore[arg-type]


def kinds(rating: DayRating) -> list[list[str]]:
    return [[step.kind for step in line.explanation] for line in rating.lines]


def gates(**exit_: object) -> str:
    return entry("network", "rail", exit={"max_minutes": 110, "missing_minor": 580} | exit_)


# --- periods ---------------------------------------------------------------------------------------------------------


def test_a_weeks_cap_runs_from_monday_to_sunday_with_a_partial_last_charge():
    city = tariff(
        FLAT,
        entry("cap", "day", period="day", amount_minor=500),
        entry("cap", "week", period="week", amount_minor=1200),
    )
    days = [*(f"2026-03-0{n}" for n in (2, 3, 4, 8)), "2026-03-09"]  # Monday, Tuesday, Wednesday, Sunday, Monday
    taps = [tap(f"{day} {time}") for day in days for time in ("08:00", "12:00", "18:00")]
    ratings = rate_days(taps, city, Account())
    assert [charges(rating) for rating in ratings] == [
        [200, 200, 100],
        [200, 200, 100],
        [200, 0, 0],
        [0, 0, 0],
        [200, 200, 100],
    ]


def test_a_months_cap_begins_anew_with_the_first():
    city = tariff(FLAT, entry("cap", "month", period="month", amount_minor=300))
    taps = [tap("2026-03-30 08:00"), tap("2026-03-31 08:00"), tap("2026-04-01 04:29"), tap("2026-04-01 04:30")]
    assert [charges(rating) for rating in rate_days(taps, city, Account())] == [[200], [100, 0], [200]]


def test_after_twelve_paid_rides_within_seven_days_the_rest_is_free():
    """New York's OMNY: 12 paid rides, then free until seven days after the first; free transfers do not count."""
    city = tariff(
        entry("fare", "ride", price_minor=290).join([HEAD, ""]),
        entry("transfer", "two_hours", minutes=120, changes_max=1),
        entry("cap", "week", period="rolling", rolling_days=7, after_rides=12),
    )
    taps = [tap(f"2026-03-0{day} {time}") for day in range(4, 10) for time in ("06:00", "07:00", "10:00", "16:00")]
    ratings = rate_days([*taps, tap("2026-03-10 08:00"), tap("2026-03-11 08:00")], city, Account())
    assert [sum(charges(rating)) for rating in ratings] == [870, 870, 870, 870, 0, 0, 0, 290]
    assert kinds(ratings[4])[0] == ["fare", "after_rides"]


def test_a_cap_of_twenty_four_hours_begins_with_the_first_ride():
    city = tariff(FLAT, entry("cap", "day", period="rolling", rolling_hours=24, amount_minor=300))
    taps = ["2026-03-04 20:00", "2026-03-04 21:00", "2026-03-05 19:59", "2026-03-05 20:00", "2026-03-05 21:00"]
    ratings = rate_days([tap(time) for time in taps], city, Account())
    assert [charges(rating) for rating in ratings] == [[200, 100], [0, 200, 100]]


def test_after_eight_journeys_of_a_week_half_price():
    city = tariff(FLAT, entry("cap", "half", period="week", after_rides=8, then_percent=50))
    taps = [tap(f"2026-03-0{day} {time}") for day in (2, 3, 4) for time in ("08:00", "12:00", "18:00")]
    assert [charges(rating) for rating in rate_days(taps, city, Account())] == [[200] * 3, [200] * 3, [200, 200, 100]]


def test_peak_and_off_peak_caps_hold_together():
    city = tariff(
        HEAD,
        '[[hours]]\nid = "peak"\nstart = "06:30"\nuntil = "09:30"\nweekdays = ["mon", "tue", "wed", "thu", "fri"]\n',
        '[[hours]]\nid = "quiet"\nstart = "09:30"\nuntil = "24:00"\n',
        entry("fare", "dear", price_minor=500, hours="peak", priority=1),
        entry("fare", "cheap", price_minor=300),
        entry("cap", "off_peak", period="day", amount_minor=700, hours="quiet"),
        entry("cap", "anytime", period="day", amount_minor=1100),
    )
    assert rate(city, tap("09:30"), tap("12:00"), tap("15:00")) == [300, 300, 100]
    assert rate(city, tap("09:29"), tap("12:00"), tap("15:00"), tap("18:00")) == [500, 300, 300, 0]


def test_caps_of_one_network_and_of_all_hold_together():
    city = tariff(
        FLAT,
        entry("network", "bus"),
        entry("network", "tram"),
        entry("cap", "bus", period="day", amount_minor=300, networks=["bus"]),
        entry("cap", "all", period="day", amount_minor=600),
    )
    assert rate(city, tap("08:00", "bus"), tap("09:00", "bus"), tap("10:00", "tram"), tap("11:00", "tram")) == [
        200, 100, 200, 100,
    ]  # fmt: skip


def test_the_service_day_ends_at_its_own_hour():
    city = tariff(FLAT, entry("cap", "day", period="day", amount_minor=300))
    taps = [tap("2026-03-04 23:00"), tap("2026-03-05 04:29"), tap("2026-03-05 04:30")]
    assert [charges(rating) for rating in rate_days(taps, city, Account())] == [[200, 100], [200]]
    with pytest.raises(ValueError, match="rate_days"):
        rate_day(taps, city, Account())


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 23), ("2026-10-24", 25), ("2026-03-04", 24)])
def test_days_on_which_the_clocks_change_have_23_and_25_hours(day, hours):
    city = tariff(FLAT)
    start, end = day_bounds_s(date.fromisoformat(day), city.day_start, city.zone)
    assert end - start == hours * 3600
    assert [service_day(moment, city.day_start, city.zone).isoformat() for moment in (start, end - 1)] == [day, day]
    assert service_day(start - 1, city.day_start, city.zone) < date.fromisoformat(day)


def test_a_day_that_starts_within_the_doubled_hour_still_has_one_start():
    city = tariff(FLAT.replace("04:30", "01:30"))  # London's clocks go back from 02:00 to 01:00
    start, end = day_bounds_s(date(2026, 10, 25), city.day_start, city.zone)
    for moment in range(start, end, 600):
        assert service_day(moment, city.day_start, city.zone) == date(2026, 10, 25)


def test_transfer_times_run_by_the_instant_while_the_clock_jumps():
    city = tariff(FLAT, entry("transfer", "hour", minutes=60))
    before = at("2026-03-29 00:30")  # half an hour before the clock jumps from 01:00 to 02:00
    taps = [FareTap("a", before), FareTap("b", before + 3599), FareTap("c", before + 3600)]
    assert rate(city, *taps) == [200, 0, 200]


def test_a_transfer_runs_on_into_the_next_service_day():
    city = tariff(FLAT, entry("transfer", "hour", minutes=60))
    taps = [tap("2026-03-05 03:20"), tap("2026-03-05 04:00"), tap("2026-03-05 04:30"), tap("2026-03-05 04:50")]
    ratings = rate_days(taps, city, Account())
    assert [charges(rating) for rating in ratings] == [[200, 0], [200, 0]]  # 04:00 begins no hour of its own
    assert [charges(r) for r in rate_days([tap("2026-03-05 04:00"), tap("2026-03-05 04:59")], city, Account())] == [
        [200], [0],
    ]  # fmt: skip


# --- zones, taps in and out ------------------------------------------------------------------------------------------

ZONES = (
    HEAD
    + '[[zone]]\nid = "1"\nstops = ["s1", "edge"]\n'
    + '[[zone]]\nid = "2"\nstops = ["s2", "edge"]\n'
    + '[[zone]]\nid = "3"\nstops = ["s3"]\n'
    + entry("fare", "z1", within=["1"], price_minor=280, networks=["rail"])
    + entry("fare", "z12", within=["1", "2"], price_minor=350, networks=["rail"])
    + entry("fare", "z123", within=["1", "2", "3"], price_minor=380, networks=["rail"])
    + entry("fare", "z23", within=["2", "3"], price_minor=210, networks=["rail"])
)


def ride(time: str, start: str, end: str, minutes: int = 20, network: str = "rail") -> list[FareTap]:
    begins = at(time)
    return [
        FareTap(f"{time} in", begins, network, "in", start),
        FareTap(f"{time} out", begins + minutes * 60, network, "out", end),
    ]


@pytest.mark.parametrize(
    ("start", "end", "fare"),
    [
        ("s1", "s1", 280),
        ("s1", "s2", 350),
        ("s1", "edge", 280),
        ("edge", "s2", 210),
        ("s3", "s1", 380),
        ("s3", "s2", 210),
    ],
)
def test_of_the_zone_ranges_that_hold_a_ride_the_cheapest_counts(start, end, fare):
    assert rate(tariff(ZONES, gates()), *ride("08:00", start, end)) == [0, fare]


def test_the_charge_is_shown_at_the_exit_and_an_open_journey_costs_nothing_yet():
    city = tariff(ZONES, gates())
    rating = rate_day(ride("08:00", "s1", "s2")[:1], city, Account(), as_of_s=at("09:00"))
    assert (charges(rating), kinds(rating)) == ([0], [["entered"]])
    late = rate_day(ride("08:00", "s1", "s2")[:1], city, Account(), as_of_s=at("09:50"))
    assert (charges(late), kinds(late)) == ([580], [["no_exit"]])


def test_a_missing_tap_costs_the_maximum_and_a_journey_too_long_twice():
    city = tariff(ZONES, gates())
    assert rate(city, tap("08:00", "rail", kind="in"), *ride("12:00", "s1", "s1")) == [580, 0, 280]
    assert rate(city, tap("08:00", "rail", kind="out")) == [580]
    assert rate(city, *ride("08:00", "s1", "s2", 109)) == [0, 350]
    assert rate(city, *ride("08:00", "s1", "s2", 110)) == [580, 580]  # half-open; published: two maximum fares


def test_a_reader_that_cannot_tell_entry_from_exit_counts_them_in_turn():
    city = tariff(ZONES, gates())
    taps = [
        FareTap(str(n), at(time), "rail", stop_id=stop)
        for n, (time, stop) in enumerate([("08:00", "s1"), ("08:20", "s2"), ("17:00", "s2")])
    ]
    assert rate(city, *taps) == [0, 350, 580]


def test_in_and_out_at_one_station_is_free_for_a_few_minutes():
    city = tariff(ZONES, gates(same_stop_minutes=5))
    assert rate(city, *ride("08:00", "s1", "s1", 4)) == [0, 0]
    assert rate(city, *ride("08:00", "s1", "s1", 5)) == [0, 280]


def test_maximum_fares_stand_outside_caps_unless_the_file_says_otherwise():
    cap = entry("cap", "day", period="day", amount_minor=600)
    taps = (*ride("08:00", "s1", "s3"), tap("12:00", "rail", kind="out"))
    assert rate(tariff(ZONES, gates(), cap), *taps) == [0, 380, 580]
    assert rate(tariff(ZONES, gates(missing_capped=True), cap), *taps) == [0, 380, 220]


def test_a_change_in_the_street_makes_two_rides_one():
    city = tariff(ZONES, gates(), '[[join]]\nfrom_stops = ["s2"]\nto_stops = ["edge"]\nminutes = 20\n')
    assert rate(city, *ride("08:00", "s1", "s2"), *ride("08:39", "edge", "s3")) == [0, 350, 0, 30]
    assert rate(city, *ride("08:00", "s1", "s2"), *ride("08:40", "edge", "s3")) == [0, 350, 0, 210]


def test_zone_caps_let_a_wider_one_take_over():
    city = tariff(
        ZONES,
        gates(),
        entry("cap", "c12", period="day", amount_minor=500, within=["1", "2"]),
        entry("cap", "c123", period="day", amount_minor=700, within=["1", "2", "3"]),
    )
    assert rate(city, *ride("08:00", "s1", "s2"), *ride("10:00", "s2", "s1"), *ride("12:00", "s1", "s3")) == [
        0, 350, 0, 150, 0, 200,
    ]  # fmt: skip


def test_distance_bands():
    city = tariff(HEAD, entry("fare", "near", price_minor=150, below_m=5000), entry("fare", "far", price_minor=300))
    assert rate(city, tap("08:00", distance_m=4999)) == [150]
    assert rate(city, tap("08:00", distance_m=5000)) == [300]
    assert rate(city, tap("08:00")) == [300]


# --- transfers -------------------------------------------------------------------------------------------------------


def test_two_hours_in_one_direction_but_not_back():
    city = tariff(FLAT, entry("transfer", "two_hours", minutes=120, return_trips=False))
    there, onward = tap("08:00", route_id="1", direction_id=0), tap("08:30", route_id="2", direction_id=0)
    assert rate(city, there, onward) == [200, 0]
    assert rate(city, there, tap("08:30", route_id="1", direction_id=1)) == [200, 200]
    assert rate(city, there, tap("08:30", route_id="1", direction_id=0)) == [200, 0]  # the next bus of the same way
    assert rate(city, there, onward, tap("09:00", route_id="1", direction_id=1)) == [200, 0, 200]


def test_a_paid_transfer_for_two_changes():
    """Chicago: 25 cents for up to two changes within two hours."""
    city = tariff(FLAT, entry("transfer", "ticket", minutes=120, price_minor=25, changes_max=2))
    assert rate(city, *(tap(f"08:{minute}") for minute in ("00", "20", "40", "50"))) == [200, 25, 25, 200]


def test_the_dearer_fare_pays_for_both():
    city = tariff(
        HEAD,
        entry("network", "bus"),
        entry("network", "train"),
        entry("fare", "bus", price_minor=200, networks=["bus"]),
        entry("fare", "train", price_minor=350, networks=["train"]),
        entry("transfer", "ticket", minutes=90, pays="difference"),
    )
    assert rate(city, tap("08:00", "bus"), tap("08:30", "train"), tap("08:50", "bus")) == [200, 150, 0]
    assert rate(city, tap("08:00", "train"), tap("08:30", "bus")) == [350, 0]


def test_a_discount_from_the_last_exit():
    """The Netherlands: the base fare once when the next ride begins within 35 minutes of the exit before."""
    city = tariff(
        HEAD,
        gates(),
        entry("fare", "rail", price_minor=300),
        entry("transfer", "base", minutes=35, pays="discount", price_minor=108, counted_from="last_exit"),
    )
    assert rate(city, *ride("08:00", "a", "b"), *ride("08:54", "b", "c"), *ride("09:40", "c", "d")) == [
        0, 300, 0, 192, 0, 192,
    ]  # fmt: skip
    assert rate(city, *ride("08:00", "a", "b"), *ride("08:55", "b", "c")) == [0, 300, 0, 300]


def test_a_transfer_dearer_than_the_ride_is_not_taken():
    city = tariff(FLAT, entry("transfer", "odd", minutes=60, price_minor=300))
    assert rate(city, tap("08:00"), tap("08:10")) == [200, 200]


def test_a_line_or_a_network_only_once_in_a_journey():
    once = tariff(FLAT, entry("transfer", "once", minutes=75, same_route=False))
    assert rate(once, tap("08:00", route_id="1"), tap("08:10", route_id="2"), tap("08:20", route_id="1")) == [
        200,
        0,
        200,
    ]
    metro = tariff(FLAT, entry("network", "metro"), entry("transfer", "bit", minutes=100, once_on=["metro"]))
    assert rate(metro, tap("08:00", "metro"), tap("08:10"), tap("08:20", "metro"), tap("08:30")) == [200, 0, 200, 0]


def test_two_hours_from_the_next_full_hour():
    city = tariff(FLAT, entry("transfer", "two_hours", minutes=120, from_full_minutes=60))
    assert rate(city, tap("08:20"), tap("10:59"), tap("11:00")) == [200, 0, 200]
    assert rate(city, tap("08:00"), tap("09:59"), tap("10:00")) == [200, 0, 200]


def test_the_whole_journeys_distance():
    city = tariff(
        HEAD,
        gates(),
        "[[join]]\nanywhere = true\nminutes = 45\n",
        entry("fare", "near", price_minor=100, below_m=3200),
        entry("fare", "far", price_minor=140, below_m=10_000),
        entry("fare", "farther", price_minor=200),
    )
    first = [tap("08:00", "rail", kind="in"), tap("08:10", "rail", kind="out", distance_m=3000)]
    second = [tap("08:54", "rail", kind="in"), tap("09:10", "rail", kind="out", distance_m=4000)]
    assert rate(city, *first) == [0, 100]
    assert rate(city, *first, *second) == [0, 100, 0, 40]
    later = [tap("08:55", "rail", kind="in"), tap("09:10", "rail", kind="out", distance_m=4000)]
    assert rate(city, *first, *later) == [0, 100, 0, 140]


# --- riders ----------------------------------------------------------------------------------------------------------

CATEGORIES = (
    'default_category = "adult"\n'
    + FLAT
    + entry("category", "adult")
    + entry("category", "half", percent=50)
    + entry("category", "third", percent=33, round_minor=5)
    + entry("category", "child")
    + entry("fare", "childs", price_minor=30, categories=["child"])
)


@pytest.mark.parametrize(
    ("category", "expected"), [(None, 200), ("adult", 200), ("half", 100), ("third", 65), ("child", 30)]
)
def test_concessions_by_percentage_or_price(category, expected):
    rating = rate_day([tap("08:00")], tariff(CATEGORIES), Account(category=category))
    assert charges(rating) == [expected]
    assert sum(step.amount_minor for step in rating.lines[0].explanation) == expected


def test_a_rider_of_no_category_never_gets_a_childs_price():
    city = tariff(
        HEAD,
        entry("category", "adult"),
        entry("category", "child"),
        entry("fare", "full", price_minor=200, categories=["adult"]),
        entry("fare", "childs", price_minor=30, categories=["child"]),
    )
    rating = rate_day([tap("08:00")], city, Account())
    assert kinds(rating) == [["unknown_fare"]]
    assert rate(tariff('default_category = "adult"\n', CATEGORIES.split("\n", 1)[1]), tap("08:00")) == [200]
    assert rate(city, tap("08:00"), category="adult") == [200]


def test_companions_pay_beside_the_holder_who_alone_has_the_caps():
    city = tariff(
        CATEGORIES,
        entry("cap", "day", period="day", amount_minor=300),
        entry("transfer", "forty", minutes=40),
        "[group]\ncompanions_max = 3\n",
    )
    assert rate(city, tap("08:00", companions=("", "child"))) == [200 + 200 + 30]
    assert rate(city, tap("08:00", companions=("",)), tap("08:30", companions=("",))) == [400, 0]
    assert rate(city, *(tap(f"{hour}:00", companions=("",)) for hour in ("08", "10", "12"))) == [400, 300, 200]


def test_companions_without_transfers_pay_each_ride():
    city = tariff(FLAT, entry("transfer", "forty", minutes=40), "[group]\ncompanions_max = 1\ntransfers = false\n")
    assert rate(city, tap("08:00", companions=("",)), tap("08:30", companions=("",))) == [400, 200]


def test_a_pass_covers_its_scope_and_its_time():
    city = tariff(
        FLAT,
        entry("network", "tram"),
        entry("network", "night"),
        entry("product", "month", price_minor=5000, valid={"months": 1}, networks=["tram"]),
    )
    held = HeldPass("p", "month", at("08:00"), at("12:00"))
    taps = (tap("07:59", "tram"), tap("08:00", "tram"), tap("09:00", "night"), tap("12:00", "tram"))
    assert rate(city, *taps, passes=(held,)) == [200, 0, 200, 200]


def test_rides_of_a_carnet_go_to_what_would_cost_and_what_ends_first():
    city = tariff(
        FLAT,
        entry("transfer", "forty", minutes=40),
        entry("product", "ten", price_minor=1500, rides=10, valid={"days": 90}),
    )
    held = (HeldPass("late", "ten", 0, 4e9, 5), HeldPass("soon", "ten", 0, 3e9, 1))
    rating = rate_day([tap("08:00"), tap("08:20"), tap("10:00")], city, Account(passes=held))
    assert charges(rating) == [0, 0, 0]
    assert rating.rides_used == {"soon": 1, "late": 1}
    assert [held.rides_left for held in after_day(Account(passes=held), rating).passes] == [4, 0]


def test_a_pass_of_some_zones_with_an_extension():
    city = tariff(
        ZONES,
        gates(),
        entry("extension", "e3", price_minor=150, zones=["3"]),
        entry("product", "inner", price_minor=4000, valid={"days": 7}, within=["1", "2"]),
    )
    held = HeldPass("p", "inner", 0, 4e9)
    rides = (*ride("08:00", "s1", "s2"), *ride("10:00", "s2", "s3"), *ride("12:00", "s3", "s1"))
    rating = rate_day(rides, city, Account(passes=(held,)))
    assert charges(rating) == [0, 0, 0, 150, 0, 150]
    assert kinds(rating)[3] == ["pass", "extension"]


def test_an_airports_surcharge_stands_beside_caps_and_passes():
    city = tariff(
        'default_category = "adult"\n',
        FLAT,
        entry("category", "adult"),
        entry("category", "staff"),
        entry("cap", "day", period="day", amount_minor=300),
        entry("product", "day_pass", price_minor=900, valid={"days": 1}),
        entry("surcharge", "airport", price_minor=500, stops=["air"], exempt=["staff"]),
    )
    taps = (tap("08:00"), tap("09:00", stop_id="air"))
    assert rate(city, *taps) == [200, 100 + 500]
    assert rate(city, *taps, passes=(HeldPass("p", "day_pass", 0, 4e9),)) == [0, 500]
    assert rate(city, *taps, category="staff") == [200, 100]


# --- late taps -------------------------------------------------------------------------------------------------------


def test_a_late_tap_rates_the_day_anew_and_the_difference_is_posted():
    city = tariff(FLAT, entry("transfer", "hour", minutes=60), entry("cap", "day", period="day", amount_minor=500))
    seen = [tap("08:30"), tap("09:20"), tap("12:00")]
    first = rate_day(seen, city, Account())
    assert charges(first) == [200, 0, 200]
    second = rate_day([*seen, tap("08:00")], city, Account())
    assert charges(second) == [200, 0, 200, 100]
    posted = {change.tap_id: change.amount_minor for change in difference(first, second)}
    assert posted == {"08:00 ": 200, "08:30 ": -200, "09:20 ": 200, "12:00 ": -100}
    assert sum(posted.values()) == second.total_minor - first.total_minor


def test_a_late_tap_of_monday_changes_the_days_after_it():
    city = tariff(FLAT, entry("cap", "week", period="week", amount_minor=500))
    seen = [tap("2026-03-02 08:00"), tap("2026-03-03 08:00"), tap("2026-03-04 08:00")]
    first = rate_days(seen, city, Account())
    second = rate_days([*seen, tap("2026-03-02 07:00")], city, Account())
    assert [charges(rating) for rating in first] == [[200], [200], [100]]
    assert [charges(rating) for rating in second] == [[200, 200], [100], [0]]
    assert {change.tap_id: change.amount_minor for change in difference_of_days(first, second)} == {
        "2026-03-02 07:00 ": 200,
        "2026-03-03 08:00 ": -100,
        "2026-03-04 08:00 ": -100,
    }


def test_a_day_taken_back_is_given_back_whole():
    rating = rate_day([tap("08:00")], tariff(FLAT), Account())
    assert [change.amount_minor for change in difference(rating, None)] == [-200]
    assert difference(rating, rating) == ()


def test_the_same_tap_twice_is_one_and_a_day_without_taps_is_empty():
    city = tariff(FLAT)
    assert rate(city, tap("08:00"), tap("08:00")) == [200]
    empty = rate_day([], city, Account(), day=date(2026, 3, 4))
    assert (empty.day, empty.total_minor, empty.lines) == ("2026-03-04", 0, ())


def test_a_rating_is_stored_as_json_and_read_back():
    city = tariff(FLAT, entry("transfer", "hour", minutes=60), entry("cap", "week", period="week", amount_minor=300))
    rating = rate_day([tap("08:00"), tap("08:30"), tap("12:00")], city, Account())
    assert msgspec.json.decode(msgspec.json.encode(rating), type=DayRating) == rating
