"""GTFS-Fares v2 as the reference says it: leg rules, empty fields, priorities, timeframes, transfers, refusals."""

import contextlib
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.ticketing.journey_cost import journey_minor
from ticketing.city_file import parse_city_tariff
from ticketing.errors import TariffError
from ticketing.fare_tables import has_fares, read_fares
from ticketing.fares import Fares
from ticketing.journeys import FareTap
from ticketing.legs import Leg, Rider
from ticketing.rated import Account
from ticketing.rating import rate_day

ZONE = ZoneInfo("Europe/Kyiv")
CAPS_ONLY = 'version = 1\ncity = { uk = "М", en = "C" }\ncurrency = "EUR"\ntimezone = "Europe/Kyiv"\n'


def feed(**files: str) -> dict[str, bytes]:
    """Files without their endings, lines separated by blanks."""
    base = {
        "agency": "agency_id,agency_timezone a,Europe/Kyiv",
        "fare_products": "fare_product_id,amount,currency A,1.00,EUR B,2.00,EUR C,3.00,EUR AB,0.50,EUR less,-0.40,EUR",
        "fare_leg_rules": "leg_group_id,network_id,fare_product_id a,na,A b,nb,B c,nc,C",
    }
    return {f"{name}.txt": text.replace(" ", "\n").encode() for name, text in (base | files).items()}


def fares(**files: str) -> Fares:
    return read_fares(feed(**files))


def leg(network: str, start: int = 0, minutes: int = 10, **more: object) -> Leg:
    start_s = 1_772_600_000 + start * 60
    return Leg((f"{network}{start}",), start_s, start_s + minutes * 60, network, **more)  # type: ignore[arg-type]


def area(name: str) -> frozenset[str]:
    return frozenset((name,))


def cost(tables: Fares, *legs: Leg, **rider: str) -> int | None:
    return journey_minor(legs, (tables,), Rider(**rider))  # type: ignore[arg-type]


TRANSFER = (
    "from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,"
    "fare_transfer_type,fare_product_id"
)


@pytest.mark.parametrize(
    ("kind", "two", "three"),
    [
        (0, 100 + 50, 100 + 50 + 50),  # A + AB, then S + BC
        (1, 100 + 50 + 200, 100 + 50 + 200 + 50 + 300),  # A + AB + B, then S + BC + C
        (2, 50, 50 + 50),  # AB, then S + BC
    ],
)
def test_the_three_ways_to_pay_a_transfer(kind, two, three):
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,{kind},AB b,c,,,,{kind},AB")
    assert cost(tables, leg("na"), leg("nb", 20)) == two
    assert cost(tables, leg("na"), leg("nb", 20), leg("nc", 40)) == three


def test_a_rule_says_nothing_about_the_way_back():
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,0,AB")
    assert cost(tables, leg("nb"), leg("na", 20)) == 300


def test_without_a_product_a_transfer_is_free():
    assert cost(fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,0,"), leg("na"), leg("nb", 20)) == 100


@pytest.mark.parametrize(
    ("limit_type", "start", "minutes", "free"),
    [
        (0, 20, 39, True),  # departure to arrival: 59 minutes
        (0, 20, 40, False),
        (1, 59, 90, True),  # departure to departure
        (1, 60, 1, False),
        (2, 69, 90, True),  # arrival (after 10 minutes) to departure
        (2, 70, 1, False),
        (3, 40, 29, True),  # arrival to arrival
        (3, 40, 30, False),
    ],
)
def test_a_duration_limit_is_half_open_between_its_two_events(limit_type, start, minutes, free):
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,b,,3600,{limit_type},0,")
    assert cost(tables, leg("na"), leg("nb", start, minutes)) == (100 if free else 300)


def test_within_one_group_the_time_runs_from_the_first_leg_and_the_count_limits():
    timed = fares(fare_transfer_rules=f"{TRANSFER} a,a,-1,3600,1,0,")
    assert cost(timed, *(leg("na", start) for start in (0, 25, 50))) == 100
    assert cost(timed, *(leg("na", start) for start in (0, 25, 50, 75))) == 200
    counted = fares(fare_transfer_rules=f"{TRANSFER} a,a,2,,,0,")
    assert cost(counted, *(leg("na", start) for start in (0, 25, 50))) == 100
    assert cost(counted, *(leg("na", start) for start in (0, 25, 50, 75))) == 200


def test_of_several_counts_the_least_that_still_allows_the_change_is_taken():
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,a,1,,,0, a,a,2,,,0,AB")
    assert cost(tables, leg("na"), leg("na", 20)) == 100
    assert cost(tables, leg("na"), leg("na", 20), leg("na", 40)) == 150


def test_empty_groups_of_transfers_stand_for_those_not_listed():
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,0,AB ,b,,,,0,")
    assert cost(tables, leg("na"), leg("nb", 20)) == 150  # the exact rule
    assert cost(tables, leg("nc"), leg("nb", 20)) == 300  # free by the empty one
    both = fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,0,AB ,,-1,,,0,")
    assert cost(both, leg("nc"), leg("na", 20)) == 300  # c and a stand in neither column
    assert cost(both, leg("na"), leg("nc", 20)) == 400  # a is listed in the first


def test_between_consecutive_legs_a_feeds_rule_is_followed_even_where_it_costs_more():
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,1,AB")
    assert cost(tables, leg("na"), leg("nb", 20)) == 350


def test_a_discount_lowers_the_journey_and_a_charge_is_never_negative():
    tables = fares(fare_transfer_rules=f"{TRANSFER} a,b,,,,0,less")
    assert cost(tables, leg("na"), leg("nb", 20)) == 60
    city = parse_city_tariff(CAPS_ONLY, "city.toml", tables)
    rating = rate_day([FareTap("1", 1_772_600_000, "na"), FareTap("2", 1_772_600_600, "nb")], city, Account())
    assert [line.charge_minor for line in rating.lines] == [60, 0]


def test_without_priorities_empty_fields_stand_for_what_no_rule_names():
    tables = fares(
        fare_leg_rules="leg_group_id,network_id,from_area_id,to_area_id,fare_product_id x,,,,A y,na,,,B z,na,z1,z2,C"
    )
    assert cost(tables, leg("other")) == 100
    assert cost(tables, leg("na")) == 200
    assert cost(tables, leg("na", from_areas=area("z1"), to_areas=area("z2"))) == 300
    assert cost(tables, leg("na", from_areas=area("z1"), to_areas=area("z9"))) is None  # z1 is named, so "" is not it


def test_with_priorities_empty_fields_match_anything_and_the_highest_wins():
    tables = fares(
        fare_leg_rules="leg_group_id,network_id,from_area_id,to_area_id,fare_product_id,rule_priority "
        "x,,,,A, y,na,,,B,1 z,na,z1,,C,2"
    )
    assert cost(tables, leg("other")) == 100
    assert cost(tables, leg("na")) == 200
    assert cost(tables, leg("na", from_areas=area("z1"))) == 300


def test_of_rules_with_one_priority_the_cheapest_product_is_bought():
    tables = fares(fare_leg_rules="leg_group_id,network_id,fare_product_id a,na,C a,na,B")
    assert cost(tables, leg("na")) == 200


def test_a_leg_that_no_rule_knows_has_no_fare_and_is_said_so():
    tables = fares()
    assert cost(tables, leg("elsewhere")) is None
    city = parse_city_tariff(CAPS_ONLY, "city.toml", tables)
    rating = rate_day([FareTap("1", 1_772_600_000, "elsewhere")], city, Account())
    assert rating.total_minor == 0
    assert rating.lines[0].explanation[0].kind == "unknown_fare"


def test_media_and_rider_categories_choose_the_amount():
    tables = fares(
        fare_products="fare_product_id,rider_category_id,fare_media_id,amount,currency "
        "A,adult,card,2.00,EUR A,adult,app,1.80,EUR A,child,card,1.00,EUR A,,cash,2.50,EUR",
        rider_categories="rider_category_id,rider_category_name,is_default_fare_category adult,Adult,1 child,Child,0",
        fare_media="fare_media_id,fare_media_type card,2 app,4 cash,0",
        fare_leg_rules="leg_group_id,fare_product_id a,A",
    )
    assert cost(tables, leg("n"), media="card") == 200
    assert cost(tables, leg("n"), media="app") == 180
    assert cost(tables, leg("n"), media="card", category="child") == 100
    assert cost(tables, leg("n"), media="app", category="child") == 180  # no child's price there: the adult's
    assert cost(tables, leg("n"), media="cash", category="child") == 250
    assert cost(tables, leg("n"), media="bank") is None
    assert tables.media == {"card": 2, "app": 4, "cash": 0}


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("2026-03-04 06:59:59", 100),
        ("2026-03-04 07:00:00", 200),  # a Wednesday's peak begins
        ("2026-03-04 08:59:59", 200),
        ("2026-03-04 09:00:00", 100),
        ("2026-03-07 08:00:00", 100),  # a Saturday
        ("2026-03-08 08:00:00", 200),  # a Sunday on which the service was added
        ("2026-03-09 08:00:00", 100),  # a Monday on which it was removed
    ],
)
def test_timeframes_are_half_open_on_the_calendar_day(when, expected):
    tables = fares(
        timeframes="timeframe_group_id,start_time,end_time,service_id peak,07:00:00,09:00:00,wd",
        calendar="service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date "
        "wd,1,1,1,1,1,0,0,20260101,20261231",
        calendar_dates="service_id,date,exception_type wd,20260308,1 wd,20260309,2",
        fare_leg_rules="leg_group_id,from_timeframe_group_id,fare_product_id,rule_priority a,,A,0 a,peak,B,1",
    )
    assert cost(tables, Leg(("t",), at(when), at(when), "n")) == expected


def test_stops_have_areas_by_their_station_and_routes_a_network():
    tables = fares(
        areas="area_id centre airport",
        stop_areas="area_id,stop_id centre,station airport,terminal",
        stops="stop_id,parent_station,stop_timezone station,, platform,station, terminal,,Europe/London",
        networks="network_id na nb nc",
        route_networks="network_id,route_id na,r1",
    )
    assert tables.areas_of("platform") == {"centre"}
    assert tables.areas_of(None) == frozenset()
    assert tables.network_by_route == {"r1": "na"}
    assert tables.zone_by_stop["terminal"].key == "Europe/London"
    by_route = fares(routes="route_id,network_id r2,nb r3,na r4,nc").network_by_route
    assert by_route == {"r2": "nb", "r3": "na", "r4": "nc"}


def test_joined_legs_are_one_leg():
    tables = fares(
        fare_leg_rules="leg_group_id,network_id,from_area_id,to_area_id,fare_product_id,rule_priority "
        "x,na,z1,z2,A,1 x,na,z2,z3,B,1 x,na,z1,z3,C,1",
        stop_areas="area_id,stop_id z1,s1 z2,s2 z3,s3",
        fare_leg_join_rules="from_network_id,to_network_id na,na",
    )
    city = parse_city_tariff(
        CAPS_ONLY + '[[network]]\nid = "na"\nexit = { max_minutes = 90, missing_minor = 500 }\n', "city.toml", tables
    )
    kinds = [("in", "s1"), ("out", "s2"), ("in", "s2"), ("out", "s3")]
    taps = [FareTap(str(n), 1_772_600_000 + n * 600, "na", kind, stop) for n, (kind, stop) in enumerate(kinds)]
    assert rate_day(taps, city, Account()).total_minor == 300


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"fare_products": "fare_product_id,amount,currency A,1.005,EUR"}, "fare_products.txt line 2, amount: 1.005"),
        ({"fare_products": "fare_product_id,amount,currency A,dear,EUR"}, "fare_products.txt line 2, amount: write"),
        ({"fare_products": "fare_product_id,amount,currency A,NaN,EUR"}, "fare_products.txt line 2, amount"),
        ({"fare_products": "fare_product_id,amount,currency A,1e99,EUR"}, "fare_products.txt line 2, amount"),
        ({"fare_products": "fare_product_id,amount,currency A,1,euro"}, "fare_products.txt line 2, currency"),
        ({"fare_products": "fare_product_id,amount,currency A,1,EUR B,1,USD"}, "line 3, currency: EUR (line 2) and"),
        ({"fare_products": "fare_product_id,amount,currency A,1,EUR A,2,EUR"}, "line 3, fare_product_id: 'A' is there"),
        ({"fare_products": "fare_product_id,amount,currency"}, "fare_products.txt: it has no rows"),
        ({"fare_leg_rules": "fare_product_id nothing"}, "fare_leg_rules.txt line 2, fare_product_id: 'nothing'"),
        ({"fare_leg_rules": "fare_product_id,rule_priority A,-1"}, "line 2, rule_priority: write a whole number"),
        ({"fare_leg_rules": "fare_product_id,fare_product_id A,A"}, "fare_leg_rules.txt line 1: a column"),
        ({"fare_leg_rules": "leg_group_id,fare_product_id a,A b,A"}, "line 3, leg_group_id: the same rule"),
        ({"fare_transfer_rules": f"{TRANSFER} a,x,,,,0,"}, "line 2, to_leg_group_id: 'x' is not in"),
        ({"fare_transfer_rules": f"{TRANSFER} a,a,,,,0,"}, "line 2, transfer_count: it is required"),
        ({"fare_transfer_rules": f"{TRANSFER} a,a,0,,,0,"}, "line 2, transfer_count: write -1"),
        ({"fare_transfer_rules": f"{TRANSFER} a,b,1,,,0,"}, "line 2, transfer_count: it is only"),
        ({"fare_transfer_rules": f"{TRANSFER} a,b,,0,1,0,"}, "line 2, duration_limit: write a whole number from 1"),
        ({"fare_transfer_rules": f"{TRANSFER} a,b,,60,,0,"}, "line 2, duration_limit_type: write one of 0, 1, 2, 3"),
        ({"fare_transfer_rules": f"{TRANSFER} a,b,,,1,0,"}, "line 2, duration_limit_type: leave it empty"),
        ({"fare_transfer_rules": f"{TRANSFER} a,b,,,,3,"}, "line 2, fare_transfer_type: write one of 0, 1, 2"),
        ({"timeframes": "timeframe_group_id,start_time,end_time,service_id p,07:00:00,,s"}, "line 2, start_time: give"),
        ({"timeframes": "timeframe_group_id,start_time,end_time,service_id p,,,s"}, "line 2, service_id: 's' is"),
        (
            {
                "timeframes": "timeframe_group_id,start_time,end_time,service_id p,07:00:00,24:00:01,s",
                "calendar_dates": "service_id,date,exception_type s,20260101,1",
            },
            "timeframes.txt line 2, end_time: write a time",
        ),
        (
            {
                "timeframes": "timeframe_group_id,service_id,start_time,end_time "
                "p,s,7:00:00,9:00:00 p,s,8:59:59,10:00:00",
                "calendar_dates": "service_id,date,exception_type s,20260101,1",
            },
            "timeframes.txt line 3, start_time: it overlaps",
        ),
        (
            {
                "timeframes": "timeframe_group_id,service_id p,s",
                "calendar_dates": "service_id,date,exception_type s,20260230,1",
            },
            "calendar_dates.txt line 2, date: write",
        ),
        ({"fare_media": "fare_media_id,fare_media_type x,7"}, "fare_media.txt line 2, fare_media_type"),
        ({"areas": "area_id a", "stop_areas": "area_id,stop_id b,s"}, "stop_areas.txt line 2, area_id: 'b' is not in"),
        ({"agency": "agency_id,agency_timezone a,Mars/Base"}, "agency.txt line 2, agency_timezone: 'Mars/Base'"),
    ],
)
def test_what_is_wrong_is_named_by_file_line_and_field(files, message):
    with pytest.raises(TariffError) as error:
        read_fares(feed(**files))
    assert message in str(error.value)


def test_feeds_without_fares_bad_bytes_and_missing_time_zones_are_said():
    assert not has_fares({"stops.txt": b""})
    assert has_fares(feed())
    with pytest.raises(TariffError, match="says nothing about fares"):
        read_fares({"stops.txt": b"stop_id\n"})
    with pytest.raises(TariffError, match="not UTF-8"):
        read_fares(feed() | {"fare_leg_rules.txt": b"\xff\xfe"})
    with pytest.raises(TariffError, match=r"agency\.txt"):
        read_fares({name: text for name, text in feed().items() if name != "agency.txt"})
    with pytest.raises(TariffError, match="line"):
        read_fares(feed() | {"fare_leg_rules.txt": b'fare_product_id\n"' + b"x" * 200_000})


def test_a_byte_order_mark_and_unknown_columns_are_no_matter():
    tables = read_fares(
        feed() | {"fare_products.txt": b"\xef\xbb\xbffare_product_id,amount,currency,colour\r\nA,1.00,EUR,red\r\n",
                  "fare_leg_rules.txt": b"fare_product_id\r\nA\r\n"}
    )  # fmt: skip
    assert cost(tables, leg("n")) == 100


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(
        ["fare_products", "fare_leg_rules", "fare_transfer_rules", "timeframes", "calendar_dates", "stops"]
    ),
    st.lists(
        st.lists(st.sampled_from(["A", "a", "-1", "1e999999999", "sNaN", "", "EUR", "07:00:00", "20260101", "\x00"]))
    ),
    st.binary(max_size=40),
)
def test_damaged_files_are_refused_or_read_and_nothing_else(name, rows, noise):
    files = feed(
        fare_transfer_rules=f"{TRANSFER} a,b,,,,0,",
        timeframes="timeframe_group_id,service_id p,s",
        calendar_dates="service_id,date,exception_type s,20260101,1",
        stops="stop_id,parent_station,stop_timezone s,,",
    )
    header = files[f"{name}.txt"].split(b"\n")[0]
    body = b"\n".join(",".join(row).encode() for row in rows)
    for content in (header + b"\n" + body, files[f"{name}.txt"] + b"\n" + noise, noise):
        with contextlib.suppress(TariffError):
            read_fares(files | {f"{name}.txt": content})


def test_legs_of_two_networks_that_are_joined_match_no_rule_that_names_one():
    tables = fares(
        fare_leg_rules="leg_group_id,network_id,fare_product_id,rule_priority x,na,A,1 x,nb,B,1 x,,C,0",
        fare_leg_join_rules="from_network_id,to_network_id,from_stop_id,to_stop_id na,nb,s2,s3",
        stops="stop_id,parent_station s2,station2 s3,station3",
    )
    exits = "".join(
        f'[[network]]\nid = "{n}"\nexit = {{ max_minutes = 90, missing_minor = 500 }}\n' for n in ("na", "nb")
    )
    city = parse_city_tariff(CAPS_ONLY + exits, "city.toml", tables)
    stops = [("na", "in", "s1"), ("na", "out", "s2"), ("nb", "in", "s3"), ("nb", "out", "s4")]
    taps = [FareTap(str(n), 1_772_600_000 + n * 600, *tap) for n, tap in enumerate(stops)]
    assert [line.charge_minor for line in rate_day(taps, city, Account()).lines] == [0, 100, 0, 200]
    elsewhere = [*taps[:2], FareTap("2", 1_772_601_200, "nb", "in", "s9"), taps[3]]
    assert [line.charge_minor for line in rate_day(elsewhere, city, Account()).lines] == [0, 100, 0, 200]
