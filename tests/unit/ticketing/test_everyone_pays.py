"""Fares that all name rider categories leave whoever is of none free: that is said when the tariff is read."""

import pytest

from tests.unit.ticketing.small_feeds import feed
from ticketing.city_tariff import CityTariff
from ticketing.errors import TariffError
from ticketing.fare_tables import read_fares
from ticketing.fares import Fares
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day
from ticketing.tariff_file import read_tariff

HEAD = 'version = 1\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\n'
NAME = 'name = { uk = "П", en = "R" }'
RIDERS = "".join(f'[[category]]\nid = "{who}"\n{NAME}\n' for who in ("adult", "child", "crew"))


def fare(id_: str, minor: int, *categories: str, networks: str = "") -> str:
    named = ", ".join(f'"{one}"' for one in categories)
    where = f'networks = ["{networks}"]\n' if networks else ""
    return f'[[fare]]\nid = "{id_}"\n{NAME}\nprice_minor = {minor}\ncategories = [{named}]\n{where}'


def read(entries: str, beside: Fares | None = None) -> CityTariff:
    return read_tariff(HEAD + entries, "city.toml", beside).city


def charged(tariff: CityTariff, category: str | None, network: str | None = None) -> int:
    return rate_day([FareTap("a", 1_772_600_400.0, network)], tariff, Account(None, category)).total_minor


BOTH = fare("full", 800, "adult") + fare("half", 400, "child")


def test_fares_that_are_all_for_some_are_refused_with_the_line_and_what_to_write():
    with pytest.raises(TariffError) as error:
        read(RIDERS + BOTH)
    said = str(error.value)
    assert said.startswith("city.toml: fare 'full'.categories: all fares of a ride are for adult, child alone")
    assert "riders of no category and of crew would ride free" in said
    assert 'write default_category = "adult" at the top' in said
    assert "price_minor = 0 where they do ride free" in said
    assert said.endswith("(line 17)")


def test_one_network_without_a_price_for_everybody_is_refused():
    networks = "".join(f'[[network]]\nid = "{id_}"\n' for id_ in ("bus", "tram"))
    bus = fare("bus", 800, networks="bus")
    with pytest.raises(TariffError, match=r"fare 'tram'.categories: all fares on network 'tram' are for adult, child"):
        read(networks + RIDERS + bus + fare("tram", 900, "adult", "child", networks="tram"))


def test_a_fare_in_braces_is_found_as_well():
    riders = f'category = [{{ id = "adult", {NAME} }}, {{ id = "child", {NAME} }}]\n'
    rows = [f'{{ id = "{who}", {NAME}, price_minor = 5, categories = ["{who}"] }},' for who in ("adult", "child")]
    with pytest.raises(TariffError, match=r"fare 'adult'.categories: .* \(line 6\)"):
        read(riders + "fare = [\n" + "\n".join(rows) + "\n]\n" + f'[[transfer]]\nid = "t"\n{NAME}\nminutes = 5\n')


@pytest.mark.parametrize(
    ("entries", "paid"),
    [
        ('default_category = "adult"\n' + RIDERS + BOTH, 800),
        (RIDERS + BOTH + fare("others", 0), 0),  # free rides that are written down
        (RIDERS + BOTH + fare("others", 900), 900),
        (RIDERS + fare("full", 800, "adult"), 800),  # of the one category that is named everybody is
    ],
    ids=["default", "free", "for everybody", "one category"],
)
def test_who_is_of_no_category_pays_what_is_written(entries, paid):
    assert charged(read(entries), None) == paid


def test_a_category_that_pays_nothing_is_written_in_percent():
    tariff = read(RIDERS.replace('"crew"', '"crew"\npercent = 0') + fare("ride", 800))
    assert [charged(tariff, who) for who in (None, "crew")] == [800, 0]


def test_a_feed_that_is_asked_next_has_prices_for_everybody_else():
    files = {
        "fare_products": "fare_product_id,amount,currency\nride,8.00,UAH\n",
        "fare_leg_rules": "fare_product_id\nride\n",
    }
    tariff = read(RIDERS + BOTH, read_fares(feed(**files)))
    assert [charged(tariff, who) for who in (None, "child")] == [800, 400]
