"""Bank cards in riders' pockets: what a certified reader tells of each, made from a key and always the same again.

A token is a keyed hash in the letters g to v, so that nobody can see a card number in it; a few begin as those that the
simulated acquirer finds good and without money. A card and the telephone that it is in have a token each and one PAR.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from gateway.wire import Bank

UNFUNDED = "unfunded-"  # simulators.acquirer verifies such a token and declines its charges
_LETTERS = str.maketrans("0123456789abcdef", "ghijklmnopqrstuv")
_PAR_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAR_ISSUER = "QTKT"  # EMV: four characters of who assigned it, then 25


@dataclass(frozen=True, slots=True)
class BankCard:
    """One thing that is held to readers: a plastic card, or the telephone that has one inside."""

    token: str
    par: str | None
    oda: str = "passed"

    @property
    def bank(self) -> Bank:
        """What the reader tells beside the token."""
        return Bank(self.par, self.oda)  # type: ignore[arg-type]


def make_bank_cards(
    key: bytes, count: int, *, with_par: float = 0.6, with_phone: float = 0.3, unfunded: float = 0.03
) -> list[BankCard]:
    """The cards of `count` people, and some of these on their telephones as well, under the same PAR.

    Shares are of all people: whose reader tells a PAR, who has a telephone too (of those with a PAR), who has no
    money. A twentieth cannot be authenticated offline.
    """
    cards = []
    for number in range(count):
        draw = _hash(key, "who", number)
        par = _par(_hash(key, "par", number)) if _share(draw, 0) < with_par else None
        prefix = UNFUNDED if _share(draw, 1) < unfunded else ""
        oda = "none" if _share(draw, 2) < 0.05 else "passed"
        cards.append(BankCard(prefix + _token(_hash(key, "plastic", number)), par, oda))
        if par is not None and _share(draw, 3) < with_phone / max(with_par, with_phone, 1e-9):
            cards.append(BankCard(prefix + _token(_hash(key, "phone", number)), par))
    return cards


def _hash(key: bytes, what: str, number: int) -> bytes:
    return hmac.new(key, f"{what} {number}".encode(), hashlib.sha256).digest()


def _share(draw: bytes, place: int) -> float:
    """One of eight numbers from 0 to 1 that a hash holds."""
    return int.from_bytes(draw[4 * place : 4 * place + 4], "big") / 2**32


def _token(digest: bytes) -> str:
    return digest[:20].hex().translate(_LETTERS)


def _par(digest: bytes) -> str:
    return _PAR_ISSUER + "".join(_PAR_ALPHABET[byte % 32] for byte in digest[:25])
