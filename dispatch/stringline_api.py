"""The stringline of a route over HTTP: any stored hours, and the plan behind and ahead of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec

from dispatch.atlas import Atlas
from dispatch.errors import Problem, history_away, no_such_route
from dispatch.history_read import HistoryAwayError, HistoryReader
from dispatch.network import Network
from dispatch.stringline import StringlineDirection, StringlineDrawer

SPAN_S, AHEAD_S = 3600.0, 1200.0
SPAN_S_MAX = 6 * 3600.0
ROWS_MAX = 50_000
AHEAD_S_MAX = 366 * 86_400.0


class StringlineReply(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """GET /api/v1/routes/{route_id}/stringline; instants are Unix seconds, places metres along the ladder's strip."""

    route_id: str
    from_: float
    to: float
    feed_version: str
    directions: list[StringlineDirection]


class StringlineApi:
    """One operation on what is stored."""

    def __init__(self, reader: HistoryReader, network: Network, clock: Callable[[], float]) -> None:
        self._reader = reader
        self._clock = clock
        self._drawer = StringlineDrawer(Atlas(network))

    def use_network(self, network: Network) -> None:
        """Draw by another feed version from now on."""
        self._drawer = StringlineDrawer(Atlas(network))

    def routes(self) -> list[tuple[object, ...]]:
        """The operation."""
        return [("GET", "/api/v1/routes/{route_id}/stringline", "measures:read", self.get_stringline)]

    async def get_stringline(
        self, route_id: str, *, from_: float | None = None, to: float | None = None
    ) -> Annotated[StringlineReply, "no-store"]:
        """Show a route's trips as lines of time and place, as driven and as planned, over six hours at the most.

        Where no span is named it is the last hour and the 20 minutes ahead, of which there is only the plan.
        """
        drawer = self._drawer
        route = drawer.atlas.route_by_id.get(route_id)
        if route is None:
            raise no_such_route(route_id)
        since_s = self._clock() - SPAN_S if from_ is None else from_
        until_s = since_s + SPAN_S + AHEAD_S if to is None else to
        if not 0 <= since_s < until_s <= self._clock() + AHEAD_S_MAX or until_s - since_s > SPAN_S_MAX:
            raise Problem(
                422, "Invalid request", "`from` must be before `to`, by six hours at the most (Unix seconds)."
            )
        try:
            rows = await self._reader.stringline(since_s, until_s, route_id, ROWS_MAX)
        except HistoryAwayError:
            raise history_away() from None
        drawn = await asyncio.to_thread(drawer.draw, route, (since_s, until_s), rows)
        return StringlineReply(route_id, since_s, until_s, drawer.atlas.network.feed_version, drawn)
