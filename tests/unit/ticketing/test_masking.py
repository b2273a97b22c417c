"""What could be a payment card's number is made unreadable; other digits stay."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.masking import holds_card_number, luhn, mask, mask_text

# Test numbers that card schemes publish: they pass the check and belong to nobody.
NUMBERS = ["4111111111111111", "5555555555554444", "378282246310005", "4111 1111 1111 1111", "4111-1111-1111-1111"]


@pytest.mark.parametrize("number", NUMBERS)
def test_card_numbers_are_starred(number):
    shown = mask_text(f'{{"token": "{number}"}}')
    assert number not in shown
    assert shown.endswith(number[-4:] + '"}')
    assert holds_card_number(number)


@pytest.mark.parametrize(
    "text", ["4111111111111112", "1771257482.25", "0" * 12, "04de5f1eacc040", "", "1" * 25, "8" * 30]
)
def test_other_digits_stay(text):
    assert mask_text(text) == text


@given(st.binary(max_size=200))
def test_masking_twice_is_masking_once_and_keeps_other_bytes(data):
    assert mask(mask(data)) == mask(data)


@given(st.integers(0, 10**15))
def test_every_number_has_one_check_digit(number):
    assert sum(luhn(f"{number}{digit}".encode()) for digit in range(10)) == 1


def test_a_readers_hash_is_no_card_number():
    tokens = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(2000)]
    assert any(mask_text(token) != token for token in tokens)  # what is shown is masked to be sure
    refused = sum(holds_card_number(token) for token in tokens)
    assert refused / len(tokens) < 1e-3
    assert holds_card_number("token=4111111111111111;x")
