"""Money: integers of minor units beside an ISO 4217 currency, never a float and never two currencies in one sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rounding = Literal["half_up", "down", "up"]

# ISO 4217 list one: the currencies whose minor unit is not a hundredth. Everything else has two digits.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI"), 0),
    **dict.fromkeys(("VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}

MINOR_MAX = 10**12
"""More than any ticket or purse holds; refuses slips of the finger before they reach the ledger."""


class CurrencyMismatchError(ValueError):
    """Two currencies met in one sum."""


def currency_digits(currency: str) -> int:
    """Digits after the point of a currency (ISO 4217 minor unit): 2 for UAH, 0 for JPY, 3 for KWD."""
    return _DIGITS.get(check_currency(currency), 2)


def check_currency(currency: str) -> str:
    """The code itself when it has the shape of ISO 4217 (three capital letters); ValueError otherwise."""
    if len(currency) != 3 or not (currency.isascii() and currency.isalpha() and currency.isupper()):
        raise ValueError(f"{currency!r} is no ISO 4217 currency code: write three capital letters, such as UAH")
    return currency


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (kopiyky, cents) of one currency."""

    minor: int
    currency: str

    def __post_init__(self) -> None:
        """Refuses amounts that are no integers or absurdly large."""
        check_currency(self.currency)
        if type(self.minor) is not int or abs(self.minor) > MINOR_MAX:
            raise ValueError(f"{self.minor!r} is no amount: write an integer of minor units below {MINOR_MAX}")

    def __add__(self, other: Money) -> Money:
        """The sum of two amounts of one currency."""
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        """The difference of two amounts of one currency."""
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> Money:
        """The same amount the other way round."""
        return Money(-self.minor, self.currency)

    def __str__(self) -> str:
        """For logs and receipts in plain ASCII: `8.00 UAH`."""
        digits = currency_digits(self.currency)
        sign, rest = ("-" if self.minor < 0 else ""), str(abs(self.minor)).rjust(digits + 1, "0")
        number = f"{rest[:-digits]}.{rest[-digits:]}" if digits else rest
        return f"{sign}{number} {self.currency}"

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatchError(f"{self} and {other} are of two currencies and make no sum")
        return other.minor


def percent_of(minor: int, percent: int, round_minor: int = 1, rounding: Rounding = "half_up") -> int:
    """A part of an amount as a whole multiple of round_minor."""
    if percent == 100:
        return minor
    unit = 100 * round_minor
    match rounding:
        case "down":
            steps = minor * percent // unit
        case "up":
            steps = -(-minor * percent // unit)
        case _:
            steps = (minor * percent * 2 + unit) // (2 * unit)
    return steps * round_minor
