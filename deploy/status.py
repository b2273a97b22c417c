"""Whether the instance lives, whether it can work, what it counts and what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry

from deploy import metrics

ReasonsNotReady = Callable[[], Sequence[str]]


class Liveness(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool = True


class Readiness(msgspec.Struct, frozen=True):
    """Whether work is possible, and if not, why; `warnings` say what is amiss all the same."""

    ready: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class InstanceInfo(msgspec.Struct, frozen=True):
    """What a client needs to know before anything else."""

    name: str
    version: str
    feed_version: str
    timezone: str
    demo: bool
    service_date: str
    timetable_shift_s: float
    currency: str
    tile_url: str | None = None
    languages: tuple[str, ...] = ("uk", "en")


class StatusApi:
    """/livez, /readyz, /metrics and /api/v1/instance."""

    def __init__(
        self,
        checks: Sequence[ReasonsNotReady],
        registry: CollectorRegistry,
        instance: Callable[[], InstanceInfo] | None = None,
        *,
        open_metrics: bool = False,
        warnings: Sequence[ReasonsNotReady] = (),
    ) -> None:
        self._checks = tuple(checks)
        self._warnings = tuple(warnings)
        self._registry = registry
        self._instance = instance
        self._metrics = "public" if open_metrics else "metrics:read"

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations, public but for the numbers."""
        routes: list[tuple[Any, ...]] = [
            ("GET", "/livez", "public", self.livez),
            ("GET", "/readyz", "public", self.readyz),
            ("GET", "/metrics", self._metrics, self.metrics),
        ]
        if self._instance is not None:
            routes.append(("GET", "/api/v1/instance", "public", self.instance))
        return routes

    def reasons(self) -> tuple[str, ...]:
        """Why work is impossible; empty when it is possible."""
        return _said(self._checks)

    async def livez(self) -> Annotated[Liveness, "no-store"]:
        """Say that the process answers."""
        return Liveness()

    async def readyz(self) -> Annotated[web.Response, Readiness]:
        """Say whether work is possible; 503 with the reasons while it is not."""
        reasons = self.reasons()
        return web.Response(
            body=msgspec.json.encode(Readiness(not reasons, reasons, _said(self._warnings))),
            status=503 if reasons else 200,
            content_type="application/json",
            headers={"Cache-Control": "no-store"},
        )

    async def metrics(self) -> Annotated[bytes, "text/plain; version=0.0.4; charset=utf-8", "no-store"]:
        """Numbers for Prometheus: on this machine for all, else for the role monitor."""
        return metrics.page(self._registry)

    async def instance(self) -> InstanceInfo:
        """Say what this instance is: its name, feed, time zone and currency."""
        assert self._instance is not None
        return self._instance()


def _said(checks: Sequence[ReasonsNotReady]) -> tuple[str, ...]:
    found: list[str] = []
    for check in checks:
        try:
            found.extend(check())
        except Exception as error:  # a check that fails is a reason, whatever it fails with
            found.append(f"a check failed: {type(error).__name__}")
    return tuple(found)
