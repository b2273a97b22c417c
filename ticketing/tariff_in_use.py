"""The tariff that the desk and the judge hold: one object for all, whose content changes when another is taken."""

from __future__ import annotations

from dataclasses import fields

from ticketing.errors import TariffError
from ticketing.tariff import Tariff

RESTART = "take it with a restart, when nothing is open in the old one"


class TariffInUse(Tariff):
    """A tariff that can become another one at once: whoever looks afterwards sees the new one, and all of it."""

    @classmethod
    def of(cls, tariff: Tariff) -> TariffInUse:
        """One to hand out in the place of a tariff."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", _fields(tariff))
        return made

    def adopt(self, newer: Tariff) -> None:
        """Become another tariff; TariffError says why that needs a restart, and nothing changes."""
        check_follows(self, newer)
        object.__setattr__(self, "__dict__", _fields(newer))


def check_follows(tariff: Tariff, newer: Tariff) -> None:
    """Refuse what no running instance can go over to: money and days are counted in it. Raises TariffError."""
    if newer.currency != tariff.currency:
        raise TariffError(f"currency is {newer.currency}, in use is {tariff.currency}: {RESTART}")
    if newer.zone.key != tariff.zone.key:
        raise TariffError(f"timezone is {newer.zone.key}, in use is {tariff.zone.key}: {RESTART}")
    if newer.service_day_start != tariff.service_day_start:
        begins = f"{newer.service_day_start:%H:%M}, in use is {tariff.service_day_start:%H:%M}"
        raise TariffError(f"service_day_starts is {begins}: {RESTART}")


def _fields(tariff: Tariff) -> dict[str, object]:
    return {field.name: getattr(tariff, field.name) for field in fields(Tariff)}
