"""The dispatcher's hand when the engine is in another process: questions and answers over one subject."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from deploy.links import DESK, LinkError, Links
from dispatch.alerts import Alert
from dispatch.errors import Problem, not_ready
from dispatch.orders import Assignment, Cancellation
from dispatch.schemas import CancelRequest, Instruction, MeasuresReply
from dispatch.service import DispatchService
from gateway import wire


class _Acknowledge(msgspec.Struct, tag="acknowledge", array_like=True):
    alert_id: str
    by: str


class _Measures(msgspec.Struct, tag="measures", array_like=True):
    from_s: float
    to_s: float
    route_id: str | None


class _Shelve(msgspec.Struct, tag="shelve", array_like=True):
    alert_id: str
    by: str
    minutes: float


class _Close(msgspec.Struct, tag="close", array_like=True):
    alert_id: str
    by: str
    reason: str


class _Assign(msgspec.Struct, tag="assign", array_like=True):
    vehicle_key: str
    trip_id: str | None
    start_date: str | None
    by: str


class _Cancel(msgspec.Struct, tag="cancel", array_like=True):
    trip_id: str
    order: CancelRequest
    by: str


class _Restore(msgspec.Struct, tag="restore", array_like=True):
    trip_id: str
    order: CancelRequest


_Question: TypeAlias = _Acknowledge | _Measures | _Shelve | _Close | _Assign | _Cancel | _Restore
_ENCODE = msgspec.msgpack.Encoder().encode
_QUESTION: msgspec.msgpack.Decoder[_Question] = msgspec.msgpack.Decoder(_Question)
_MEASURES = msgspec.msgpack.Decoder(MeasuresReply)
_ASSIGNMENT: msgspec.msgpack.Decoder[Assignment | str] = msgspec.msgpack.Decoder(Assignment | str)
_CANCELLATION: msgspec.msgpack.Decoder[Cancellation | str] = msgspec.msgpack.Decoder(Cancellation | str)
_ALERT: msgspec.msgpack.Decoder[Alert | None] = msgspec.msgpack.Decoder(Alert | None)


class RemoteDesk:
    """Implements `dispatch.api.Desk` over a link.

    `send` takes an instruction down to the gateway, `note` has it followed from before it is sent.
    """

    def __init__(
        self,
        links: Links,
        send: Callable[[str, wire.Instruction], bool],
        note: Callable[[Instruction], Awaitable[None]] | None = None,
    ) -> None:
        self._links = links
        self._send = send
        self._note = note

    async def acknowledge(self, alert_id: str, by: str) -> Alert | None:
        """Note that somebody has seen an alert."""
        return _ALERT.decode(await self._ask(_Acknowledge(alert_id, by)))

    async def shelve(self, alert_id: str, by: str, minutes: float) -> Alert | None:
        """Put an alert aside for some minutes."""
        return _ALERT.decode(await self._ask(_Shelve(alert_id, by, minutes)))

    async def close_alert(self, alert_id: str, by: str, reason: str) -> Alert | None:
        """Close an alert by hand."""
        return _ALERT.decode(await self._ask(_Close(alert_id, by, reason)))

    async def assign(self, vehicle_key: str, trip_id: str | None, start_date: str | None, by: str) -> Assignment | str:
        """Put a vehicle on a trip; a string is the reason why that cannot be."""
        return _ASSIGNMENT.decode(await self._ask(_Assign(vehicle_key, trip_id, start_date, by)))

    async def cancel(self, trip_id: str, order: CancelRequest, by: str) -> Cancellation | str:
        """Say that a trip is not driven; a string is the reason why that cannot be."""
        return _CANCELLATION.decode(await self._ask(_Cancel(trip_id, order, by)))

    async def restore(self, trip_id: str, order: CancelRequest) -> Cancellation | str:
        """Take a cancellation back; a string is the reason why that cannot be."""
        return _CANCELLATION.decode(await self._ask(_Restore(trip_id, order)))

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
        if self._note is not None:
            await self._note(instruction)
        if not self._send(key, down):
            raise Problem(503, "Not sent", "The way to the vehicles is blocked; try again in a moment.")

    async def _ask(self, question: _Question) -> bytes:
        return await ask_dispatch(self._links, DESK, _ENCODE(question))


async def ask_dispatch(links: Links, subject: str, question: bytes) -> bytes:
    """What the process that has the engine answers.

    Raises:
        Problem: 503 where it does not.
    """
    try:
        return await links.ask(subject, question)
    except LinkError:
        raise not_ready("Dispatch does not answer; /readyz says why.", 1) from None


async def serve_desk(
    links: Links,
    service: DispatchService,
    ordered: Callable[[], Awaitable[None]],
    decided: Callable[[], Awaitable[None]],
) -> None:
    """Answer a `RemoteDesk` from the process that has the engine.

    `ordered` is awaited after each order, and `decided` after what somebody has said of an alert, before the answer.
    """

    async def answer(question: bytes) -> bytes:
        reply: Any
        match _QUESTION.decode(question):
            case _Acknowledge(alert_id, by):
                reply = await service.acknowledge(alert_id, by)
            case _Measures(from_s, to_s, route_id):
                reply = await service.measures(from_s, to_s, route_id)
            case _Shelve(alert_id, by, minutes):
                reply = await service.shelve(alert_id, by, minutes)
            case _Close(alert_id, by, reason):
                reply = await service.close_alert(alert_id, by, reason)
            case _Assign(vehicle_key, trip_id, start_date, by):
                reply = await service.assign(vehicle_key, trip_id, start_date, by)
            case _Cancel(trip_id, order, by):
                reply = await service.cancel(trip_id, order, by)
            case _Restore(trip_id, order):
                reply = await service.restore(trip_id, order)
        if isinstance(reply, Assignment | Cancellation):
            await ordered()
        elif isinstance(reply, Alert):
            await decided()
        return _ENCODE(reply)

    await links.serve(DESK, answer)
