"""What holds for every day, whatever was tapped: hypothesis looks for the day that breaks it."""

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.unit.ticketing.journey_cost import journey_minor
from ticketing.city_file import parse_city_tariff
from ticketing.days import day_bounds_s, service_day
from ticketing.fare_rules import LegRule, Price
from ticketing.fares import Fares
from ticketing.journeys import FareTap
from ticketing.legs import Leg, Rider
from ticketing.rated import Account, DayRating, HeldPass, difference
from ticketing.rating import rate_day, rate_days
from ticketing.transfer_rules import LimitFrom, Pays, TransferRule

NAME = 'name = { uk = "Н", en = "N" }\n'
CITY = f"""
version = 1
city = {{ uk = "М", en = "C" }}
currency = "GBP"
timezone = "Europe/London"
service_day_starts = "04:30"
[[zone]]
id = "1"
[[zone]]
id = "2"
[[zone]]
id = "3"
[[hours]]
id = "peak"
start = "06:30"
until = "09:30"
[[network]]
id = "bus"
[[network]]
id = "rail"
exit = {{ max_minutes = 110, missing_minor = 580 }}
[[fare]]
id = "bus"
{NAME}networks = ["bus"]
price_minor = 175
[[fare]]
id = "inner"
{NAME}networks = ["rail"]
within = ["1", "2"]
price_minor = 290
[[fare]]
id = "all"
{NAME}networks = ["rail"]
price_minor = 340
[[fare]]
id = "peak_all"
{NAME}networks = ["rail"]
price_minor = 460
hours = "peak"
priority = 1
[[transfer]]
id = "hopper"
{NAME}groups = ["bus"]
minutes = 60
[[extension]]
id = "outer"
{NAME}zones = ["3"]
price_minor = 120
[[cap]]
id = "bus_day"
{NAME}period = "day"
networks = ["bus"]
amount_minor = 525
[[cap]]
id = "inner_day"
{NAME}period = "day"
within = ["1", "2"]
anywhere = ["bus"]
amount_minor = 890
[[cap]]
id = "day"
{NAME}period = "day"
amount_minor = 1280
[[cap]]
id = "week"
{NAME}period = "week"
amount_minor = 4000
[[product]]
id = "ten"
{NAME}price_minor = 1500
rides = 10
valid = {{ days = 90 }}
"""
TARIFF = parse_city_tariff(CITY, "city.toml")
FLAT = parse_city_tariff(
    f"""
version = 1
city = {{ uk = "М", en = "C" }}
currency = "UAH"
timezone = "Europe/Kyiv"
service_day_starts = "04:30"
[[fare]]
id = "ride"
{NAME}price_minor = 800
[[transfer]]
id = "forty"
{NAME}minutes = 40
[[cap]]
id = "day"
{NAME}period = "day"
amount_minor = 3000
""",
    "flat.toml",
)
DAYS = [date(2026, 3, 4), date(2026, 3, 28), date(2026, 10, 24)]
"""An ordinary day, one of 23 hours and one of 25."""
UNHURRIED = settings(deadline=None, max_examples=60)
"""A busy machine is no failure."""
PLACES = st.sampled_from(["1", "2", "3"])


@st.composite
def days_of_taps(draw: st.DrawFn, size_max: int = 16) -> list[FareTap]:
    """Taps of one service day, with entries and exits in any order, sensible or not."""
    start, end = day_bounds_s(draw(st.sampled_from(DAYS)), TARIFF.day_start, TARIFF.zone)
    taps = []
    for number in range(draw(st.integers(0, size_max))):
        network = draw(st.sampled_from(["bus", "rail"]))
        kind = draw(st.sampled_from(["in", "out"])) if network == "rail" else "board"
        companions = draw(st.sampled_from([(), (), ("",), ("", "")]))
        moment = draw(st.integers(start, end - 1))
        taps.append(FareTap(f"t{number}", moment, network, kind, areas=(draw(PLACES),), companions=companions))
    return taps


def only_holder(taps: Sequence[FareTap]) -> list[FareTap]:
    return [FareTap(t.id, t.at_s, t.network, t.kind, areas=t.areas) for t in taps]


def rate(taps: Sequence[FareTap]) -> DayRating:
    return rate_day(taps, TARIFF, Account(passes=(HeldPass("ten", "ten", 0, 4e9, 2),)))


@UNHURRIED
@given(days_of_taps())
def test_a_charge_is_never_negative_and_is_the_sum_of_its_reasons(taps):
    for line in rate(taps).lines:
        assert line.charge_minor >= 0
        assert line.charge_minor == sum(step.amount_minor for step in line.explanation)


@UNHURRIED
@given(days_of_taps())
def test_the_holders_day_never_costs_more_than_its_cap_and_its_maximum_fares(taps):
    rating = rate_day(only_holder(taps), TARIFF, Account())
    odd = sum(
        step.amount_minor for line in rating.lines for step in line.explanation if step.kind in ("no_exit", "no_entry")
    )
    assert rating.total_minor - odd <= 1280


@UNHURRIED
@given(days_of_taps(), st.randoms(use_true_random=False))
def test_the_order_of_upload_does_not_matter(taps, random):
    shuffled = list(taps)
    random.shuffle(shuffled)
    assert rate(shuffled) == rate(taps) == rate([*taps, *taps])


@UNHURRIED
@given(days_of_taps(), st.randoms(use_true_random=False))
def test_differences_posted_as_taps_come_in_add_up_to_the_final_day(taps, random):
    uploaded = list(taps)
    random.shuffle(uploaded)
    rating = None
    posted: dict[str, int] = {}
    seen: list[FareTap] = []
    for tap in uploaded:
        seen.append(tap)
        try:
            newer = rate(seen)
        except ValueError:  # an exit just after the day's end, whose entry is not here yet, is the next day's
            assume(False)
        for change in difference(rating, newer):
            posted[change.tap_id] = posted.get(change.tap_id, 0) + change.amount_minor
        rating = newer
    final = rate(taps)
    assert sum(posted.values()) == final.total_minor
    assert {tap: amount for tap, amount in posted.items() if amount} == {
        line.tap_id: line.charge_minor for line in final.lines if line.charge_minor
    }


@st.composite
def flat_days(draw: st.DrawFn) -> list[FareTap]:
    start, end = day_bounds_s(draw(st.sampled_from(DAYS)), FLAT.day_start, FLAT.zone)
    minutes = draw(st.lists(st.integers(0, (end - start) // 60 - 1), max_size=14, unique=True))
    return [FareTap(f"t{minute}", start + minute * 60) for minute in minutes]


@UNHURRIED
@given(flat_days(), st.integers(0, 22 * 60))
def test_another_tap_never_makes_the_day_cheaper(taps, minute):
    assume(taps)
    start = day_bounds_s(service_day(taps[0].at_s, FLAT.day_start, FLAT.zone), FLAT.day_start, FLAT.zone)[0]
    more = [*taps, FareTap("more", start + minute * 60)]
    before, after = (rate_day(day, FLAT, Account()).total_minor for day in (taps, more))
    assert before <= after <= before + 800
    assert after == min(3000, after)


@UNHURRIED
@given(flat_days())
def test_a_flat_day_with_transfers_and_a_cap_is_what_counting_by_hand_gives(taps):
    spent = 0
    expected = []
    paid_s = None
    for tap in sorted(taps, key=lambda tap: tap.at_s):
        if paid_s is not None and paid_s <= tap.at_s < paid_s + 2400:
            expected.append(0)
            continue
        paid_s = tap.at_s
        expected.append(max(0, min(800, 3000 - spent)))
        spent += expected[-1]
    assert [line.charge_minor for line in rate_day(taps, FLAT, Account()).lines] == expected


@UNHURRIED
@given(st.lists(days_of_taps(8), min_size=1, max_size=3))
def test_days_rated_together_are_days_rated_one_by_one(days):
    taps = {tap.at_s: tap for day in days for tap in only_holder(day)}
    unique = [FareTap(str(n), t.at_s, t.network, t.kind, areas=t.areas) for n, t in enumerate(taps.values())]
    account = Account()
    for rating in rate_days(unique, TARIFF, Account()):
        of_day = {line.tap_id for line in rating.lines}
        alone = rate_day([tap for tap in unique if tap.id in of_day], TARIFF, account)
        assert alone == rating
        account = Account(carried=alone.carried)


@UNHURRIED
@given(st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1)), st.sampled_from(["00:00", "01:30", "02:30", "04:30"]))
def test_every_instant_is_in_exactly_one_service_day(moment, start):
    clock = datetime.strptime(start, "%H:%M").time()
    for zone in (ZoneInfo("Europe/Kyiv"), ZoneInfo("Europe/London"), ZoneInfo("America/New_York")):
        at_s = moment.replace(tzinfo=zone).timestamp()
        first, following = day_bounds_s(service_day(at_s, clock, zone), clock, zone)
        assert first <= at_s < following
        assert following - first in (82800, 86400, 90000)


@st.composite
def feeds(draw: st.DrawFn) -> Fares:
    """Fare tables as a feed may have them: three leg groups, any transfers between them, discounts included."""
    amounts = {name: draw(st.integers(0, 400)) for name in "abc"} | {"x": draw(st.integers(-300, 300))}
    rules = []
    for _ in range(draw(st.integers(0, 5))):
        from_, to = draw(st.sampled_from("abc")), draw(st.sampled_from("abc"))
        rules.append(
            TransferRule(
                f"{from_}>{to}",
                frozenset(from_),
                frozenset(to),
                draw(st.sampled_from([None, 600, 3600])),
                draw(st.sampled_from(LimitFrom)),
                draw(st.sampled_from([Pays.A_AB, Pays.A_AB_B, Pays.AB])),
                draw(st.sampled_from([None, "x"])),
                draw(st.sampled_from([-1, 1, 2])) if from_ == to else -1,
                chained=from_ == to,
                between_others=draw(st.booleans()),
            )
        )
    products = {name: (Price(amount),) for name, amount in amounts.items()}
    legs = tuple(LegRule(name, name, frozenset(name)) for name in "abc")
    return Fares("GBP", ZoneInfo("Europe/London"), products, legs, tuple(rules))


@UNHURRIED
@given(feeds(), st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 240)), max_size=10))
def test_a_feeds_journey_costs_what_its_tables_say_and_no_charge_is_negative(fares, rides):
    city = parse_city_tariff(
        'version = 1\ncity = { uk = "М", en = "C" }\ncurrency = "GBP"\ntimezone = "Europe/London"\n', "city.toml", fares
    )
    start = day_bounds_s(DAYS[0], city.day_start, city.zone)[0]
    taps = [FareTap(f"{n:02d}", start + minute * 60, network) for n, (network, minute) in enumerate(rides)]
    ordered = sorted(taps, key=lambda tap: (tap.at_s, tap.id))
    legs = [Leg((tap.id,), tap.at_s, tap.at_s, tap.network) for tap in ordered]
    rating = rate_day(taps, city, Account())
    cost = journey_minor(legs, (fares,), Rider())
    assert cost is not None
    assert rating.total_minor == max(0, cost)
    assert all(line.charge_minor >= 0 for line in rating.lines)
    assert all(line.charge_minor == sum(step.amount_minor for step in line.explanation) for line in rating.lines)
