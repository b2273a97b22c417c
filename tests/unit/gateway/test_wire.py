"""The wire: good messages come through as they were meant, and no bytes whatever raise."""

import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import wire
from gateway.position import decode_position
from gateway.refusal import Reason, Refusal

FIX = {"ts": 1771257482.0, "lat": 50.4501, "lon": 30.5234}
TAP = {
    "id": "6fa459ea-ee8a-3ca4-894e-db77e160355e",
    "boot": "a1",
    "seq": 17,
    "ts": 1771257482.0,
    "medium": "qr",
    "token": "NCFOXN",
}

# What a device, a bug or a foe may send on any topic; every decoder must answer each with a reason.
GARBAGE = {
    "empty": (b"", Reason.EMPTY),
    "not JSON": (b"hello", Reason.MALFORMED_JSON),
    "cut off": (b'{"ts": 17712', Reason.MALFORMED_JSON),
    "an array": (b"[1, 2]", Reason.WRONG_TYPE),
    "a string": (b'"ts"', Reason.WRONG_TYPE),
    "null": (b"null", Reason.WRONG_TYPE),
    "NaN": (b'{"ts": NaN, "lat": 1, "lon": 2}', Reason.MALFORMED_JSON),
    "Infinity": (b'{"ts": 1, "lat": Infinity, "lon": 2}', Reason.MALFORMED_JSON),
    "trailing": (b'{"ts": 1, "lat": 1, "lon": 2} {}', Reason.MALFORMED_JSON),
    "deep": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Reason.TOO_LARGE),
    "deep and short": (b'{"a":' + b"[" * 4_000 + b"]" * 4_000 + b"}", Reason.TOO_DEEP),
    "1 MiB": (b" " * (1 << 20), Reason.TOO_LARGE),
    "UTF-8 in a name": (b'{"ts": 1, "\xff": 2}', Reason.MALFORMED_JSON),
    "NUL escape": (b'{"ts": 1, "lat": 1, "lon": 2, "boot": "\\u0000"}', Reason.CONTROL_CHARACTER),
}
DECODERS = {
    "position": decode_position,
    "vehicle event": lambda data: wire.decode_vehicle_event(data, "op/1", 0.0),
    "validator event": lambda data: wire.decode_validator_event(data, "op/1", 0.0),
    "status": wire.decode_status,
    "tap": lambda data: wire.decode_tap(data, "op", "v1", 0.0),
}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("payload", [payload for payload, _ in GARBAGE.values()], ids=GARBAGE)
def test_garbage_is_refused_by_every_decoder(decode: Any, payload: bytes) -> None:
    assert isinstance(decode(payload), Refusal)


@pytest.mark.parametrize(("payload", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_refused_for_its_reason(payload: bytes, reason: Reason) -> None:
    refusal = decode_position(payload)
    assert isinstance(refusal, Refusal)
    # A name that is not UTF-8 may be passed over as unknown; then the missing fields are the reason.
    assert refusal.reason == reason or (b"\xff" in payload and refusal.reason is Reason.MISSING_FIELD)


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@given(data=st.binary(max_size=300) | st.binary(max_size=50).map(lambda tail: b"{" + tail))
def test_no_bytes_raise(decode: Any, data: bytes) -> None:
    decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(changed=st.dictionaries(st.sampled_from([*TAP, "bank", "offline", "lat", "vehicle"]), json_values))
def test_no_tap_with_fields_of_other_types_raises(changed: dict[str, object]) -> None:
    wire.decode_tap(json.dumps(TAP | changed).encode("utf-8", "surrogatepass"), "op", "v1", 0.0)


@given(changed=st.dictionaries(st.sampled_from([*FIX, "speed_mps", "trip_id", "direction_id"]), json_values))
def test_no_position_with_fields_of_other_types_raises(changed: dict[str, object]) -> None:
    decode_position(json.dumps(FIX | changed).encode("utf-8", "surrogatepass"))


def test_a_tap_carries_its_sender_and_its_bytes() -> None:
    payload = encode(
        TAP | {"bank": {"par": None, "oda": "passed"}, "offline": {"verdict": "accepted", "rules_version": 12}}
    )
    tap = wire.decode_tap(payload, "kpt", "v7", 1771257483.5)
    assert isinstance(tap, wire.Tap)
    assert (tap.id, tap.boot, tap.seq, tap.medium) == (TAP["id"], "a1", 17, "qr")
    assert (tap.operator, tap.device, tap.received_s, tap.raw) == ("kpt", "v7", 1771257483.5, payload)
    assert tap.bank == wire.Bank(None, "passed")
    assert tap.offline == wire.Offline("accepted", 12)


def test_a_tap_cannot_say_who_sent_it() -> None:
    tap = wire.decode_tap(encode(TAP | {"operator": "other", "device": "other", "received_s": 1}), "kpt", "v7", 2.0)
    assert isinstance(tap, wire.Tap)
    assert (tap.operator, tap.device, tap.received_s) == ("kpt", "v7", 2.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "17"},
        {"id": TAP["id"] + "\n"},  # type: ignore[operator]
        {"boot": ""},
        {"seq": -1},
        {"seq": 2**60},
        {"medium": "cash"},
        {"token": 4},
        {"token": "x" * 9000},
        {"bank": {"oda": "maybe"}},
        {"offline": {}},
        {"lat": 91},
    ],
)
def test_a_tap_out_of_bounds_is_refused(changed: dict[str, object]) -> None:
    assert isinstance(wire.decode_tap(encode(TAP | changed), "kpt", "v7", 0.0), Refusal)


def test_a_refused_tap_is_answered_where_its_id_can_be_read() -> None:
    head = wire.tap_head(encode(TAP | {"medium": "cash"}))
    assert head is not None
    answer = wire.malformed(head.id, Refusal(Reason.WRONG_TYPE))
    assert (answer.id, answer.verdict, answer.retry, answer.reason) == (TAP["id"], "malformed", False, "wrong_type")
    assert wire.tap_head(b"{") is None
    assert wire.tap_head(encode({"id": 17})) is None


def test_a_verdict_is_the_json_of_the_contract() -> None:
    answer = wire.Answer("i", "accepted", False, 5.0, 800, "UAH", {"uk": "Гаразд", "en": "Accepted"}, seq_through=17)
    assert json.loads(wire.encode_verdict(answer)) == {
        "id": "i",
        "verdict": "accepted",
        "retry": False,
        "until_ts": 5.0,
        "charged_minor": 800,
        "currency": "UAH",
        "say": {"uk": "Гаразд", "en": "Accepted"},
    }


def test_a_verdict_says_its_reason_where_it_has_one() -> None:
    assert json.loads(wire.encode_verdict(wire.Answer("i", "malformed", reason="id_reused")))["reason"] == "id_reused"


def test_receipts_and_instructions_are_the_json_of_the_contract() -> None:
    assert json.loads(wire.encode_receipt("a1", 17)) == {"boot": "a1", "seq_through": 17}
    hold = wire.Instruction("i1", 1771257482.0, "hold", 1771257542.0, "Зачекайте")
    assert json.loads(wire.encode_instruction(hold)) == {
        "id": "i1",
        "ts": 1771257482.0,
        "kind": "hold",
        "until_ts": 1771257542.0,
        "text": "Зачекайте",
    }


@given(st.uuids(), st.integers(0, 2**53), st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_a_tap_comes_back_as_it_was_sent(tap_id: uuid.UUID, seq: int, token: str) -> None:
    body = wire.TapBody(str(tap_id), "a1", seq, 1771257482.0, "card", token)
    tap = wire.decode_tap(wire.encode_tap(body), "kpt", "v7", 0.0)
    assert isinstance(tap, wire.Tap)
    assert [getattr(tap, name) for name in wire.TapBody.__struct_fields__] == list(msgspec.structs.astuple(body))


def test_an_event_says_what_happened_to_whom() -> None:
    event = wire.decode_vehicle_event(encode({"ts": 5, "event": "sign_on", "block_id": "7_1"}), "kpt/4582", 6.0)
    assert isinstance(event, wire.VehicleEvent)
    assert (event.vehicle_key, event.ts_s, event.received_s, event.event) == ("kpt/4582", 5.0, 6.0, "sign_on")
    assert event.as_dict()["block_id"] == "7_1"


def test_an_unknown_event_is_refused() -> None:
    assert isinstance(wire.decode_vehicle_event(encode({"ts": 5, "event": "explode"}), "kpt/1", 6.0), Refusal)


def test_a_validator_may_report_anything_that_has_a_name() -> None:
    payload = encode({"ts": 5, "event": "tap_set_aside", "id": TAP["id"]})
    report = wire.decode_validator_event(payload, "kpt/v7", 6.0)
    assert report == wire.ValidatorEvent("kpt/v7", 5.0, 6.0, "tap_set_aside", payload)


def test_a_tap_with_a_nul_in_its_token_can_still_be_answered() -> None:
    tap_id = "6f1f2a60-51f5-4cf0-bd55-8e5cb8e8a2f1"
    payload = b'{"id": "%s", "token": "A\\u0000"}' % tap_id.encode()
    head = wire.tap_head(payload)
    assert head is not None
    assert head.id == tap_id
    assert wire.tap_head(b'{"id": "%s", "token": "%s"}' % (tap_id.encode(), b"A" * wire.TAP_BYTES_MAX)) is None


def test_what_a_driver_writes_holds_no_card_number():
    payload = b'{"ts": 1, "event": "alarm", "text": "lost card 4111 1111 1111 1111, call 0671234567"}'
    event = wire.decode_vehicle_event(payload, "kpt/1", 2.0)
    assert event.text == "lost card **** **** **** ****, call 0671234567"
