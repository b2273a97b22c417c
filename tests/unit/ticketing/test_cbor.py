"""The quick way to a ticket's claims says what the general decoder says, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketing import ticket_cwt
from ticketing.cbor import bstr, issuer_claim, take_bstr, take_uint, usual_claims
from ticketing.claims import Claims
from ticketing.errors import CredentialError
from ticketing.keyset import IssuerKey

KEY = IssuerKey(b"kid!", "takt", Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key())
EDGES = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**40 - 1, 2**40, 2**63, -1, 1.5, None, "7", True]
NUMBERS = st.sampled_from(EDGES) | st.integers(0, 2**41)
TEXTS = st.sampled_from(["", "day", "x" * 23, "x" * 24, "x" * 64, "x" * 65, "ї" * 12, None, 7, b"day", ["day"]])
NETWORKS = st.lists(st.sampled_from(["*", "city", "m" * 23, "m" * 24, 7, None]), max_size=26)
BODIES = st.fixed_dictionaries(
    {
        1: st.sampled_from(["takt", "takt", "takt", "tak", "takt2", 7]),
        4: NUMBERS,
        5: NUMBERS,
        7: st.binary(min_size=16, max_size=16) | st.binary(min_size=15, max_size=17),
        -65537: st.tuples(TEXTS, NUMBERS, NUMBERS, NETWORKS, TEXTS),
    },
    optional={8: st.sampled_from([None, {}, {1: 2}]), 9: st.just(0)},
)
USUAL = {1: "takt", 4: 1_800_000_000, 5: 1_700_000_000, 7: bytes(16), -65537: ["day", 1, 70_000, ["*"], None]}


def said(read: Callable[[bytes, IssuerKey], Claims], payload: bytes) -> object:
    try:
        return read(payload, KEY)
    except CredentialError as error:
        return error.verdict


def agree(payload: bytes) -> object:
    """What is said with the quick way, which is what is said without."""
    quick = said(ticket_cwt.cwt_claims, payload)
    assert said(ticket_cwt.general_claims, payload) == quick
    return quick


@settings(max_examples=500, deadline=None)
@given(BODIES)
def test_claims_of_every_type_and_size(body):
    agree(cbor2.dumps(body, canonical=True))


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_payloads_that_are_changed_byte_by_byte(data):
    payload = bytearray(cbor2.dumps(USUAL, canonical=True))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        octet = data.draw(st.integers(0, 255) | st.sampled_from([0x18, 0x19, 0x1A, 0x1B, 0x60, 0x78, 0x80, 0xF6, 0xFF]))
        match data.draw(st.sampled_from(["change", "insert", "drop", "cut"])):
            case "change":
                payload[at] = octet
            case "insert":
                payload.insert(at, octet)
            case "drop" if len(payload) > 1:
                del payload[at]
            case "cut":
                del payload[at + 1 :]
    agree(bytes(payload))


def test_every_changed_byte_of_the_usual_payload():
    payload = cbor2.dumps(USUAL, canonical=True)
    assert usual_claims(payload, KEY.claims_begin) is not None
    for at in range(len(payload)):
        for octet in {payload[at] ^ (1 << bit) for bit in range(8)} | {
            0x00,
            0x17,
            0x18,
            0x1A,
            0x60,
            0x78,
            0x80,
            0xF6,
            0xFF,
        }:
            agree(payload[:at] + bytes((octet,)) + payload[at + 1 :])
        assert agree(payload[:at]) == "malformed"
    assert agree(payload + b"\x00") == "malformed"


@pytest.mark.parametrize("issuer", ["", "takt", "i" * 23, "i" * 24, "ї" * 64])
def test_what_issuers_write_is_usual(issuer):
    payload = cbor2.dumps(USUAL | {1: issuer}, canonical=True)
    assert usual_claims(payload, issuer_claim(issuer)) == (
        UUID(int=0),
        *("day", 1_700_000_000, 1_800_000_000),
        *(("*",), 1, 70_000, None),
    )


@pytest.mark.parametrize("issuer", ["i" * 65, "\ud800"])
def test_an_issuers_name_is_a_short_text(issuer):
    with pytest.raises(ValueError, match=r"."):
        issuer_claim(issuer)


@given(st.integers(0, 2**64 - 1))
def test_numbers_there_and_back(number):
    data = cbor2.dumps(number)
    assert take_uint(b"\x00" + data, 1) == (number, 1 + len(data))
    for end in range(len(data)):
        with pytest.raises((ValueError, IndexError)):
            take_uint(data[:end], 0)


@pytest.mark.parametrize("data", [b"\x18\x17", b"\x19\x00\xff", b"\x1a\x00\x00\xff\xff", b"\x1b" + bytes(8), b"\x1c"])
def test_numbers_written_the_long_way_are_refused(data):
    with pytest.raises(ValueError, match=r"."):
        take_uint(data, 0)


@given(st.binary(max_size=300))
def test_byte_strings_there_and_back(data):
    text = bstr(data)
    assert text == cbor2.dumps(data)
    assert take_bstr(text, 0) == (data, len(text))
    for end in (0, 1, len(text) - 1):
        if end < len(text):
            with pytest.raises((ValueError, IndexError)):
                take_bstr(text[:end], 0)


@pytest.mark.parametrize("data", [b"\x58\x17" + bytes(23), b"\x59\x00\xff" + bytes(255), b"\x5a", b"\x60", b"\x5f\xff"])
def test_byte_strings_written_the_long_way_are_refused(data):
    with pytest.raises(ValueError, match=r"."):
        take_bstr(data, 0)
