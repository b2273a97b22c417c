"""Types at the seams: what one package hands over, as the other one takes it, and as bytes between processes.

Each package owns its types; where they agree field by field nothing is copied but the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from dispatch.observations import Observations
from gateway import wire
from gateway.batch import FixBatch
from gateway.refusal import DeadLetter
from ticketing import verdict

COLUMNS = ("ts_s", "received_s", "lat_deg", "lon_deg", "speed_mps", "bearing_deg", "accuracy_m", "odometer_m")

Descriptor = tuple[str | None, str | None, int | None, str | None, str | None, str | None]


class _Fixes(msgspec.Struct, array_like=True):
    vehicle_key: list[str]
    columns: bytes
    descriptor: list[Descriptor | None]
    occupancy: list[str | None]


class _Batch(msgspec.Struct, array_like=True):
    taps: list[wire.Tap]


class _Answers(msgspec.Struct, array_like=True):
    answers: list[wire.Answer]


_ENCODE = msgspec.msgpack.Encoder().encode
_FIXES = msgspec.msgpack.Decoder(_Fixes)
_BATCH = msgspec.msgpack.Decoder(_Batch)
_ANSWERS = msgspec.msgpack.Decoder(_Answers)


def encode_fixes(batch: FixBatch) -> bytes:
    """A batch as one message."""
    columns = np.stack([getattr(batch, name) for name in COLUMNS]).tobytes()
    return _ENCODE(_Fixes(batch.vehicle_key, columns, batch.descriptor, batch.occupancy))


def decode_fixes(data: bytes) -> Observations:
    """What `encode_fixes` made, for dispatch."""
    fixes = _FIXES.decode(data)
    columns = dict(zip(COLUMNS, np.frombuffer(fixes.columns, np.float64).reshape(len(COLUMNS), -1), strict=True))
    return Observations(fixes.vehicle_key, **columns, descriptor=fixes.descriptor, occupancy=fixes.occupancy)


def tap(given: wire.Tap) -> verdict.Tap:
    """A tap from the gateway, for ticketing."""
    return verdict.Tap(
        id=given.id,
        boot=given.boot,
        seq=given.seq,
        ts=given.ts,
        medium=given.medium,
        token=given.token,
        bank=verdict.Bank(given.bank.par, given.bank.oda) if given.bank else None,
        vehicle=given.vehicle,
        stop_id=given.stop_id,
        lat=given.lat,
        lon=given.lon,
        offline=verdict.Offline(given.offline.verdict, given.offline.rules_version) if given.offline else None,
        operator=given.operator,
        device=given.device,
        received_s=given.received_s,
        raw=given.raw,
    )


def answer(given: verdict.Answer) -> wire.Answer:
    """Ticketing's answer, for the gateway."""
    return wire.Answer(
        id=given.id,
        verdict=given.verdict.value,
        retry=given.retry,
        until_ts=given.until_ts,
        charged_minor=given.charged_minor,
        currency=given.currency,
        say={"uk": given.say.uk, "en": given.say.en},
        reason=given.reason,
        seq_through=given.seq_through,
    )


def encode_taps(taps: Sequence[wire.Tap]) -> bytes:
    """A batch of taps as a question between processes."""
    return _ENCODE(_Batch(list(taps)))


def decode_taps(data: bytes) -> list[wire.Tap]:
    """What `encode_taps` made."""
    return _BATCH.decode(data).taps


def encode_answers(answers: Sequence[wire.Answer]) -> bytes:
    """The answers to a batch, in its order."""
    return _ENCODE(_Answers(list(answers)))


def decode_answers(data: bytes) -> list[wire.Answer]:
    """What `encode_answers` made."""
    return _ANSWERS.decode(data).answers


def dead_letter_columns(letters: Sequence[DeadLetter]) -> tuple[list[Any], ...]:
    """Dead letters as columns: operator, device, topic, reason, detail, payload, received_s."""
    names = [letter.device.partition("/") for letter in letters]
    return (
        [operator for operator, _, _ in names],
        [device for _, _, device in names],
        [letter.topic for letter in letters],
        [letter.reason for letter in letters],
        [letter.detail for letter in letters],
        [letter.payload for letter in letters],
        [letter.received_s for letter in letters],
    )
