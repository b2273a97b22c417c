"""Amounts stay exact and never mix."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.money import CurrencyMismatchError, Money, currency_digits


def test_sums_of_one_currency():
    assert Money(800, "UAH") + Money(50, "UAH") == Money(850, "UAH")
    assert Money(800, "UAH") - Money(850, "UAH") == -Money(50, "UAH")


def test_two_currencies_make_no_sum():
    with pytest.raises(CurrencyMismatchError, match=r"8.00 UAH and 8.00 PLN"):
        Money(800, "UAH") + Money(800, "PLN")


@pytest.mark.parametrize(("currency", "digits"), [("UAH", 2), ("JPY", 0), ("KWD", 3)])
def test_digits_are_those_of_iso_4217(currency, digits):
    assert currency_digits(currency) == digits


@pytest.mark.parametrize("text", ["8.00 UAH", "0.05 UAH", "-1.20 UAH", "7 JPY", "1.005 KWD"])
def test_shown_with_the_digits_of_its_currency(text):
    number, currency = text.split()
    assert str(Money(int(number.replace(".", "")), currency)) == text


@pytest.mark.parametrize("minor", [1.0, True, 10**13, "8"])
def test_no_amount_is_made_of_anything_but_an_integer(minor):
    with pytest.raises(ValueError, match="no amount"):
        Money(minor, "UAH")


@pytest.mark.parametrize("currency", ["uah", "UA", "ГРН", "", "UAHH"])
def test_no_currency_but_three_capital_letters(currency):
    with pytest.raises(ValueError, match="ISO 4217"):
        Money(1, currency)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_adding_and_taking_away_are_opposites(a, b):
    assert Money(a, "UAH") + Money(b, "UAH") - Money(b, "UAH") == Money(a, "UAH")
