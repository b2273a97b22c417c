"""Tokens as they are kept, and keys that follow from what is asked."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.masking import holds_card_number, mask_text
from ticketing.payment import bad_token, from_letters, in_letters, operation_key

PAN = "4111111111111111"


@pytest.mark.parametrize(
    "token", ["", "x" * 129, "a b", "tab\t", "ключ", PAN, f"tok-{PAN}", "4111 1111 1111 1111", "4111-1111-1111-1111"]
)
def test_what_no_reader_may_send(token):
    assert bad_token(token) is not None


@pytest.mark.parametrize("token", ["9a8b7c6d", "x" * 128, "4111111111111112", "a:b/c+d=="])
def test_what_a_reader_may_send(token):
    assert bad_token(token) is None


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128))
def test_a_kept_token_has_no_digits_and_is_the_same_when_it_is_read(token):
    kept = in_letters(token)
    assert re.fullmatch("[a-p]+", kept)
    assert from_letters(kept) == token
    assert not holds_card_number(kept)


def test_keys_follow_from_what_is_asked_and_never_look_like_a_card_number():
    keys = {operation_key("charge", "a", number) for number in range(2000)}
    assert len(keys) == 2000
    assert all(re.fullmatch("[a-p]{40}", key) and mask_text(key) == key for key in keys)
    assert operation_key("charge", "a", 1) == operation_key("charge", "a", 1)
