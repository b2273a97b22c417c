"""What services count, on its way to /metrics: from another process, and in the shape that metrics want."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from deploy.links import DISPATCH_NUMBERS, Links

if TYPE_CHECKING:
    from dispatch.service import DispatchService

NUMBERS_EVERY_S = 5.0

_ENCODE = msgspec.msgpack.Encoder().encode
_NUMBERS = msgspec.msgpack.Decoder(tuple[dict[str, float], dict[str, float]])


@dataclasses.dataclass
class DispatchNumbers:
    """What the dispatch process last said that it counts."""

    counters: dict[str, float] = dataclasses.field(default_factory=dict)
    gauges: dict[str, float] = dataclasses.field(default_factory=dict)


def counters_of(service: DispatchService, history: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The counters of engine, service and history together."""
    return {**service.engine.counters, **service.counters, **history()}


async def tell_numbers(links: Links, service: DispatchService, history: Callable[[], dict[str, float]] = dict) -> None:
    """Send the counters of engine, service and history to whoever shows /metrics, every few seconds."""
    while True:
        await links.send(DISPATCH_NUMBERS, _ENCODE((counters_of(service, history), service.gauges)))
        await asyncio.sleep(NUMBERS_EVERY_S)


async def hear_numbers(links: Links) -> DispatchNumbers:
    """The other end of `tell_numbers`: kept up to date from now on."""
    numbers = DispatchNumbers()

    def take(data: bytes) -> None:
        numbers.counters, numbers.gauges = _NUMBERS.decode(data)

    await links.receive(DISPATCH_NUMBERS, take)
    return numbers


GATEWAY_GAUGES = frozenset(
    {
        "vehicles_known",
        "vehicles_clock_wrong",
        "vehicles_clock_disputed",
        "positions_queued",
        "taps_held",
        "receipts_due",
        "sessions_connected",
    }
)  # all else that the gateway counts only rises


def counted(stats: dict[str, float]) -> dict[str, float]:
    """The counters among the gateway's numbers."""
    return {name: value for name, value in stats.items() if name not in GATEWAY_GAUGES}


def gauged(stats: dict[str, float]) -> dict[str, float]:
    """The gauges among the gateway's numbers."""
    return {name: value for name, value in stats.items() if name in GATEWAY_GAUGES}
