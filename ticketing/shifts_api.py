"""Cashiers' shifts over HTTP: everybody sees their own, an admin everybody's."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ticketing.routes import Route
from ticketing.shifts import Shift, Shifts


class ShiftOpening(Struct, forbid_unknown_fields=True):
    """The cash in the drawer at the start, in minor units."""

    float_minor: Annotated[int, Meta(ge=0, le=10**12)] = 0


class ShiftClosing(Struct, forbid_unknown_fields=True):
    """The cash counted in the drawer at the end, in minor units."""

    counted_minor: Annotated[int, Meta(ge=0, le=10**12)]


class ShiftList(Struct, frozen=True):
    """Shifts, newest first."""

    shifts: list[Shift]


class ShiftsApi:
    """Operations on shifts."""

    def __init__(self, shifts: Shifts) -> None:
        self._shifts = shifts

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("POST", "/api/v1/shifts", "tickets:sell", self.open, 201),
            Route("GET", "/api/v1/shifts", "tickets:sell", self.list_shifts),
            Route("GET", "/api/v1/shifts/{shift_id}", "tickets:sell", self.get),
            Route("POST", "/api/v1/shifts/{shift_id}/close", "tickets:sell", self.close),
        ]

    async def open(self, *, body: ShiftOpening, subject: str) -> Shift:
        """Open a cashier's shift: what the cashier sells and refunds from now on belongs to it."""
        return await self._shifts.open(subject, body.float_minor)

    async def list_shifts(self, *, subject: str, role: str) -> ShiftList:
        """One's own shifts, newest first; an admin sees everybody's."""
        return ShiftList(await self._shifts.list_shifts(whose=_whose(subject, role)))

    async def get(self, shift_id: int, *, subject: str, role: str) -> Shift:
        """A shift's report from the ledger; one's own, an admin sees everybody's."""
        return await self._shifts.get(shift_id, whose=_whose(subject, role))

    async def close(self, shift_id: int, *, body: ShiftClosing, subject: str, role: str) -> Shift:
        """Close a shift by counting the drawer; a difference to the ledger is booked and shown."""
        whose = _whose(subject, role)
        return await self._shifts.close(shift_id, body.counted_minor, subject=subject, whose=whose)


def _whose(subject: str, role: str) -> str | None:
    """Whose shifts may be seen: an admin's None is everybody's."""
    return None if role == "admin" else subject
