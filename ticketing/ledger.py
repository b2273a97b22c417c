"""Double entry: every movement of money is one transfer between two accounts, so the ledger always sums to zero.

Accounts are named, never stored with a balance: an account's balance is the sum of what came in less what went out.
    cash        what desks and shops took in             sales       tickets sold
    purse:<uid> what a city card still holds             fares       rides paid from purses
    debt:<uid>  rides of a city card that its purse could not pay any more, since they were told of late
    ticket_debt:<id>  rides by a code that were told of once its price had been given back
    penalty:<id>  a penalty that is still to be paid     penalties   penalties issued
    cash_difference  what drawers were short of, less what was too much in them
    acquirer    what the acquirer has taken from bank cards for us, and has yet to pay out
    bank_debt:<id>  rides of a bank card whose charge was declined
    refunds_owed  what banks would not take back for riders' cards: still with us and theirs, until a desk pays it out
    replaced_cards  between two purses, when a card gives way to another: always nothing
Debit is what the money is used for, credit where it comes from: a sale debits cash and credits sales.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from ticketing.money import Money

CASH = "cash"
SALES = "sales"
FARES = "fares"
PENALTIES = "penalties"
CASH_DIFFERENCE = "cash_difference"
ACQUIRER = "acquirer"
REFUNDS_OWED = "refunds_owed"
REPLACED_CARDS = "replaced_cards"


class Kind(StrEnum):
    """Why money moved."""

    SALE = "sale"
    REFUND = "refund"
    TOP_UP = "top_up"
    FARE = "fare"
    DIFFERENCE = "difference"
    REVERSAL = "reversal"
    DEBT = "debt"
    CHARGE = "charge"
    PENALTY = "penalty"
    PENALTY_PAYMENT = "penalty_payment"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One movement: amount > 0, and never from an account to itself."""

    kind: Kind
    debit: str
    credit: str
    amount: Money

    def __post_init__(self) -> None:
        """Refuses what the database would refuse as well."""
        if self.amount.minor <= 0:
            raise ValueError(f"a transfer moves more than nothing, not {self.amount}")
        if self.debit == self.credit:
            raise ValueError(f"a transfer moves money between two accounts, not within {self.debit!r}")


def purse(uid: bytes) -> str:
    """The account of a city card's purse."""
    return f"purse:{uid.hex()}"


def sale(price: Money, into: str = CASH) -> Transfer:
    """A ticket sold, for cash where nothing else is said."""
    return Transfer(Kind.SALE, into, SALES, price)


def top_up(uid: bytes, amount: Money, into: str = CASH) -> Transfer:
    """Money put on a city card, in cash where nothing else is said."""
    return Transfer(Kind.TOP_UP, into, purse(uid), amount)


def replaced(old: bytes, new: bytes, amount: Money) -> tuple[tuple[Transfer, bytes], ...]:
    """What a purse held goes to another card's: out of the one and into the other, each with its card."""
    out = Transfer(Kind.REFUND, purse(old), REPLACED_CARDS, amount)
    return (out, old), (top_up(new, amount, REPLACED_CARDS), new)


def fare(uid: bytes, amount: Money) -> Transfer:
    """A ride paid from a city card's purse."""
    return Transfer(Kind.FARE, purse(uid), FARES, amount)


def debt(uid: bytes) -> str:
    """The account of what is owed on a city card."""
    return f"debt:{uid.hex()}"


def debt_paid(uid: bytes, amount: Money) -> Transfer:
    """A debt, or a part of it, taken from the purse."""
    return Transfer(Kind.DEBT, purse(uid), debt(uid), amount)


def ride_owed(ticket_id: str, amount: Money) -> Transfer:
    """A ride by a code that nobody knew of when its ticket's price was given back."""
    return Transfer(Kind.FARE, f"ticket_debt:{ticket_id}", FARES, amount)


def ride_paid(ticket_id: str, amount: Money) -> Transfer:
    """What a ticket owed, paid in cash."""
    return Transfer(Kind.DEBT, CASH, f"ticket_debt:{ticket_id}", amount)


def penalty(penalty_id: str, amount: Money) -> Transfer:
    """A penalty issued: owed from now on; one that is taken back is reversed."""
    return Transfer(Kind.PENALTY, f"penalty:{penalty_id}", PENALTIES, amount)


def penalty_paid(penalty_id: str, amount: Money, into: str = CASH) -> Transfer:
    """A penalty, or a part of it, paid; for cash where nothing else is said."""
    return Transfer(Kind.PENALTY_PAYMENT, into, f"penalty:{penalty_id}", amount)


def bank_debt(account_id: str) -> str:
    """The account of what a bank card owes since its charge was declined."""
    return f"bank_debt:{account_id}"


def bank_charge(amount: Money, account_id: str, *, recovered: bool = False) -> Transfer:
    """Rides that the acquirer has taken from a bank card; recovered: they were a debt."""
    return Transfer(Kind.CHARGE, ACQUIRER, bank_debt(account_id) if recovered else FARES, amount)


def bank_declined(amount: Money, account_id: str) -> Transfer:
    """Rides that the acquirer could not take: the rider owes them."""
    return Transfer(Kind.DEBT, bank_debt(account_id), FARES, amount)


def bank_refund(amount: Money) -> Transfer:
    """Money given back to a bank card: a charge the other way round."""
    return Transfer(Kind.REFUND, FARES, ACQUIRER, amount)


def refund_declined(amount: Money) -> Transfer:
    """A refund of a ticket that was booked and that the bank would not take: its rider has yet to be paid."""
    return Transfer(Kind.REVERSAL, ACQUIRER, REFUNDS_OWED, amount)


def paid_out(amount: Money) -> Transfer:
    """What a bank would not take back, given to its rider in cash."""
    return Transfer(Kind.REVERSAL, REFUNDS_OWED, CASH, amount)


def difference(amount: Money, surplus: bool) -> Transfer:
    """What a drawer holds more than the books say (surplus), or less."""
    accounts = (CASH, CASH_DIFFERENCE) if surplus else (CASH_DIFFERENCE, CASH)
    return Transfer(Kind.DIFFERENCE, *accounts, amount)


def reversal(transfer: Transfer, amount: Money | None = None) -> Transfer:
    """A refund: the same amount, or a part of it, the other way round; the first transfer stays as it was."""
    back = amount or transfer.amount
    if back.currency != transfer.amount.currency or back.minor > transfer.amount.minor:
        raise ValueError(f"of {transfer.amount} no {back} can be given back")
    return Transfer(Kind.REFUND, transfer.credit, transfer.debit, back)


def balances(transfers: Iterable[Transfer]) -> dict[tuple[str, str], int]:
    """Debits less credits by (account, currency), in minor units; over all accounts they sum to zero."""
    sums: Counter[tuple[str, str]] = Counter()
    for transfer in transfers:
        sums[transfer.debit, transfer.amount.currency] += transfer.amount.minor
        sums[transfer.credit, transfer.amount.currency] -= transfer.amount.minor
    return dict(sums)
