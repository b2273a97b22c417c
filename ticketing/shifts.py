"""A cashier's shift: opened with a float, closed by counting the drawer, and reconciled to the ledger.

Whatever a cashier sells or refunds meanwhile belongs to the shift. Where the count differs from the books, the
difference is booked as well, so that the ledger's cash is what really lies in drawers.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sql import query
from ticketing import ledger
from ticketing.books import Books, audit, book
from ticketing.errors import Problem
from ticketing.money import MINOR_MAX, Money

SHIFTS_LISTED_MAX = 100


class ShiftLine(msgspec.Struct, frozen=True):
    """Transfers of one kind: how many, and the cash that came in less what went out, in minor units."""

    kind: str
    count: int
    cash_minor: int


class Shift(msgspec.Struct, frozen=True):
    """A shift and what the ledger says about it; times in Unix seconds, difference_minor > 0 where there is too much.

    expected_minor is float and cash taken less cash given back; counted_minor and difference_minor null while open.
    """

    id: int
    subject: str
    opened_at: float
    closed_at: float | None
    currency: str
    float_minor: int
    lines: list[ShiftLine]
    expected_minor: int
    counted_minor: int | None
    difference_minor: int | None


class Shifts:
    """Everybody's shifts; `whose` None may see and close all of them."""

    def __init__(self, books: Books, currency: str) -> None:
        self._books = books
        self._currency = currency

    async def open(self, subject: str, float_minor: int) -> Shift:
        """Open a shift with so much in the drawer; Problem 409 where one is open."""
        _check_amount("float_minor", float_minor)
        async with self._books.writing() as connection:
            number = await connection.fetchval(query("shifts.open"), subject, self._currency, float_minor)
            if number is None:
                number = await connection.fetchval(query("shifts.current"), subject)
                raise Problem(409, "Shift open", f"shift {number} of {subject} is open: close it first")
            await audit(connection, subject, "open_shift", f"shift:{number}", float_minor=float_minor)
            return await self._report(connection, number)

    async def close(self, number: int, counted_minor: int, *, subject: str, whose: str | None) -> Shift:
        """Close a shift: what was counted is compared with the ledger, and a difference is booked."""
        _check_amount("counted_minor", counted_minor)
        async with self._books.writing() as connection:
            row = await connection.fetchrow(query("shifts.lock"), number)
            if row is None or whose not in (None, row["subject"]):
                raise _no_shift(number)
            if row["closed"]:
                raise Problem(409, "Shift closed", f"shift {number} is closed already: see its report")
            expected = (await self._report(connection, number)).expected_minor
            if counted_minor != expected:
                difference = ledger.difference(
                    Money(abs(counted_minor - expected), row["currency"]), counted_minor > expected
                )
                # In the shift's own name: it is still open, and the line is part of it.
                await book(connection, difference, row["subject"])
            await connection.execute(query("shifts.close"), number, expected, counted_minor)
            counts = {"expected_minor": expected, "counted_minor": counted_minor}
            await audit(connection, subject, "close_shift", f"shift:{number}", **counts)
            return await self._report(connection, number)

    async def get(self, number: int, *, whose: str | None) -> Shift:
        """A shift as the ledger has it now."""
        async with self._books.reading() as connection:
            shift = await self._report(connection, number)
        if whose not in (None, shift.subject):
            raise _no_shift(number)
        return shift

    async def list_shifts(self, *, whose: str | None) -> list[Shift]:
        """The newest shifts first."""
        async with self._books.reading() as connection:
            numbers = await connection.fetch(query("shifts.of_subject"), whose, SHIFTS_LISTED_MAX)
            return [await self._report(connection, row["id"]) for row in numbers]

    async def _report(self, connection: Any, number: int) -> Shift:
        row = await connection.fetchrow(query("shifts.get"), number) if abs(number) < 2**63 else None
        if row is None:
            raise _no_shift(number)
        lines = [ShiftLine(**line) for line in await connection.fetch(query("shifts.lines"), number)]
        expected = row["expected_minor"]
        if expected is None:
            expected = row["float_minor"] + sum(line.cash_minor for line in lines)
        counted = row["counted_minor"]
        fields = dict(row) | {"expected_minor": expected}
        return Shift(**fields, lines=lines, difference_minor=None if counted is None else counted - expected)


def _check_amount(name: str, amount_minor: int) -> None:
    if not 0 <= amount_minor <= MINOR_MAX:
        raise Problem(422, "No amount", f"{name}: cash is not below zero, nor beyond {MINOR_MAX} minor units")


def _no_shift(number: int) -> Problem:
    return Problem(404, "No such shift", f"there is no shift {number} of yours")
