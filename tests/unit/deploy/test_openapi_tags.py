"""Where a reader of /docs finds an operation."""

import pytest

from deploy.openapi import _tag


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("/api/v1/cards", "Cards"),
        ("/api/v1/cards/{uid}/top-up", "Cards"),
        ("/api/v1/card-keys/reload", "Cards"),
        ("/api/v1/issuer-keys/reload", "Keys and lists"),
        ("/.well-known/jwks.json", "Keys and lists"),
        ("/status-lists/{list_id}/cwt", "Keys and lists"),
        ("/api/v1/shifts/{shift_id}/close", "Ticketing"),
        ("/api/v1/refunds-owed", "Ticketing"),
        ("/api/v1/bank-accounts/{account_id}/recover", "Ticketing"),
        ("/api/v1/receipts/{receipt_id}/text", "Ticketing"),
        ("/api/v1/settlements/{day}", "Ticketing"),
        ("/api/v1/vehicles", "Dispatch"),
        ("/api/v1/operators/{operator}/letters", "Devices"),
        ("/api/v1/validators", "Devices"),
        ("/api/v1/tariff/reload", "Ticketing"),
    ],
)
def test_an_operation_is_filed_under_what_it_is_about(path: str, tag: str) -> None:
    assert _tag(path) == tag
