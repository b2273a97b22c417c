"""What devices write and read: JSON payloads of the contract as types, with decoders that never raise.

Each payload is decoded by itself: joined into one array, one message could forge another. A decoder answers with the
value or with a Refusal; the size is checked first. Of a repeated key the last counts; unknown keys are ignored.
Binary GTFS-Realtime and HFP v2 have their own modules and end in the same `Position`.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from gateway.refusal import Reason, Refusal, mask_text, refuse

POSITION_BYTES_MAX: Final = 8 * 1024
EVENT_BYTES_MAX: Final = 16 * 1024
STATUS_BYTES_MAX: Final = 1024
TAP_BYTES_MAX: Final = 16 * 1024  # a JWT with its proof is about 2 kB; a QR code holds 4,296 characters at most

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=2000)]
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
UnixTime = Annotated[float, Meta(ge=-1e11, le=1e11)]  # -1,200 to 5,000 years: admission judges, this keeps sums finite
Lat = Annotated[float, Meta(ge=-90, le=90)]
Lon = Annotated[float, Meta(ge=-180, le=180)]
Seq = Annotated[int, Meta(ge=0, le=2**53)]
Boot = Annotated[str, Meta(min_length=1, max_length=64)]
Uuid = Annotated[str, Meta(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", max_length=36)]
Medium = Literal["qr", "card", "bank"]

EMPTY: Final = Refusal(Reason.EMPTY)
NULL_ISLAND: Final = Refusal(Reason.NO_PLACE, "0/0")

OCCUPANCIES: Final = frozenset(
    {
        "EMPTY",
        "MANY_SEATS_AVAILABLE",
        "FEW_SEATS_AVAILABLE",
        "STANDING_ROOM_ONLY",
        "CRUSHED_STANDING_ROOM_ONLY",
        "FULL",
        "NOT_ACCEPTING_PASSENGERS",
        "NO_DATA_AVAILABLE",
        "NOT_BOARDABLE",
    }
)


class Position(msgspec.Struct, gc=False):
    """One fix as a vehicle tells it: time, place, motion, and what it claims to serve. None where it does not say."""

    ts: UnixTime
    lat: Lat
    lon: Lon
    speed_mps: Number | None = None
    bearing_deg: Number | None = None
    accuracy_m: Number | None = None
    odometer_m: Annotated[float, Meta(ge=-1e12, le=1e12)] | None = None
    trip_id: Id | None = None
    route_id: Id | None = None
    direction_id: Annotated[int, Meta(ge=-1, le=2**15)] | None = None
    start_date: Id | None = None  # YYYYMMDD
    start_time: Id | None = None  # HH:MM:SS, may pass 24 h
    block_id: Id | None = None
    occupancy: Id | None = None  # the name of a GTFS-Realtime OccupancyStatus; any other word is dropped
    delay_s: Number | None = None  # by the vehicle's own estimate; late is positive


VehicleEventKind = Literal["sign_on", "sign_off", "alarm", "instruction_read", "instruction_done"]


class EventBody(msgspec.Struct):
    """A vehicle's event as it stands on the wire."""

    ts: UnixTime
    event: VehicleEventKind
    trip_id: Id | None = None
    route_id: Id | None = None
    direction_id: Annotated[int, Meta(ge=0, le=1)] | None = None
    block_id: Id | None = None
    start_date: Id | None = None
    start_time: Id | None = None
    instruction_id: Id | None = None
    text: Text | None = None


class VehicleEvent(msgspec.Struct, frozen=True):
    """Something that happened on a vehicle; `online` and `offline` come from its status and its last will.

    `clock` is the gateway's own finding: the vehicle's clock is `clock_off_s` ahead of ours (below 0: behind), or right
    again (None). While it is wrong and the vehicle is heard, this is repeated every half minute.
    """

    vehicle_key: str
    ts_s: float
    received_s: float
    event: VehicleEventKind | Literal["online", "offline", "clock"]
    trip_id: str | None = None
    route_id: str | None = None
    direction_id: int | None = None
    block_id: str | None = None
    start_date: str | None = None
    start_time: str | None = None
    instruction_id: str | None = None
    text: str | None = None
    clock_off_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, for a seam that carries JSON."""
        return msgspec.structs.asdict(self)


class ValidatorEvent(msgspec.Struct, frozen=True):
    """Something a validator reports, such as a tap set aside after its last try; `detail` is its JSON as received."""

    validator_key: str
    ts_s: float
    received_s: float
    event: str
    detail: bytes = b""


class _ValidatorEventBody(msgspec.Struct):
    ts: UnixTime
    event: Id


class Status(msgspec.Struct):
    """Whether a device is online; when it drops off, the broker sends its last will, which says no."""

    online: bool
    ts: UnixTime | None = None


class Bank(msgspec.Struct, frozen=True):
    """What a certified reader reports of a bank card: PAR (29 characters) and offline data authentication."""

    par: Annotated[str, Meta(max_length=64)] | None = None
    oda: Literal["passed", "failed", "none"] = "none"


class Offline(msgspec.Struct, frozen=True):
    """What the validator decided without the server, and by which version of the rules."""

    verdict: Annotated[str, Meta(min_length=1, max_length=32)]
    rules_version: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class TapBody(msgspec.Struct, gc=False):
    """A tap as it stands on the wire, the same over MQTT and HTTP."""

    id: Uuid
    boot: Boot
    seq: Seq
    ts: UnixTime
    medium: Medium
    token: Annotated[str, Meta(max_length=8192)]
    bank: Bank | None = None
    vehicle: Id | None = None
    stop_id: Id | None = None
    lat: Lat | None = None
    lon: Lon | None = None
    offline: Offline | None = None


class Tap(msgspec.Struct, frozen=True, gc=False):
    """A tap with its sender; `raw` is the payload as received, to tell a retry from a reused id."""

    id: str
    boot: str
    seq: int
    ts: float
    medium: Medium
    token: str
    bank: Bank | None
    vehicle: str | None
    stop_id: str | None
    lat: float | None
    lon: float | None
    offline: Offline | None
    operator: str
    device: str
    received_s: float
    raw: bytes


class Answer(msgspec.Struct, frozen=True):
    """Ticketing's answer to one tap; the validator may delete its taps of this boot up to number `seq_through`."""

    id: str
    verdict: str
    retry: bool = False
    until_ts: float | None = None
    charged_minor: int | None = None
    currency: str | None = None
    say: dict[str, str] = {}
    reason: str | None = None
    seq_through: int | None = None


class Instruction(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a dispatcher asks of a vehicle; a field that says nothing is left out of the JSON."""

    id: str
    ts: float
    kind: str  # "hold", "depart", "message", ...
    until_ts: float | None = None  # until when to wait, by our clock; an instruction read later is void
    text: str | None = None
    stop_id: str | None = None  # where a hold applies
    hold_s: float | None = None  # how long to wait at that stop, from when the vehicle is ready to leave
    depart_at: float | None = None  # leave then, not before; Unix seconds


class TapHead(msgspec.Struct):
    """As much of a malformed tap as it takes to answer it."""

    id: Uuid


class _Verdict(msgspec.Struct):
    id: str
    verdict: str
    retry: bool
    until_ts: float | None
    charged_minor: int | None
    currency: str | None
    say: dict[str, str]


class _ReasonedVerdict(_Verdict):
    reason: str


class _Receipt(msgspec.Struct):
    boot: str
    seq_through: int


_position = msgspec.json.Decoder(Position)
_event = msgspec.json.Decoder(EventBody)
_validator_event = msgspec.json.Decoder(_ValidatorEventBody)
_status = msgspec.json.Decoder(Status)
_tap = msgspec.json.Decoder(TapBody)
_tap_head = msgspec.json.Decoder(TapHead)
_encoder = msgspec.json.Encoder()

T = TypeVar("T")


def decode_position(payload: bytes) -> Position | Refusal:
    """A vehicle's position in JSON."""
    fix = decode_json(_position, payload, POSITION_BYTES_MAX)
    if type(fix) is not Position:
        return fix
    if fix.lat == 0 and fix.lon == 0:
        return NULL_ISLAND
    if fix.occupancy is not None and fix.occupancy not in OCCUPANCIES:
        fix.occupancy = None  # an unknown word is no reason to lose the position
    return fix


def decode_vehicle_event(payload: bytes, vehicle_key: str, received_s: float) -> VehicleEvent | Refusal:
    """A vehicle's event in JSON; received_s in Unix seconds."""
    body = decode_json(_event, payload, EVENT_BYTES_MAX)
    if isinstance(body, Refusal):
        return body
    fields = msgspec.structs.asdict(body)
    if fields["text"] is not None:
        fields["text"] = mask_text(fields["text"])
    return VehicleEvent(vehicle_key, fields.pop("ts"), received_s, **fields)


def decode_validator_event(payload: bytes, validator_key: str, received_s: float) -> ValidatorEvent | Refusal:
    """A validator's event in JSON; received_s in Unix seconds."""
    body = decode_json(_validator_event, payload, EVENT_BYTES_MAX)
    if isinstance(body, Refusal):
        return body
    return ValidatorEvent(validator_key, body.ts, received_s, body.event, payload)


def decode_status(payload: bytes) -> Status | Refusal:
    """A device's status in JSON."""
    return decode_json(_status, payload, STATUS_BYTES_MAX)


def decode_tap(payload: bytes, operator: str, device: str, received_s: float) -> Tap | Refusal:
    """A validator's tap in JSON; operator and device as its topic (or, over HTTP, its token) says."""
    body = decode_json(_tap, payload, TAP_BYTES_MAX)
    if isinstance(body, Refusal):
        return body
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
        payload,
    )


def tap_head(payload: bytes) -> TapHead | None:
    """The id of a tap that was refused, where it can be read: its sender still gets an answer."""
    if len(payload) > TAP_BYTES_MAX:
        return None
    # A NUL elsewhere in the tap is no reason to leave its sender without an answer; an id holds none.
    try:
        return _tap_head.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def malformed(tap_id: str, refusal: Refusal) -> Answer:
    """The answer to a tap that cannot be read; trying again cannot help."""
    say = {"uk": "Код не читається", "en": "Unreadable code"}
    return Answer(tap_id, "malformed", say=say, reason=refusal.reason.value)


def decode_json(decoder: msgspec.json.Decoder[T], payload: bytes, bytes_max: int) -> T | Refusal:
    """The value of one JSON payload, or why there is none; never raises, whatever the bytes."""
    if not payload:
        return EMPTY
    if len(payload) > bytes_max:
        return Refusal(Reason.TOO_LARGE, f"at most {bytes_max} bytes")
    # PostgreSQL's text holds no NUL, and JSON can write one only in this way.
    if b"\\u0000" in payload:
        return Refusal(Reason.CONTROL_CHARACTER, "\\u0000")
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return refuse(error)


def encode_verdict(answer: Answer) -> bytes:
    """The JSON of the verdict topic; `reason` only where there is one."""
    fields = (
        answer.id,
        answer.verdict,
        answer.retry,
        answer.until_ts,
        answer.charged_minor,
        answer.currency,
        answer.say,
    )
    return _encoder.encode(_Verdict(*fields) if answer.reason is None else _ReasonedVerdict(*fields, answer.reason))


def encode_receipt(boot: str, seq_through: int) -> bytes:
    """The JSON of the receipt topic."""
    return _encoder.encode(_Receipt(boot, seq_through))


def encode_instruction(instruction: Instruction) -> bytes:
    """The JSON of the instruction topic."""
    return _encoder.encode(instruction)


def encode_position(position: Position) -> bytes:
    """The JSON of the position topic, for those who play a vehicle; fields that say nothing are left out."""
    fields = msgspec.structs.asdict(position)
    return _encoder.encode({name: value for name, value in fields.items() if value is not None})


def encode_tap(body: TapBody) -> bytes:
    """The JSON of the tap topic, for those who play a validator."""
    return _encoder.encode(body)


def finite_place(lat_deg: float, lon_deg: float) -> Refusal | None:
    """Why a place cannot be one: not a number, off the globe, or the 0/0 of a receiver that has no fix."""
    if not (math.isfinite(lat_deg) and math.isfinite(lon_deg)):
        return Refusal(Reason.NO_PLACE, "not a number")
    if not (-90 <= lat_deg <= 90 and -180 <= lon_deg <= 180):
        return Refusal(Reason.OUT_OF_RANGE, "off the globe")
    return NULL_ISLAND if lat_deg == 0 and lon_deg == 0 else None
