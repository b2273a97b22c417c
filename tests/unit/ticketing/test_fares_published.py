"""Fares as agencies publish them in GTFS-Fares v2, of the kinds that gtfs.org shows, each with its price and why."""

from collections.abc import Sequence

import pytest

from tests.unit.ticketing.small_feeds import CALENDAR, WEDNESDAY, cost, feed, ride, small
from ticketing.city_file import parse_city_tariff
from ticketing.editions import TariffSource
from ticketing.errors import TariffError
from ticketing.fare_tables import read_fares
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day, rate_days

OWN = 'version = 1\ncity = { uk = "М", en = "C" }\ncurrency = "USD"\ntimezone = "America/Vancouver"\n'
FRIDAY, SATURDAY, MONDAY = "2026-03-06", "2026-03-07", "2026-03-09"


def test_a_flat_fare_needs_two_files_and_holds_everywhere():
    fares = small(
        fare_products="fare_product_id,amount,currency\nsingle,2.00,USD\n",
        fare_leg_rules="fare_product_id\nsingle\n",
    )
    assert cost(fares, ride(fares, "08:00")) == 200
    assert cost(fares, ride(fares, "08:00"), ride(fares, "08:20", "any", "here>there")) == 400  # no change is agreed


CORE = {
    "fare_products": """
        fare_product_id,fare_product_name,amount,currency
        oneway,One Way Full Fare,2.00,USD
        day,1-Day Pass,4.60,USD
        week,7-Day Pass,22.00,USD
        """,
    "networks": "network_id,network_name\ncore,Core\n",
    "route_networks": "network_id,route_id\ncore,b1\ncore,m1\n",
    "fare_leg_rules": """
        leg_group_id,network_id,fare_product_id
        core_trip,core,oneway
        core_trip,core,day
        core_trip,core,week
        """,
    "fare_transfer_rules": """
        from_leg_group_id,to_leg_group_id,duration_limit,duration_limit_type,fare_transfer_type,transfer_count
        core_trip,core_trip,5400,1,0,-1
        """,
}


@pytest.mark.parametrize(
    ("boardings", "price"),
    [
        (["08:00"], 200),  # of what may be bought for the leg, the cheapest
        (["08:00", "08:30", "09:29"], 200),  # any number of changes in the ninety minutes
        (["08:00", "08:30", "09:30"], 400),  # from the first boarding, not from the last
        (["08:00", "09:30", "10:59"], 400),  # a new fare begins a new time
    ],
)
def test_one_way_fares_with_unlimited_changes_for_ninety_minutes(boardings, price):
    fares = small(**CORE)
    routes = ["b1", "m1", "b1"]
    assert cost(fares, *(ride(fares, at, route) for at, route in zip(boardings, routes, strict=False))) == price


def test_a_route_in_no_network_matches_no_rule_that_names_one():
    fares = small(**CORE)
    assert cost(fares, ride(fares, "08:00", "elsewhere")) is None


def test_a_price_for_each_pair_of_stations():
    fares = small(
        fare_products="""
            fare_product_id,amount,currency
            ash-glen,4.75,USD
            ash-oak,9.45,USD
            """,
        areas="area_id,area_name\nASHB,\nGLEN,\nOAKL,\n",
        stop_areas="area_id,stop_id\nASHB,ashby\nGLEN,glen\nOAKL,oak\n",
        fare_leg_rules="""
            leg_group_id,from_area_id,to_area_id,fare_product_id
            BA,ASHB,GLEN,ash-glen
            BA,ASHB,OAKL,ash-oak
            """,
    )
    assert cost(fares, ride(fares, "08:00", way="ashby>glen")) == 475
    assert cost(fares, ride(fares, "08:00", way="ashby>oak")) == 945
    assert cost(fares, ride(fares, "08:00", way="glen>ashby")) is None  # nothing is said of the way back
    assert cost(fares, ride(fares, "08:00", way="ashby>")) is None  # nor of a ride whose end nobody knows


def test_prices_by_medium_and_decimals_that_are_missing():
    fares = small(
        fare_media="fare_media_id,fare_media_name,fare_media_type\nclipper,Clipper,2\ncash,Cash,0\napp,App,4\n",
        fare_products="""
            fare_product_id,fare_product_name,amount,currency,fare_media_id
            single,Local fare,3,USD,cash
            single,Local fare,2.5,USD,clipper
            """,
        fare_leg_rules="fare_product_id\nsingle\n",
    )
    assert cost(fares, ride(fares, "08:00"), media="cash") == 300
    assert cost(fares, ride(fares, "08:00"), media="clipper") == 250
    assert cost(fares, ride(fares, "08:00"), media="app") is None  # the product is not on it


def test_a_row_for_the_medium_goes_before_one_that_names_none():
    fares = small(
        fare_media="fare_media_id,fare_media_name,fare_media_type\ntap,Tap to Ride,3\ncard,Card,2\n",
        fare_products="fare_product_id,fare_media_id,amount,currency\nsingle,tap,6,USD\nsingle,,7,USD\n",
        fare_leg_rules="fare_product_id\nsingle\n",
    )
    assert cost(fares, ride(fares, "08:00"), media="tap") == 600
    assert cost(fares, ride(fares, "08:00"), media="card") == 700
    assert cost(fares, ride(fares, "08:00")) == 700  # nobody knows that it is tapped


def test_a_row_of_one_category_for_the_medium_leaves_the_others_theirs():
    fares = small(
        rider_categories="rider_category_id,rider_category_name,is_default_fare_category\nadult,A,1\nchild,C,\n",
        fare_media="fare_media_id,fare_media_type\ncard,2\n",
        fare_products="""
            fare_product_id,rider_category_id,fare_media_id,amount,currency
            single,adult,,2.00,USD
            single,child,card,1.00,USD
            """,
        fare_leg_rules="fare_product_id\nsingle\n",
    )
    assert cost(fares, ride(fares, "08:00"), media="card") == 200
    assert cost(fares, ride(fares, "08:00"), media="card", category="child") == 100
    assert cost(fares, ride(fares, "08:00"), media="cash", category="child") == 200


def test_rider_categories_have_their_price_and_others_pay_the_defaults():
    fares = small(
        rider_categories="""
            rider_category_id,rider_category_name,is_default_fare_category,eligibility_url
            adult,Adult,1,
            concession,Concession,,https://example.org/fares
            """,
        fare_products="""
            fare_product_id,fare_product_name,amount,currency,rider_category_id
            flat,Bus Flat Fare,3.20,CAD,adult
            flat,Bus Flat Fare,2.15,CAD,concession
            """,
        fare_leg_rules="fare_product_id\nflat\n",
    )
    assert cost(fares, ride(fares, "08:00")) == 320
    assert cost(fares, ride(fares, "08:00"), category="adult") == 320
    assert cost(fares, ride(fares, "08:00"), category="concession") == 215


@pytest.mark.parametrize(
    ("day", "clock", "price"),
    [
        (WEDNESDAY, "04:59:59", 200),  # the late night of a workday goes on to five
        (WEDNESDAY, "05:00:00", 500),
        (WEDNESDAY, "07:30:00", 500),
        (WEDNESDAY, "09:29:59", 500),
        (WEDNESDAY, "09:30:00", 300),  # the end is no part of the span
        (WEDNESDAY, "18:59:59", 500),
        (WEDNESDAY, "19:00:00", 300),
        (WEDNESDAY, "21:30:00", 200),
        (FRIDAY, "23:59:59", 200),
        (SATURDAY, "00:00:00", 250),  # the day is the calendar's, whatever day the trip belongs to
        (SATURDAY, "08:00:00", 250),
        (MONDAY, "00:00:00", 200),
    ],
)
def test_fares_by_time_of_day_and_day_of_week(day, clock, price):
    fares = small(
        calendar=CALENDAR,
        timeframes="""
            timeframe_group_id,start_time,end_time,service_id
            peak,5:00:00,9:30:00,workdays
            offpeak,9:30:00,15:00:00,workdays
            peak,15:00:00,19:00:00,workdays
            offpeak,19:00:00,21:30:00,workdays
            late,21:30:00,24:00:00,workdays
            late,00:00:00,5:00:00,workdays
            weekend,,,weekends
            """,
        fare_products="""
            fare_product_id,amount,currency
            peak,5,USD
            regular,3,USD
            weekend,2.50,USD
            night,2,USD
            """,
        routes="route_id,network_id\nred,1\n",
        fare_leg_rules="""
            network_id,fare_product_id,from_timeframe_group_id,to_timeframe_group_id
            1,weekend,weekend,
            1,night,late,
            1,peak,peak,
            1,regular,offpeak,
            """,
    )
    assert cost(fares, ride(fares, clock, "red", minutes=120, day=day)) == price


@pytest.mark.parametrize(
    ("way", "day", "clock", "minutes", "price"),
    [
        ("centre>coldspring", WEDNESDAY, "18:45", 75, 2000),  # outbound: when it leaves
        ("centre>coldspring", WEDNESDAY, "21:04", 75, 1500),
        ("centre>coldspring", SATURDAY, "18:45", 75, 1500),
        ("coldspring>centre", WEDNESDAY, "05:30", 75, 2000),  # inbound: when it arrives
        ("coldspring>centre", WEDNESDAY, "08:45", 75, 1500),  # it arrives at ten, when the peak is over
        ("coldspring>centre", WEDNESDAY, "08:45", 74, 2000),
        ("coldspring>centre", SATURDAY, "05:30", 75, 1500),
        ("coldspring>centre", FRIDAY, "23:30", 75, 1500),  # from a Friday into a Saturday
    ],
)
def test_zones_with_the_time_of_either_end(way, day, clock, minutes, price):
    fares = small(
        calendar=CALENDAR + "anyday,1,1,1,1,1,1,1,20260101,20261231\n",
        timeframes="""
            timeframe_group_id,start_time,end_time,service_id
            anytime,00:00:00,24:00:00,anyday
            workdays,00:00:00,24:00:00,workdays
            weekends,,,weekends
            am,06:00:00,10:00:00,workdays
            notam,00:00:00,06:00:00,anyday
            notam,10:00:00,24:00:00,anyday
            am2pm,06:00:00,09:00:00,workdays
            am2pm,16:00:00,20:00:00,workdays
            notam2pm,00:00:00,06:00:00,workdays
            notam2pm,09:00:00,16:00:00,workdays
            notam2pm,20:00:00,24:00:00,workdays
            """,
        networks="network_id,network_name\nhudson,Hudson Line\n",
        route_networks="network_id,route_id\nhudson,669\n",
        stop_areas="area_id,stop_id\nz1,centre\nz7,coldspring\n",
        fare_products="""
            fare_product_id,fare_media_id,amount,currency
            out_peak,paper,20.00,USD
            out,paper,15.00,USD
            in_peak,paper,20.00,USD
            in,paper,15.00,USD
            """,
        fare_leg_rules="""
            network_id,from_area_id,to_area_id,fare_product_id,from_timeframe_group_id,to_timeframe_group_id
            hudson,z1,z7,out,notam2pm,anytime
            hudson,z1,z7,out,weekends,anytime
            hudson,z1,z7,out_peak,am2pm,anytime
            hudson,z7,z1,in,workdays,notam
            hudson,z7,z1,in,weekends,anytime
            hudson,z7,z1,in_peak,workdays,am
            """,
    )
    assert cost(fares, ride(fares, clock, "669", way, minutes, day=day), media="paper") == price


ISLAND = {
    "calendar": CALENDAR,
    "timeframes": """
        timeframe_group_id,start_time,end_time,service_id
        evening,18:30:00,24:00:00,workdays
        evening,00:00:00,03:00:00,workdays
        weekend,,,weekends
        """,
    "areas": "area_id,area_name\nZ1,\nZ2,\nZ3,\nisland,Sea Island\n",
    "stop_areas": "area_id,stop_id\nZ1,s1\nZ2,s2\nZ3,s3\nZ2,yvr\nisland,yvr\nZ2,templeton\nisland,templeton\n",
    "networks": "network_id,network_name\nbus,Buses\nrail,Rail\n",
    "route_networks": "route_id,network_id\nb,bus\nr,rail\n",
    "fare_media": "fare_media_id,fare_media_type\ncontactless,3\ncash,0\n",
    "fare_products": """
        fare_product_id,amount,currency,fare_media_id
        bus_flat,3.20,CAD,contactless
        bus_flat,3.20,CAD,cash
        one,3.20,CAD,contactless
        two,4.65,CAD,contactless
        three,6.35,CAD,contactless
        island_one,8.20,CAD,contactless
        island_two,9.65,CAD,contactless
        island_free,0,CAD,contactless
        up,1.45,CAD,contactless
        """,
    "fare_leg_rules": """
        leg_group_id,network_id,fare_product_id,from_area_id,to_area_id,from_timeframe_group_id,rule_priority
        flat,bus,bus_flat,,,,
        11,rail,one,Z1,Z1,,
        22,rail,one,Z2,Z2,,
        33,rail,one,Z3,Z3,,
        12,rail,two,Z1,Z2,,
        12,rail,two,Z2,Z1,,
        23,rail,two,Z2,Z3,,
        23,rail,two,Z3,Z2,,
        13,rail,three,Z1,Z3,,
        13,rail,three,Z3,Z1,,
        i1,rail,island_two,island,Z1,,1
        i2,rail,island_one,island,Z2,,1
        i3,rail,island_two,island,Z3,,1
        ii,rail,island_free,island,island,,3
        flat,rail,one,,,evening,1
        flat,rail,one,,,weekend,1
        flat_island,rail,island_one,island,,evening,2
        flat_island,rail,island_one,island,,weekend,2
        """,
}


@pytest.mark.parametrize(
    ("route", "way", "clock", "day", "price"),
    [
        ("b", "s1>s3", "08:00", WEDNESDAY, 320),
        ("r", "s1>s1", "08:00", WEDNESDAY, 320),
        ("r", "s1>s2", "08:00", WEDNESDAY, 465),
        ("r", "s3>s1", "08:00", WEDNESDAY, 635),
        ("r", "yvr>s1", "08:00", WEDNESDAY, 965),  # from the island: five more than from its zone
        ("r", "yvr>s2", "08:00", WEDNESDAY, 820),
        ("r", "yvr>templeton", "08:00", WEDNESDAY, 0),  # within it: three rules match, the highest priority counts
        ("r", "s1>yvr", "08:00", WEDNESDAY, 465),  # to it: as to its zone
        ("r", "s3>s1", "18:30", WEDNESDAY, 320),  # evenings are one zone
        ("r", "s3>s1", "02:59", MONDAY, 320),
        ("r", "s3>s1", "03:00", MONDAY, 635),
        ("r", "yvr>s1", "12:00", SATURDAY, 820),
        ("r", "yvr>templeton", "12:00", SATURDAY, 0),
    ],
)
def test_zones_with_a_zone_inside_one_and_priorities(route, way, clock, day, price):
    fares = small(**ISLAND)
    assert cost(fares, ride(fares, clock, route, way, day=day), media="contactless") == price


UPGRADES = """
    from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id{}
    flat,flat,-1,5400,1,0,{}
    11,flat,,5400,1,0,{}
    flat,11,,5400,1,0,{}
    flat,12,,5400,1,0,up{}
    12,flat,,5400,1,0,{}
    12,11,,5400,1,0,{}
    12,22,,5400,1,0,{}
    11,12,,5400,1,0,up{}
    12,12,-1,5400,1,0,{}
    """


def upgrades(*, reaching_back: bool) -> str:
    column, cell = (",nonconsecutive_transfers_allowed", ",1") if reaching_back else ("", "")
    return UPGRADES.format(column, *[cell] * 9)


def test_changing_to_more_zones_costs_the_difference():
    fares = small(**ISLAND, fare_transfer_rules=upgrades(reaching_back=False))

    def paid(*legs):
        return cost(fares, *(ride(fares, at, route, way) for at, route, way in legs), media="contactless")

    assert paid(("08:00", "b", "s1>s1"), ("08:30", "b", "s1>s1")) == 320
    assert paid(("08:00", "b", "s1>s1"), ("08:30", "r", "s1>s2")) == 465
    assert paid(("08:00", "r", "s1>s2"), ("08:30", "b", "s2>s2"), ("09:00", "b", "s2>s2")) == 465
    assert paid(("08:00", "b", "s1>s1"), ("09:30", "r", "s1>s2")) == 320 + 465  # ninety minutes are over


@pytest.mark.parametrize(("reaching_back", "price"), [(False, 465 + 0 + 145), (True, 465)])
def test_back_and_forth_between_two_zones(reaching_back, price):
    fares = small(**ISLAND, fare_transfer_rules=upgrades(reaching_back=reaching_back))
    legs = [("08:00", "s2>s1"), ("08:30", "s1>s1"), ("09:00", "s1>s2")]
    assert cost(fares, *(ride(fares, at, "r", way) for at, way in legs), media="contactless") == price


def test_a_transfer_that_a_medium_cannot_pay_is_none():
    fares = small(**ISLAND, fare_transfer_rules=upgrades(reaching_back=False))
    legs = [ride(fares, "08:00", "b", "s1>s1"), ride(fares, "08:30", "r", "s1>s2")]
    assert cost(fares, legs[0], media="cash") == 320
    assert cost(fares, *legs, media="cash") is None  # rail is not sold for cash


KEY = {
    "fare_media": "fare_media_id,fare_media_name,fare_media_type\nkey,Key,2\ncemv,Contactless,3\n",
    "fare_products": """
        fare_product_id,fare_product_name,amount,currency,fare_media_id
        ride,Bus or Metro,2.00,USD,key
        ride,Bus or Metro,2.00,USD,cemv
        """,
    "routes": "route_id,network_id\nB,metro\nM,metro\nX,bus\n",
    "fare_leg_rules": "leg_group_id,network_id,fare_product_id\nmetro,metro,ride\nmetro,bus,ride\n",
    "fare_transfer_rules": """
        from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,fare_transfer_type,fare_product_behavior
        metro,metro,2,7200,1,0,0
        """,
}


@pytest.mark.parametrize(
    ("boardings", "price"), [(3, 200), (4, 400), (6, 400), (7, 600)], ids=["two changes", "three", "five", "six"]
)
def test_two_changes_are_free_and_the_next_begins_anew(boardings, price):
    fares = small(**KEY)
    legs = [ride(fares, f"08:{number * 5:02d}", "X", minutes=4) for number in range(boardings)]
    assert cost(fares, *legs, media="key") == price


def test_a_change_may_ask_for_the_same_product_in_both_rides():
    files = KEY | {
        "fare_products": "fare_product_id,amount,currency\nride,2.00,USD\nlocal,1.50,USD\n",
        "fare_leg_rules": "leg_group_id,network_id,fare_product_id\nmetro,metro,ride\nmetro,bus,local\n",
    }
    fares = small(**files)
    assert cost(fares, ride(fares, "08:00", "M"), ride(fares, "08:20", "B")) == 200
    assert cost(fares, ride(fares, "08:00", "M"), ride(fares, "08:20", "X")) == 350


JOINS = """
    from_network_id,to_network_id,from_stop_id,to_stop_id
    metro,metro,cityhall,15th
    metro,metro,15th,cityhall
    """
STOPS = "stop_id,parent_station\ncityhall,\n15th,\nhall-n,cityhall\n15th-w,15th\nfern,\n69th,\n"
GATES = "".join(
    f'[[network]]\nid = "{name}"\nexit = {{ max_minutes = 90, missing_minor = 500 }}\n' for name in ("metro", "bus")
)


def gated(*rides: tuple[str, str, str], by: Sequence[str] = (), **files: str) -> list[int]:
    """What taps in and out are charged, on the metro unless by says otherwise: (in, out, "from>to")."""
    city = parse_city_tariff(OWN + GATES, "own.toml", small(stops=STOPS, **(KEY | files)))
    taps = []
    for (entered, left, way), network in zip(rides, by or ["metro"] * len(rides), strict=True):
        ends = zip((entered, left), ("in", "out"), way.split(">"), strict=True)
        taps += [
            FareTap(f"{at} {kind}", ride(city.tables[-1], at).start_s, network, kind, stop)  # type: ignore[arg-type]
            for at, kind, stop in ends
        ]
    rating = rate_day(taps, city, Account("key"))
    return [line.charge_minor for line in rating.lines if line.tap_id.endswith("out")]


def test_a_free_interchange_makes_two_legs_one():
    plain = {"fare_transfer_rules": "from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type\n"}
    change = [("08:00", "08:10", "fern>hall-n"), ("08:15", "08:30", "15th-w>69th")]
    assert gated(*change, **plain) == [200, 200]
    assert gated(*change, **plain, fare_leg_join_rules=JOINS) == [200, 0]  # platforms of the two stations
    elsewhere = [("08:00", "08:10", "fern>69th"), ("08:15", "08:30", "15th-w>69th")]
    assert gated(*elsewhere, **plain, fare_leg_join_rules=JOINS) == [200, 200]


def test_legs_of_one_network_are_one_at_the_same_station_without_naming_it():
    rules = {
        "fare_transfer_rules": "from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type\n",
        "fare_leg_join_rules": "from_network_id,to_network_id\nmetro,metro\n",
    }
    same = [("08:00", "08:10", "fern>hall-n"), ("08:15", "08:30", "cityhall>69th"), ("08:31", "08:40", "69th>15th")]
    assert gated(*same, **rules) == [200, 0, 0]  # each change matches, so all of it is one leg
    assert gated(("08:00", "08:10", "fern>hall-n"), ("08:15", "08:30", "15th>69th"), **rules) == [200, 200]


def test_a_ride_back_to_where_one_began_is_a_leg_of_its_own():
    rules = {
        "fare_transfer_rules": "from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type\n",
        "fare_leg_join_rules": "from_network_id,to_network_id\nmetro,metro\n",
    }
    there = [("08:00", "08:10", "fern>hall-n"), ("08:15", "08:30", "cityhall>69th")]
    assert gated(*there, ("08:50", "09:10", "69th>fern"), **rules) == [200, 0, 200]
    assert gated(*there, ("08:50", "09:00", "69th>hall-n"), **rules) == [200, 0, 200]


def test_each_change_of_a_sub_journey_matches_by_the_legs_that_it_is_between():
    rules = {
        "networks": "network_id\nmetro\nbus\nferry\n",
        "routes": "route_id\n",
        "fare_leg_rules": "leg_group_id,fare_product_id,rule_priority\nany,ride,\n",
        "fare_transfer_rules": "from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type\n",
        "fare_leg_join_rules": "from_network_id,to_network_id\nmetro,bus\nbus,ferry\n",
    }
    ways = [("08:00", "08:10", "fern>69th"), ("08:15", "08:30", "69th>15th"), ("08:35", "08:50", "15th>cityhall")]
    assert gated(*ways, by=["metro", "bus", "ferry"], **rules) == [200, 0, 0]
    assert gated(*ways, by=["metro", "ferry", "bus"], **rules) == [200, 200, 200]


def test_the_way_home_in_the_evening_is_no_part_of_the_mornings_leg():
    rules = {
        "fare_transfer_rules": "from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type\n",
        "fare_leg_join_rules": "from_network_id,to_network_id\nmetro,metro\n",
    }
    assert gated(("08:00", "08:20", "fern>69th"), ("17:00", "17:20", "69th>fern"), **rules) == [200, 200]


AGENCIES = {
    "fare_media": "fare_media_id,fare_media_type\norca,2\n",
    "fare_products": """
        fare_product_id,amount,currency,fare_media_id
        metro,2.75,USD,orca
        link,3.00,USD,orca
        county,2.50,USD,orca
        m-l,0.25,USD,orca
        c-l,0.50,USD,orca
        c-m,0.25,USD,orca
        """,
    "routes": "route_id,network_id\nM,metro\nL,link\nC,county\n",
    "fare_leg_rules": "leg_group_id,network_id,fare_product_id\nm,metro,metro\nl,link,link\nc,county,county\n",
}
AGREED = (("m", "l", "m-l"), ("l", "m", ""), ("c", "l", "c-l"), ("l", "c", ""), ("m", "c", ""), ("c", "m", "c-m"))


@pytest.mark.parametrize(
    ("routes", "consecutive", "best"),
    [("ML", 300, 300), ("LM", 300, 300), ("MCL", 325, 300), ("LCM", 325, 300), ("CML", 300, 300)],
)
def test_changes_between_agencies_cost_up_to_the_dearest(routes, consecutive, best):
    for cell, price in (("", consecutive), ("1", best)):
        rows = [f"{one},{two},3600,1,0,{product},{cell}\n" for one, two, product in AGREED]
        head = "from_leg_group_id,to_leg_group_id,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id"
        fares = small(**AGENCIES, fare_transfer_rules=f"{head},nonconsecutive_transfers_allowed\n{''.join(rows)}")
        legs = [ride(fares, f"08:{number * 10:02d}", route) for number, route in enumerate(routes)]
        assert cost(fares, *legs, media="orca") == price


def test_the_product_from_which_changes_go_is_bought_where_that_is_cheaper_in_the_end():
    files = {
        "fare_products": "fare_product_id,amount,currency\nsingle,2.00,USD\nday,5.00,USD\n",
        "fare_leg_rules": "leg_group_id,fare_product_id\nsingle,single\nday,day\n",
        "fare_transfer_rules": """
            from_leg_group_id,to_leg_group_id,transfer_count,fare_transfer_type
            day,day,-1,0
            """,
    }
    fares = small(**files)
    legs = [ride(fares, f"{hour:02d}:00") for hour in range(8, 13)]
    assert [cost(fares, *legs[:number]) for number in range(1, 6)] == [200, 400, 500, 500, 500]
    city = parse_city_tariff(OWN, "own.toml", fares)
    rating = rate_day([FareTap(str(leg.start_s), leg.start_s) for leg in legs], city, Account())
    assert [line.charge_minor for line in rating.lines] == [200, 200, 100, 0, 0]


def test_of_two_products_one_may_be_changed_to_and_the_other_be_cheaper_alone():
    fares = small(
        fare_products="fare_product_id,amount,currency\nA,1.00,USD\nB,2.00,USD\nC,2.20,USD\nAC,3.00,USD\n",
        fare_leg_rules="leg_group_id,network_id,fare_product_id\na,n,A\nb,m,B\nc,m,C\n",
        fare_transfer_rules="""
            from_leg_group_id,to_leg_group_id,fare_transfer_type,fare_product_id
            a,c,0,AC
            """,
    )
    assert cost(fares, ride(fares, "08:00", network="n"), ride(fares, "08:20", network="m")) == 300


def test_a_platform_with_areas_of_its_own_is_not_in_its_stations():
    fares = small(
        fare_products="fare_product_id,amount,currency\nin,1.00,USD\nout,2.00,USD\n",
        stops="stop_id,parent_station\nhub,\np1,hub\np2,hub\nboarding,p1\n",
        areas="area_id\ncity\nsuburb\n",
        stop_areas="area_id,stop_id\ncity,hub\nsuburb,p2\n",
        fare_leg_rules="from_area_id,fare_product_id\ncity,in\nsuburb,out\n",
    )
    assert cost(fares, ride(fares, "08:00", way="p1>")) == 100
    assert cost(fares, ride(fares, "08:00", way="boarding>")) == 100  # a part of a platform of the station
    assert cost(fares, ride(fares, "08:00", way="p2>")) == 200
    assert fares.station_of("boarding") == "hub"


@pytest.mark.parametrize(
    ("stop", "price"),
    [
        ("plain", 200),  # 07:30 in Vancouver
        ("east", 100),  # 10:30 in Toronto
        ("east-1", 100),  # its station's clock
        ("east-2", 100),  # its station's, not its own
    ],
)
def test_the_clock_is_that_of_the_station(stop, price):
    fares = small(
        calendar=CALENDAR,
        stops="""
            stop_id,parent_station,stop_timezone
            plain,,
            east,,America/Toronto
            east-1,east,
            east-2,east,America/Vancouver
            """,
        timeframes="timeframe_group_id,start_time,end_time,service_id\npeak,07:00:00,09:00:00,workdays\n",
        fare_products="fare_product_id,amount,currency\nA,1.00,USD\nB,2.00,USD\n",
        fare_leg_rules="from_timeframe_group_id,fare_product_id,rule_priority\n,A,\npeak,B,1\n",
    )
    assert cost(fares, ride(fares, "07:30", way=f"{stop}>")) == price


def test_an_empty_field_beside_no_priorities_is_what_nobody_names_in_its_column():
    files = {
        "fare_products": "fare_product_id,amount,currency\nA,1.00,USD\nB,2.00,USD\nC,3.00,USD\n",
        "networks": "network_id\nlocal\nexpress\n",
        "areas": "area_id\nz1\nz2\nz3\n",
        "stop_areas": "area_id,stop_id\nz1,s1\nz2,s2\nz3,s3\n",
    }
    fares = small(
        **files, fare_leg_rules="network_id,from_area_id,to_area_id,fare_product_id\n,,,A\nexpress,,,B\n,z1,,C\n"
    )
    assert cost(fares, ride(fares, "08:00", network="local", way="s2>s3")) == 100
    assert cost(fares, ride(fares, "08:00", way="s2>s3")) == 100  # in no network: not in one that is named
    assert cost(fares, ride(fares, "08:00", network="express", way="s2>s3")) == 200
    assert cost(fares, ride(fares, "08:00", network="local", way="s1>s3")) == 300
    assert cost(fares, ride(fares, "08:00", network="express", way="s1>s3")) is None  # each is named, not together
    ranked = small(
        **files,
        fare_leg_rules="network_id,from_area_id,to_area_id,fare_product_id,rule_priority\n,,,A,\nexpress,,,B,1\n,z1,,C,2\n",
    )
    assert cost(ranked, ride(ranked, "08:00", network="express", way="s1>s3")) == 300  # the field does not matter


def test_rules_for_the_same_groups_count_and_last_together_and_the_receipt_says_which():
    fares = small(
        fare_products="fare_product_id,amount,currency\nA,2.00,USD\nlate,0.50,USD\n",
        fare_leg_rules="leg_group_id,fare_product_id\na,A\n",
        fare_transfer_rules="""
            from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,fare_transfer_type,fare_product_id
            a,a,1,1800,1,0,
            a,a,2,7200,1,0,late
            """,
    )
    city = parse_city_tariff(OWN, "own.toml", fares)
    taps = [FareTap(at, ride(fares, at).start_s) for at in ("08:00", "08:29", "08:59", "09:30")]
    rating = rate_day(taps, city, Account())
    assert [line.charge_minor for line in rating.lines] == [200, 0, 50, 200]
    untils = [line.explanation[-1].until_s for line in rating.lines[1:3]]
    assert untils == [taps[0].at_s + 1800, taps[0].at_s + 7200]


def test_a_change_over_midnight_is_still_one():
    fares = small(**CORE)
    city = parse_city_tariff(OWN, "own.toml", fares)
    first, second = ride(fares, "23:30", "b1"), ride(fares, "00:15", "m1", day="2026-03-05")
    ratings = rate_days(
        [FareTap(str(leg.start_s), leg.start_s, route_id=leg.route_id) for leg in (first, second)], city, Account()
    )
    assert [rating.total_minor for rating in ratings] == [200, 0]  # two service days


def test_a_feed_without_agency_has_the_time_zone_of_the_tariff():
    files = feed(fare_products="fare_product_id,amount,currency\nA,1.00,USD\n", fare_leg_rules="fare_product_id\nA\n")
    del files["agency.txt"]
    assert read_fares(files, "Europe/Kyiv").zone.key == "Europe/Kyiv"
    assert TariffSource("own.toml", OWN, files).read().city.tables[-1].zone.key == "America/Vancouver"
    with pytest.raises(TariffError, match=r"own.toml: .*`timezon`"):
        TariffSource("own.toml", OWN.replace("timezone", "timezon"), files).read()
