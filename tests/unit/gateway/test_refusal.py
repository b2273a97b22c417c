"""Dead letters: cut to size, and without what could be a card number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import refusal
from gateway.refusal import Reason, Refusal

MALFORMED = Refusal(Reason.MALFORMED_JSON, "because")


@pytest.mark.parametrize(
    "number",
    [b"4111111111111111", b"4111 1111 1111 1111", b"4111-1111-1111-1111", b"1234567890123", b"1" * 19, b"9" * 400],
)
def test_what_could_be_a_card_number_is_masked(number: bytes) -> None:
    masked = refusal.mask(b'{"token": "' + number + b'", "seq": 17}')
    assert masked.count(b"*") == sum(chr(byte).isdigit() for byte in number)
    assert b'"seq": 17' in masked


def test_shorter_numbers_stay() -> None:
    assert refusal.mask(b"1771257482.123, 123456789012") == b"1771257482.123, 123456789012"


@given(st.binary(max_size=3000), st.integers(0, 2100))
def test_no_long_run_of_digits_survives_wherever_it_stands(noise: bytes, at: int) -> None:
    payload = noise[:at] + b"4111111111111111" + noise[at:]
    letter = refusal.dead_letter(0.0, "op/1", "t", payload, MALFORMED)
    assert b"411111111111" not in letter.payload
    assert len(letter.payload) <= refusal.PAYLOAD_BYTES_KEPT
    assert letter.size_bytes == len(payload)


def test_a_letter_fits_a_text_column() -> None:
    letter = refusal.dead_letter(1.0, "", "a\x00\ud800" * 300, b"x" * 5000, Refusal(Reason.WRONG_TYPE, "d\x00" * 300))
    assert "\x00" not in letter.topic + letter.detail
    letter.topic.encode()
    assert len(letter.topic) <= refusal.TOPIC_CHARS_MAX
    assert len(letter.detail) <= refusal.DETAIL_CHARS_MAX
    assert (letter.reason, letter.size_bytes, len(letter.payload)) == ("wrong_type", 5000, 1024)
