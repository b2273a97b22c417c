"""What ticketing says to a validator, read with care: anything that is not so is no answer."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Judged(NamedTuple):
    """A verdict on a tap, by its name; a later server may know other names than we do."""

    tap_id: str
    verdict: str


class Receipt(NamedTuple):
    """Every tap of a boot up to a number is stored."""

    boot: str
    seq_through: int


def read_verdict(payload: bytes) -> Judged | None:
    """The verdict in a message; None where there is none."""
    answer = decode_down(payload)
    tap_id, verdict = answer.get("id"), answer.get("verdict")
    return Judged(tap_id, verdict) if isinstance(tap_id, str) and isinstance(verdict, str) else None


def read_receipt(payload: bytes) -> Receipt | None:
    """The cumulative receipt in a message; None where there is none."""
    receipt = decode_down(payload)
    boot, through = receipt.get("boot"), receipt.get("seq_through")
    return Receipt(boot, through) if isinstance(boot, str) and isinstance(through, int) else None


def decode_down(payload: bytes) -> dict[str, Any]:
    """A message to a device; an empty dict when it is not a JSON object."""
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
