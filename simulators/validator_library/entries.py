"""What a validator writes down, one JSON object a line, and reads again after a restart; times in Unix seconds."""

from __future__ import annotations

import msgspec


class TapMade(msgspec.Struct, frozen=True, tag_field="what", tag="tap"):
    """A tap was made: when, and the message as it is sent."""

    id: str
    at: float
    payload: str


class TapDecided(msgspec.Struct, frozen=True, tag_field="what", tag="decided"):
    """The same tap with the validator's own decision in its message; it may have been sent without before."""

    id: str
    at: float
    payload: str


class MediumSeen(msgspec.Struct, frozen=True, tag_field="what", tag="seen"):
    """What is remembered of a medium: accepted uses, the last place and time, and a card's highest counter."""

    medium: str
    seen: tuple[int, str, float, int]


class TapDone(msgspec.Struct, frozen=True, tag_field="what", tag="done"):
    """The tap has its receipt."""

    id: str


Entry = TapMade | TapDecided | MediumSeen | TapDone

encode_entry = msgspec.json.Encoder().encode
decode_entry = msgspec.json.Decoder(Entry).decode
