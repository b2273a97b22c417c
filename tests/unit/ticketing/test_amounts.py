"""An amount is told beside its currency: whoever reads an answer need not know which tariff was in use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import inspect

from ticketing.auto_top_up import AutoTopUp
from ticketing.bank_api import BankAccount, Standing
from ticketing.cards import Card
from ticketing.day_receipt import DayReceipt
from ticketing.desk import Ticket
from ticketing.flagged import FlaggedTaps
from ticketing.inspection import Inspection
from ticketing.penalties_api import PenaltyList
from ticketing.purchases import Purchase
from ticketing.refunds_owed import RefundsOwed
from ticketing.sales import SoldTicket
from ticketing.shifts import Shift
from ticketing.taps_api import AnswerBody
from ticketing.wallet_api import WalletTickets

ANSWERS = [
    *(AnswerBody, AutoTopUp, BankAccount, Card, DayReceipt, FlaggedTaps, Inspection, PenaltyList, Purchase, Shift),
    *(RefundsOwed, SoldTicket, Standing, Ticket, WalletTickets),
]


def amounts(info: inspect.Type, told: bool = False) -> Iterator[str]:
    """The amounts in an answer that stand beside no currency, neither their own nor that of what holds them."""
    match info:
        case inspect.StructType():
            names = [field.encode_name for field in info.fields]
            told = told or "currency" in names
            yield from (f"{info.cls.__name__}.{name}" for name in names if name.endswith("_minor") and not told)
            for field in info.fields:
                yield from amounts(field.type, told)
        case inspect.UnionType():
            for one in info.types:
                yield from amounts(one, told)
        case inspect.ListType() | inspect.VarTupleType():
            yield from amounts(info.item_type, told)
        case inspect.Metadata():
            yield from amounts(info.type, told)


@pytest.mark.parametrize("answer", ANSWERS)
def test_every_amount_stands_beside_its_currency(answer):
    assert list(amounts(inspect.type_info(answer))) == []
