"""What is wrong in a tariff file is said with the entry, the field, the line and what to write instead."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest

from ticketing.city_document import TariffFile
from ticketing.city_file import parse_city_tariff
from ticketing.errors import TariffError

NAME = 'name = { uk = "П", en = "R" }\n'
HEAD = 'version = 1\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\n'
RIDE = f'[[fare]]\nid = "ride"\n{NAME}price_minor = 800\n'


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [
        ("transfer", "", "transfer 'x'.minutes: give it, or until; not both (line 8)"),
        ("transfer", 'minutes = 5\nuntil = "03:00"', "transfer 'x'.minutes: give it, or until; not both (line 11)"),
        ("transfer", 'until = "27:00"', "transfer 'x'.until: write a time HH:MM, not '27:00' (line 11)"),
        ("transfer", 'minutes = 5\npays = "percent"', "transfer 'x'.percent: give it with pays = \"percent\""),
        ("transfer", "minutes = 5\npercent = 50", "transfer 'x'.percent: give it with pays = \"percent\""),
        ("transfer", "minutes = 5\nchanges_from = 0", "transfer 'x'.changes_from: write a whole number from 1 to 100"),
        ("transfer", 'minutes = 5\nhours = "noon"', "transfer 'x'.hours: 'noon' is defined nowhere"),
        ("discount", "percent = 140", "discount 'x'.percent: write a whole number from 0 to 100, not 140 (line 11)"),
        ("discount", 'percent = 40\nhours = "noon"', "discount 'x'.hours: 'noon' is defined nowhere"),
        ("category", 'rounding = "floor"', "category 'x'.rounding`: write one of half_up, down, up (line 11)"),
        ("cap", 'period = "day"\namount_minor = 5\nthen_rides = 1', "cap 'x'.then_rides: give it with after_rides"),
        ("cap", 'period = "day"\namount_minor = 5\nfirst_rides = 5', "cap 'x'.amount_minor: give it, or after_rides;"),
        ("cap", 'period = "day"\nfirst_rides = 0', "cap 'x'.first_rides: write a whole number from 1 to 10000, not 0"),
        (
            "cap",
            'period = "day"\nfirst_rides = 5\nfrom_next_ride = true',
            "cap 'x'.from_next_ride: give it, and up_to_",
        ),
        (
            "cap",
            'period = "day"\namount_minor = 5\nup_to_minor = 5',
            "cap 'x'.up_to_minor: write more than amount_minor",
        ),
        ("cap", 'period = "day"\namount_minor = 5\nthen_minor = 1', "cap 'x'.then_minor: give it with after_rides or"),
        ("cap", 'period = "day"\nfirst_rides = 5\nthen_minor = -1', "cap 'x'.then_minor: write minor units from 0"),
        ("transfer", "minutes = 5\nchanges_from = 3\nchanges_to = 2", "transfer 'x'.changes_to: write a whole"),
        ("transfer", 'minutes = 5\nbegins = ["bus"]', "transfer 'x'.begins: 'bus' is defined nowhere"),
        ("transfer", 'minutes = 5\ncounted_from = "group"', "transfer 'x'.counted_from: name the groups whose first"),
        ("transfer", 'minutes = 5\nreturn_trips = "never"', "return_trips"),
        ("discount", 'percent = 40\nhours_at_exit = "noon"', "discount 'x'.hours_at_exit: 'noon' is defined nowhere"),
        ("fare", "price_minor = 5\nzones_max = 0", "fare 'x'.zones_max: write a whole number from 1 to 1000, not 0"),
        ("fare", "price_minor = 5\nwithout_exit = true\nbelow_m = 500", "fare 'x'.without_exit: nobody knows how far"),
        ("fare", "price_minor = 2.50", "fare 'x'.price_minor`: write a whole number; amounts are minor units"),
        ("fare", "price_minor = 5\nstops_max = -1", "fare 'x'.stops_max: write a whole number from 0 to 1000"),
        ("fare", "price_minor = 5\nbelow_minutes = 0", "fare 'x'.below_minutes: write a whole number from 1 to 1440"),
        (
            "fare",
            "price_minor = 5\nby_distance = { adds_minor = 2, every_m = 0 }",
            "by_distance.every_m: write a whole",
        ),
        ("surcharge", 'price_minor = 5\nmedia = ["gold"]', "surcharge 'x'.media: 'gold' is defined nowhere"),
        ("product", "price_minor = 5\nvalid = { calendar_months = 0 }", "product 'x'.valid: name exactly one of hours"),
    ],
)
def test_what_is_wrong_with_an_entry(kind, rows, said):
    text = f'{HEAD}{RIDE}[[{kind}]]\nid = "x"\n{NAME}{rows}\n'
    with pytest.raises(TariffError) as refused:
        parse_city_tariff(text, "city.toml")
    assert str(refused.value).startswith("city.toml: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('[[distance]]\nends = ["a"]\nmetres = 5', 'write two of them, as in ends = ["one", "other"]'),
        ('[[distance]]\nends = ["a", "b"]\nmetres = -5', "distance 1.metres: write a whole number from 0"),
        ('[[distance]]\nends = ["a", "b"]', "distance 1.metres: say how far it is, in metres, in stops or in both"),
        ('[[zone]]\nid = "1"\nbeside = ["2"]', "zone '1'.beside: '2' is defined nowhere in this file"),
        ("[[join]]\nanywhere = true\nminutes = 5\nzones_min = 0", "join 1.zones_min: write a whole number from 1"),
        ('[[join]]\nanywhere = true\nminutes = 5\nhours = "noon"', "join 1.hours: 'noon' is defined nowhere"),
        ('[[fares]]\nid = "x"', "unknown field `fares`: leave it out, or see docs/tariff.md"),
        ('[purse]\npassback_minutes = "5"', "write a whole number without quotes"),
    ],
)
def test_what_is_wrong_with_an_entry_without_a_name(rows, said):
    with pytest.raises(TariffError) as refused:
        parse_city_tariff(f"{HEAD}{RIDE}{rows}\n", "city.toml")
    assert said in str(refused.value)


def _keys(kind: type) -> Iterator[str]:
    """Every key that a tariff file may have, at whatever depth."""
    for name, hint in get_type_hints(kind).items():
        yield name
        inner = (hint, *get_args(hint))
        for one in inner:
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                yield from _keys(one)


def test_the_guide_names_every_key():
    guide = (Path(__file__).parents[3] / "docs" / "tariff.md").read_text(encoding="utf-8")
    assert [key for key in _keys(TariffFile) if key not in guide] == []
