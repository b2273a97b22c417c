"""The database's rows about an account as the rating takes them, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

import msgspec

from ticketing.city_tariff import CityTariff
from ticketing.journeys import FareTap
from ticketing.rated import Carried, DayRating, Former
from ticketing.rerating import DueTap, HeldTicket, StoredDay

CARD = "card:"


class TapPlace(NamedTuple):
    """Whose validator took a tap, on which vehicle, at which stop and on which line, as far as that is known."""

    operator: str
    vehicle: str | None = None
    stop_id: str | None = None
    route_id: str | None = None
    direction_id: int | None = None


class _Day(msgspec.Struct):
    day: date
    version: int
    edition: int
    rating: DayRating
    taps: tuple[FareTap, ...]
    again_at_s: float | None


class _Due(msgspec.Struct):
    operator: str
    device: str
    id: str
    vehicle: str | None
    stop_id: str | None
    route_id: str | None
    direction_id: int | None
    ticket_id: str | None
    paid_minor: int
    at_s: float


class _Ticket(msgspec.Struct):
    id: str
    product: str
    from_s: float
    until_s: float
    uses: int
    uses_allowed: int | None
    networks: tuple[str, ...]
    usable: bool


_DAYS = msgspec.json.Decoder(list[_Day])
_DUE = msgspec.json.Decoder(list[_Due])
_TICKETS = msgspec.json.Decoder(list[_Ticket])
_RATING = msgspec.json.Decoder(DayRating)
_TAPS = msgspec.json.Decoder(tuple[FareTap, ...])
_FORMER = msgspec.json.Decoder(tuple[Former, ...])
_CARRIED = msgspec.json.Decoder(Carried)
encode = msgspec.json.Encoder().encode


def card_account(uid: bytes) -> str:
    """The account of a city card."""
    return f"{CARD}{uid.hex()}"


def uid_of(account: str) -> bytes | None:
    """The card behind an account, None for a bank card's."""
    return bytes.fromhex(account.removeprefix(CARD)) if account.startswith(CARD) else None


def days_of_json(text: str | None) -> tuple[StoredDay, ...]:
    """Rated days as query rating.quoted gives them."""
    return tuple(
        StoredDay(one.day, one.version, one.edition, one.rating, one.taps, one.again_at_s)
        for one in (_DAYS.decode(text) if text else ())
    )


def due_of_json(text: str | None, tariff: CityTariff) -> tuple[DueTap, ...]:
    """Due taps as query rating.quoted gives them."""
    return tuple(_due(one, tariff) for one in (_DUE.decode(text) if text else ()))


def tickets_of_json(text: str | None) -> tuple[HeldTicket, ...]:
    """A card's tickets as query rating.quoted gives them."""
    return tuple(HeldTicket(*msgspec.structs.astuple(one)) for one in (_TICKETS.decode(text) if text else ()))


def former_of_json(text: str | None) -> tuple[Former, ...]:
    """A holder's categories before the one of now, as query rating.riders and rating.quoted give them."""
    return _FORMER.decode(text) if text else ()


def handed_on_of_json(text: str | None) -> Carried:
    """What a card before has handed on, as query rating.riders and rating.quoted give it."""
    return _CARRIED.decode(text) if text else Carried()


def day_of_row(row: Mapping[str, Any]) -> StoredDay:
    """A rated day as query rating.days gives it."""
    rating, taps = _RATING.decode(row["rating"]), _TAPS.decode(row["taps"])
    return StoredDay(row["service_date"], row["version"], row["tariff_id"], rating, taps, row["again_at_s"])


def rating_of(text: str) -> DayRating:
    """A stored rating."""
    return _RATING.decode(text)


def due_of_row(row: Mapping[str, Any], tariff: CityTariff) -> DueTap:
    """A due tap as query rating.due_taps gives it."""
    fields = {name: row[name] for name in _Due.__struct_fields__}
    ticket = fields["ticket_id"]
    return _due(_Due(**{**fields, "id": str(row["id"]), "ticket_id": None if ticket is None else str(ticket)}), tariff)


def ticket_of_row(row: Mapping[str, Any]) -> HeldTicket:
    """A ticket as query rating.tickets gives it."""
    return HeldTicket(
        str(row["id"]),
        row["product_id"],
        row["from_s"],
        row["until_s"],
        row["uses"],
        row["uses_allowed"],
        tuple(row["networks"]),
        row["usable"],
    )


def fare_tap(tariff: CityTariff, tap_id: str, at_s: float, place: TapPlace) -> FareTap:
    """A tap as the rating takes it: on the network of its route, else of its operator."""
    return FareTap(
        tap_id,
        at_s,
        tariff.network_of(place.route_id, place.operator),
        stop_id=place.stop_id,
        route_id=place.route_id,
        direction_id=place.direction_id,
        vehicle=f"{place.operator}/{place.vehicle}" if place.vehicle else None,
    )


def group_rows(rows: Iterable[Mapping[str, Any]], column: str = "account") -> dict[Any, list[Mapping[str, Any]]]:
    """Rows by the value of one column, each group in their order."""
    found: dict[Any, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[column], []).append(row)
    return found


def _due(one: _Due, tariff: CityTariff) -> DueTap:
    place = TapPlace(one.operator, one.vehicle, one.stop_id, one.route_id, one.direction_id)
    tap = fare_tap(tariff, one.id, one.at_s, place)
    return DueTap(tap, one.paid_minor, one.ticket_id, (one.operator, one.device, one.id))
