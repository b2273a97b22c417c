"""Dead letters in words: for each reason what was wrong, where in the payload, and what a device's maker does next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from gateway.refusal import Reason


@dataclass(frozen=True, slots=True)
class Words:
    """What a reason means, and the next step; sentences in English."""

    what: str
    next_step: str


WORDS: Final[dict[Reason, Words]] = {
    Reason.EMPTY: Words(
        "The message has no content.",
        "Send the payload with every message; only a retained status is cleared by an empty one.",
    ),
    Reason.TOO_LARGE: Words(
        "The message is larger than this topic takes.",
        "Send one position, tap or event in a message, without fields of your own.",
    ),
    Reason.BAD_TOPIC: Words(
        "The topic is none that is read.",
        "Compare it letter by letter with fleet/v1/OPERATOR/ID/... or validator/v1/OPERATOR/ID/... of docs/devices.md.",
    ),
    Reason.INVALID_UTF8: Words(
        "A text in the message is not UTF-8.",
        "Encode names and texts as UTF-8; those from a Windows or Cyrillic code page must be converted.",
    ),
    Reason.MALFORMED_JSON: Words(
        "The message is not JSON.",
        "Look at the byte that is named: a trailing comma, single quotes, NaN, or a buffer that was too short.",
    ),
    Reason.TOO_DEEP: Words(
        "The JSON is nested too deep.",
        "Send the flat object of docs/devices.md.",
    ),
    Reason.MALFORMED_PROTOBUF: Words(
        "The message is neither a JSON object nor a GTFS-Realtime VehiclePosition.",
        "Send JSON that begins with {, or the bytes of one serialized VehiclePosition, not base64 or gzip.",
    ),
    Reason.NOT_ONE_VEHICLE: Words(
        "The message does not tell the position of just one vehicle.",
        "Send each vehicle's own position on its own topic, with latitude and longitude set.",
    ),
    Reason.MISSING_FIELD: Words(
        "A field that is required is missing.",
        "Add the field that is named; a position needs ts, lat and lon.",
    ),
    Reason.WRONG_TYPE: Words(
        "A field is of another type than it must be, or its value is none of those allowed.",
        "Send the field that is named as docs/devices.md shows it: numbers without quotes, texts with them.",
    ),
    Reason.OUT_OF_RANGE: Words(
        "A value is outside what it can be.",
        "Check the unit, length and form: degrees, metres a second, Unix seconds (not milliseconds), ids as shown.",
    ),
    Reason.CONTROL_CHARACTER: Words(
        "A text holds the character NUL.",
        "Cut texts at the NUL that ends them in memory before they are sent.",
    ),
    Reason.NO_PLACE: Words(
        "The position is that of a receiver without a fix.",
        "Send no position until the receiver has one; 0/0 and NaN are none.",
    ),
    Reason.NOT_JUDGED: Words(
        "Ticketing failed on this tap again and again while it judged others.",
        "Keep the tap and tell who runs Takt, with its id: the fault is not the device's.",
    ),
}

UNKNOWN: Final = Words("The message could not be read.", "Compare it with docs/devices.md.")

_MISSING = re.compile(r"missing required field `([^`]+)`")
_PATH = re.compile(r"at `(?:key in )?\$([^`]*)`$")
_BYTE = re.compile(r"\(byte (\d+)\)")
_WORDS_OF_PLACES = frozenset({"timestamp", "trip"})  # what GTFS-Realtime's refusals name


def words_of(reason: str) -> Words:
    """The words of a reason as it is stored; those of an older or newer Takt's are UNKNOWN."""
    return WORDS[Reason(reason)] if reason in Reason.__members__.values() else UNKNOWN


def where(detail: str) -> str:
    """The place in the payload that a detail names, such as `offline.verdict` or `byte 12`; "" where it names none."""
    path = match[1].removeprefix(".") if (match := _PATH.search(detail)) else ""
    if match := _MISSING.search(detail):
        return f"{path}.{match[1]}" if path else match[1]
    if path:
        return path
    if match := _BYTE.search(detail):
        return f"byte {match[1]}"
    return detail if detail in _WORDS_OF_PLACES else ""
