"""Controllers' work over HTTP beside the inspection itself: what was tapped here, and penalties."""

from __future__ import annotations

from typing import Any

import msgspec

from ticketing.penalties import Penalties, Penalty, TapsHere


class PenaltyRequest(msgspec.Struct):
    """A penalty to issue; its amount is the tariff's."""

    operator: str
    reason: str
    vehicle: str | None = None
    route_id: str | None = None


class PenaltyChange(msgspec.Struct):
    """Why a penalty is taken back."""

    reason: str


class PenaltyList(msgspec.Struct, frozen=True):
    """Penalties, newest first."""

    penalties: list[Penalty]


class PenaltiesApi:
    """Operations of controllers, and of desks where penalties are paid."""

    def __init__(self, penalties: Penalties) -> None:
        self._penalties = penalties

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        one = "/api/v1/penalties/{reference}"
        return [
            ("GET", "/api/v1/inspections/{operator}/{vehicle}", "inspections:create", self.taps_here),
            ("POST", "/api/v1/penalties", "inspections:create", self.issue, 201),
            ("GET", "/api/v1/penalties", "inspections:create", self.list_own),
            ("GET", one, "penalties:read", self.show),
            ("POST", f"{one}/pay", "penalties:collect", self.pay),
            ("POST", f"{one}/cancel", "penalties:cancel", self.cancel),
        ]

    async def taps_here(self, operator: str, vehicle: str, *, minutes: float = 60.0) -> TapsHere:
        """Show what was tapped on a vehicle in the last minutes, newest first."""
        return await self._penalties.taps_here(operator, vehicle, minutes)

    async def issue(self, *, body: PenaltyRequest, subject: str, idempotency_key: str | None) -> Penalty:
        """Issue a penalty; its reference is what stands on the rider's paper."""
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

    async def show(self, reference: str) -> Penalty:
        """Show a penalty as it stands."""
        return await self._penalties.find(reference)

    async def pay(self, reference: str, *, subject: str, idempotency_key: str | None) -> Penalty:
        """Take the cash for a penalty."""
        return await self._penalties.pay(reference, subject=subject, idempotency_key=idempotency_key)

    async def cancel(
        self, reference: str, *, body: PenaltyChange, subject: str, idempotency_key: str | None
    ) -> Penalty:
        """Take a penalty back, and say why."""
        return await self._penalties.cancel(reference, body.reason, subject=subject, idempotency_key=idempotency_key)
