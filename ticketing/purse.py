"""A city card's purse while a day is rated anew: what it cannot pay is a debt, and what comes back pays that first."""

from __future__ import annotations

from collections.abc import Iterable

from ticketing.ledger import FARES, Kind, Transfer, debt, purse
from ticketing.money import Money


class PurseBook:
    """The purse and the debt of one card, and the transfers that changed them; neither is ever below zero."""

    def __init__(self, uid: bytes, balance_minor: int, debt_minor: int, currency: str) -> None:
        self.balance_minor = balance_minor
        self.debt_minor = debt_minor
        self._purse = purse(uid)
        self._debt = debt(uid)
        self._currency = currency

    def change(self, minor: int) -> list[Transfer]:
        """Take a fare that is owed (positive), or give back what was taken too much (negative)."""
        return self._take(minor) if minor > 0 else self._give_back(-minor)

    def recover(self) -> list[Transfer]:
        """Pay the debt from the purse, as far as that goes."""
        amount = min(self.balance_minor, self.debt_minor)
        self.balance_minor -= amount
        self.debt_minor -= amount
        return self._transfers((Kind.DEBT, self._purse, self._debt, amount))

    def _take(self, minor: int) -> list[Transfer]:
        from_purse = min(self.balance_minor, minor)
        self.balance_minor -= from_purse
        self.debt_minor += minor - from_purse
        return self._transfers(
            (Kind.FARE, self._purse, FARES, from_purse), (Kind.FARE, self._debt, FARES, minor - from_purse)
        )

    def _give_back(self, minor: int) -> list[Transfer]:
        from_debt = min(self.debt_minor, minor)
        self.debt_minor -= from_debt
        self.balance_minor += minor - from_debt
        return self._transfers(
            (Kind.REVERSAL, FARES, self._debt, from_debt), (Kind.REVERSAL, FARES, self._purse, minor - from_debt)
        )

    def _transfers(self, *rows: tuple[Kind, str, str, int]) -> list[Transfer]:
        return [
            Transfer(kind, debit, credit, Money(minor, self._currency)) for kind, debit, credit, minor in rows if minor
        ]


def in_posting_order(differences: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """What comes back first, so that it can pay what is owed; by tap otherwise as they stand."""
    return sorted(differences, key=lambda difference: difference[1] > 0)
