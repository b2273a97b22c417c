"""Every reason of a dead letter has its words, here and in docs/devices.md; the place that a refusal names is told."""

import json
from pathlib import Path

import pytest

from gateway.protobuf import decode_any_position
from gateway.reason_words import UNKNOWN, WORDS, where, words_of
from gateway.refusal import Reason, Refusal, dead_letter, detail_and_size
from gateway.wire import decode_tap

GOOD = {"ts": 1771257482.0, "lat": 50.45, "lon": 30.52}
TAP = {
    "id": "7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11",
    "boot": "a1",
    "seq": 17,
    "ts": 1.0,
    "medium": "bank",
    "token": "ab",
}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_says_what_and_what_next(reason: Reason) -> None:
    assert words_of(reason.value) == WORDS[reason]
    assert all(text.endswith(".") for text in (WORDS[reason].what, WORDS[reason].next_step))
    assert f"| `{reason.value}` |" in (Path(__file__).parents[3] / "docs" / "devices.md").read_text()


def test_the_reason_of_another_version_is_no_fault() -> None:
    assert words_of("no_such_reason") == UNKNOWN


POSITIONS = {
    '{"lat": 1, "lon": 2}': "ts",
    json.dumps(GOOD | {"lat": "50.45"}): "lat",
    json.dumps(GOOD | {"lat": 95}): "lat",
    '{"ts": 1,}': "byte 9",
    "[1]": "",
}


@pytest.mark.parametrize("payload", POSITIONS)
def test_the_place_of_a_bad_position_is_named(payload: str) -> None:
    refusal = decode_any_position(payload.encode())
    assert isinstance(refusal, Refusal)
    assert where(refusal.detail) == POSITIONS[payload]


@pytest.mark.parametrize(
    ("change", "place"),
    [({"offline": {}}, "offline.verdict"), ({"offline": {"verdict": 1}}, "offline.verdict")],
)
def test_the_place_within_a_tap_is_named_whole(change: dict[str, object], place: str) -> None:
    refusal = decode_tap(json.dumps(TAP | change).encode(), "kpt", "7", 1.0)
    assert isinstance(refusal, Refusal)
    assert where(refusal.detail) == place


@pytest.mark.parametrize("size", [0, 40, 1024, 1025, 70_000])
@pytest.mark.parametrize("detail", ["", "Expected `float`, got `str` - at `$.lat`", "x" * 200])
def test_a_letter_knows_how_long_its_message_was(size: int, detail: str) -> None:
    letter = dead_letter(1.0, "kpt/1", "t", b"x" * size, Refusal(Reason.WRONG_TYPE, detail))
    kept, told = detail_and_size(letter.detail, letter.payload)
    assert told == size
    assert detail.startswith(kept)
    assert len(letter.detail) <= 200
