"""One JSON payload: the limits that its fields share, and decoding that never raises.

Each payload is decoded by itself: joined into one array, one message could forge another. A decoder answers with the
value or with a Refusal; the size is checked first. Of a repeated key the last counts; unknown keys are ignored.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from gateway.refusal import Reason, Refusal, refuse

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Text = Annotated[str, Meta(max_length=2000)]
Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
UnixTime = Annotated[float, Meta(ge=-1e11, le=1e11)]  # -1,200 to 5,000 years: admission judges, this keeps sums finite
Lat = Annotated[float, Meta(ge=-90, le=90)]
Lon = Annotated[float, Meta(ge=-180, le=180)]
Seq = Annotated[int, Meta(ge=0, le=2**53)]
Boot = Annotated[str, Meta(min_length=1, max_length=64)]

EMPTY: Final = Refusal(Reason.EMPTY)

T = TypeVar("T")


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
