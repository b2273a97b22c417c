"""Base45 as RFC 9285 has it, and nothing beside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.base45 import decode, encode

# RFC 9285 section 4.3 and 4.4.
PUBLISHED = [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")]


@pytest.mark.parametrize(("data", "text"), PUBLISHED)
def test_the_examples_of_rfc_9285_are_written_and_read(data, text):
    assert encode(data) == text
    assert decode(text) == data


@pytest.mark.parametrize("text", ["GGW", ":::", "A", "ABCD", "ab8", "AB_", "AB8\n", "Ї", "::"])
def test_what_is_no_base45_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@given(st.binary(max_size=400))
def test_what_is_encoded_is_decoded_to_the_same_bytes(data):
    assert decode(encode(data)) == data


@given(st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:", max_size=60))
def test_a_text_that_is_read_is_written_in_the_same_way(text):
    try:
        data = decode(text)
    except ValueError:
        return
    assert encode(data) == text


def test_the_shared_vectors(shared):
    import json

    vectors = json.loads((shared / "data/ticket-vectors/base45/rfc9285.json").read_text())
    for plain, text in vectors["rfc9285"]:
        assert decode(text) == plain.encode()
    for plain, text in vectors["hex"]:
        assert encode(bytes.fromhex(plain)) == text
    for text in vectors["invalid"]:
        with pytest.raises(ValueError, match=r"."):
            decode(text)
