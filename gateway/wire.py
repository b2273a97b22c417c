"""What devices write and read beside positions: JSON payloads of the contract as types, with decoders that never raise.

How a payload is decoded, and what its fields may be, is in `payload`; a vehicle's position has `position`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from gateway.payload import Boot, Id, Lat, Lon, Seq, Text, UnixTime, decode_json
from gateway.refusal import Refusal, mask_text

EVENT_BYTES_MAX: Final = 16 * 1024
STATUS_BYTES_MAX: Final = 1024
TAP_BYTES_MAX: Final = 16 * 1024  # a JWT with its proof is about 2 kB; a QR code holds 4,296 characters at most

Uuid = Annotated[str, Meta(pattern="^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", max_length=36)]
Medium = Literal["qr", "card", "bank"]
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


_event = msgspec.json.Decoder(EventBody)
_validator_event = msgspec.json.Decoder(_ValidatorEventBody)
_status = msgspec.json.Decoder(Status)
_tap = msgspec.json.Decoder(TapBody)
_tap_head = msgspec.json.Decoder(TapHead)
_encoder = msgspec.json.Encoder()


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


def encode_tap(body: TapBody) -> bytes:
    """The JSON of the tap topic, for those who play a validator."""
    return _encoder.encode(body)
