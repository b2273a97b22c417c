"""Control where the web server is: what readers see of it, and a dispatcher's acts on their way to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from deploy.control_messages import (
    CONTROL,
    CONTROL_STATE,
    Apply,
    Decline,
    Note,
    Question,
    SetMode,
    SetStops,
    Stops,
    decode_advice,
    decode_line,
    decode_state,
    decode_stops,
    encode,
)
from deploy.links import LinkError, Links
from deploy.remote_desk import ask_dispatch
from dispatch.advice import Advice
from dispatch.control import OFFERED, LineControl
from dispatch.control_board import ControlBoard
from dispatch.control_stops import StopList
from dispatch.instructions import Instruction, Kind
from dispatch.schemas import Instruction as SentByHand


async def control_board(links: Links) -> ControlBoard:
    """A board that shows what the dispatch process says of control."""
    board = ControlBoard(msgspec.json.encode(OFFERED))
    await links.receive(CONTROL_STATE, lambda data: board.publish(decode_state(data)))
    return board


class RemoteControl:
    """Implements `dispatch.control_api.ControlDesk` and `dispatch.control_stops_api.StopsDesk` over a link."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def apply(self, advice_id: str, hold_s: float | None, by: str) -> Advice | str:
        """Send what is advised, or another hold."""
        return decode_advice(await self._ask(Apply(advice_id, hold_s, by)))

    async def decline(self, advice_id: str, by: str, reason: str | None) -> Advice | str:
        """Note that an advice is not followed."""
        return decode_advice(await self._ask(Decline(advice_id, by, reason)))

    async def set_mode(
        self, route_id: str, mode: Literal["off", "advise", "automatic"], law: str | None, by: str
    ) -> LineControl | str:
        """Switch a line."""
        return decode_line(await self._ask(SetMode(route_id, mode, law, by)))

    async def stops(self, route_id: str) -> StopList | str:
        """Where a route's vehicles may be held."""
        return decode_stops(await self._ask(Stops(route_id)))

    async def set_stops(self, route_id: str, stop_ids: Sequence[str] | None, by: str) -> StopList | str:
        """List a route's own control stops."""
        listed = None if stop_ids is None else list(stop_ids)
        return decode_stops(await self._ask(SetStops(route_id, listed, by)))

    async def note(self, sent: SentByHand) -> None:
        """Have an instruction followed that is about to be sent by hand; without dispatch it is only sent."""
        kind: Kind = "hold" if sent.kind == "hold" else "message"
        followed = Instruction(
            id=sent.id,
            operator_id=sent.operator_id,
            vehicle_id=sent.vehicle_id,
            route_id=None,
            direction_id=None,
            kind=kind,
            text=sent.text,
            hold_s=None,
            stop_id=None,
            until_ts=sent.until_ts,
            state="sent",
            created_at=sent.sent_at,
            by=sent.sent_by,
        )
        with suppress(LinkError):
            await self._links.ask(CONTROL, encode(Note(followed)), timeout_s=2.0)

    async def _ask(self, question: Question) -> bytes:
        return await ask_dispatch(self._links, CONTROL, encode(question))
