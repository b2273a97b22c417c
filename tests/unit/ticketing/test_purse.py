"""A purse while its day is rated anew: never below zero, what it cannot pay is a debt, and the books agree with it."""

from hypothesis import given
from hypothesis import strategies as st

from ticketing.ledger import balances, debt, debt_paid, penalty, penalty_paid, purse, reversal
from ticketing.money import Money
from ticketing.purse import PurseBook, in_posting_order

UID = bytes.fromhex("04aabbccddeeff")


def book(balance_minor: int, debt_minor: int = 0) -> PurseBook:
    return PurseBook(UID, balance_minor, debt_minor, "UAH")


def test_what_the_purse_cannot_pay_is_owed():
    one = book(500)
    paid = one.change(800)
    assert [(t.kind, t.debit, t.credit, t.amount.minor) for t in paid] == [
        ("fare", purse(UID), "fares", 500),
        ("fare", debt(UID), "fares", 300),
    ]
    assert (one.balance_minor, one.debt_minor) == (0, 300)


def test_what_comes_back_pays_the_debt_first():
    one = book(0, 300)
    assert [(t.kind, t.credit, t.amount.minor) for t in one.change(-800)] == [
        ("reversal", debt(UID), 300),
        ("reversal", purse(UID), 500),
    ]
    assert (one.balance_minor, one.debt_minor) == (500, 0)


def test_a_debt_is_paid_when_there_is_money():
    one = book(1000, 300)
    assert one.recover() == [debt_paid(UID, Money(300, "UAH"))]
    assert (one.balance_minor, one.debt_minor) == (700, 0)
    assert one.recover() == []


def test_refunds_are_posted_before_what_is_owed():
    assert in_posting_order([("a", 800), ("b", -800), ("c", 5)]) == [("b", -800), ("a", 800), ("c", 5)]


@given(st.integers(0, 5000), st.integers(0, 5000), st.lists(st.integers(-3000, 3000).filter(bool), max_size=12))
def test_purse_and_debt_are_what_their_transfers_say(balance, owed, changes):
    one = book(balance, owed)
    transfers = [transfer for change in changes for transfer in one.change(change)] + one.recover()
    sums = balances(transfers)
    assert one.balance_minor >= 0
    assert one.debt_minor >= 0
    assert one.balance_minor == balance - sums.get((purse(UID), "UAH"), 0)
    assert one.debt_minor == owed + sums.get((debt(UID), "UAH"), 0)
    assert sum(sums.values()) == 0
    assert min(one.balance_minor, one.debt_minor) == 0


def test_a_penalty_is_owed_until_it_is_paid_or_taken_back():
    fine = Money(16_000, "UAH")
    issued = penalty("7", fine)
    assert balances([issued])["penalty:7", "UAH"] == 16_000
    assert balances([issued, penalty_paid("7", fine)]) == {
        ("penalty:7", "UAH"): 0, ("penalties", "UAH"): -16_000, ("cash", "UAH"): 16_000,
    }  # fmt: skip
    assert balances([issued, reversal(issued)])["penalty:7", "UAH"] == 0
