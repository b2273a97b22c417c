"""The tariff in use: one object whose content changes at once, and only to what can follow."""

from dataclasses import FrozenInstanceError, replace
from datetime import time
from zoneinfo import ZoneInfo

import pytest

from ticketing.errors import TariffError
from ticketing.tariff import Tariff, parse_tariff
from ticketing.tariff_in_use import TariffInUse

HEAD = 'version = {}\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\n'
RIDE = '[[fare]]\nid = "ride"\nname = {{ uk = "П", en = "R" }}\nprice_minor = {}\n'
NETWORK = '[[network]]\nid = "{}"\nname = {{ uk = "М", en = "N" }}\noperators = ["kpt"]\n'


def tariff(version: int, price: int, network: str) -> Tariff:
    return parse_tariff(HEAD.format(version) + RIDE.format(price) + NETWORK.format(network), "t.toml")


def test_whoever_holds_it_sees_the_new_one_and_nothing_of_the_old():
    old, new = tariff(1, 800, "city"), tariff(2, 1000, "town")
    held = TariffInUse.of(old)
    assert held.networks_of("kpt", "12") == old.networks_of("kpt", "12")  # kept by the object once it was asked
    held.adopt(new)
    assert (held.version, held.purse, held.networks) == (2, new.purse, new.networks)
    assert held.networks_of("kpt", "12") == new.networks_of("kpt", "12") != old.networks_of("kpt", "12")
    assert old.version == 1


def test_it_is_as_frozen_as_any_tariff():
    held = TariffInUse.of(tariff(1, 800, "city"))
    with pytest.raises(FrozenInstanceError):
        held.version = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [{"currency": "EUR"}, {"zone": ZoneInfo("Europe/Paris")}, {"service_day_start": time(5)}],
    ids=["currency", "zone", "day"],
)
def test_what_money_and_days_are_counted_in_needs_a_restart(change):
    old = tariff(1, 800, "city")
    held = TariffInUse.of(old)
    with pytest.raises(TariffError, match="with a restart"):
        held.adopt(replace(old, version=2, **change))
    assert (held.version, held.currency) == (1, "UAH")
