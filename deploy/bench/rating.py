"""An account's day of 20 taps rated, for four kinds of tariff, and one more tap priced on top of it: CPU time.

No ratio: the peer is the limit of one millisecond a day, since rating is asked for with every tap of a card.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day
from ticketing.rerating import DueTap, Edition, Holder, StoredDay, price_of, rerate

TARIFFS = Path(__file__).parents[2] / "ticketing" / "tariffs"
BY_TIME = """
version = 1
currency = "EUR"
timezone = "Europe/Zagreb"
fare = [{ id = "m30", name = { uk = "30 хв", en = "30 min" }, price_minor = 53 }]
transfer = [
  { id = "on30", name = { uk = "Пересадка", en = "Change" }, minutes = 30 },
  { id = "m60", name = { uk = "60 хв", en = "60 min" }, minutes = 60, pays = "total", price_minor = 93 },
  { id = "m90", name = { uk = "90 хв", en = "90 min" }, minutes = 90, pays = "total", price_minor = 133 },
]
"""
"""Tickets by time at Zagreb's prices of 2023: every way of joining rides is lawful, and the cheapest is wanted."""
TAPS = 20
ROUNDS = 7
FIRST_S = 1_772_600_400.0  # an early morning
LIMIT_MS = 1.0


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  # every benchmark is asked the same way
    """Measure each city for its part of the time."""
    return {"figures": figures(seconds), "ratios": {}}


def figures(seconds: float) -> dict[str, Any]:
    """rate_day_20_taps_ms is that of the dearest tariff; quote_ms prices a twenty-first tap."""
    found: dict[str, Any] = {}
    for name, media, network in (
        ("kyiv", "card", "surface"),
        ("lviv", "leocard", "city"),
        ("london", "contactless", "rail"),
        ("by_time", None, "any"),
    ):
        text = BY_TIME if name == "by_time" else (TARIFFS / f"{name}.toml").read_text(encoding="utf-8")
        tariff = parse_city_tariff(text, f"{name}.toml")
        taps = _day(network)
        account = Account(media)
        found[f"{name}_rate_day_20_taps_ms"] = _cpu_ms(lambda: rate_day(taps, tariff, account), seconds / 8)  # noqa: B023
        found[f"{name}_quote_ms"] = _quote_ms(taps, tariff, media, network, seconds / 8)
    found["rate_day_20_taps_ms"] = max(value for name, value in found.items() if name.endswith("day_20_taps_ms"))
    found["limit_ms"] = LIMIT_MS
    return found


def _day(network: str) -> list[FareTap]:
    """Twenty taps of a day, ten minutes apart and between changing places."""
    return [
        FareTap(f"tap{n}", FIRST_S + n * 600, network, areas=(str(1 + n * 7 % 6),), route_id=str(n % 5))
        for n in range(TAPS)
    ]


def _quote_ms(taps: list[FareTap], tariff: CityTariff, media: str | None, network: str, seconds: float) -> float:
    edition = Edition(1, tariff, 0.0)
    due = tuple(DueTap(tap, 0) for tap in taps)
    rated = rerate(Holder("card:1", media, None, (), due), lambda _day, _id: edition, FIRST_S + 86_400)
    days = tuple(StoredDay(one.day, 1, 1, one.rating, one.taps) for one in rated)
    holder = Holder("card:1", media, None, days, ())
    more = FareTap("more", FIRST_S + TAPS * 600, network, areas=("2",))
    return _cpu_ms(lambda: price_of(holder, more, lambda _day, _id: edition), seconds)


def _cpu_ms(work: Callable[[], object], seconds: float) -> float:
    """The median of rounds, milliseconds of CPU time a call; the first calls fill what is looked up again."""
    for _ in range(5):
        work()
    rounds = []
    for _ in range(ROUNDS):
        calls, start = 0, time.process_time()
        while time.process_time() - start < seconds / ROUNDS:
            work()
            calls += 1
        rounds.append((time.process_time() - start) / calls * 1000)
    return round(statistics.median(rounds), 4)
