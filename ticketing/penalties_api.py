"""Controllers' work over HTTP beside the inspection itself: what was tapped here, and penalties."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ticketing.errors import Problem
from ticketing.penalties import Penalties, Penalty, TapsHere
from ticketing.routes import Route

DeviceName = Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")]


class PenaltyRequest(msgspec.Struct):
    """A penalty to issue; its amount is the tariff's."""

    operator: DeviceName
    reason: Annotated[str, Meta(max_length=500)]
    vehicle: DeviceName | None = None
    route_id: Annotated[str, Meta(min_length=1, max_length=128)] | None = None


class PenaltyChange(msgspec.Struct):
    """Why a penalty is taken back."""

    reason: str


class PenaltyList(msgspec.Struct, frozen=True):
    """Penalties, newest first."""

    penalties: list[Penalty]


class PenaltiesApi:
    """Operations of controllers, and of desks where penalties are paid.

    A controller whose name is <operator>:<name> acts for that operator alone; any other is the city's, and for all.
    """

    def __init__(self, penalties: Penalties) -> None:
        self._penalties = penalties

    def routes(self) -> list[Route]:
        """The operations."""
        one = "/api/v1/penalties/{reference}"
        return [
            Route("GET", "/api/v1/inspections/{operator}/{vehicle}", "inspections:create", self.taps_here),
            Route("POST", "/api/v1/penalties", "inspections:create", self.issue, 201),
            Route("GET", "/api/v1/penalties", "inspections:create", self.list_own),
            Route("GET", one, "penalties:read", self.show),
            Route("POST", f"{one}/pay", "penalties:collect", self.pay),
            Route("POST", f"{one}/cancel", "penalties:cancel", self.cancel),
        ]

    async def taps_here(
        self, operator: str, vehicle: str, *, subject: str, role: str, minutes: float = 60.0
    ) -> TapsHere:
        """Show what was tapped on a vehicle in the last minutes, newest first."""
        _check_own(operator, subject, role)
        return await self._penalties.taps_here(operator, vehicle, minutes)

    async def issue(self, *, body: PenaltyRequest, subject: str, role: str, idempotency_key: str | None) -> Penalty:
        """Issue a penalty; its reference is what stands on the rider's paper."""
        _check_own(body.operator, subject, role)
        return await self._penalties.issue(
            body.operator,
            body.reason,
            vehicle=body.vehicle,
            route_id=body.route_id,
            subject=subject,
            idempotency_key=idempotency_key,
        )

    async def list_own(self, *, subject: str, role: str) -> PenaltyList:
        """List the newest penalties of the controller who asks; an admin sees all."""
        return PenaltyList(await self._penalties.list_newest(None if role == "admin" else subject))

    async def show(self, reference: str, *, subject: str, role: str) -> Penalty:
        """Show a penalty as it stands; an operator's controller sees that operator's alone."""
        penalty = await self._penalties.find(reference)
        _check_own(penalty.operator, subject, role)
        return penalty

    async def pay(self, reference: str, *, subject: str, role: str, idempotency_key: str | None) -> Penalty:
        """Take the cash for a penalty; asked again by the same person, it answers the same."""
        if role == "inspector":
            await self.show(reference, subject=subject, role=role)  # refuses another operator's
        return await self._penalties.pay(reference, subject=subject, idempotency_key=idempotency_key)

    async def cancel(
        self, reference: str, *, body: PenaltyChange, subject: str, idempotency_key: str | None
    ) -> Penalty:
        """Take a penalty back, and say why."""
        return await self._penalties.cancel(reference, body.reason, subject=subject, idempotency_key=idempotency_key)


def _check_own(operator: str, subject: str, role: str) -> None:
    own, colon, _ = subject.rpartition(":")
    if role == "inspector" and colon and own != operator:
        raise Problem(403, "Another operator's", f"{subject} is a controller of {own}, not of {operator[:64]}")
