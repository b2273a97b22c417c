"""The tariff file: what it promises, and what it refuses by name."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ticketing.errors import TariffError
from ticketing.tariff import parse_tariff

SHIPPED = (Path(__file__).parents[3] / "ticketing" / "tariff.toml").read_text()
KYIV = ZoneInfo("Europe/Kyiv")

HEAD = """
version = 1
currency = "UAH"
timezone = "Europe/Kyiv"
service_day_starts = "04:30"
[purse]
fare_minor = 800
[[network]]
id = "trams"
operators = ["kpt"]
[[network]]
id = "city"
operators = ["*"]
"""


def product(**changes: str) -> str:
    fields = {"id": '"p"', "name": '{ uk = "П", en = "P" }', "price_minor": "800", "valid": "{ days = 1 }"} | changes
    return HEAD + "[[product]]\n" + "\n".join(f"{name} = {value}" for name, value in fields.items())


def local_s(*when: int) -> int:
    return int(datetime(*when, tzinfo=KYIV).timestamp())


def until(valid: str, start_s: int) -> int:
    tariff = parse_tariff(product(valid=valid), "t.toml")
    return tariff.valid_until_s(tariff.products["p"], start_s)


def test_the_shipped_tariff_has_one_of_each():
    tariff = parse_tariff(SHIPPED, "tariff.toml")
    assert tariff.products["single"].rides == 1
    assert tariff.products["month"].rides is None
    assert tariff.products["ten"].rides == 10
    assert tariff.products["mobile"].proof
    assert all(product.name.uk and product.name.en for product in tariff.products.values())


@pytest.mark.parametrize(
    ("valid", "start", "end"),
    [
        ("{ hours = 24 }", (2026, 3, 28, 12, 0), (2026, 3, 29, 13, 0)),  # 24 real hours over the spring night
        ("{ months = 1 }", (2026, 3, 10, 12, 0), (2026, 4, 10, 12, 0)),  # the same hour by the city's clock
        ("{ months = 1 }", (2026, 1, 31, 9, 0), (2026, 2, 28, 9, 0)),
        ("{ months = 12 }", (2026, 12, 1, 0, 0), (2027, 12, 1, 0, 0)),
        ("{ service_days = 1 }", (2026, 7, 11, 9, 0), (2026, 7, 12, 4, 30)),
        ("{ service_days = 1 }", (2026, 7, 12, 1, 0), (2026, 7, 12, 4, 30)),  # still the evening before
        ("{ service_days = 1 }", (2026, 7, 12, 4, 30), (2026, 7, 13, 4, 30)),
        ("{ service_days = 3 }", (2026, 3, 27, 9, 0), (2026, 3, 30, 4, 30)),  # one of them of 23 hours
    ],
)
def test_validity_ends_when_the_city_expects(valid, start, end):
    assert until(valid, local_s(*start)) == local_s(*end)


def test_networks_by_operator():
    tariff = parse_tariff(product(), "t.toml")
    assert tariff.networks_of("kpt") == ("*", "trams", "city")
    assert tariff.networks_of("other") == ("*", "city")


def test_networks_by_route():
    networks = """
[[network]]
id = "night"
routes = ["n1", "n2"]

[[network]]
id = "fast"
routes = ["n2"]
"""
    tariff = parse_tariff(product() + networks, "t.toml")
    assert tariff.networks_of("kpt", "5") == ("*", "trams", "city")
    assert tariff.networks_of("kpt", "n1") == ("*", "night")
    assert tariff.networks_of("other", "n2") == ("*", "night", "fast")
    assert tariff.networks_of("other") == ("*", "city", "night", "fast")  # nobody knows which route it is on


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (product(colour='"red"'), r"t\.toml: .*`colour`.*product 'p'"),
        (product(price_minor="8.5"), r"t\.toml: .*product 'p'.*price_minor"),
        (product(price_minor="-1"), r"t\.toml: product 'p': price_minor"),
        (product(valid="{}"), r"product 'p': valid names exactly one"),
        (product(valid="{ days = 1, months = 1 }"), r"product 'p': valid names exactly one"),
        (product(valid="{ weeks = 1 }"), r"`weeks`"),
        (product(rides="0"), r"product 'p': rides is 1 to 1000"),
        (product(networks='["metro"]'), r"product 'p': networks names 'metro'"),
        (product(id='"a b"'), r"product 'a b': id has"),
        (product(passback_minutes="-1"), r"passback_minutes"),
        (product() + product().split("[[product]]")[1].join(["\n[[product]]", ""]), r"product 'p' is there twice"),
        (product().replace("UAH", "uah"), r"'uah'"),
        (product().replace("Europe/Kyiv", "Europe/Nowhere"), r"'Europe/Nowhere'"),
        (product().replace("Europe/Kyiv", "../../etc/passwd"), r"t\.toml: currency"),
        (product().replace("04:30", "25:00"), r"service_day_starts"),
        (product().replace("version = 1", ""), r"`version`"),
        ("version = = 1", r"t\.toml: .*line 1"),
        ("", r"t\.toml: "),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_field(text, sentence):
    with pytest.raises(TariffError, match=sentence):
        parse_tariff(text, "t.toml")
