"""Taps and inspections over HTTP: the same questions and answers as validators send over MQTT, and the controller's."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ticketing.activity import Activity
from ticketing.errors import Problem
from ticketing.inspection import Inspection, Inspector
from ticketing.masking import mask_text
from ticketing.routes import Route
from ticketing.service import Ticketing
from ticketing.verdict import SAY, Answer, Bank, Offline, Say, Tap, Verdict

TAPS_AT_ONCE_MAX = 1000
_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"

Id = Annotated[str, Meta(min_length=1, max_length=128)]


class TapBody(Struct):
    """A tap as validators send it, the same as over MQTT."""

    id: Annotated[str, Meta(pattern=_UUID)]
    boot: Annotated[str, Meta(min_length=1, max_length=64)]
    seq: Annotated[int, Meta(ge=0, le=2**53)]
    ts: Annotated[float, Meta(ge=-1e11, le=1e11)]
    medium: Literal["qr", "card", "bank"]
    token: Annotated[str, Meta(max_length=8192)]
    bank: Bank | None = None
    vehicle: Id | None = None
    stop_id: Id | None = None
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None
    offline: Offline | None = None


# Read one by one, so that one which is no tap costs the others nothing.
Taps = list[Annotated[Raw, Meta(extra_json_schema={"$ref": "#/components/schemas/TapBody"})]]


class AnswerBody(Struct, frozen=True):
    """What a tap is told, the same as over MQTT; reason only where there is one.

    What is no tap, in a list, is `malformed`, its reason says which field is wrong, and id is empty where it has none.
    """

    id: str
    verdict: Verdict
    retry: bool
    until_ts: float | None
    charged_minor: int | None
    currency: str | None
    say: Say
    reason: str | UnsetType = UNSET


class _Head(Struct):
    """As much of what is no tap as it takes to answer it."""

    id: Annotated[str, Meta(pattern=_UUID)]


_decode_tap = msgspec.json.Decoder(TapBody).decode
_decode_head = msgspec.json.Decoder(_Head).decode


class InspectionBody(Struct):
    """A medium to look at, and the vehicle on which the controller stands."""

    token: Annotated[str, Meta(max_length=8192)]
    medium: Literal["qr", "card", "bank"] = "qr"
    vehicle: Id | None = None


class TapsApi:
    """The operations of validators and controllers, and how busy they are."""

    def __init__(self, service: Ticketing, inspector: Inspector) -> None:
        self._service = service
        self._inspector = inspector

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("POST", "/api/v1/validations", "validations:create", self.validate),
            Route("POST", "/api/v1/inspections", "inspections:create", self.inspect),
            Route("GET", "/api/v1/ticketing/activity", "activity:read", self.activity),
        ]

    async def validate(self, *, body: TapBody | Taps, subject: str) -> AnswerBody | list[AnswerBody]:
        """Judge one tap, or a list of them: one answer each, in order. A refused tap is a verdict, not an error."""
        if isinstance(body, list):
            return await self._validate_list(body, subject)
        answer = (await self._judge([body], subject))[0]
        if answer.reason == "id_reused":
            raise Problem(409, "Tap id reused", f"this device sent another tap under the id {body.id}: make a new id")
        return answer

    async def _validate_list(self, items: Taps, subject: str) -> list[AnswerBody]:
        if len(items) > TAPS_AT_ONCE_MAX:
            raise Problem(422, "Too many taps", f"a request holds at most {TAPS_AT_ONCE_MAX} taps")
        read = [_read(item, nth) for nth, item in enumerate(items)]
        judged = iter(await self._judge([tap for tap in read if isinstance(tap, TapBody)], subject))
        return [next(judged) if isinstance(tap, TapBody) else tap for tap in read]

    async def _judge(self, bodies: list[TapBody], subject: str) -> list[AnswerBody]:
        operator, _, device = subject.rpartition(":")
        now_s = self._service.clock()
        answers = await self._service.validate([_tap(tap, operator, device, now_s) for tap in bodies])
        return [_answer(answer) for answer in answers]

    async def inspect(self, *, body: InspectionBody) -> Inspection:
        """What a controller sees of a ticket or card: is it good, and where was it last used."""
        return await self._inspector.inspect(body.medium, body.token, body.vehicle)

    async def activity(self) -> Activity:
        """How many taps a minute, and since when judging has been impossible, if it is."""
        return self._service.activity()


def _read(item: Raw, nth: int) -> TapBody | AnswerBody:
    """A tap of a list, or the answer to what is none; trying again cannot help."""
    if b"\\u0000" in bytes(item):  # the database's text holds no NUL, and JSON can write one only in this way
        return _ill_formed(item, f"body[{nth}]: Expected text without NUL")
    try:
        return _decode_tap(item)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message, _, place = str(error).partition(" - at `$")
        return _ill_formed(item, f"body[{nth}]{place.rstrip('`')}: {message}")


def _ill_formed(item: Raw, why: str) -> AnswerBody:
    try:
        tap_id = _decode_head(item).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        tap_id = ""
    verdict = Verdict.MALFORMED
    return AnswerBody(tap_id, verdict, False, None, None, None, SAY[verdict], mask_text(why))


def _tap(body: TapBody, operator: str, device: str, received_s: float) -> Tap:
    return Tap(
        body.id,
        body.boot,
        body.seq,
        body.ts,
        body.medium,
        body.token,
        body.bank,
        body.vehicle,
        body.stop_id,
        body.lat,
        body.lon,
        body.offline,
        operator,
        device,
        received_s,
    )


def _answer(answer: Answer) -> AnswerBody:
    return AnswerBody(
        answer.id,
        answer.verdict,
        answer.retry,
        answer.until_ts,
        answer.charged_minor,
        answer.currency,
        answer.say,
        UNSET if answer.reason is None else answer.reason,
    )
