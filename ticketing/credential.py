"""Tickets as signed credentials: one set of claims as CWT in base45 for QR codes and as JWT for HTTP.

A token comes from a stranger's screen, so the order of work is the defence: length first, then the fixed frame by
slicing, then the key by its exact header, then the signature, and only then the claims. Nothing a stranger wrote is
parsed by a general decoder, so a hostile token costs microseconds and no allocation beyond its own length.
"""

from __future__ import annotations

from ticketing.claims import Credential, malformed
from ticketing.keyset import KeySet
from ticketing.ticket_cwt import read_qr
from ticketing.ticket_jwt import read_jwt

TOKEN_CHARACTERS_MAX = 1600
"""More than a JWT with a P-256 device key and its proof; a QR of version 20 at level M holds 970."""


def read_credential(token: str, keys: KeySet) -> Credential:
    """The genuine credential in a scanned text; CredentialError says which verdict refuses it and why.

    Whether it is valid now, revoked or used is another question: this one needs no clock, list or database.
    """
    if not 0 < len(token) <= TOKEN_CHARACTERS_MAX:
        raise malformed("empty" if not token else f"longer than {TOKEN_CHARACTERS_MAX} characters")
    if not token.isascii():
        raise malformed("characters outside ASCII")
    # base45 has no lower-case letters and every JWT starts with the base64url of '{"', which is "ey".
    return read_jwt(token, keys) if token.startswith("ey") else read_qr(token, keys)
