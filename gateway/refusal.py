"""Why a message could not be taken: the reasons of a dead letter, and what of it may be kept.

Reasons are a short closed list because they label a counter; the detail is for the person who reads one letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

import msgspec

DETAIL_CHARS_MAX = 200
TOPIC_CHARS_MAX = 256
PAYLOAD_BYTES_KEPT = 1024

# 13 to 19 digits may be a card number, written in one run or in groups; a longer run may hide one.
_CARD_LIKE = re.compile(rb"\d(?:[ -]?\d){12,}")
_CARD_LIKE_TEXT = re.compile(r"\d(?:[ -]?\d){12,}", re.ASCII)
_DIGIT = re.compile(rb"\d")
_SIZE = re.compile(r"\(kept: the first \d+ of (\d+) bytes\)$", re.ASCII)


class Reason(StrEnum):
    """What was wrong with a message."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    BAD_TOPIC = "bad_topic"
    INVALID_UTF8 = "invalid_utf8"
    MALFORMED_JSON = "malformed_json"
    TOO_DEEP = "too_deep"
    MALFORMED_PROTOBUF = "malformed_protobuf"
    NOT_ONE_VEHICLE = "not_one_vehicle"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    CONTROL_CHARACTER = "control_character"
    NO_PLACE = "no_place"
    NOT_JUDGED = "not_judged"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The outcome of decoding what cannot be taken."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused message as it may be stored: cut to size, card-like runs of digits masked."""

    received_s: float
    device: str  # "<operator>/<device>", or "" where the topic does not say
    topic: str
    reason: str
    detail: str
    payload: bytes
    size_bytes: int  # of the payload as it came


def dead_letter(
    received_s: float, device: str, topic: str, payload: bytes, refusal: Refusal, size: int | None = None
) -> DeadLetter:
    """What is kept of a refused message; the detail of one that is cut says how long it was.

    `size` is how many bytes came, where `payload` is only their beginning.
    """
    size = len(payload) if size is None else size
    detail = mask_text(refusal.detail[:DETAIL_CHARS_MAX])
    if size > PAYLOAD_BYTES_KEPT:
        kept = f"(kept: the first {PAYLOAD_BYTES_KEPT} of {size} bytes)"
        detail = f"{detail[: DETAIL_CHARS_MAX - len(kept) - 1]} {kept}".lstrip()
    return DeadLetter(
        received_s,
        device,
        mask_text(topic[:TOPIC_CHARS_MAX]),
        refusal.reason.value,
        detail,
        # Mask before the final cut: a cut inside a card number would leave twelve of its digits.
        mask(payload[: 2 * PAYLOAD_BYTES_KEPT])[:PAYLOAD_BYTES_KEPT],
        size,
    )


def detail_and_size(detail: str, payload: bytes) -> tuple[str, int]:
    """The detail of a stored letter without the word on its size, and the size of its payload as it came, in bytes."""
    cut = _SIZE.search(detail)
    return (detail[: cut.start()].rstrip(), int(cut[1])) if cut else (detail, len(payload))


def mask(data: bytes) -> bytes:
    """`data` with every digit of a run of 13 or more (single spaces and dashes inside it allowed) turned into `*`."""
    return _CARD_LIKE.sub(lambda run: _DIGIT.sub(b"*", run.group()), data)


def mask_text(text: str) -> str:
    """The same for text, ready for a text column: no NUL, no lone surrogate."""
    masked = _CARD_LIKE_TEXT.sub(lambda run: "".join("*" if c.isdigit() else c for c in run.group()), text)
    return masked.replace("\x00", "�").encode("utf-8", "replace").decode()


def refuse(error: Exception) -> Refusal:
    """Turn what msgspec raised into a reason.

    msgspec has one class for every breach of a type; which breach it was stands in its message only. A message that
    a later release words anew ends as `wrong_type`: still a dead letter, less precisely named.
    """
    text = str(error)
    match error:
        case RecursionError():
            return Refusal(Reason.TOO_DEEP)
        case UnicodeDecodeError():
            return Refusal(Reason.INVALID_UTF8)
        case msgspec.ValidationError() if "missing required field" in text:
            return Refusal(Reason.MISSING_FIELD, text)
        case msgspec.ValidationError() if any(word in text for word in ("out of range", ">", "<", "length", "regex")):
            return Refusal(Reason.OUT_OF_RANGE, text)
        case msgspec.ValidationError():
            return Refusal(Reason.WRONG_TYPE, text)
        case _:
            return Refusal(Reason.MALFORMED_JSON, text)
