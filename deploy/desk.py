"""The dispatcher's hand when the engine is in another process: questions and answers over one subject."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from deploy.links import DESK, LinkError, Links
from dispatch.alerts import Alert
from dispatch.errors import Problem
from dispatch.schemas import Instruction, MeasuresReply
from dispatch.service import DispatchService
from gateway import wire


class _Acknowledge(msgspec.Struct, tag="acknowledge", array_like=True):
    alert_id: str
    by: str


class _Measures(msgspec.Struct, tag="measures", array_like=True):
    from_s: float
    to_s: float
    route_id: str | None


_ENCODE = msgspec.msgpack.Encoder().encode
_QUESTION: msgspec.msgpack.Decoder[_Acknowledge | _Measures] = msgspec.msgpack.Decoder(_Acknowledge | _Measures)
_MEASURES = msgspec.msgpack.Decoder(MeasuresReply)
_ALERT: msgspec.msgpack.Decoder[Alert | None] = msgspec.msgpack.Decoder(Alert | None)


class RemoteDesk:
    """Implements `dispatch.api.Desk` over a link; `send` takes an instruction down to the gateway."""

    def __init__(self, links: Links, send: Callable[[str, wire.Instruction], bool]) -> None:
        self._links = links
        self._send = send

    async def acknowledge(self, alert_id: str, by: str) -> Alert | None:
        """Note that somebody has seen an alert."""
        return _ALERT.decode(await self._ask(_Acknowledge(alert_id, by)))

    async def measures(self, from_s: float, to_s: float, route_id: str | None) -> MeasuresReply:
        """Measures of a span of time."""
        return _MEASURES.decode(await self._ask(_Measures(from_s, to_s, route_id)))

    async def instruct(self, instruction: Instruction) -> None:
        """Send an instruction down to its vehicle.

        Raises:
            Problem: 503 where the way down is blocked.
        """
        key = f"{instruction.operator_id}/{instruction.vehicle_id}"
        down = wire.Instruction(
            instruction.id, instruction.sent_at, instruction.kind, instruction.until_ts, instruction.text
        )
        if not self._send(key, down):
            raise Problem(503, "Not sent", "The way to the vehicles is blocked; try again in a moment.")

    async def _ask(self, question: _Acknowledge | _Measures) -> bytes:
        try:
            return await self._links.ask(DESK, _ENCODE(question))
        except LinkError:
            raise Problem(
                503, "Not ready", "Dispatch does not answer; /readyz says why.", {"Retry-After": "1"}
            ) from None


async def serve_desk(links: Links, service: DispatchService) -> None:
    """Answer a `RemoteDesk` from the process that has the engine."""

    async def answer(question: bytes) -> bytes:
        match _QUESTION.decode(question):
            case _Acknowledge(alert_id, by):
                return _ENCODE(await service.acknowledge(alert_id, by))
            case _Measures(from_s, to_s, route_id):
                return _ENCODE(await service.measures(from_s, to_s, route_id))

    await links.serve(DESK, answer)
