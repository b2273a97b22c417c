"""What a ticket says of itself, in whichever form it is shown, and when that is no ticket at all."""

from __future__ import annotations

from uuid import UUID

import msgspec

from ticketing.device_key import DeviceKey
from ticketing.errors import CredentialError
from ticketing.keyset import IssuerKey

TIME_MAX = 2**40


class Claims(msgspec.Struct, frozen=True):
    """What a ticket says of itself: half-open validity [not_before_s, expires_s) in Unix seconds, and no name, ever."""

    issuer: str
    ticket_id: UUID
    product: str
    not_before_s: int
    expires_s: int
    networks: tuple[str, ...]
    status_list: int
    status_index: int
    concession: str | None = None
    device_key: DeviceKey | None = None


class Credential(msgspec.Struct, frozen=True):
    """A genuine credential: its claims, and the time (Unix seconds) of the device's proof where one was given."""

    claims: Claims
    kid: bytes
    proof_s: int | None


def checked(claims: Claims, key: IssuerKey) -> Claims:
    """The claims when every one has its type and range and the issuer is the key's own."""
    for number in (claims.not_before_s, claims.expires_s, claims.status_list, claims.status_index):
        if type(number) is not int or not 0 <= number < TIME_MAX:
            raise malformed("a number out of range among the claims")
    for text in (claims.product, *claims.networks, "" if claims.concession is None else claims.concession):
        if type(text) is not str or len(text) > 64:
            raise malformed("a text of wrong type or length among the claims")
    if claims.issuer != key.issuer:
        raise CredentialError("unknown_key", "the key belongs to another issuer")
    return claims


def malformed(reason: str) -> CredentialError:
    """The refusal of what is no credential in any form."""
    return CredentialError("malformed", reason)
