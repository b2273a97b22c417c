"""Other cities' rules as small tariffs (tests/fixtures/cities) with worked cases, which say what must come out."""

import json
from pathlib import Path

import pytest

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.fare_cases import check_case, find_cases
from ticketing.receipt import receipt

CITIES = Path(__file__).parents[2] / "fixtures" / "cities"


def tariff(name: str) -> CityTariff:
    return parse_city_tariff((CITIES / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml")


TARIFFS = {path.stem: tariff(path.stem) for path in sorted(CITIES.glob("*.toml"))}
CASES = [
    pytest.param(name, case, id=f"{name}: {case['id']}")
    for name in TARIFFS
    for case in find_cases(json.loads((CITIES / f"{name}.json").read_text(encoding="utf-8")))
]


@pytest.mark.parametrize(("name", "case"), CASES)
def test_a_citys_rides_cost_what_its_rules_say(name, case):
    outcome = check_case(case, TARIFFS[name])
    assert outcome.unread is None
    assert outcome.differs == ()
    for rating in outcome.ratings:
        for language in ("uk", "en"):
            assert "{" not in receipt(rating, outcome.tariff, language).text()
        assert all(line.charge_minor == sum(step.amount_minor for step in line.explanation) for line in rating.lines)
