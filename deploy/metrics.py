"""Numbers for Prometheus: `takt_` before, base units, `_total` behind counters, and never an id in a label."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from deploy.metrics_help import HELP

# Plain numbers, or numbers by reason: {"fixes_admitted": 7, "fixes_rejected": {"stale": 2}}, which may also be
# written {"fixes_rejected.stale": 2}.
Numbers = Mapping[str, float | Mapping[str, float]]

# Plain names whose first part is the metric and whose rest is a label: verdict_accepted is a tap, and accepted.
_PREFIXES = {"ticketing": (("verdict_", "taps"), ("unavailable_", "taps_unavailable"))}
# What a label is called, where it is not a reason.
_LABELS = {
    "gateway_taps_answered": "verdict",
    "gateway_vehicle_events": "event",
    "ticketing_taps": "verdict",
    **{
        f"{part}_{what}": "outcome"
        for part in ("charging", "sale", "payments_charging", "payments_sale")
        for what in ("charges", "refunds", "verifications")
    },
    "dispatch_alerts": "what",
    "dispatch_advice": "what",
    "dispatch_control_lines": "mode",
    "dispatch_instructions": "state",
    "dispatch_instructions_listed": "state",
    "dispatch_history_written": "table",
    "dispatch_history_refused": "table",
    "dispatch_history_dropped": "table",
    "links_dropped": "subject",
}

# When a series began is of no use here and is a third of the page.
disable_created_metrics()  # type: ignore[no-untyped-call]

_NAME = re.compile(r"[^a-zA-Z0-9_]+")
_LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


def expose(
    registry: CollectorRegistry,
    subsystem: str,
    counters: Callable[[], Numbers] | None = None,
    gauges: Callable[[], Numbers] | None = None,
) -> None:
    """Show what a service counts for itself in plain dicts: `takt_<subsystem>_<name>[_total]`, read at each scrape."""
    registry.register(_Reader(subsystem, counters, gauges))


class _Reader(Collector):
    def __init__(
        self,
        subsystem: str,
        counters: Callable[[], Numbers] | None,
        gauges: Callable[[], Numbers] | None,
    ) -> None:
        self._subsystem = _NAME.sub("_", subsystem)
        self._counters = counters
        self._gauges = gauges

    def describe(self) -> list[Any]:
        """Nothing: names are known when a service has counted; without this each registration would read them all."""
        return []

    def collect(self) -> Iterator[Any]:
        """The numbers as they stand."""
        for name, value in self._read(self._counters):
            yield self._family(CounterMetricFamily, name.removesuffix("_total"), value)
        for name, value in self._read(self._gauges):
            yield self._family(GaugeMetricFamily, name, value)

    def _read(self, source: Callable[[], Numbers] | None) -> Iterator[tuple[str, float | dict[str, float]]]:
        prefixes = _PREFIXES.get(self._subsystem, ())
        yield from _nested(source() if source else {}, prefixes).items()

    def _family(self, kind: Callable[..., Any], name: str, value: float | Mapping[str, float]) -> Any:
        known = f"{self._subsystem}_{_NAME.sub('_', name)}"
        full = f"takt_{known}"
        text = HELP.get(known) or name.replace("_", " ").capitalize() + "."
        if not isinstance(value, Mapping):
            return kind(full, text, value=float(value))
        family = kind(full, text, labels=[_LABELS.get(known, "reason")])
        for reason, number in value.items():
            family.add_metric([str(reason)], float(number))
        return family


def _nested(numbers: Numbers, prefixes: Iterable[tuple[str, str]] = ()) -> dict[str, float | dict[str, float]]:
    """`{"refused.stale": 2}` as `{"refused": {"stale": 2}}`, so too what begins with a prefix; the rest as it is."""
    found: dict[str, float | dict[str, float]] = {}
    for plain, value in numbers.items():
        name = plain
        for prefix, instead in prefixes:
            if plain.startswith(prefix):
                name = f"{instead}.{plain.removeprefix(prefix)}"
        group, _, reason = name.partition(".")
        if reason and not isinstance(value, Mapping):
            inner = found.setdefault(group, {})
            if isinstance(inner, dict):
                inner[reason] = value
        else:
            found[name] = dict(value) if isinstance(value, Mapping) else value
    return found


class HttpMetrics:
    """What the web server counts, by the route's template and not by its address."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "takt_http_requests",
            "Requests answered, by route, method and status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "takt_http_request_duration_seconds",
            "Time to answer, by route.",
            ["route"],
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.failures = Counter(
            "takt_http_unhandled_errors", "Requests that failed in a way nobody foresaw.", registry=registry
        )
        self.limited = Counter("takt_http_rate_limited", "Requests refused by a rate limit.", registry=registry)
        self.timeouts = Counter(
            "takt_http_timeouts", "Requests cut off for slowness, by part.", ["part"], registry=registry
        )
        self.connections_refused = Counter(
            "takt_http_connections_refused", "Connections past the limit.", registry=registry
        )
        self.connections = Gauge("takt_http_connections", "Connections open now.", registry=registry)
        self._count: dict[tuple[str, str, int], Callable[[], None]] = {}
        self._observe: dict[str, Callable[[float], None]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float | None) -> None:
        """Count one answer; `seconds` is None for a stream, whose length says nothing."""
        key = (route, method, status)
        count = self._count.get(key)
        if count is None:
            count = self._count[key] = self._requests.labels(route, method, str(status)).inc
        count()
        if seconds is None:
            return
        observe = self._observe.get(route)
        if observe is None:
            observe = self._observe[route] = self._seconds.labels(route).observe
        observe(seconds)


def page(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus scrapes."""
    return generate_latest(registry)
