"""Secrets made at set-up: passwords of database and broker, and keys that sign."""

from __future__ import annotations

import secrets

import msgspec

SECRET_BYTES = 24  # 192 bits, twice what anybody can try


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Passwords made at set-up; they never leave the folder but in an encrypted backup.

    `mqtt_client_suffix` ends the client ids of our own MQTT sessions: a client id is the name of a session, and whoever
    knows it could take the session over.
    """

    postgres_admin_password: str
    postgres_password: str
    broker_password: str
    mqtt_client_suffix: str

    def __repr__(self) -> str:
        return "Secrets(...)"


def new_secrets() -> Secrets:
    """Fresh passwords; also for a restored instance, whose old ones may be known to others."""
    return Secrets(*(secrets.token_urlsafe(SECRET_BYTES) for _ in Secrets.__struct_fields__))


def new_key_pem() -> bytes:
    """A fresh Ed25519 private key as PKCS 8 PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
