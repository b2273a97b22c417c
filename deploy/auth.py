"""Who may do what: bearer tokens signed by the instance, roles with permissions, and one place that says no.

A token is a JWT (RFC 7519, EdDSA over Ed25519) of the instance's own key. Verification is stricter than the standard
needs: one algorithm, one header, canonical base64url, a length cap before anything is parsed, and no key by reference.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from deploy.errors import UserError
from deploy.problems import Problem

Role = Literal["dispatcher", "cashier", "inspector", "validator", "vendor", "fleet", "monitor", "admin"]
ROLES: tuple[Role, ...] = ("dispatcher", "cashier", "inspector", "validator", "vendor", "fleet", "monitor", "admin")

# Permission -> the roles that have it; an admin has every one of these, and what is not here nobody may do.
PERMISSIONS: dict[str, frozenset[str]] = {
    "session:read": frozenset(ROLES),
    "metrics:read": frozenset({"monitor"}),  # on the machine itself it needs nobody's leave: see WebSettings
    "letters:read": frozenset({"fleet"}),  # of the operator that is the subject: see LettersApi
    "alerts:drivers": frozenset({"dispatcher"}),  # drivers' alarms among the alerts
    "alerts:acknowledge": frozenset({"dispatcher"}),
    "instructions:send": frozenset({"dispatcher"}),
    "advice:read": frozenset({"dispatcher"}),  # advice, instructions, controlled lines and decisions
    "notices:write": frozenset({"dispatcher"}),  # what passengers are told
    "measures:read": frozenset({"dispatcher"}),
    "feed:change": frozenset(),  # an admin's alone: it changes the timetable of the whole city
    "tariff:change": frozenset(),
    "riders:export": frozenset(),
    "riders:erase": frozenset(),
    "settlements:read": frozenset(),  # an admin's alone, as all that is about a whole city's money
    "settlements:make": frozenset(),
    "activity:read": frozenset({"dispatcher", "cashier"}),
    "products:read": frozenset({"cashier", "inspector", "validator", "vendor"}),
    "tickets:sell": frozenset({"cashier", "vendor"}),
    "tickets:read": frozenset({"cashier", "inspector", "vendor"}),
    "tickets:change": frozenset({"cashier"}),
    "accounts:read": frozenset({"cashier"}),  # a rider's day, trip by trip
    "tokens:revoke": frozenset(),
    "cards:manage": frozenset(),  # an admin's alone: enrolment shows a card's keys
    "validations:create": frozenset({"validator"}),
    "inspections:create": frozenset({"inspector"}),
    "penalties:read": frozenset({"inspector", "cashier"}),
    "penalties:collect": frozenset({"inspector", "cashier"}),
    "penalties:cancel": frozenset({"cashier"}),
}

AUDIENCE = "takt-api"
TOKEN_CHARS_MAX = 2048
SUBJECT = re.compile(r"[A-Za-z0-9@._:/+-]{1,128}")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_CACHED_MAX = 4096
# Clocks of the instance's own processes hardly differ; this is for a clock that has just been set. The end of a token
# has none: who has it made it end then.
_LEEWAY_S = 30


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a token's subject, a console user, or nobody (empty role)."""

    subject: str = ""
    role: str = ""
    via: Literal["none", "bearer", "cookie"] = "none"

    @property
    def permissions(self) -> frozenset[str]:
        """What the role allows."""
        return permissions_of(self.role)


NOBODY = Principal()


def _by_role() -> dict[str, frozenset[str]]:
    table: dict[str, frozenset[str]] = {
        role: frozenset(name for name, roles in PERMISSIONS.items() if role in roles) for role in ROLES
    }
    table["admin"] = frozenset(PERMISSIONS)
    return table


_PERMISSIONS_BY_ROLE = _by_role()


def permissions_of(role: str) -> frozenset[str]:
    """Permissions of a role; none for a role that does not exist."""
    return _PERMISSIONS_BY_ROLE.get(role, frozenset())


def demand(principal: Principal, permission: str) -> None:
    """Let the request pass or raise: 401 for nobody, 403 for a role that does not suffice."""
    if permission == "public" or permission in permissions_of(principal.role):
        return
    if principal is NOBODY or not principal.role:
        raise Problem(
            401,
            "This needs a bearer token (make one with `takt token --role ...`) or a login at the console.",
            headers={"WWW-Authenticate": 'Bearer realm="takt"'},
        )
    needed = " or ".join(sorted(PERMISSIONS.get(permission, frozenset()) | {"admin"}))
    raise Problem(403, f"The role {principal.role} does not allow this; it needs the role {needed}.")


class TokenError(Exception):
    """A token that is not ours, not whole or not of this time; the text says which."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says; times are Unix seconds."""

    iss: str
    aud: str
    sub: str
    role: str
    iat: int
    exp: int
    jti: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: str
    typ: str
    kid: str


class Tokens:
    """Makes and checks the instance's tokens."""

    def __init__(self, key: Ed25519PrivateKey, issuer: str, audience: str = AUDIENCE) -> None:
        self._key = key
        self._public: Ed25519PublicKey = key.public_key()
        self._issuer = issuer
        self._audience = audience
        raw = self._public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._kid = hashlib.sha256(raw).hexdigest()[:16]
        self._header = _encode(msgspec.json.encode({"alg": "EdDSA", "typ": "JWT", "kid": self._kid}))
        self._decode_header = msgspec.json.Decoder(_Header).decode
        self._decode_claims = msgspec.json.Decoder(Claims).decode
        self._verified: OrderedDict[bytes, Claims] = OrderedDict()

    def for_audience(self, audience: str) -> Tokens:
        """The same key and issuer for another purpose: what one accepts the other refuses."""
        return Tokens(self._key, self._issuer, audience)

    def issue(self, role: str, subject: str, now_s: float, lifetime_s: float, jti: str | None = None) -> str:
        """A token for a role and a subject, from now for `lifetime_s` seconds.

        Raises:
            ValueError: there is no such role, or the subject or the lifetime cannot be.
        """
        if role not in ROLES:
            raise ValueError(f"there is no role {role!r}; there are {', '.join(ROLES)}")
        if not SUBJECT.fullmatch(subject):
            raise ValueError("a subject is 1 to 128 letters, digits and @ . _ : / + -")
        if not 0 < lifetime_s <= 3660 * 86_400:
            raise ValueError("a token lives for more than nothing and ten years at most")
        claims = Claims(
            iss=self._issuer,
            aud=self._audience,
            sub=subject,
            role=role,
            iat=int(now_s),
            exp=int(now_s + lifetime_s),
            jti=jti or secrets.token_hex(16),
        )
        signed = f"{self._header}.{_encode(msgspec.json.encode(claims))}"
        return f"{signed}.{_encode(self._key.sign(signed.encode()))}"

    def verify(self, token: str, now_s: float) -> Claims:
        """The claims of a token that is ours and valid now.

        Raises:
            TokenError: it is not; at most one signature is checked and nothing is fetched.
        """
        if len(token) > TOKEN_CHARS_MAX:
            raise TokenError("the token is too long")
        # A token that held once is not verified again, which matters to a validator that sends each tap by itself.
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        claims = self._verified.get(digest)
        if claims is None:
            claims = self._verify_anew(token)
            self._verified[digest] = claims
            if len(self._verified) > _CACHED_MAX:
                self._verified.popitem(last=False)
        if now_s >= claims.exp:
            raise TokenError("the token has expired")
        if now_s < claims.iat - _LEEWAY_S:
            raise TokenError("the token is not valid yet; compare the clocks")
        return claims

    def _verify_anew(self, token: str) -> Claims:
        parts = token.split(".")
        if len(parts) != 3:
            raise TokenError("three parts with dots between them are expected after `Bearer `")
        header_raw, claims_raw, signature = (_decode(part) for part in parts)
        try:
            header = self._decode_header(header_raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise TokenError("the token's header is not one of ours") from None
        if header.alg != "EdDSA" or header.typ != "JWT" or header.kid != self._kid:
            raise TokenError("the token was not signed by this instance's key")
        try:
            self._public.verify(signature, f"{parts[0]}.{parts[1]}".encode())
        except InvalidSignature:
            raise TokenError("the token's signature is wrong") from None
        try:
            claims = self._decode_claims(claims_raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise TokenError("the token's claims are not ours") from None
        if claims.iss != self._issuer or claims.aud != self._audience or claims.role not in ROLES:
            raise TokenError("the token was made for something else")
        return claims


class BearerGate:
    """Reads `Authorization: Bearer`, counting what it refuses.

    why_refused says why a token of ours counts no longer (revoked, or that of a revoked device), or None.
    """

    def __init__(
        self,
        tokens: Tokens,
        clock: Callable[[], float],
        why_refused: Callable[[Claims], str | None] = lambda _: None,
    ) -> None:
        self._tokens = tokens
        self._clock = clock
        self._ended = why_refused
        self.refused = 0

    def identify(self, authorization: str) -> Principal:
        """Who the header's token speaks for.

        Raises:
            Problem: 401; the token is broken, forged, expired or of another kind.
        """
        try:
            claims = self._check(authorization)
        except TokenError as error:
            self.refused += 1
            raise Problem(
                401,
                _sentence(error),
                headers={"WWW-Authenticate": 'Bearer realm="takt", error="invalid_token"'},
            ) from None
        return Principal(claims.sub, claims.role, "bearer")

    def why_refused(self, authorization: str) -> str | None:
        """Why the header's token would be refused now, as a sentence; None where it would not. Counts nothing."""
        try:
            self._check(authorization)
        except TokenError as error:
            return _sentence(error)
        return None

    def _check(self, authorization: str) -> Claims:
        scheme, _, token = authorization.partition(" ")
        # Anything but a bearer token has no token in it.
        claims = self._tokens.verify(token.strip() if scheme.lower() == "bearer" else "", self._clock())
        if (why := self._ended(claims)) is not None:
            raise TokenError(why)
        return claims


def _sentence(error: TokenError) -> str:
    return f"The token is refused: {error}."


def read_key(path: Path) -> Ed25519PrivateKey:
    """The instance's signing key, an Ed25519 key as PKCS #8 PEM.

    Raises:
        UserError: the file is missing, cannot be read or holds another kind of key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise UserError(f"{path}: the key that signs tokens is missing; restore it with: takt restore") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError):
        raise UserError(f"{path}: is no private key in PEM; restore it with: takt restore") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{path}: is no Ed25519 key; restore it with: takt restore")
    return key


def issuer_of(instance_id: str) -> str:
    """Who an instance's tokens say they come from."""
    return f"takt:{instance_id}"


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(segment: str) -> bytes:
    """Strict base64url: no padding, no other letters, and the one spelling only, so that no two texts are one token."""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise TokenError("the token is not base64url")
    raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if _encode(raw) != segment:
        raise TokenError("the token is not canonical base64url")
    return raw
