"""The live score of arrival predictions, on its way from dispatch to the API and to /metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from deploy.links import ACCURACY, Links
from dispatch.eta_score import AccuracyReply, Counted

if TYPE_CHECKING:
    from dispatch.engine import Engine
    from dispatch.service import DispatchService

TOLD_EVERY_S = 10.0

# Name, help, and which field of Counted. Errors over predictions are the mean absolute error of any span of time.
_COUNTERS = (
    ("predictions", "Arrival predictions that have come true or not, by route and minutes left.", "n"),
    ("error_seconds", "Sum of their absolute errors.", "error_s"),
    ("within", "How many were near enough (ETA accuracy benchmark).", "within"),
    ("baseline_error_seconds", "Sum of absolute errors of the timetable plus the current delay.", "baseline_error_s"),
    ("baseline_within", "How many of the timetable plus the current delay were near enough.", "baseline_within"),
)


class Told(msgspec.Struct, frozen=True):
    """One message: the answer of the API, and counters since the start."""

    reply: AccuracyReply
    counted: list[Counted]


_ENCODE = msgspec.msgpack.Encoder().encode
_TOLD = msgspec.msgpack.Decoder(Told)


async def tell_accuracy(links: Links, engine: Engine, service: DispatchService) -> None:
    """Send the score to whoever shows it, every few seconds; ends by cancellation."""

    def read() -> Told:
        return Told(engine.eta.reply(engine.running.scatter, time.time()), engine.eta.counted())

    while True:
        await links.send(ACCURACY, _ENCODE(await service.between_ticks(read)))
        await asyncio.sleep(TOLD_EVERY_S)


class Heard(Collector):
    """What was last told; a collector of counters by route and time left, few of each (see ROUTES_NAMED)."""

    def __init__(self) -> None:
        self.told: Told | None = None

    @property
    def reply(self) -> AccuracyReply | None:
        """The answer of the API; None before dispatch has told anything."""
        return self.told.reply if self.told else None

    def describe(self) -> list[Any]:
        """Nothing: the labels are known when something has been scored."""
        return []

    def collect(self) -> Iterator[Any]:
        """The numbers as they stand."""
        if self.told is None:
            return
        for name, text, field in _COUNTERS:
            family = CounterMetricFamily(f"takt_dispatch_eta_{name}", text, labels=["route", "left_s"])
            for row in self.told.counted:
                family.add_metric([row.route_id, row.horizon], getattr(row, field))
            yield family
        text = "Mean absolute error of arrival predictions in the last 24 hours, by seconds left."
        ours = GaugeMetricFamily("takt_dispatch_eta_mae_seconds", text, labels=["left_s"])
        baseline = GaugeMetricFamily(
            "takt_dispatch_eta_baseline_mae_seconds",
            "The same of the timetable plus the current delay.",
            labels=["left_s"],
        )
        for part in self.told.reply.horizons:
            if part.mae_s is not None and part.baseline_mae_s is not None:
                label = [f"{part.from_s:g}-{part.to_s:g}"]
                ours.add_metric(label, part.mae_s)
                baseline.add_metric(label, part.baseline_mae_s)
        yield from (ours, baseline)


async def hear_accuracy(links: Links, registry: CollectorRegistry) -> Heard:
    """The other end of `tell_accuracy`: kept up to date from now on, and shown in /metrics."""
    heard = Heard()

    def take(data: bytes) -> None:
        heard.told = _TOLD.decode(data)

    await links.receive(ACCURACY, take)
    registry.register(heard)
    return heard
