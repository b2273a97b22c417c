"""The ways in which money moves, each as what must stand before, what is asked, and what must have come of it."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from simulators.acquirer import Mood
from tests.faults.till_process import CARD_KEYS
from tests.faults.till_town import LATER_S, TillTown
from tests.integration.money_town import FARE, FINE, MONTH, SINGLE, TEN
from ticketing.card import sun_message

PAIR = 2 * FARE
ROUNDS_MAX, ASKED_AGAIN_S = 10, 120.0


@dataclass(frozen=True)
class Flow:
    """prepare's value goes to the others; asked is done under a name of its own each time, and is what is cut short."""

    prepare: Callable[[TillTown, str], Awaitable[Any]]
    asked: Callable[[TillTown, str, Any], Awaitable[None]]
    check: Callable[[TillTown, str, Any], Awaitable[None]]


async def nothing(_town: TillTown, _name: str) -> None:
    """There is nothing to prepare."""


# --- the online sale -------------------------------------------------------------------------------------------------


async def buy(town: TillTown, name: str, _: Any = None, token: str = "") -> Any:
    """A ticket bought online, whatever it takes; the purchase."""
    body = {"product_id": "ten", "payment": {"method_token": token or name}}
    bought = await town.ask("POST", "/api/v1/purchases", body, key=name, refused=(402,))
    while bought.get("payment") == "pending":
        await town.work(LATER_S)
        bought = await town.ask("GET", f"/api/v1/purchases/{bought['purchase_id']}")
    return bought


async def is_bought(town: TillTown, name: str, _: Any, token: str = "") -> None:
    tickets = await town.value("SELECT count(*) FROM ticket")
    bought = await buy(town, name, token=token)
    assert (bought["payment"], bought["receipt"]["amount_minor"], bought["price_minor"]) == ("approved", TEN, TEN)
    assert await town.value("SELECT count(*) FROM ticket") == tickets, "asked again, nothing more is sold"
    assert [charge.amount_minor for charge in town.acquirer.charges(token or name)] == [TEN]
    sold = "SELECT count(*) FROM purchase p JOIN ticket t ON t.id = p.ticket_id WHERE t.id = $1::uuid"
    assert await town.value(sold, bought["id"]) == 1
    assert await town.tap("qr", bought["token"]) == "accepted"


def lost_token(name: str) -> str:
    return f"timeout-{name}"


async def buy_lost(town: TillTown, name: str, _: Any) -> None:
    await buy(town, name, token=lost_token(name))


async def is_bought_lost(town: TillTown, name: str, _: Any) -> None:
    await is_bought(town, name, _, lost_token(name))


async def buy_declined(town: TillTown, name: str, _: Any) -> None:
    await buy(town, name, token=f"decline-{name}")


async def is_declined(town: TillTown, name: str, _: Any) -> None:
    said = await buy(town, name, token=f"decline-{name}")
    assert said["status"] == 402
    assert town.acquirer.charges(f"decline-{name}") == []


async def give_back(town: TillTown, name: str, bought: Any) -> None:
    await town.ask("POST", f"/api/v1/tickets/{bought['id']}/refund", {"reason": "rain"}, key=name)
    await town.work()


async def is_given_back(town: TillTown, name: str, bought: Any) -> None:
    ticket = await town.ask("GET", f"/api/v1/tickets/{bought['id']}")
    assert (ticket["status"], ticket["refunded_minor"]) == ("revoked", TEN)
    (charge,) = town.acquirer.charges(name)
    assert town.acquirer.charged[charge.id] == 0
    assert (await town.ask("GET", f"/api/v1/purchases/{bought['purchase_id']}"))["payment"] == "returned"


async def give_back_in_vain(town: TillTown, name: str, bought: Any) -> None:
    town.acquirer.mood = Mood(decline_refunds=True)
    await give_back(town, name, bought)


async def is_still_owed(town: TillTown, name: str, bought: Any) -> None:
    town.acquirer.mood = Mood()
    (charge,) = town.acquirer.charges(name)
    assert town.acquirer.charged[charge.id] == TEN
    purchase = await town.ask("GET", f"/api/v1/purchases/{bought['purchase_id']}")
    assert (purchase["payment"], purchase["reason"]) == ("returned", "card_closed")
    owed = "SELECT sum(amount_minor)::bigint FROM transfer WHERE credit = 'refunds_owed' AND ticket_id = $1::uuid"
    assert await town.value(owed, bought["id"]) == TEN


# --- bank cards ------------------------------------------------------------------------------------------------------


async def account_of(town: TillTown, token: str) -> Any:
    return await town.ask("POST", "/api/v1/bank-accounts/search", {"token": token})


async def account_when(town: TillTown, token: str, fits: Callable[[Any], bool]) -> Any:
    """A bank card's account once the workers have made it so; on a busy machine a bank's answer may be too late."""
    for _ in range(ROUNDS_MAX):
        await town.work(ASKED_AGAIN_S)
        if fits(account := await account_of(town, token)):
            return account
    raise AssertionError(account)


async def ride_twice(town: TillTown, name: str) -> None:
    """Two rides that nobody has charged yet; the first made the bank verify the card."""
    assert await town.tap("bank", name) == "accepted"
    await account_when(town, name, lambda account: account["state"] == "good")
    assert await town.tap("bank", name) == "accepted"


async def work(town: TillTown, _name: str, _: Any) -> None:
    await town.work()


async def is_charged(town: TillTown, name: str, _: Any) -> None:
    assert [charge.amount_minor for charge in town.acquirer.charges(name)] == [PAIR]
    account = await account_of(town, name)
    assert (account["state"], account["debt_minor"], account["unpaid_minor"]) == ("good", 0, 0)
    assert [(charge["state"], charge["amount_minor"]) for charge in account["charges"]] == [("paid", PAIR)]


async def ride_unfunded(town: TillTown, name: str) -> None:
    await ride_twice(town, f"unfunded-{name}")


async def owes(town: TillTown, name: str, _: Any) -> None:
    account = await account_of(town, f"unfunded-{name}")
    assert (account["state"], account["debt_minor"], account["unpaid_minor"]) == ("blocked", PAIR, 0)
    assert await town.tap("bank", f"unfunded-{name}") == "denied"
    denied = "SELECT count(*) FROM deny_entry d JOIN bank_medium m ON m.key = d.medium WHERE m.account_id = $1"
    assert await town.value(denied, account["id"]) == 1


async def owe(town: TillTown, name: str) -> str:
    """A card whose charge was declined, and which has money by now; its account."""
    await ride_twice(town, name)
    town.acquirer.mood = Mood(decline=1.0)
    account = await account_when(town, name, lambda account: account["debt_minor"] == PAIR)
    town.acquirer.mood = Mood()
    return str(account["id"])


async def recover(town: TillTown, _name: str, account: str) -> None:
    await town.ask("POST", f"/api/v1/bank-accounts/{account}/recover", refused=(409, 429))


async def is_recovered(town: TillTown, name: str, _: Any) -> None:
    await is_charged(town, name, _)
    assert await town.tap("bank", name) == "accepted"


async def pay_pair(town: TillTown, name: str) -> Any:
    await ride_twice(town, name)
    return await account_when(town, name, lambda account: [one["state"] for one in account["charges"]] == ["paid"])


async def give_part_back(town: TillTown, name: str, account: Any) -> None:
    body = {"charge_id": account["charges"][0]["id"], "amount_minor": 50, "reason": "sorry"}
    await town.ask("POST", f"/api/v1/bank-accounts/{account['id']}/refund", body, key=name)


async def is_part_given_back(town: TillTown, name: str, account: Any) -> None:
    await give_part_back(town, name, account)
    (charge,) = town.acquirer.charges(name)
    assert town.acquirer.charged[charge.id] == PAIR - 50
    charges = (await account_of(town, name))["charges"]
    assert sorted((one["state"], one["amount_minor"]) for one in charges) == [("paid", -50), ("paid", PAIR)]


# --- city cards ------------------------------------------------------------------------------------------------------


async def enrolled(town: TillTown, _name: str) -> str:
    """A new card's UID."""
    uid = f"04{secrets.token_hex(6)}"
    await town.ask("POST", "/api/v1/cards", {"uids": [uid]}, role="admin")
    return uid


async def agree(town: TillTown, name: str, uid: str) -> None:
    terms = {"method_token": name, "threshold_minor": 150, "amount_minor": 700}
    await town.ask("PUT", f"/api/v1/cards/{uid}/auto-top-up", terms, key=name)
    await town.work()


async def is_topped_up(town: TillTown, name: str, uid: str) -> None:
    assert [charge.amount_minor for charge in town.acquirer.charges(name)] == [700]
    card = await town.ask("GET", f"/api/v1/cards/{uid}")
    assert (card["balance_minor"], card["auto_top_up"]["last_order"]["state"]) == (700, "approved")


async def enrol(town: TillTown, name: str, uids: list[str]) -> None:
    said = await town.ask("POST", "/api/v1/cards", {"uids": uids, "product_id": "month"}, key=name, role="admin")
    keys = {uid: CARD_KEYS.file_read_key(bytes.fromhex(uid)).hex() for uid in uids}
    assert {card["uid"]: card["file_read_key"] for card in said["cards"]} == keys, "whoever asked can write the cards"


async def five_cards(_town: TillTown, _name: str) -> list[str]:
    return [f"04{secrets.token_hex(6)}" for _ in range(5)]


async def are_enrolled(town: TillTown, _name: str, uids: list[str]) -> None:
    for uid in uids:
        card = await town.ask("GET", f"/api/v1/cards/{uid}")
        assert [ticket["product_id"] for ticket in card["tickets"]] == ["month"]
    paid = "SELECT sum(amount_minor)::bigint FROM transfer WHERE kind = 'sale' AND card_uid = ANY ($1)"
    assert await town.value(paid, [bytes.fromhex(uid) for uid in uids]) == 5 * MONTH


async def worn(town: TillTown, name: str) -> tuple[str, str]:
    """A card with 700 and a month on it, and a new one."""
    old, new = await enrolled(town, name), await enrolled(town, name)
    await town.ask("POST", f"/api/v1/cards/{old}/top-up", {"amount_minor": 700}, key=f"{name}-top-up")
    await town.ask("POST", "/api/v1/tickets", {"product_id": "month", "card_uid": old}, key=f"{name}-month")
    return old, new


async def replace_card(town: TillTown, name: str, cards: tuple[str, str]) -> None:
    body = {"new_uid": cards[1], "reason": "worn"}
    await town.ask("POST", f"/api/v1/cards/{cards[0]}/replace", body, key=name)


async def is_replaced(town: TillTown, name: str, cards: tuple[str, str]) -> None:
    await replace_card(town, name, cards)
    old, new = [await town.ask("GET", f"/api/v1/cards/{uid}") for uid in cards]
    assert (old["balance_minor"], old["status"], new["balance_minor"]) == (0, "replaced", 700)
    assert [ticket["status"] for ticket in old["tickets"] + new["tickets"]] == ["revoked", "valid"]


# --- a cashier's day -------------------------------------------------------------------------------------------------


async def work_a_shift(town: TillTown, name: str, uid: str) -> None:
    await town.ask("POST", "/api/v1/shifts", {"float_minor": 1000}, refused=(409,))
    single = await town.ask("POST", "/api/v1/tickets", {"product_id": "single"}, key=f"{name}-single")
    await town.ask("POST", "/api/v1/tickets", {"product_id": "month", "card_uid": uid}, key=f"{name}-month")
    await town.ask("POST", f"/api/v1/cards/{uid}/top-up", {"amount_minor": 700}, key=f"{name}-top-up")
    again = await town.ask("POST", "/api/v1/tickets", {"product_id": "single"}, key=f"{name}-single")
    assert again == single
    await town.ask("POST", f"/api/v1/tickets/{single['id']}/refund", {"reason": "rain"}, key=f"{name}-refund")
    fine = {"operator": "bus", "reason": "no ticket"}
    issued = await town.ask("POST", "/api/v1/penalties", fine, key=f"{name}-fine", role="inspector")
    await town.ask("POST", f"/api/v1/penalties/{issued['reference']}/pay", key=f"{name}-pay")
    (shift, *_) = (await town.ask("GET", "/api/v1/shifts"))["shifts"]
    counted = {"counted_minor": 1000 + MONTH + 700 + FINE - 10}
    await town.ask("POST", f"/api/v1/shifts/{shift['id']}/close", counted, refused=(409,))


async def is_reconciled(town: TillTown, _name: str, uid: str) -> None:
    (shift, *_) = (await town.ask("GET", "/api/v1/shifts"))["shifts"]
    cash = {line["kind"]: (line["count"], line["cash_minor"]) for line in shift["lines"]}
    assert cash == {
        "sale": (2, SINGLE + MONTH), "top_up": (1, 700), "refund": (1, -SINGLE), "penalty_payment": (1, FINE),
        "difference": (1, -10),
    }  # fmt: skip
    assert (shift["expected_minor"], shift["difference_minor"]) == (1000 + MONTH + 700 + FINE, -10)
    card = await town.ask("GET", f"/api/v1/cards/{uid}")
    assert (card["balance_minor"], len(card["tickets"])) == (700, 1)
    assert await town.value("SELECT count(*) FROM shift WHERE closed_at IS NULL") == 0


# --- the deny list, riders' wishes and the night ---------------------------------------------------------------------


async def block(town: TillTown, _name: str, uid: str) -> None:
    await town.ask("POST", f"/api/v1/cards/{uid}/block", {"reason": "lost"})


async def is_blocked(town: TillTown, _name: str, uid: str) -> None:
    changes: list[Any] = []
    while more := (await town.ask("GET", f"/deny-list?after={len(changes)}"))["entries"]:
        changes += more
    assert [change["seq"] for change in changes] == list(range(1, len(changes) + 1)), "no change is missed by anybody"
    assert await town.value("SELECT denied('card', $1)", bytes.fromhex(uid))


async def rode(town: TillTown, name: str) -> str:
    """A card that has ridden once, and paid."""
    uid = await enrolled(town, name)
    await town.ask("POST", f"/api/v1/cards/{uid}/top-up", {"amount_minor": 700}, key=name)
    assert await town.tap("card", sun_message(CARD_KEYS, bytes.fromhex(uid), 1, b"12345678")) == "accepted"
    await town.work()
    return uid


async def erase(town: TillTown, _name: str, uid: str) -> None:
    await town.ask("DELETE", f"/api/v1/riders/card:{uid}", role="admin")
    town.offset_s += 30 * 3600
    await town.work(what="night")


async def is_erased(town: TillTown, _name: str, uid: str) -> None:
    """By the next look, a few minutes later in the same night."""
    await town.work(what="night")
    assert await town.value("SELECT count(*) FROM tap WHERE card_uid = $1", bytes.fromhex(uid)) == 0
    assert await town.value("SELECT count(*) FROM erasure WHERE done_at IS NULL OR account <> ''") == 0
    assert await town.value("SELECT sum(taps)::bigint FROM tap_count") == town.taps, "each ride is counted once"
    versions = "SELECT day, count(*) FROM settlement GROUP BY day HAVING count(*) > 1"
    assert await town.rows(versions) == [], "a day is settled once"


FLOWS = {
    "purchase": Flow(nothing, buy, is_bought),
    "purchase, answer lost": Flow(nothing, buy_lost, is_bought_lost),
    "purchase, declined": Flow(nothing, buy_declined, is_declined),
    "refund of a purchase": Flow(buy, give_back, is_given_back),
    "refund, declined": Flow(buy, give_back_in_vain, is_still_owed),
    "charge": Flow(ride_twice, work, is_charged),
    "debt": Flow(ride_unfunded, work, owes),
    "recovery": Flow(owe, recover, is_recovered),
    "money back": Flow(pay_pair, give_part_back, is_part_given_back),
    "auto-top-up": Flow(enrolled, agree, is_topped_up),
    "shift": Flow(enrolled, work_a_shift, is_reconciled),
    "enrolment": Flow(five_cards, enrol, are_enrolled),
    "replacement": Flow(worn, replace_card, is_replaced),
    "deny list": Flow(enrolled, block, is_blocked),
    "erasure and night": Flow(rode, erase, is_erased),
}
