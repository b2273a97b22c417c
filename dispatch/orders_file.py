"""Orders as bytes: what a dispatcher has decided, so that a restart forgets none of it that is still to come."""

from __future__ import annotations

import msgspec

from dispatch.claims import Timetable
from dispatch.fleet import NO_TRIP
from dispatch.orders import ORDERS_MAX, Cancellation, Orders, find_run

FORMAT = 1


class _Held(msgspec.Struct):
    vehicle_key: str
    trip_id: str
    start_date: str
    start_time: str | None


class _File(msgspec.Struct):
    format: int
    held: list[_Held]
    cancelled: list[Cancellation]


def to_bytes(orders: Orders, timetable: Timetable) -> bytes:
    """Orders by the ids of the feed, as JSON."""
    ids = timetable.network.trip_id
    held = [
        _Held(
            key,
            ids[claim.trip],
            timetable.start_date(claim.trip, claim.zero_s),
            timetable.start_time(claim.trip, claim.zero_s),
        )
        for key, claim in list(orders.by_vehicle.items())
        if claim.trip != NO_TRIP
    ]
    return msgspec.json.encode(_File(FORMAT, held, list(orders.cancelled.values())))


def restore(orders: Orders, timetable: Timetable, data: bytes, now_s: float) -> int:
    """Take up the orders for trips that are known and due; returns how many.

    Raises:
        ValueError: these are no orders of ours.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a file of orders: {error}") from None
    if file.format != FORMAT:
        raise ValueError(f"a file of orders of format {file.format}, not {FORMAT}")
    taken = 0
    for held in file.held[:ORDERS_MAX]:
        claim = find_run(timetable, held.trip_id, (held.start_date, held.start_time), now_s)
        if not isinstance(claim, str):
            orders.assign(held.vehicle_key, claim)
            taken += 1
    for order in file.cancelled[:ORDERS_MAX]:
        claim = find_run(timetable, order.trip_id, (order.start_date, order.start_time), now_s)
        if not isinstance(claim, str):
            orders.cancelled[claim.trip, claim.zero_s] = order
            taken += 1
    return taken
