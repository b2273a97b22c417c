"""The live stream (server-sent events): one frame a second, encoded once for all, and never a queue behind a reader.

A frame goes out in small parts, each only after the one before has been taken, so a reader that stalls holds a part
and not a frame. When it comes back it gets the newest frame; what it missed is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from aiohttp import web

from dispatch.board import Board, Publication
from dispatch.control_board import NOTHING_SEEN, ControlBoard
from dispatch.errors import Problem

_PART_BYTES = 65_536
# Kept small, so that what a stalled reader finds on its return is not seconds old.
_SOCKET_BYTES = 131_072


Ended = Callable[[], str | None]


def ended_event(why: str) -> bytes:
    """The last event of a stream whose reader may no longer: `reason` for programs, `detail` a sentence."""
    return b'event: end\ndata: {"reason": "access", "detail": %b}\n\n' % msgspec.json.encode(why)


def _never() -> None:
    """For a reader whose rights cannot end."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Limits of the stream."""

    streams_max: int = 1000
    heartbeat_s: float = 2.0  # also how late the end of a reader's rights may be noticed while there is no news
    stall_s_max: float = 60.0
    retry_ms: int = 2000
    life_s_max: float = 3600.0  # then the client connects anew, and its rights are looked at again


DEFAULTS = StreamSettings()


class Streams:
    """All streams of one board."""

    def __init__(self, board: Board, clock: Callable[[], float], settings: StreamSettings = DEFAULTS) -> None:
        self._board = board
        self._clock = clock
        self._settings = settings
        self.control: ControlBoard | None = None  # shown to dispatchers alone
        self.open = 0
        self.counters = {
            "frames_sent": 0,
            "frames_skipped": 0,
            "streams_stalled": 0,
            "streams_refused": 0,
            "streams_ended": 0,
        }

    async def serve(self, request: web.Request, *, staff: bool, ended: Ended = _never) -> web.StreamResponse:
        """Send frames until the client goes, stalls for too long, may no longer or has been here for an hour.

        `ended` says why the reader may no longer; it is told, as the stream's last event.

        Raises:
            Problem: 503; there are as many streams as the server keeps.
        """
        if self.open >= self._settings.streams_max:
            self.counters["streams_refused"] += 1
            raise Problem(503, "Too many streams", "The server keeps no more streams; try again in a while.")
        self.open += 1
        try:
            return await self._serve(request, staff=staff, ended=ended)
        finally:
            self.open -= 1

    async def _serve(self, request: web.Request, *, staff: bool, ended: Ended) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
                "Access-Control-Allow-Origin": "*",
            }
        )
        _shrink_buffer(request)
        await response.prepare(request)
        try:
            await self._send(response, f"retry: {self._settings.retry_ms}\n\n".encode())
            await self._follow(response, staff=staff, ended=ended)
        except TimeoutError:
            self.counters["streams_stalled"] += 1
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError:
            pass  # the client has gone, which is how streams end
        return response

    async def _follow(self, response: web.StreamResponse, *, staff: bool, ended: Ended) -> None:
        board, settings = self._board, self._settings
        ends_s = self._clock() + settings.life_s_max
        version = board.version if board.latest is None else board.version - 1
        seen = NOTHING_SEEN
        while self._clock() < ends_s:
            if (why := ended()) is not None:
                self.counters["streams_ended"] += 1
                await self._send(response, ended_event(why))
                return
            if not await board.newer_than(version, settings.heartbeat_s):
                await self._send(response, b": still here\n\n")
                continue
            latest = board.latest
            if latest is None:
                continue
            self.counters["frames_skipped"] += board.version - version - 1
            version = board.version
            frame = _frame(latest, staff=staff)
            if staff and self.control is not None:
                news, seen = self.control.frame(seen)
                frame += news
            await self._send(response, frame, ended)
            self.counters["frames_sent"] += 1

    async def _send(self, response: web.StreamResponse, frame: bytes, ended: Ended = _never) -> None:
        """Part by part; one who may no longer in the middle of a frame is cut off as one who stalls is."""
        view = memoryview(frame)
        async with asyncio.timeout(self._settings.stall_s_max):
            for start in range(0, len(view), _PART_BYTES):
                if start and ended() is not None:
                    raise TimeoutError
                await response.write(view[start : start + _PART_BYTES])


def _frame(publication: Publication, *, staff: bool) -> bytes:
    return publication.staff_frame if staff else publication.public_frame


def _shrink_buffer(request: web.Request) -> None:
    transport = request.transport
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is not None:
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
