"""Control stops over HTTP: where a route's vehicles may be held, and a dispatcher's own list of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import msgspec

from dispatch.control_stops import StopList
from dispatch.errors import Problem, no_such_route

STOPS_MAX = 200
_StopId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class StopsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where vehicles of a route may be held, beside its terminals; none: nowhere else; null: by rule again."""

    stop_ids: Annotated[list[_StopId], msgspec.Meta(max_length=STOPS_MAX)] | None


class StopsDesk(Protocol):
    """The controller, wherever it runs. A string is the reason why not."""

    async def set_stops(self, route_id: str, stop_ids: Sequence[str] | None, by: str) -> StopList | str:
        """List a route's own control stops."""

    async def stops(self, route_id: str) -> StopList | str:
        """Where a route's vehicles may be held."""


class ControlStopsApi:
    """Operations on the control stops of one route."""

    def __init__(self, desk: StopsDesk) -> None:
        self._desk = desk

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        path = "/api/v1/routes/{route_id}/control/stops"
        return [
            ("GET", path, "advice:read", self.list_stops),
            ("PUT", path, "instructions:send", self.set_stops),
        ]

    async def list_stops(self, route_id: str) -> StopList:
        """List where vehicles of a route may be held: as a dispatcher has listed it, else by timepoints and rule."""
        return _listed(await self._desk.stops(route_id), route_id)

    async def set_stops(self, route_id: str, *, body: StopsRequest, subject: str) -> StopList:
        """List where vehicles of a route may be held; null gives it back to timepoints and rule."""
        return _listed(await self._desk.set_stops(route_id, body.stop_ids, subject), route_id)


def _listed(found: StopList | str, route_id: str) -> StopList:
    if not isinstance(found, str):
        return found
    reason, _, stop_id = found.partition(":")
    if reason == "unknown_stop":
        detail = f"stop_ids: route {route_id} does not call at {stop_id}, or ends there; /api/v1/routes/{route_id}/line"
        raise Problem(422, "Invalid request", f"{detail} lists its stops.")
    raise no_such_route(route_id)
