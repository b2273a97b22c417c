"""Every movement of money has two sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.ledger import Kind, Transfer, balances, fare, reversal, sale, top_up
from ticketing.money import Money

UID = bytes.fromhex("04de5f1eacc040")
UAH = st.integers(1, 10**6).map(lambda minor: Money(minor, "UAH"))
TRANSFERS = st.one_of(
    UAH.map(sale), UAH.map(lambda m: top_up(UID, m)), UAH.map(lambda m: fare(UID, m)), UAH.map(sale).map(reversal)
)


@given(st.lists(TRANSFERS))
def test_the_ledger_sums_to_zero(transfers):
    assert sum(balances(transfers).values()) == 0


def test_a_ride_from_the_purse_moves_it_to_fares():
    ten, ride = Money(1000, "UAH"), Money(800, "UAH")
    sums = balances([top_up(UID, ten), fare(UID, ride)])
    assert sums["purse:04de5f1eacc040", "UAH"] == -200
    assert sums["fares", "UAH"] == -800
    assert sums["cash", "UAH"] == 1000


def test_a_refund_undoes_a_sale():
    sold = sale(Money(800, "UAH"))
    assert set(balances([sold, reversal(sold)]).values()) == {0}
    assert reversal(sold).kind is Kind.REFUND


@pytest.mark.parametrize("minor", [0, -1])
def test_nothing_is_no_transfer(minor):
    with pytest.raises(ValueError, match="more than nothing"):
        sale(Money(minor, "UAH"))


def test_no_transfer_within_one_account():
    with pytest.raises(ValueError, match="two accounts"):
        Transfer(Kind.SALE, "cash", "cash", Money(1, "UAH"))
