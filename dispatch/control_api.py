"""Control over HTTP: advice and what a dispatcher makes of it, instructions, modes of lines, and past decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec

from dispatch.advice import Advice
from dispatch.control import OFFERED, LineControl, Mode
from dispatch.control_board import ControlBoard
from dispatch.controller import HOLD_S_MAX, HOLD_S_MIN
from dispatch.errors import Problem, history_away, not_ready
from dispatch.history_read import HistoryAwayError, HistoryReader
from dispatch.instructions import Instruction
from dispatch.schemas import FreeText

DECISIONS_S_MAX = 31 * 86_400.0
DECISIONS_MAX = 1000
YEAR_10000_S = 253_402_300_800.0  # what a date can hold
_READ, _ACT = "advice:read", "instructions:send"
_NEVER_KEPT = "no-store"

Row = TypeVar("Row", Advice, LineControl)


class AdviceReply(msgspec.Struct, frozen=True):
    """GET /api/v1/advice: what is open, the most urgent first, then what was decided in the last ten minutes."""

    as_of: float
    advice: list[Advice]


class InstructionsReply(msgspec.Struct, frozen=True):
    """GET /api/v1/instructions: those of the last hour, the newest first, at most 1,000."""

    as_of: float
    instructions: list[Instruction]


class ControlReply(msgspec.Struct, frozen=True):
    """GET /api/v1/control: a row for each route, and the laws that there are."""

    as_of: float
    laws: list[str]
    lines: list[LineControl]


class DecisionRow(msgspec.Struct, frozen=True):
    """A decision: `at` in Unix seconds, `by` null where nobody decided in time, `known` as it was then."""

    id: str
    at: float
    route_id: str | None
    direction_id: int | None
    vehicle_id: str
    operator_id: str
    kind: str
    state: str
    by: str | None
    law: str | None
    hold_s: float | None
    known: dict[str, Any]


class DecisionsReply(msgspec.Struct, frozen=True):
    """GET /api/v1/decisions, the newest first, at most 1,000."""

    decisions: list[DecisionRow]


class ApplyRequest(msgspec.Struct, frozen=True):
    """Another hold than the one advised, in seconds; left out: as advised."""

    hold_s: Annotated[float, msgspec.Meta(ge=HOLD_S_MIN, le=HOLD_S_MAX)] | None = None


class DeclineRequest(msgspec.Struct, frozen=True):
    """Why an advice is not followed."""

    reason: FreeText | None = None


class ControlRequest(msgspec.Struct, frozen=True):
    """How a line is to be controlled; without a law it keeps its own."""

    mode: Literal["off", "advise", "automatic"]
    law: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class ControlDesk(Protocol):
    """What a dispatcher's hand reaches: the controller, wherever it runs. A string is the reason why not."""

    async def apply(self, advice_id: str, hold_s: float | None, by: str) -> Advice | str:
        """Send what is advised, or another hold."""

    async def decline(self, advice_id: str, by: str, reason: str | None) -> Advice | str:
        """Note that an advice is not followed."""

    async def set_mode(self, route_id: str, mode: Mode, law: str | None, by: str) -> LineControl | str:
        """Switch a line."""


_INSTRUCTIONS = msgspec.json.Decoder(list[Instruction])


class ControlApi:
    """Operations on a board of control and a desk; past decisions come from the history, where there is one."""

    def __init__(
        self,
        board: ControlBoard,
        desk: ControlDesk,
        clock: Callable[[], float],
        history: HistoryReader | None = None,
    ) -> None:
        self._board = board
        self._desk = desk
        self._clock = clock
        self._history = history

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        return [
            ("GET", "/api/v1/advice", _READ, self.list_advice),
            ("POST", "/api/v1/advice/{id}/apply", _ACT, self.apply),
            ("POST", "/api/v1/advice/{id}/decline", _ACT, self.decline),
            ("GET", "/api/v1/instructions", _READ, self.list_instructions),
            ("GET", "/api/v1/control", _READ, self.list_control),
            ("PUT", "/api/v1/routes/{route_id}/control", _ACT, self.set_mode),
            ("GET", "/api/v1/decisions", _READ, self.list_decisions),
        ]

    async def list_advice(self) -> Annotated[bytes, AdviceReply, _NEVER_KEPT]:
        """List advice: what is open, and what was decided in the last ten minutes."""
        return self._document("advice")

    async def apply(self, id: str, *, subject: str, body: ApplyRequest = ApplyRequest()) -> Advice:  # noqa: B008
        """Follow an advice, with another hold where one is given: the vehicle gets an instruction."""
        return _done(await self._desk.apply(id, body.hold_s, subject), id)

    async def decline(self, id: str, *, subject: str, body: DeclineRequest = DeclineRequest()) -> Advice:  # noqa: B008
        """Decline an advice: nothing more is advised for this vehicle at this stop."""
        return _done(await self._desk.decline(id, subject, body.reason), id)

    async def list_instructions(
        self, *, route_id: str | None = None
    ) -> Annotated[bytes, InstructionsReply, _NEVER_KEPT]:
        """List the instructions of the last hour and how far each has come, of one route or all."""
        document = self._document("instructions")
        if route_id is None or self._board.latest is None:
            return document
        rows = [one for one in _INSTRUCTIONS.decode(self._board.latest.instructions) if one.route_id == route_id]
        return msgspec.json.encode(InstructionsReply(self._board.latest.as_of_s, rows))

    async def list_control(self) -> Annotated[bytes, ControlReply, _NEVER_KEPT]:
        """List how each line is controlled, by which law, since when, and how regular it was before and is now."""
        return self._document("control")

    async def set_mode(self, route_id: str, *, body: ControlRequest, subject: str) -> LineControl:
        """Switch a line off, to advice, or to automatic instructions."""
        return _done(await self._desk.set_mode(route_id, body.mode, body.law, subject), route_id)

    async def list_decisions(
        self, *, from_: float | None = None, to: float | None = None, route_id: str | None = None
    ) -> DecisionsReply:
        """List decisions of a span of time (the last hour, where none is named; at most 31 days), of one route or all.

        Each says what was known when it was taken, and what became of it.
        """
        until_s = self._clock() + 1.0 if to is None else to
        since_s = until_s - 3600.0 if from_ is None else from_
        if not 0 <= since_s < until_s <= YEAR_10000_S or until_s - since_s > DECISIONS_S_MAX:
            raise Problem(422, "Invalid request", "`from` must be before `to`, by 31 days at the most (Unix seconds).")
        if self._history is None:
            raise Problem(503, "Not ready", "Without a database no decisions are kept.")
        try:
            rows = await self._history.decisions(since_s, until_s, route_id, DECISIONS_MAX)
        except HistoryAwayError:
            raise history_away() from None
        return DecisionsReply([decision_row(row) for row in rows])

    def _document(self, part: str) -> bytes:
        document = self._board.document(part)
        if document is None:
            raise not_ready("Dispatch has not told of its lines yet; /readyz says when it works.", 1)
        return document


_REFUSALS = {
    "unknown": (404, "No such advice", "There is no advice {id}; it may be over."),
    "closed": (409, "No longer open", "Advice {id} has been decided, or the vehicle has left."),
    "unknown_route": (404, "No such route", "The feed has no route {id}; /api/v1/routes lists them."),
    "unknown_law": (422, "Invalid request", "law: there are " + ", ".join(OFFERED) + "."),
}


def _done(row: Row | str, id: str) -> Row:
    if isinstance(row, str):
        status, title, detail = _REFUSALS.get(row, (409, "Not possible", f"Dispatch says: {row}."))
        raise Problem(status, title, detail.format(id=id))
    return row


def decision_row(row: Any) -> DecisionRow:
    """A row of the query decisions.between."""
    operator_id, _, vehicle_id = row["vehicle"].partition("/")
    known = msgspec.json.decode(row["known"])
    return DecisionRow(
        id=row["id"],
        at=row["at"],
        route_id=row["route_id"],
        direction_id=row["direction_id"],
        vehicle_id=vehicle_id,
        operator_id=operator_id,
        kind=row["kind"],
        state=row["state"],
        by=row["decided_by"] or None,
        law=known.get("law"),
        hold_s=known.get("hold_s"),
        known=known,
    )
