"""Dispatch as a service: the engine ticks once a second in a thread of its own, and what it says is published.

All of the engine's work but `ingest` is done by that one thread, so the loop that answers requests never waits for a
tick and the engine needs no locks. Ticks are set against the wall clock: one that took too long is followed by the
next whole second, and what was left out is counted, never made up for.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Protocol, TypeVar

from dispatch import realtime
from dispatch.alerts import Alert
from dispatch.board import Publication
from dispatch.line_measures import LineMeasure
from dispatch.network import Network
from dispatch.orders import Assignment, Cancellation, Departure
from dispatch.schemas import CancelRequest, Measure, MeasuresReply
from dispatch.snapshot import Snapshot

T = TypeVar("T")

# A feed may take this share of a tick's time in the long run; a larger fleet's feeds are made less often instead.
_FEED_SHARE = 0.25


class TicksLike(Protocol):
    """The engine as the service needs it; times are Unix seconds."""

    @property
    def counters(self) -> dict[str, int]:
        """Counters by name and reason."""

    @property
    def gauges(self) -> dict[str, float]:
        """What stands now, by name."""

    def tick(self, now_s: float) -> Snapshot:
        """Fold what came in and say how the fleet is now."""

    def event(self, event: dict[str, Any]) -> None:
        """Take a vehicle's event."""

    def acknowledge(self, alert_id: str, by: str, now_s: float) -> Alert | None:
        """Note that a person has seen an alert; None when there is no such alert."""

    def shelve(self, alert_id: str, by: str, until_s: float, now_s: float) -> Alert | None:
        """Put an alert aside for a time; None when there is no such alert."""

    def close_alert(self, alert_id: str, by: str, reason: str, now_s: float) -> Alert | None:
        """Close an alert by hand; None when there is no such alert."""

    def assign(
        self, vehicle_key: str, trip_id: str | None, start_date: str | None, by: str, now_s: float
    ) -> Assignment | str:
        """Put a vehicle on a trip; a string is the reason why that cannot be."""

    def cancel(
        self, trip_id: str, run: Departure, by: str, now_s: float, reason: str | None = None
    ) -> Cancellation | str:
        """Say that a trip is not driven; a string is the reason why that cannot be."""

    def restore(self, trip_id: str, run: Departure, now_s: float) -> Cancellation | str:
        """Take a cancellation back; a string is the reason why that cannot be."""

    def measures(self, from_s: float, to_s: float, route_id: str | None = None) -> list[LineMeasure]:
        """Measures of the passages between two times."""


class Publisher:
    """Encodes snapshots; keeps the feeds of the last one while they are still of the same second."""

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self._timer = timer
        self._header_ts = 0
        self._due_s = 0.0
        self._feeds = (b"", b"", b"")
        self._network: Network | None = None
        self._place = realtime.Place()
        self.feeds_made = 0

    def publication(self, snapshot: Snapshot) -> Publication:
        """Everything that readers may ask for, encoded."""
        now_s = snapshot.as_of_s
        # Two contents under one header time would be two truths, so a feed is made once in a second at the most.
        due = int(now_s) > self._header_ts and now_s >= self._due_s
        if due or now_s < self._header_ts - 60:
            began = self._timer()
            self._feeds = self._make_feeds(snapshot)
            self._header_ts = int(now_s)
            self._due_s = now_s + (self._timer() - began) / _FEED_SHARE - 1.0
            self.feeds_made += 1
        line_m = [None if math.isnan(place) else round(place, 1) for place in snapshot.fleet.line_m.tolist()]
        return Publication(
            as_of_s=now_s,
            feed_version=snapshot.feed_version,
            vehicles=snapshot.vehicles_json(),
            headways=snapshot.headways_json(),
            alerts=snapshot.alerts_json(),
            public_alerts=snapshot.alerts_json(public=True),
            trip_updates=snapshot.trip_updates_json(),
            line_m=line_m,
            pb_vehicle_positions=self._feeds[0],
            pb_trip_updates=self._feeds[1],
            pb_alerts=self._feeds[2],
        )

    def _make_feeds(self, snapshot: Snapshot) -> tuple[bytes, bytes, bytes]:
        if snapshot.network is not self._network:
            self._network, self._place = snapshot.network, realtime.place_of(snapshot.network)
        vehicles, updates = snapshot.vehicles, snapshot.trip_updates
        context = realtime.context_of(vehicles, int(snapshot.as_of_s), self._place)
        return (
            realtime.vehicle_positions(vehicles, context),
            realtime.trip_updates(updates, context, snapshot.cancelled),
            realtime.alerts(snapshot.alerts, context),
        )


class DispatchService:
    """The engine at work; entering means that a first publication is out, leaving that the last tick is done.

    A failure of the engine ends the `async with` of whoever entered it, with that failure.
    """

    def __init__(
        self,
        engine: TicksLike,
        publish: Callable[[Publication], None],
        clock: Callable[[], float] = time.time,
        tick_s: float = 1.0,
        observe: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self.engine = engine
        self._publish = publish
        self._clock = clock
        self._tick_s = tick_s
        self._observe = observe  # called after each tick by the thread that ticks; it must not wait for anything
        self._publisher = Publisher()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dispatch")
        self._stop = asyncio.Event()
        self._tasks = asyncio.TaskGroup()
        self._last_s = 0.0
        self.counters: dict[str, float] = {"ticks": 0, "ticks_left_out": 0, "tick_seconds": 0.0}
        self.gauges: dict[str, float] = {"last_tick_seconds": 0.0, "lag_seconds": 0.0}

    async def __aenter__(self) -> DispatchService:
        """Tick once, then go on ticking in a task."""
        await self._tick(self._clock())
        await self._tasks.__aenter__()
        self._tasks.create_task(self._run(), name="dispatch tick")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the tick under way end, and no other begin."""
        self._stop.set()
        # The group must see its own cancellation to tell of a failed tick; another's error is not its business.
        own = error is None or isinstance(error, asyncio.CancelledError)
        try:
            await self._tasks.__aexit__(*((kind, error, trace) if own else (None, None, None)))
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def between_ticks(self, work: Callable[[], T]) -> T:
        """Do something with the engine while it does not tick, in its own thread."""
        return await self._call(work)

    async def event(self, event: Mapping[str, Any]) -> None:
        """Hand a vehicle's event to the engine between two ticks."""
        await self._call(self.engine.event, dict(event))

    async def acknowledge(self, alert_id: str, by: str) -> Alert | None:
        """Note that a person has seen an alert; None when there is no such alert."""
        return await self._call(self.engine.acknowledge, alert_id, by, self._clock())

    async def shelve(self, alert_id: str, by: str, minutes: float) -> Alert | None:
        """Put an alert aside for some minutes; None when there is no such alert."""
        now_s = self._clock()
        return await self._call(self.engine.shelve, alert_id, by, now_s + 60.0 * minutes, now_s)

    async def close_alert(self, alert_id: str, by: str, reason: str) -> Alert | None:
        """Close an alert by hand; None when there is no such alert."""
        return await self._call(self.engine.close_alert, alert_id, by, reason, self._clock())

    async def assign(self, vehicle_key: str, trip_id: str | None, start_date: str | None, by: str) -> Assignment | str:
        """Put a vehicle on a trip; a string is the reason why that cannot be."""
        return await self._call(self.engine.assign, vehicle_key, trip_id, start_date, by, self._clock())

    async def cancel(self, trip_id: str, order: CancelRequest, by: str) -> Cancellation | str:
        """Say that a trip is not driven; a string is the reason why that cannot be."""
        run = (order.start_date, order.start_time)
        return await self._call(self.engine.cancel, trip_id, run, by, self._clock(), order.reason)

    async def restore(self, trip_id: str, order: CancelRequest) -> Cancellation | str:
        """Take a cancellation back; a string is the reason why that cannot be."""
        run = (order.start_date, order.start_time)
        return await self._call(self.engine.restore, trip_id, run, self._clock())

    async def measures(self, from_s: float, to_s: float, route_id: str | None) -> MeasuresReply:
        """Regularity and punctuality in a span of time, of one route or all."""
        rows = await self._call(self.engine.measures, from_s, to_s, route_id)
        measures = [Measure(row.route_id, row.direction_id, row.headway, row.punctuality) for row in rows]
        return MeasuresReply(from_s, to_s, measures)

    def healthy(self) -> list[str]:
        """Why dispatch cannot work; empty when it can."""
        silent_s = self._clock() - self._last_s
        return [f"dispatch has not ticked for {silent_s:.0f} s"] if silent_s > max(10.0, 5 * self._tick_s) else []

    async def _run(self) -> None:
        while not self._stop.is_set():
            now_s = self._clock()
            due_s = (now_s // self._tick_s + 1) * self._tick_s
            try:
                async with asyncio.timeout(due_s - now_s):
                    await self._stop.wait()
            except TimeoutError:
                await self._tick(max(self._clock(), due_s))

    async def _tick(self, now_s: float) -> None:
        before_s = self._last_s
        began = time.perf_counter()
        publication = await self._call(self._work, now_s)
        took_s = time.perf_counter() - began
        self._publish(publication)
        self._last_s = now_s
        self.counters["ticks"] += 1
        self.counters["tick_seconds"] += took_s
        # A clock that jumped is no tick left out: only whole ticks within a sensible span are counted.
        passed_s = now_s - before_s
        if before_s and self._tick_s * 1.5 < passed_s < 60.0:
            self.counters["ticks_left_out"] += int(passed_s / self._tick_s - 0.5)
        self.gauges.update(self.engine.gauges)
        self.gauges["last_tick_seconds"] = took_s
        self.gauges["lag_seconds"] = max(0.0, self._clock() - now_s)

    def _work(self, now_s: float) -> Publication:
        snapshot = self.engine.tick(now_s)
        if self._observe is not None:
            self._observe(snapshot)
        return self._publisher.publication(snapshot)

    async def _call(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
