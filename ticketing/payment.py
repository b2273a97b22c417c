"""The payment interface: what ticketing asks of an acquirer, and the three answers that there are.

Whoever implements `Payments` keeps these promises; docs/bank-cards.md has them for integrators.
- The same idempotency key with the same request is one operation, however often it is asked: the answer is its answer.
- `Approved` and `Declined` are what the acquirer has said. Everything else (a time-out, a broken or strange answer, an
  acquirer that is down or refuses our login) is `Unknown`: money may have moved, so the same key is asked again.
- No method raises for what an acquirer or the network between does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from ticketing.masking import holds_card_number
from ticketing.money import Money

TOKEN_CHARS_MAX = 128
_PAR = re.compile(r"[0-9A-Za-z]{29}")
REASON_CHARS_MAX = 64
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_DIGITS = str.maketrans("abcdefghijklmnop", "0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Approved:
    """It is done; id is the acquirer's own name for it, which a refund has to give."""

    id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """It was refused and nothing was moved; final: asking again later is of no use (a lost card, a closed account)."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet whether it was done: the same key is asked again."""

    reason: str


Outcome = Approved | Declined | Unknown


class Payments(Protocol):
    """An acquirer. token is the reader's keyed hash of a card, never its number; idempotency names the operation."""

    async def verify(self, token: str, idempotency: str) -> Outcome:
        """Ask whether a card is real and may be charged; takes no money."""

    async def charge(self, token: str, amount: Money, idempotency: str, reference: str) -> Outcome:
        """Take an amount; reference is what the rider reads on the statement."""

    async def refund(self, charge_id: str, amount: Money, idempotency: str) -> Outcome:
        """Give back all or part of what a charge took."""


def bad_token(token: str) -> str | None:
    """Why a text cannot be a reader's token, or None: 1 to 128 printable ASCII characters, none of a card number."""
    if not 0 < len(token) <= TOKEN_CHARS_MAX or not token.isascii() or not token.isprintable() or " " in token:
        return f"it has 1 to {TOKEN_CHARS_MAX} printable ASCII characters without a space"
    if holds_card_number(token):
        return "it holds what could be a card number: send the reader's keyed hash"
    return None


def medium_key(token: str) -> bytes:
    """What stands for a token wherever it need not be told: SHA-256, as validators' deny lists have it."""
    return hashlib.sha256(token.encode()).digest()


def par_key(par: str | None) -> bytes | None:
    """What stands for a card's PAR: SHA-256; None where none is known, or what was given is none.

    A PAR has 29 letters and digits (EMVCo). A reader that writes "0" or fills the field with zeros, for want of one,
    would otherwise make one account of all its riders: one debt, and everybody is denied.
    """
    if par is None or not _PAR.fullmatch(par) or len(set(par)) == 1:
        return None
    return hashlib.sha256(par.encode()).digest()


def in_letters(token: str) -> str:
    """A token as it is kept: its bytes in the letters a to p, so that no digits stand where a card number could be."""
    return letters(token.encode())


def from_letters(kept: str) -> str:
    """The token again."""
    return bytes.fromhex(kept.translate(_DIGITS)).decode()


def operation_key(*what: object) -> str:
    """An idempotency key that follows from what is asked: 40 of the letters a to p, which is 160 bits.

    Derived rather than drawn, so that a database restored from yesterday asks for yesterday's charges under the keys
    that the acquirer knows, and takes nothing twice.
    """
    return letters(hashlib.sha256(repr(what).encode()).digest()[:20])


def letters(raw: bytes) -> str:
    """Bytes in the letters a to p: a name in which nobody can see a card number."""
    return raw.hex().translate(_LETTERS)
