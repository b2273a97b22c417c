"""A city's tariff file as a whole: its keys and entries as they are written, read but not yet checked for sense."""

from __future__ import annotations

import tomllib

import msgspec

from ticketing.city_prices import Cap, Discount, Extension, Fare, Join, Surcharge, Transfer
from ticketing.city_sales import (
    BOUNDED,
    CAREFUL,
    NO_GROUP,
    NO_PURSE,
    Debit,
    Group,
    Pass,
    Penalty,
    Purse,
    Refund,
    TopUps,
    Trips,
)
from ticketing.city_schema import Category, Distance, Hours, Media, Name, Network, Zone
from ticketing.errors import TariffError
from ticketing.tariff_lines import readable


class TariffFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    version: int
    currency: str
    timezone: str
    city: Name = Name("", "")
    service_day_starts: str = "00:00"
    week_starts: str = "mon"
    default_category: str | None = None
    network: tuple[Network, ...] = ()
    zone: tuple[Zone, ...] = ()
    media: tuple[Media, ...] = ()
    category: tuple[Category, ...] = ()
    hours: tuple[Hours, ...] = ()
    fare: tuple[Fare, ...] = ()
    transfer: tuple[Transfer, ...] = ()
    join: tuple[Join, ...] = ()
    distance: tuple[Distance, ...] = ()
    discount: tuple[Discount, ...] = ()
    cap: tuple[Cap, ...] = ()
    extension: tuple[Extension, ...] = ()
    surcharge: tuple[Surcharge, ...] = ()
    product: tuple[Pass, ...] = ()
    purse: Purse = NO_PURSE
    trips: Trips | None = None
    debit: tuple[Debit, ...] = ()
    group: Group = NO_GROUP
    penalty: tuple[Penalty, ...] = ()
    refund: Refund = CAREFUL
    top_up: TopUps = BOUNDED


def read_tariff_file(text: str, file: str) -> TariffFile:
    """The file as it is written, not yet checked for sense; TariffError names `file`, the entry and the field."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TariffError(f"{file}: {error}") from None
    except RecursionError:
        raise TariffError(f"{file}: it is nested too deeply to be a tariff") from None
    try:
        parsed = msgspec.convert(raw, TariffFile)
    except msgspec.ValidationError as error:
        raise TariffError(f"{file}: {readable(str(error), raw)}") from None
    if parsed.purse.fare_minor is None:
        return parsed
    if parsed.fare:
        raise TariffError(f"{file}: purse.fare_minor: give it, or [[fare]]; not both")
    ride = Fare("ride", Name("Поїздка", "Ride"), parsed.purse.fare_minor)
    return msgspec.structs.replace(parsed, fare=(ride,))
