"""Penalties: what a controller issues, and what becomes of it. No name is recorded: the paper has a reference.

States: open -> paid | cancelled; each change is one transfer in the ledger, so that what is owed is a sum there.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from sql import query
from ticketing import ledger
from ticketing.books import Books, audit, book
from ticketing.errors import Problem
from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.tariff import Tariff

LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Used in references: none is easily mistaken for a digit or another letter."""
REFERENCE_LETTERS = 8
REASONS_CHARACTERS_MAX = 200
LISTED_MAX = 500
TAPS_LISTED_MAX = 500
LOOK_BACK_S_MAX = 6 * 3600.0
NAMES_SHOWN_MAX = 12


class Penalty(msgspec.Struct, frozen=True):
    """A penalty; times in Unix seconds."""

    reference: str
    issued_at: float
    issued_by: str
    operator: str
    vehicle: str | None
    route_id: str | None
    reason: str
    amount_minor: int
    currency: str
    state: Literal["open", "paid", "cancelled"]
    closed_at: float | None = None
    closed_by: str | None = None
    note: str | None = None


class TapHere(msgspec.Struct, frozen=True):
    """A tap on the vehicle that a controller is on; ends_with: the last four characters of the medium's name."""

    at: float
    device: str
    medium: str
    verdict: str
    riders: int
    stop_id: str | None
    product_id: str
    ends_with: str


class TapsHere(msgspec.Struct, frozen=True):
    """What was tapped on a vehicle since an instant, newest first; riders: those accepted."""

    operator: str
    vehicle: str
    since: float
    as_of: float
    riders: int
    taps: list[TapHere]


@dataclass(frozen=True, slots=True)
class Lines:
    """The operators and routes that there are now; where none is known, nothing is checked against them."""

    operators: Callable[[], Collection[str]] = tuple
    routes: Callable[[], Collection[str]] = tuple


class Penalties:
    """Issues, collects and takes back."""

    def __init__(
        self, books: Books, tariff: Tariff, clock: Callable[[], float] = time.time, lines: Lines | None = None
    ) -> None:
        self._books = books
        self._tariff = tariff
        self._clock = clock
        self._lines = lines or Lines()

    async def issue(
        self,
        operator: str,
        reason: str,
        *,
        vehicle: str | None,
        route_id: str | None,
        subject: str,
        idempotency_key: str | None = None,
    ) -> Penalty:
        """Issue a penalty of the tariff's amount for the line; Problem 409 where the tariff has none for it."""
        _check_text("operator", operator)
        reason = _check_text("reason", reason)
        await self._check_line(operator, route_id)
        amount = self._tariff.penalty_minor(operator, route_id)
        if amount is None:
            raise Problem(409, "No penalty", "the tariff has no [[penalty]] for this line; add one to its file")
        issued_s = round(self._clock(), 6)
        money = Money(amount, self._tariff.currency)

        async def act(connection: Any) -> Penalty:
            number, reference = uuid.uuid4(), "".join(secrets.choice(LETTERS) for _ in range(REFERENCE_LETTERS))
            on = (operator, vehicle and mask_text(vehicle), route_id and mask_text(route_id))
            row = (number, reference, issued_s, subject, *on, reason, amount, money.currency)
            await connection.execute(query("penalties.insert"), *row)
            await book(connection, ledger.penalty(str(number), money), subject)
            await audit(connection, subject, "penalty", reference, reason=reason, amount_minor=amount)
            return Penalty(*row[1:], state="open")

        asked = ["penalty", operator, reason, vehicle, route_id]
        return await self._books.once(subject, idempotency_key, asked, Penalty, act)

    async def pay(self, reference: str, *, subject: str, idempotency_key: str | None = None) -> Penalty:
        """Take the cash for a penalty; it belongs to the open shift of whoever takes it, and is taken once."""

        async def act(connection: Any) -> Penalty:
            row = await self._get(connection, reference)
            if row["state"] == "paid" and row["closed_by"] == subject:
                return _penalty(row)  # asked again by whoever has the money already
            _check_open(row)
            money = Money(row["amount_minor"], row["currency"])
            await book(connection, ledger.penalty_paid(str(row["id"]), money), subject)
            return await self._close(connection, row, "paid", subject, None)

        return await self._books.once(subject, idempotency_key, ["pay", reference], Penalty, act)

    async def cancel(self, reference: str, reason: str, *, subject: str, idempotency_key: str | None = None) -> Penalty:
        """Take a penalty back: what was owed is reversed, and why is kept."""
        reason = _check_text("reason", reason)

        async def act(connection: Any) -> Penalty:
            row = await self._get(connection, reference)
            _check_open(row)
            issued = ledger.penalty(str(row["id"]), Money(row["amount_minor"], row["currency"]))
            before = await connection.fetchval(query("penalties.issued_transfer"), issued.debit)
            await book(connection, ledger.reversal(issued), subject, reverses=before)
            return await self._close(connection, row, "cancelled", subject, reason)

        return await self._books.once(subject, idempotency_key, ["cancel", reference, reason], Penalty, act)

    async def find(self, reference: str) -> Penalty:
        """A penalty as it stands; Problem 404 where there is none."""
        async with self._books.writing() as connection:
            return _penalty(await self._get(connection, reference))

    async def list_newest(self, issued_by: str | None) -> list[Penalty]:
        """The newest penalties, of one controller or of all."""
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("penalties.list"), issued_by, LISTED_MAX)
        return [_penalty(row) for row in rows]

    async def taps_here(self, operator: str, vehicle: str, minutes: float) -> TapsHere:
        """What was tapped on a vehicle in the last minutes, as far as its validators have told."""
        now_s = self._clock()
        since_s = now_s - min(max(minutes, 0.0) * 60.0, LOOK_BACK_S_MAX)
        async with self._books.reading() as connection:
            rows = await connection.fetch(query("penalties.taps_here"), operator, vehicle, since_s, TAPS_LISTED_MAX)
        taps = [TapHere(**dict(row)) for row in rows]
        riders = sum(tap.riders for tap in taps if tap.verdict == "accepted")
        return TapsHere(operator, vehicle, since_s, now_s, riders, taps)

    async def _get(self, connection: Any, reference: str) -> Any:
        row = await connection.fetchrow(query("penalties.get"), reference.strip().upper())
        if row is None:
            raise Problem(404, "No such penalty", f"there is no penalty {reference!r}: its reference has 8 letters")
        return row

    async def _check_line(self, operator: str, route_id: str | None) -> None:
        """A penalty for a line that is not there would be money for nobody, at nobody's rate."""
        networks = self._tariff.networks.values()
        operators = set(self._lines.operators()) | {one for network in networks for one in network.operators} - {"*"}
        if operators and operator not in operators:
            async with self._books.reading() as connection:
                if not await connection.fetchval(query("penalties.has_tapped"), operator):
                    known = _some(operators)
                    raise Problem(
                        422, "No such operator", f"operator: {operator!r} is not known here; there are {known}"
                    )
        routes = set(self._lines.routes())
        if route_id is not None and routes and route_id not in routes:
            raise Problem(422, "No such route", f"route_id: {route_id!r} is not in the feed; there are {_some(routes)}")

    async def _close(self, connection: Any, row: Any, state: str, subject: str, note: str | None) -> Penalty:
        closed_s = round(self._clock(), 6)  # as the database keeps it
        await connection.execute(query("penalties.close"), row["id"], state, closed_s, subject, note)
        await audit(connection, subject, f"penalty_{state}", row["reference"], note=note)
        return _penalty({**row, "state": state, "closed_at": closed_s, "closed_by": subject, "note": note})


def _penalty(row: Any) -> Penalty:
    return Penalty(**{name: row[name] for name in Penalty.__struct_fields__})


def _check_open(row: Any) -> None:
    if row["state"] != "open":
        raise Problem(
            409, "Penalty closed", f"penalty {row['reference']} is {row['state']} already, by {row['closed_by']}"
        )


def _some(names: Collection[str]) -> str:
    """The first few of many names."""
    shown = sorted(names)[:NAMES_SHOWN_MAX]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _check_text(name: str, text: str) -> str:
    """The text as it may be kept, without what could be a card's number."""
    if not 0 < len(text.strip()) <= REASONS_CHARACTERS_MAX or not text.isprintable():
        raise Problem(422, "Bad text", f"{name}: write 1 to {REASONS_CHARACTERS_MAX} printable characters")
    return mask_text(text)
