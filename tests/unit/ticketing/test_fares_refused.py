"""Wrong fare files of a feed are refused in a sentence with file, line, field and what to do about it."""

import pytest

from tests.unit.ticketing.small_feeds import CALENDAR, cost, feed, ride, small
from ticketing.errors import TariffError
from ticketing.fare_tables import has_fares, read_fares

BASE = {
    "fare_products": "fare_product_id,amount,currency\nA,1.00,EUR\nB,2.00,EUR\n",
    "fare_leg_rules": "leg_group_id,fare_product_id\na,A\nb,B\n",
}
LEGS = "leg_group_id,network_id,from_area_id,to_area_id,from_timeframe_group_id,fare_product_id\n"
TRANSFER = (
    "from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,"
    "fare_transfer_type,fare_product_id\n"
)
FRAMES = "timeframe_group_id,start_time,end_time,service_id\n"
DATES = "service_id,date,exception_type\n"
RIDERS = "rider_category_id,rider_category_name,is_default_fare_category\n"


def refusal(**files: str) -> str:
    with pytest.raises(TariffError) as error:
        read_fares(feed(**(BASE | files)))
    return str(error.value)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"fare_leg_rules": LEGS + "a,,,,,C\n"}, "fare_leg_rules.txt line 2, fare_product_id: 'C' is not in fare_prod"),
        ({"fare_leg_rules": LEGS + "a,,,,p,A\n"}, "line 2, from_timeframe_group_id: 'p' belongs into timeframes.txt"),
        (
            {"fare_leg_rules": LEGS + "a,,,,p,A\n", "timeframes": FRAMES + "q,,,workdays\n", "calendar": CALENDAR},
            "fare_leg_rules.txt line 2, from_timeframe_group_id: 'p' is not in timeframes.txt: add it there",
        ),
        ({"fare_leg_rules": LEGS + "a,,z9,,,A\n", "areas": "area_id\nz1\n"}, "from_area_id: 'z9' is not in areas.txt"),
        (
            {"fare_leg_rules": LEGS + "a,,,z9,,A\n", "stop_areas": "area_id,stop_id\nz1,s\n"},
            "fare_leg_rules.txt line 2, to_area_id: 'z9' is not in areas.txt",
        ),
        (
            {"fare_leg_rules": LEGS + "a,m,,,,A\n", "networks": "network_id\nn\n"},
            "fare_leg_rules.txt line 2, network_id: 'm' is not in networks.txt",
        ),
        (
            {"fare_leg_rules": LEGS + "a,m,,,,A\n", "routes": "route_id,network_id\nr,n\n"},
            "fare_leg_rules.txt line 2, network_id: 'm' is not in networks.txt, nor is it a network_id of routes.txt",
        ),
        (
            {"networks": "network_id\nn\n", "route_networks": "network_id,route_id\nm,r\n"},
            "route_networks.txt line 2, network_id: 'm' is not in networks.txt",
        ),
        (
            {"routes": "route_id\nr\n", "route_networks": "network_id,route_id\nn,x\n"},
            "route_networks.txt line 2, route_id: 'x' is not in routes.txt",
        ),
        (
            {"stops": "stop_id\ns\n", "stop_areas": "area_id,stop_id\nz1,x\n"},
            "stop_areas.txt line 2, stop_id: 'x' is not in stops.txt",
        ),
        (
            {"fare_products": "fare_product_id,amount,currency,fare_media_id\nA,1.00,EUR,x\nB,1.00,EUR,\n",
             "fare_media": "fare_media_id,fare_media_type\ny,2\n"},
            "fare_products.txt line 2, fare_media_id: 'x' is not in fare_media.txt",
        ),
        (
            {"fare_products": "fare_product_id,amount,currency,rider_category_id\nA,1.00,EUR,x\nB,1.00,EUR,\n"},
            "fare_products.txt line 2, rider_category_id: 'x' belongs into rider_categories.txt, which is not in the",
        ),
        (
            {"fare_leg_join_rules": "from_network_id,to_network_id\nx,x\n", "networks": "network_id\nn\n"},
            "fare_leg_join_rules.txt line 2, from_network_id: 'x' is not in networks.txt",
        ),
        (
            {"fare_leg_join_rules": "from_network_id,to_network_id,from_stop_id,to_stop_id\n,,x,s\n",
             "stops": "stop_id\ns\n"},
            "fare_leg_join_rules.txt line 2, from_stop_id: 'x' is not in stops.txt",
        ),
        ({"fare_transfer_rules": TRANSFER + "a,b,,,,0,C\n"}, "line 2, fare_product_id: 'C' is not in fare_products"),
        ({"fare_transfer_rules": TRANSFER + "x,b,,,,0,\n"}, "from_leg_group_id: 'x' is not in fare_leg_rules.txt"),
    ],
)  # fmt: skip
def test_what_names_something_unknown(files, sentence):
    assert sentence in refusal(**files)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"fare_products": BASE["fare_products"] + "A,3.00,EUR\n"}, "line 4, fare_product_id: 'A' is there twice"),
        ({"fare_leg_rules": BASE["fare_leg_rules"] + "a,A\n"}, "line 4, fare_product_id: the same rule is there twice"),
        (
            {"fare_leg_rules": "leg_group_id,fare_product_id,rule_priority\na,A,1\na,A,2\n"},
            "fare_leg_rules.txt line 3, fare_product_id: the same rule is there twice, first in line 2: leave one out",
        ),
        ({"fare_leg_rules": BASE["fare_leg_rules"] + "b,A\n"}, "leg_group_id: the same rule belongs to 'a' already"),
        ({"fare_transfer_rules": TRANSFER + "a,b,,,,0,\na,b,,,,1,\n"}, "line 3, from_leg_group_id: 'a, b' is there"),
        ({"fare_leg_join_rules": "from_network_id,to_network_id\nn,n\nn,n\n"}, "line 3, from_network_id: 'n, n' is"),
        ({"rider_categories": RIDERS + "x,X,1\nx,Y,0\n"}, "rider_categories.txt line 3, rider_category_id: 'x' is"),
        ({"fare_media": "fare_media_id,fare_media_type\nx,1\nx,2\n"}, "fare_media.txt line 3, fare_media_id: 'x' is"),
        ({"areas": "area_id\nz\nz\n"}, "areas.txt line 3, area_id: 'z' is there twice, first in line 2: leave one"),
        ({"networks": "network_id\nn\nn\n"}, "networks.txt line 3, network_id: 'n' is there twice"),
        (
            {"networks": "network_id\nn\nm\n", "route_networks": "network_id,route_id\nn,r\nm,r\n"},
            "route_networks.txt line 3, route_id: 'r' is there twice, first in line 2",
        ),
        (
            {"timeframes": FRAMES + "p,,,workdays\n", "calendar": CALENDAR + CALENDAR.splitlines()[1]},
            "calendar.txt line 4, service_id: 'workdays' is there twice, first in line 2",
        ),
        (
            {"timeframes": FRAMES + "p,,,s\n", "calendar_dates": DATES + "s,20260101,1\ns,20260101,2\n"},
            "calendar_dates.txt line 3, date: 's' is both added and removed on this day",
        ),
        (
            {"timeframes": FRAMES + "p,7:00:00,9:00:00,workdays\np,8:00:00,10:00:00,workdays\n", "calendar": CALENDAR},
            "timeframes.txt line 3, start_time: it overlaps line 2",
        ),
    ],
)  # fmt: skip
def test_what_is_there_twice(files, sentence):
    assert sentence in refusal(**files)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (
            {"routes": "route_id,network_id\nr,n\n", "networks": "network_id\nn\n"},
            "routes.txt line 2, network_id: leave the column empty, or leave networks.txt out",
        ),
        (
            {"routes": "route_id,network_id\nr,n\n", "route_networks": "network_id,route_id\nn,r\n"},
            "routes.txt line 2, network_id: leave the column empty, or leave route_networks.txt out",
        ),
        ({"fare_transfer_rules": TRANSFER + "a,b,2,,,0,\n"}, "transfer_count: it is only for transfers within one leg"),
        ({"fare_transfer_rules": TRANSFER + ",b,-1,,,0,\n"}, "transfer_count: it is only for transfers within one leg"),
        (
            {"fare_transfer_rules": TRANSFER + ",,,,,0,\n"},
            "transfer_count: it is required for transfers within one leg",
        ),
        ({"fare_transfer_rules": TRANSFER + "a,a,-2,,,0,\n"}, "transfer_count: write a whole number from -1"),
        ({"fare_transfer_rules": TRANSFER + "a,b,,3600,,0,\n"}, "duration_limit_type: write one of 0, 1, 2, 3, not ''"),
        (
            {"fare_transfer_rules": TRANSFER + "a,b,,3600,4,0,\n"},
            "duration_limit_type: write one of 0, 1, 2, 3, not '4'",
        ),
        (
            {"fare_transfer_rules": TRANSFER + "a,b,,,2,0,\n"},
            "duration_limit_type: leave it empty where duration_limit",
        ),
        ({"fare_transfer_rules": TRANSFER + "a,b,,-60,1,0,\n"}, "duration_limit: write a whole number from 1"),
        ({"fare_transfer_rules": TRANSFER + "a,b,,,,,\n"}, "fare_transfer_type: write one of 0, 1, 2, not ''"),
        (
            {"fare_media": "fare_media_id,fare_media_type\nx,5\n"},
            "fare_media_type: write one of 0, 1, 2, 3, 4, not '5'",
        ),
        ({"fare_media": "fare_media_id,fare_media_type\nx,\n"}, "fare_media_type: write one of 0, 1, 2, 3, 4, not ''"),
        ({"rider_categories": RIDERS + "x,X,yes\n"}, "is_default_fare_category: write one of 0, 1, not 'yes'"),
        (
            {"fare_leg_join_rules": "from_network_id,to_network_id,from_stop_id,to_stop_id\nn,n,s,\n"},
            "fare_leg_join_rules.txt line 2, from_stop_id: give both from_stop_id and to_stop_id, or neither",
        ),
        (
            {"timeframes": FRAMES + "p,22:00:00,02:00:00,workdays\n", "calendar": CALENDAR},
            "timeframes.txt line 2, end_time: it is not after start_time: write a night as two rows",
        ),
        (
            {"timeframes": FRAMES + "p,22:00:00,26:00:00,workdays\n", "calendar": CALENDAR},
            "timeframes.txt line 2, end_time: write a time from 00:00:00 to 24:00:00, not '26:00:00'",
        ),
        (
            {"timeframes": FRAMES + "p,,,workdays\n", "calendar": CALENDAR.replace("workdays,1", "workdays,yes")},
            "calendar.txt line 2, monday: write one of 0, 1, not 'yes'",
        ),
        (
            {"timeframes": FRAMES + "p,,,workdays\n", "calendar": CALENDAR.replace("20261231", "20251231")},
            "calendar.txt line 2, end_date: it is before start_date",
        ),
        (
            {"stops": "stop_id,parent_station\na,b\nb,a\n"},
            "stops.txt line 2, parent_station: 'a' comes to be a part of it",
        ),
        (
            {"stops": "stop_id,parent_station\na,a\n"},
            "stops.txt line 2, parent_station: 'a' comes to be a part of itself",
        ),
        ({"stops": "stop_id,stop_timezone\na,Mars/Base\n"}, "stop_timezone: 'Mars/Base' is no time zone: write a name"),
    ],
)
def test_what_the_reference_forbids(files, sentence):
    assert sentence in refusal(**files)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("A,,EUR", "fare_products.txt line 2, amount: it is required and empty: fill it in"),
        ("A,1.00,", "fare_products.txt line 2, currency: it is required and empty: fill it in"),
        ("A,1.00,eur", "currency: 'eur' is no ISO 4217 currency code: write three capital letters"),
        ("A,1.005,EUR", "amount: 1.005 EUR is no amount of 2 decimals: round it to them"),
        ("A,1.50,JPY", "amount: 1.50 JPY is no amount of 0 decimals: round it to them"),
        ('A,"1,45",EUR', "amount: write an amount such as 2.75, not '1,45'"),
        ("A,1_000,EUR", "amount: write an amount such as 2.75, not '1_000'"),
        ("A,€1.00,EUR", "amount: write an amount such as 2.75"),
        ("A,99999999999.00,EUR", "amount: 99999999999.00 EUR is more than any ticket costs"),
        (",1.00,EUR", "fare_product_id: it is required and empty: fill it in"),
        ("A,1,45,EUR", "fare_products.txt line 2: it has 4 cells under 3 columns: put text that has commas between qu"),
    ],
)
def test_amounts_that_are_none(row, sentence):
    assert sentence in refusal(fare_products=f"fare_product_id,amount,currency\n{row}\nB,2.00,EUR\n")


@pytest.mark.parametrize(
    ("defaults", "said"),
    [((0, 0, 0), "'A' is for adult, child, of which 0 are the default"), ((1, 1, 0), "of which 2 are the default")],
)
def test_of_several_categories_of_a_product_exactly_one_is_the_default(defaults, said):
    categories = zip(("adult", "child", "crew"), defaults, strict=True)
    riders = RIDERS + "".join(f"{name},{name},{default}\n" for name, default in categories)
    head = "fare_product_id,rider_category_id,amount,currency\n"
    sentence = refusal(rider_categories=riders, fare_products=head + "A,adult,2.00,EUR\nA,child,1.00,EUR\nB,,1,EUR\n")
    assert said in sentence
    assert "fare_products.txt line 3, rider_category_id" in sentence
    assert "give exactly one of them is_default_fare_category 1 in rider_categories.txt" in sentence


def test_two_defaults_may_be_of_two_products():
    fares = small(
        rider_categories=RIDERS + "adult,Adult,1\nresident,Resident,1\n",
        fare_products="fare_product_id,rider_category_id,amount,currency\nA,adult,2.00,EUR\nB,resident,1.00,EUR\n",
        fare_leg_rules="network_id,fare_product_id\nm,A\nn,B\n",
    )
    assert cost(fares, ride(fares, "08:00", network="m")) == 200
    assert cost(fares, ride(fares, "08:00", network="n")) == 100


@pytest.mark.parametrize(
    ("file", "field", "value"),
    [
        ("fare_leg_rules", "contains_exactly_area_set_id", "downtown"),
        ("fare_leg_rules", "transfer_only", "1"),
        ("fare_transfer_rules", "filter_fare_product_id", "A"),
        ("fare_transfer_rules", "fare_product_behavior", "1"),
    ],
)
def test_what_is_only_proposed_and_changes_prices_is_not_passed_over(file, field, value):
    rows = {"fare_leg_rules": "fare_product_id\nA", "fare_transfer_rules": "from_leg_group_id,to_leg_group_id,"
            "fare_transfer_type\na,b,0"}[file].split("\n")  # fmt: skip
    assert f"{file}.txt line 2, {field}: " in refusal(**{file: f"{rows[0]},{field}\n{rows[1]},{value}\n"})
    files = BASE | {file: f"{rows[0]},{field},colour\n{rows[1]},,red\n"}
    if file == "fare_leg_rules":
        assert cost(small(**files), ride(small(**files), "08:00")) == 100  # empty, it is no matter


def test_missing_files_and_empty_ones_are_named():
    assert not has_fares({"stops.txt": b"", "fare_products.txt": b""})  # a feed may list products and no rules
    for present, missing in (("fare_leg_rules", "fare_products"), ("fare_transfer_rules", "fare_products")):
        files = feed(**{present: "leg_group_id,fare_product_id\na,A\n"})
        assert has_fares(files)
        with pytest.raises(TariffError, match=rf"{missing}\.txt: the feed has none"):
            read_fares(files)
    with pytest.raises(TariffError, match=r"fare_leg_rules\.txt: the feed has none"):
        read_fares(feed(fare_products=BASE["fare_products"], fare_transfer_rules=TRANSFER))
    assert refusal(fare_leg_rules="fare_product_id\n").startswith("fare_leg_rules.txt: it has no rows")
    assert refusal(fare_products="fare_product_id,amount,currency\n").startswith("fare_products.txt: it has no rows")


def test_bytes_and_digits_of_other_alphabets_are_named_by_line():
    files = feed(**BASE)
    with pytest.raises(TariffError, match=r"fare_leg_rules.txt line 3: not UTF-8 \(byte 33\): save it as UTF-8"):
        read_fares(files | {"fare_leg_rules.txt": b"leg_group_id,fare_product_id\na,A\n\xe9,B\n"})
    assert "rule_priority: write a whole number" in refusal(fare_leg_rules="fare_product_id,rule_priority\nA,٣\n")


def test_blank_columns_and_cells_beyond_are_no_matter():
    fares = small(
        fare_products="fare_product_id,amount,currency,,\nA,1.00,EUR,,\n , ,\n",
        fare_leg_rules="leg_group_id,fare_product_id\na,A,,\n",
    )
    assert cost(fares, ride(fares, "08:00")) == 100


def test_the_days_of_services_that_no_timeframe_names_are_left_to_others():
    fares = small(**BASE, calendar_dates="service_id,date,exception_type\ns,someday,7\n")
    assert cost(fares, ride(fares, "08:00")) == 100


def test_a_service_that_only_ever_does_not_run_is_known():
    fares = small(
        **(BASE | {"fare_leg_rules": LEGS + "a,,,,p,A\na,,,,,B\n"}),
        timeframes=FRAMES + "p,,,s\n",
        calendar_dates="service_id,date,exception_type\ns,20260304,2\n",
    )
    assert cost(fares, ride(fares, "08:00")) == 200
