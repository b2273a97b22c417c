"""Playback over HTTP: any hour again, as the same events as the live stream, from what is stored and at any speed.

Positions are kept for some days, headways, alerts and decisions for longer (settings `dispatch.fixes_days` and
`history_days`): an hour whose positions are gone can still be gone through, and the answers say so.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web

from dispatch.errors import Problem, history_away
from dispatch.history_read import ALERTS_MAX, HistoryAwayError, HistoryReader
from dispatch.network import Network
from dispatch.playback_player import PAGE_S_MAX, Moment, Player
from dispatch.stream import Ended, ended_event

SPAN_S_MAX = 7 * 86_400.0
SPEED_MIN, SPEED_MAX = 0.1, 600.0
YEAR_10000_S = 253_402_300_800.0  # what a date can hold
_STAFF = "measures:read"
_NEVER_KEPT = "no-store"


class PlaybackReply(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """GET /api/v1/playback: what is kept of a span; positions of times before `fixes_from` are kept no longer."""

    from_: float
    to: float
    fixes: int
    vehicles: int
    first_at: float | None
    last_at: float | None
    alerts: int
    decisions: int
    fixes_from: float
    speed_max: float


class Mark(msgspec.Struct, frozen=True):
    """Something to jump to: an alert from its opening to its end (null: it was not seen to end)."""

    id: str
    kind: str
    at: float
    until: float | None
    route_id: str | None
    vehicle_id: str


class MarksReply(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """GET /api/v1/playback/marks: alerts that were open in a span, by time; of more than 2,000 the newest."""

    from_: float
    to: float
    alerts: list[Mark]


@dataclass(frozen=True, slots=True)
class PlaybackSettings:
    """Limits of playback: few at once, none for ever, each with a page of fixes in memory; how long these are kept."""

    players_max: int = 8
    frame_s: float = 1.0
    page_s: float = 30.0
    stall_s_max: float = 60.0
    life_s_max: float = 3600.0
    fixes_days: int = 3
    timezone: str = "UTC"


DEFAULTS = PlaybackSettings()


class PlaybackApi:
    """Operations on what is stored."""

    def __init__(
        self,
        reader: HistoryReader,
        feed_version: str,
        clock: Callable[[], float],
        settings: PlaybackSettings = DEFAULTS,
        routes: list[str] | None = None,
    ) -> None:
        self._reader = reader
        self._feed_version = feed_version
        self._clock = clock
        self._settings = settings
        self._routes = routes or []
        self.playing = 0
        self.counters = {"players_refused": 0, "players_stalled": 0, "frames_played": 0}

    def use_network(self, network: Network) -> None:
        """Name another feed version from now on, and know its routes beside those of before."""
        self._feed_version = network.feed_version
        self._routes = list(dict.fromkeys([*network.route_id, *self._routes]))[: 4 * len(network.route_id)]

    def routes(self) -> list[tuple[object, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/playback", _STAFF, self.look),
            ("GET", "/api/v1/playback/at", _STAFF, self.moment),
            ("GET", "/api/v1/playback/marks", _STAFF, self.marks),
            ("GET", "/api/v1/playback/stream", _STAFF, self.stream),
        ]

    async def look(self, *, from_: float, to: float) -> PlaybackReply:
        """Say what is kept of positions, alerts and decisions between two times, at most a week."""
        _check_span(from_, to)
        try:
            span = await self._reader.fixes_span(from_, to)
            alerts, decisions = await self._reader.past_counts(from_, to)
        except HistoryAwayError:
            raise history_away() from None
        found = (span.fixes, span.vehicles, span.from_s, span.to_s, alerts, decisions)
        return PlaybackReply(from_, to, *found, self._fixes_from_s(), SPEED_MAX)

    async def moment(self, *, at: float) -> Annotated[Moment, _NEVER_KEPT]:
        """Show one instant: vehicles, headways, the alerts that were open and the decisions of the last 15 minutes."""
        if not 0 <= at <= YEAR_10000_S:
            raise Problem(422, "Invalid request", "at: Unix seconds.")
        player = Player(self._reader, self._feed_version, self._routes, self._settings.page_s)
        async with self._place():
            try:
                await player.open(at)
            except HistoryAwayError:
                raise history_away() from None
            return await asyncio.to_thread(player.moment, at)

    async def marks(self, *, from_: float, to: float) -> Annotated[MarksReply, _NEVER_KEPT]:
        """List the alerts of a span, to jump to."""
        _check_span(from_, to)
        try:
            rows = await self._reader.past_alerts(from_, to)
        except HistoryAwayError:
            raise history_away() from None
        alerts = [
            Mark(row["id"], row["kind"], row["opened_s"], row["closed_s"], row["route_id"], row["vehicle_id"])
            for row in reversed(rows)
        ]
        return MarksReply(from_, to, alerts[-ALERTS_MAX:])

    async def stream(
        self, *, from_: float, to: float | None = None, speed: float = 1.0, request: web.Request, ended: Ended
    ) -> web.StreamResponse:
        """Play what is stored at 0.1 to 600 times the speed of life, a frame a second.

        Server-sent events as of the live stream: `vehicles` and `headways` with each frame, `alerts` and `decisions`
        when they have changed, `end` at the end: the reason is `over`, `away` (the database) or `access` (the token or
        login has ended).
        """
        ends_s = min(from_ + SPAN_S_MAX, self._clock()) if to is None else to
        _check_span(from_, ends_s)
        if not SPEED_MIN <= speed <= SPEED_MAX:
            raise Problem(422, "Invalid request", f"speed: between {SPEED_MIN:g} and {SPEED_MAX:g}.")
        async with self._place():
            return await self._serve(request, (from_, ends_s), speed, ended)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of the places that there are for who looks at the past; a Problem where all are taken."""
        if self.playing >= self._settings.players_max:
            self.counters["players_refused"] += 1
            raise Problem(503, "Too many players", "The server plays no more at once; try again in a while.")
        self.playing += 1
        try:
            yield
        finally:
            self.playing -= 1

    async def _serve(
        self, request: web.Request, span: tuple[float, float], speed: float, ended: Ended
    ) -> web.StreamResponse:
        settings = self._settings
        page_s = max(settings.page_s, min(PAGE_S_MAX, speed * settings.frame_s))
        player = Player(self._reader, self._feed_version, self._routes, page_s)
        try:  # an answer in words while that is still possible
            await player.open(span[0])
        except HistoryAwayError:
            raise history_away() from None
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            async with asyncio.timeout(settings.life_s_max):
                await self._play(response, player, (span, speed), ended)
        except HistoryAwayError:
            await response.write(b'event: end\ndata: {"reason": "away"}\n\n')
        except TimeoutError:
            self.counters["players_stalled"] += 1
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the viewer has gone
        return response

    async def _play(
        self, response: web.StreamResponse, player: Player, film: tuple[tuple[float, float], float], ended: Ended
    ) -> None:
        """Frames of a span, at a speed, while the viewer may see them."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        (span, speed), began = film, loop.time()
        at_s, ends_s = span
        step_s, nth = speed * settings.frame_s, 0
        while at_s <= ends_s:
            if (why := ended()) is not None:
                await response.write(ended_event(why))
                return
            await player.go(at_s)
            # Ten thousand vehicles take some 20 ms, which is too long for the loop that answers taps.
            frame = await asyncio.to_thread(player.events, at_s)
            async with asyncio.timeout(settings.stall_s_max):
                await response.write(frame)
            self.counters["frames_played"] += 1
            nth += 1
            at_s = span[0] + nth * step_s
            await asyncio.sleep(max(0.0, began + nth * settings.frame_s - loop.time()))
        await response.write(b'event: end\ndata: {"reason": "over"}\n\n')

    def _fixes_from_s(self) -> float:
        """The first instant whose positions may still be kept: whole local days are dropped."""
        zone = ZoneInfo(self._settings.timezone)
        today = dt.datetime.fromtimestamp(self._clock(), zone).date()
        first = today - dt.timedelta(days=self._settings.fixes_days)
        return dt.datetime.combine(first, dt.time(), zone).timestamp()


def _check_span(from_s: float, to_s: float) -> None:
    if not 0 <= from_s < to_s <= YEAR_10000_S or to_s - from_s > SPAN_S_MAX:
        raise Problem(422, "Invalid request", "`from` must be before `to`, by a week at the most (Unix seconds).")
