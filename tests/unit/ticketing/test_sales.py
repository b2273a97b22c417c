"""What a sale may say over HTTP: keys as browsers write them, times in both forms of the interface."""

from __future__ import annotations

import msgspec
import pytest

from ticketing.api import Sale
from ticketing.device_key import new_device_key
from ticketing.purchases import PurchaseOrder
from ticketing.sales import unix_s

# crypto.subtle.exportKey("jwk", key) of a P-256 public key; the point is that of RFC 7517, appendix A.1.
EXPORTED = """{"crv": "P-256", "ext": true, "key_ops": ["verify"], "kty": "EC",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"""
BODIES = [
    (Sale, '{"product_id": "single", %s}'),
    (PurchaseOrder, '{"product_id": "single", "payment": {"method_token": "t"}, %s}'),
]


@pytest.mark.parametrize(("kind", "body"), BODIES)
def test_a_device_key_is_taken_as_a_browser_exports_it(kind, body):
    wanted = msgspec.json.decode(body % f'"device_key": {EXPORTED}', type=kind)
    assert new_device_key(wanted.device_key).curve == "P-256"


@pytest.mark.parametrize(("kind", "body"), BODIES)
@pytest.mark.parametrize("written", ["1771257482", '"2026-02-16T15:58:02Z"', '"2026-02-16T17:58:02+02:00"'])
def test_a_beginning_is_written_in_seconds_or_as_rfc_3339(kind, body, written):
    wanted = msgspec.json.decode(body % f'"valid_from": {written}', type=kind)
    assert unix_s(wanted.valid_from) == 1_771_257_482


@pytest.mark.parametrize(("kind", "body"), BODIES)
@pytest.mark.parametrize("written", ['"2026-02-16T15:58:02"', '"tomorrow"', "1e18", "true"])
def test_a_beginning_that_is_no_instant_is_refused(kind, body, written):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(body % f'"valid_from": {written}', type=kind)
