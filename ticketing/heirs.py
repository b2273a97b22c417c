"""What a replaced card's account hands on when its days are rated anew: caps that go on, and money that came back.

Within a rating's transaction. The cards that took its place are locked first, so that no rating of theirs is under way
which knows of no change.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from sql import query
from ticketing import ledger
from ticketing.account_rows import card_account
from ticketing.books import book
from ticketing.cards import settle_debt
from ticketing.money import Money

MADE_BY = "rating"


async def hand_on(connection: Any, changed: Mapping[bytes, date], now_s: float) -> None:
    """Look again at the days of those that took these cards' places, from each card's first changed day on.

    Fares that came back to a card that nobody can use any more go to the last of them.
    """
    for uid, since in sorted(changed.items()):
        heirs = [bytes(row["uid"]) for row in await connection.fetch(query("replacing.lock_heirs"), uid)]
        for heir in heirs:
            await connection.execute(query("rating.look_again"), card_account(heir), since, now_s)
        if heirs:
            await _hand_on_purse(connection, uid, heirs[-1])


async def _hand_on_purse(connection: Any, uid: bytes, heir: bytes) -> None:
    row = await connection.fetchrow(query("replacing.take_purse"), uid)
    if row is None:
        return
    amount = Money(row["balance_minor"], row["currency"])
    await connection.execute(query("cards.top_up"), heir, amount.minor)
    for line, card in ledger.replaced(uid, heir, amount):
        await book(connection, line, MADE_BY, card_uid=card)
    await settle_debt(connection, heir, MADE_BY)
