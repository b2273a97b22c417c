"""Keys over HTTP: the public ones for whoever verifies tickets, and word that key files have changed."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from ticketing.desk import Desk
from ticketing.errors import KeyFileError, Problem
from ticketing.routes import Route
from ticketing.service import Ticketing

UnixTime = Annotated[float, Meta(ge=-1e11, le=1e11)]


class CardKeyVersions(Struct, frozen=True):
    """The card key versions in use, newest first."""

    versions: list[int]


class IssuerKeyState(Struct, frozen=True):
    """An issuer key: next, signing or old; needed_until is when the last ticket that it may have signed ends."""

    kid: str
    signing: bool
    needed_until: float | None


class IssuerKeyStates(Struct, frozen=True):
    """The issuer's keys."""

    keys: list[IssuerKeyState]


class Jwks(Struct, frozen=True):
    """A JWK set (RFC 7517)."""

    keys: list[dict[str, str]]


class KeysApi:
    """Operations on the issuer's keys and on cards' keys; desk knows until when tickets last."""

    def __init__(self, service: Ticketing, desk: Desk) -> None:
        self._service = service
        self._desk = desk

    def routes(self) -> list[Route]:
        """The operations."""
        return [
            Route("POST", "/api/v1/card-keys/reload", "cards:manage", self.reload_card_keys),
            Route("GET", "/api/v1/issuer-keys", "cards:manage", self.issuer_keys),
            Route("POST", "/api/v1/issuer-keys/reload", "cards:manage", self.reload_issuer_keys),
            Route("GET", "/.well-known/jwks.json", "public", self.jwks),
            Route("GET", "/.well-known/cose-keys", "public", self.cose_keys),
        ]

    async def reload_card_keys(self) -> CardKeyVersions:
        """Read the card key file again, after an import. Admins only."""
        self._service.reload_card_keys()
        return CardKeyVersions([keys.version for keys in self._service.card_keys])

    async def issuer_keys(self, *, replaced_at: UnixTime | None = None) -> IssuerKeyStates:
        """The issuer's keys, and until when those replaced at an instant (now, where none is named) are needed."""
        keys = self._service.keys
        at_s = self._service.clock() if replaced_at is None else replaced_at
        needed_until_s = await self._desk.last_end_s(at_s)
        return IssuerKeyStates(
            [IssuerKeyState(key.kid.hex(), key.kid == keys.signer.kid, needed_until_s) for key in keys.key_set.keys]
        )

    async def reload_issuer_keys(self) -> IssuerKeyStates:
        """Read the issuer's keys again, after one was published, used or retired. Admins only."""
        try:
            self._service.reload_issuer_keys()
        except KeyFileError as error:
            raise Problem(409, "Keys unreadable", str(error)) from None
        return await self.issuer_keys()

    async def jwks(self) -> Annotated[bytes, Jwks, "public, max-age=300"]:
        """The issuer's public keys as a JWK set."""
        return msgspec.json.encode(self._service.keys.key_set.jwks())

    async def cose_keys(self) -> Annotated[bytes, "application/cose-key-set", "public, max-age=300"]:
        """The issuer's public keys as a COSE key set."""
        return self._service.keys.key_set.cose_keys()
