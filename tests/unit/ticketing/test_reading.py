"""What a tap's token says before the database is asked."""

import math
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ticketing.card import CardKeys, sun_message
from ticketing.claims import Claims
from ticketing.device_key import DeviceKey
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.reading import HISTORY_S_MIN, Readers, judged_at_s, read_tap
from ticketing.tariff import parse_tariff
from ticketing.ticket_cwt import issue_qr
from ticketing.verdict import Bank, Offline, Tap

NOW = 1771257482.0
TARIFF = parse_tariff((Path(__file__).parents[3] / "ticketing" / "tariff.toml").read_text(), "tariff.toml")
ISSUER, DEVICE = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
SIGNER = FileSigner(kid_of(ISSUER.public_key().public_bytes_raw()), ISSUER)
CARDS = CardKeys(3, bytes(16), bytes(16))
READERS = Readers(KeySet([IssuerKey(SIGNER.kid, "takt", ISSUER.public_key())]), (CARDS,), TARIFF)
UID = bytes.fromhex("04de5f1eacc040")


def tap(token: str, medium: str = "qr", **fields):
    given = {"ts": NOW, "bank": None, "offline": None} | fields
    return Tap(
        "i", "b", 1, given["ts"], medium, token, given["bank"], "v", None, None, None, given["offline"], "op", "d", NOW
    )


def ticket(product: str, device: bool = False) -> str:
    key = DeviceKey("Ed25519", DEVICE.public_key().public_bytes_raw()) if device else None
    claims = Claims("takt", UUID(int=5), product, int(NOW), int(NOW) + 900, ("*",), 1, 1, device_key=key)
    return issue_qr(claims, SIGNER)


def shown(token: str, at_s: float) -> str:
    return with_proof(token, int(at_s), DEVICE.sign(proof_message(plain_token(token), int(at_s))))


def test_a_ticket_is_known_by_its_id():
    reading = read_tap(tap(ticket("single")), READERS)
    assert (reading.preset, reading.ticket_id) == (None, UUID(int=5))


def test_a_card_is_known_by_its_uid():
    reading = read_tap(tap(sun_message(CARDS, UID, 9, bytes(5)), "card"), READERS)
    assert (reading.preset, reading.card_uid, reading.counter, reading.key_version) == (None, UID, 9, 3)


def test_a_screenshot_is_stale():
    token = ticket("mobile", device=True)
    assert read_tap(tap(shown(token, NOW - 5)), READERS).preset is None
    old = read_tap(tap(shown(token, NOW - 120)), READERS)
    assert (old.preset, old.reason, old.ticket_id) == ("stale_proof", "proof_too_old", UUID(int=5))
    bare = read_tap(tap(token), READERS)
    assert (bare.preset, bare.reason) == ("stale_proof", "proof_missing")


def test_a_screenshot_is_stale_also_where_its_product_is_sold_no_more():
    sold = {product.id: product for product in TARIFF.products.values() if product.id != "mobile"}
    later = replace(READERS, tariff=replace(TARIFF, products=sold, former={"mobile": TARIFF.products["mobile"]}))
    token = ticket("mobile", device=True)
    assert read_tap(tap(token), later).reason == "proof_missing"
    assert read_tap(tap(shown(token, NOW - 5)), later).preset is None


def test_a_proof_is_judged_by_our_clock_unless_the_tap_was_offline():
    token = shown(ticket("mobile", device=True), NOW - 3600)
    assert read_tap(tap(token, ts=NOW - 3600), READERS).preset == "stale_proof"
    assert read_tap(tap(token, ts=NOW - 3600, offline=Offline("accepted")), READERS).preset is None


@pytest.mark.parametrize("ts", [0.0, NOW - 1024 * 7 * 86400, NOW - 86400, NOW + 600, 2**31])
def test_a_device_clock_never_decides_online(ts):
    assert judged_at_s(tap("x", ts=ts)) == NOW


@pytest.mark.parametrize(
    ("ts", "at_s"), [(NOW - 86400, NOW - 86400), (NOW + 60, NOW), (0.0, NOW), (NOW + 86400, NOW), (2**31, NOW)]
)
def test_offline_it_is_believed_within_reason(ts, at_s):
    assert judged_at_s(tap("x", ts=ts, offline=Offline("accepted"))) == at_s


@pytest.mark.parametrize(
    ("ts", "at_s"),
    [
        (NOW - HISTORY_S_MIN - 1, NOW - HISTORY_S_MIN - 1),
        (NOW - 86400, NOW - 86400),
        (NOW - HISTORY_S_MIN, NOW),  # fresh
        (NOW + 60, NOW),
        (NOW + 2**20, NOW),
        (0.0, NOW),  # no clock that could be true
        (-math.inf, NOW),
        (math.nan, NOW),
    ],
)
def test_a_cards_tap_that_comes_late_is_history_within_reason(ts, at_s):
    reading = read_tap(tap(sun_message(CARDS, UID, 9, bytes(5)), "card", ts=ts), READERS)
    assert (reading.at_s, reading.history) == (at_s, at_s < NOW)


def test_what_was_decided_offline_is_history_at_once():
    message = sun_message(CARDS, UID, 9, bytes(5))
    assert read_tap(tap(message, "card", offline=Offline("accepted")), READERS).history
    assert not read_tap(tap(message, "card"), READERS).history


@pytest.mark.parametrize("verdict", ["", "fine", "unavailable", "ACCEPTED", "accepted; drop table tap"])
def test_an_offline_verdict_that_is_none_is_malformed(verdict):
    reading = read_tap(tap(ticket("single"), offline=Offline(verdict)), READERS)
    assert (reading.preset, reading.reason) == ("malformed", "offline_verdict")


@pytest.mark.parametrize(
    ("token", "bank", "expected"),
    [
        ("5f2c9a", Bank("PAR", "passed"), ("unknown", "no_account")),
        ("5f2c9a", Bank("PAR", "failed"), ("denied", "offline_authentication_failed")),
        ("4111111111111111", None, ("malformed", "card_number")),
        ("5f2c9a", Bank("4111 1111 1111 1111", "passed"), ("malformed", "card_number")),
        ("", None, ("malformed", "bank_token")),
    ],
)
def test_bank_cards_without_a_payment_interface(token, bank, expected):
    reading = read_tap(tap(token, "bank", bank=bank), READERS)
    assert (reading.preset, reading.reason) == expected


@pytest.mark.parametrize("medium", ["qr", "card", "bank", "magnet"])
@pytest.mark.parametrize("token", ["", "x", "\x00", "9" * 9000, "eyJ.eyJ.eyJ", "p=&c=", "Ї"])
def test_nothing_a_device_sends_raises(medium, token):
    assert read_tap(tap(token, medium), READERS).preset is not None
