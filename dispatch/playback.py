"""Playback: any hour again, as the same events as the live stream, from stored fixes and at any speed.

A player folds fixes into the fleet as it was and sends one frame each second of the viewer's time. It holds one page of
fixes and the newest fix of each vehicle, nothing else, and reads the next page only when this one has been played.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from aiohttp import web

from dispatch.errors import Problem
from dispatch.history_read import FIXES_MAX, HistoryAwayError, HistoryReader, StoredFix
from dispatch.network import Network
from dispatch.snapshot import VehiclesDocument

SPAN_S_MAX = 7 * 86_400.0
SPEED_MIN, SPEED_MAX = 0.1, 600.0
LOOK_BACK_S = 120.0  # fixes of vehicles that stand are a minute apart
SILENT_S = 120.0
FORGET_S = 600.0

_ENCODE = msgspec.json.Encoder().encode


class PlaybackReply(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """GET /api/v1/playback: what is kept of a span, to be played by /api/v1/playback/stream."""

    from_: float
    to: float
    fixes: int
    vehicles: int
    first_at: float | None
    last_at: float | None
    speed_max: float


@dataclass(frozen=True, slots=True)
class PlaybackSettings:
    """Limits of playback: few at once, none for ever, each with a page of fixes in memory."""

    players_max: int = 8
    frame_s: float = 1.0
    page_s: float = 30.0
    stall_s_max: float = 60.0
    life_s_max: float = 3600.0


DEFAULTS = PlaybackSettings()


@dataclass(slots=True)
class Reel:
    """The fleet as it was at one instant after another: fixes in, frames out."""

    feed_version: str
    _newest: dict[str, StoredFix] = field(default_factory=dict)
    _page: deque[StoredFix] = field(default_factory=deque)

    def load(self, fixes: list[StoredFix]) -> None:
        """The next page, in the order of time."""
        self._page.extend(fixes)

    def fold(self, at_s: float) -> None:
        """Take the fixes up to an instant from the page; the newest of each vehicle is kept."""
        while self._page and self._page[0].at_s <= at_s:
            fix = self._page.popleft()
            self._newest[fix.key] = fix

    def frame(self, at_s: float) -> VehiclesDocument:
        """The fleet at an instant, by fixes up to then; a vehicle without any for long is silent, then gone."""
        self.fold(at_s)
        for key in [key for key, fix in self._newest.items() if at_s - fix.at_s > FORGET_S]:
            del self._newest[key]
        rows = []
        for _, fix in sorted(self._newest.items()):
            age_s = at_s - fix.at_s
            state = "silent" if age_s > SILENT_S else fix.vehicle.state
            rows.append(msgspec.structs.replace(fix.vehicle, age_s=round(age_s, 1), state=state))
        return VehiclesDocument(at_s, self.feed_version, rows)


class PlaybackApi:
    """Operations on what is stored."""

    def __init__(
        self,
        reader: HistoryReader,
        feed_version: str,
        clock: Callable[[], float],
        settings: PlaybackSettings = DEFAULTS,
    ) -> None:
        self._reader = reader
        self._feed_version = feed_version
        self._clock = clock
        self._settings = settings
        self.playing = 0
        self.counters = {"players_refused": 0, "players_stalled": 0, "frames_played": 0}

    def use_network(self, network: Network) -> None:
        """Name another feed version from now on."""
        self._feed_version = network.feed_version

    def routes(self) -> list[tuple[object, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/playback", "measures:read", self.look),
            ("GET", "/api/v1/playback/stream", "measures:read", self.stream),
        ]

    async def look(self, *, from_: float, to: float) -> PlaybackReply:
        """Say what is kept of the vehicles' positions between two times, at most a week."""
        _check_span(from_, to)
        try:
            span = await self._reader.fixes_span(from_, to)
        except HistoryAwayError:
            raise _away() from None
        return PlaybackReply(from_, to, span.fixes, span.vehicles, span.from_s, span.to_s, SPEED_MAX)

    async def stream(
        self, *, from_: float, to: float | None = None, speed: float = 1.0, request: web.Request
    ) -> web.StreamResponse:
        """Play stored positions (server-sent events `vehicles`, then `end`) at 0.1 to 600 times the speed of life."""
        ends_s = min(from_ + SPAN_S_MAX, self._clock()) if to is None else to
        _check_span(from_, ends_s)
        if not SPEED_MIN <= speed <= SPEED_MAX:
            raise Problem(422, "Invalid request", f"speed: between {SPEED_MIN:g} and {SPEED_MAX:g}.")
        if self.playing >= self._settings.players_max:
            self.counters["players_refused"] += 1
            raise Problem(503, "Too many players", "The server plays no more at once; try again in a while.")
        self.playing += 1
        try:
            return await self._serve(request, from_, ends_s, speed)
        finally:
            self.playing -= 1

    async def _serve(self, request: web.Request, from_s: float, ends_s: float, speed: float) -> web.StreamResponse:
        reel = Reel(self._feed_version)
        try:  # an answer in words while that is still possible
            loaded_s = await self._load(reel, from_s - LOOK_BACK_S, self._settings.page_s)
        except HistoryAwayError:
            raise _away() from None
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            async with asyncio.timeout(self._settings.life_s_max):
                await self._play(response, reel, (from_s, ends_s, loaded_s), speed)
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
        self, response: web.StreamResponse, reel: Reel, span: tuple[float, float, float], speed: float
    ) -> None:
        """Frames from `span[0]` to `span[1]`; fixes have been loaded up to `span[2]`."""
        loop = asyncio.get_running_loop()
        settings = self._settings
        (at_s, ends_s, loaded_s), began = span, loop.time()
        step_s, nth = speed * settings.frame_s, 0
        while at_s <= ends_s:
            while loaded_s <= at_s:
                loaded_s = await self._load(reel, loaded_s, settings.page_s)
                reel.fold(min(at_s, loaded_s))
            # Ten thousand vehicles take some 20 ms, which is too long for the loop that answers taps.
            frame = await asyncio.to_thread(_event, reel, at_s)
            async with asyncio.timeout(settings.stall_s_max):
                await response.write(frame)
            self.counters["frames_played"] += 1
            nth += 1
            at_s = span[0] + nth * step_s
            await asyncio.sleep(max(0.0, began + nth * settings.frame_s - loop.time()))
        await response.write(b'event: end\ndata: {"reason": "over"}\n\n')

    async def _load(self, reel: Reel, from_s: float, span_s: float) -> float:
        """Read the next page; returns up to when it goes: less far than asked where there was too much for one."""
        fixes = await self._reader.fixes(from_s, from_s + span_s)
        whole = len(fixes) < FIXES_MAX or fixes[-1].at_s == from_s
        to_s = from_s + span_s if whole else fixes[-1].at_s
        reel.load([fix for fix in fixes if fix.at_s < to_s])
        return to_s


def _event(reel: Reel, at_s: float) -> bytes:
    return b"event: vehicles\nid: %.3f\ndata: %b\n\n" % (at_s, _ENCODE(reel.frame(at_s)))


def _check_span(from_s: float, to_s: float) -> None:
    if not 0 <= from_s < to_s or to_s - from_s > SPAN_S_MAX:
        raise Problem(422, "Invalid request", "`from` must be before `to`, by a week at the most (Unix seconds).")


def _away() -> Problem:
    detail = "The database of history does not answer; /readyz says why."
    return Problem(503, "Not ready", detail, {"Retry-After": "2"})
