"""Money by chance: random days of a town, many things at once, and at the end a small model that knows only the rules.

The model is told which rides were made and what was bought, given back and blocked. It works out by itself what that
has to come to, and compares: purses, debts, uses, charges, receipts, drawers, the bank's own book, the settlement.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.integration.money_town import CAP, CARDS, FARE, FINE, PRICES, RIDES, TEN, MoneyTown, money_town
from ticketing.payment import medium_key
from ticketing.settlement import faults

KYIV = ZoneInfo("Europe/Kyiv")


@dataclass
class Held:
    """A ticket as its buyer understands it: good in [from_s, until_s), for so many rides (None: any number)."""

    from_s: float
    until_s: float
    rides: int | None
    bought: int = 0


def service_day(at_s: float) -> date:
    return (datetime.fromtimestamp(at_s, KYIV) - timedelta(hours=4, minutes=30)).date()


def price(rides: list[float], held: list[Held], *, cap: bool) -> dict[date, list[int]]:
    """What rides (by their times) cost by day: a pass covers, then rides bought ahead, then the fare up to the cap."""
    cost: dict[date, list[int]] = defaultdict(list)
    for at_s in sorted(rides):
        good = [one for one in held if one.from_s <= at_s < one.until_s and (one.rides is None or one.rides > 0)]
        good.sort(key=lambda one: (one.rides is not None, one.until_s))
        charge = FARE
        if good:
            charge = 0
            if good[0].rides is not None:
                good[0].rides -= 1
        elif cap:
            charge = max(0, min(FARE, CAP - sum(cost[service_day(at_s)])))
        cost[service_day(at_s)].append(charge)
    return cost


async def blocked_at(town: MoneyTown, uid: bytes, at_s: float) -> bool:
    """Whether somebody had reported this card lost, and not found, by an instant."""
    return bool(
        await town.pool.fetchval(
            "SELECT NOT removed FROM deny_entry WHERE kind = 'card' AND medium = $1 AND reason = 'lost'"
            " AND extract(epoch FROM at) <= $2 ORDER BY seq DESC LIMIT 1", uid, at_s,
        )
    )  # fmt: skip


async def rides_of(town: MoneyTown, uid: bytes) -> tuple[list[float], list[float]]:
    """When rides were made with a card: those that we let happen, and those that a validator did against our word."""
    ours, alone = [], []
    rows = {str(row["id"]): row for row in await town.pool.fetch("SELECT id, card_uid, reason FROM tap")}
    for tap_id, tap in town.taps.items():
        if rows[tap_id]["card_uid"] != uid:
            continue
        verdict = town.told[tap_id].verdict
        at_s = tap.ts if tap.offline else tap.received_s
        if verdict == "accepted":
            ours.append(at_s)
        # Told once the card was found again, a ride is its holder's as any other.
        elif (
            tap.offline
            and verdict != "replayed"
            and (verdict == "insufficient_funds" or not await blocked_at(town, uid, at_s))
        ):
            alone.append(at_s)
    return ours, alone


async def held_on(town: MoneyTown, uid: bytes) -> list[Held]:
    """What was sold onto a card, less what was given back for it."""
    found = []
    for ticket in town.sold:
        if town.on_card.get(ticket.id) != uid:
            continue
        until_s, rides = float(ticket.valid_until), RIDES.get(ticket.product_id)
        back = town.refunded.get(ticket.id)
        if back is not None:
            row = await town.pool.fetchrow(
                "SELECT extract(epoch FROM status_at)::float8 AS s, uses_kept FROM ticket WHERE id = $1::text::uuid",
                ticket.id,
            )
            until_s = row["s"]
            if rides is not None:
                rides = row["uses_kept"]
                assert back in (TEN, (10 - rides) * TEN // 10)
            elif not row["uses_kept"]:
                until_s = 0.0
        found.append(Held(float(ticket.valid_from), until_s, rides, rides or 0))
    return found


async def check_cards(town: MoneyTown) -> None:
    for uid in CARDS:
        ours, alone = await rides_of(town, uid)
        row = await town.pool.fetchrow("SELECT balance_minor, debt_minor FROM card WHERE uid = $1", uid)
        from_bank = await town.pool.fetchval(
            "SELECT coalesce(sum(amount_minor), 0) FROM auto_top_up_order WHERE card_uid = $1 AND state = 'approved'",
            uid,
        )
        cost = town.put[uid] + int(from_bank) - row["balance_minor"] + row["debt_minor"]
        assert row["balance_minor"] == 0 or row["debt_minor"] == 0, "a debt is paid first"
        used = await town.pool.fetch(
            "SELECT t.id, t.uses, t.uses_allowed, count(p.id) AS taps FROM ticket t"
            " LEFT JOIN tap p ON p.ticket_id = t.id AND p.verdict = 'accepted'"
            " WHERE t.card_uid = $1 GROUP BY t.id", uid,
        )  # fmt: skip
        if town.flat:
            passes = [one for one in await held_on(town, uid) if one.rides is None]
            free_alone = sum(day.count(0) for day in price(alone, passes, cap=False).values())
            by_pass = sum(row["taps"] for row in used if row["uses_allowed"] is None) + free_alone
            by_trip = sum(row["uses"] for row in used if row["uses_allowed"] is not None)
            expected = (len(ours) + len(alone) - by_pass - by_trip) * FARE
            assert all(row["uses"] >= row["taps"] for row in used)
        else:
            held = await held_on(town, uid)
            days = price([*ours, *alone], held, cap=True)
            expected = sum(sum(day) for day in days.values())
            stored = await town.pool.fetch(
                "SELECT service_date, total_minor FROM day_rating WHERE account = $1", f"card:{uid.hex()}"
            )
            assert {row["service_date"]: row["total_minor"] for row in stored} == {
                day: sum(charges) for day, charges in days.items()
            }
            taken = sum(one.bought - one.rides for one in held if one.rides is not None)
            assert sum(row["uses"] for row in used if row["uses_allowed"]) == taken
        assert cost == expected, (uid.hex(), sorted(ours), sorted(alone), dict(row))


async def check_receipts(town: MoneyTown) -> None:
    """Every line's reasons come to its charge, and a card's receipts to what it paid for rides."""
    for uid in CARDS:
        paid = await town.pool.fetchval(
            "SELECT coalesce(sum(CASE WHEN credit = 'fares' THEN amount_minor ELSE -amount_minor END), 0)"
            " FROM transfer WHERE card_uid = $1 AND 'fares' IN (debit, credit)", uid,
        )  # fmt: skip
        total = owed = 0
        for back in range(4):
            day = await town.receipts.day(uid.hex(), str(service_day(town.now()) - timedelta(days=back)))
            assert day.total_minor == sum(tap.charge_minor for tap in day.taps)
            for tap in day.taps:
                assert tap.charge_minor == sum(reason.amount_minor for reason in tap.reasons), tap
            assert (day.to_charge_minor, day.to_give_back_minor) == (0, 0)
            assert day.charged_minor + day.owed_minor == day.total_minor
            total += day.total_minor
            owed += day.owed_minor
        assert total == paid
        assert owed == await town.pool.fetchval("SELECT debt_minor FROM card WHERE uid = $1", uid)


async def check_bank_cards(town: MoneyTown, tokens: list[str]) -> None:
    for token in tokens:
        account = await town.pool.fetchval("SELECT account_id FROM bank_medium WHERE key = $1", medium_key(token))
        taps = [tap for tap in town.taps.values() if tap.token == token]
        rides = [t.ts if t.offline else t.received_s for t in taps if town.told[t.id].verdict == "accepted"]
        assert all(town.told[tap.id].verdict == "accepted" for tap in taps if tap.offline)
        owed = sum(sum(day) for day in price(rides, [], cap=not town.flat).values())
        charges = await town.pool.fetch("SELECT * FROM bank_charge WHERE account_id = $1", account)
        assert {charge["state"] for charge in charges} <= {"paid", "debt", "void"}
        taken = sum(c["amount_minor"] for c in charges if c["reason"] != "cashier" and c["state"] != "void")
        # Of what a cashier has given back already, a correction takes nothing more: the rider has it.
        by_cashier = -sum(c["amount_minor"] for c in charges if c["reason"] == "cashier")
        assert owed <= taken <= owed + by_cashier, (token, [tuple(charge) for charge in charges])
        for charge in charges:
            back = -sum(c["amount_minor"] for c in charges if c["gives_back"] == charge["id"])
            assert 0 <= back <= max(0, charge["amount_minor"])


async def check_codes(town: MoneyTown) -> None:
    """Codes carry no more rides than were bought, whoever copied them, and what was given back carries none after."""
    for ticket in town.sold:
        row = await town.pool.fetchrow("SELECT * FROM ticket WHERE id = $1::text::uuid", ticket.id)
        taps = await town.pool.fetchval(
            "SELECT count(*) FROM tap WHERE ticket_id = $1 AND verdict = 'accepted'", row["id"]
        )
        if ticket.token:
            assert row["uses"] == taps
            assert row["uses_allowed"] is None or taps <= row["uses_allowed"]
        if ticket.id in town.refunded and row["uses_allowed"]:
            full, rest = PRICES[ticket.product_id], row["uses_allowed"] - row["uses_kept"]
            assert town.refunded[ticket.id] in (full, full * rest // row["uses_allowed"])
            if ticket.token:
                await check_owed(town, ticket.id, ticket.token, full, (rest, row["uses_allowed"]))


async def check_owed(town: MoneyTown, ticket_id: str, token: str, price_minor: int, rides: tuple[int, int]) -> None:
    """What a code owes for rides before its refund that were told of later: the price of each that was given back."""
    back_s = await town.pool.fetchval(
        "SELECT extract(epoch FROM at)::float8 FROM transfer WHERE ticket_id = $1::text::uuid AND kind = 'refund'",
        ticket_id,
    )
    late = sum(
        tap.token == token and tap.offline is not None and town.told[tap.id].verdict == "revoked" and tap.ts < back_s
        for tap in town.taps.values()
    )
    rest, allowed = rides
    expected = price_minor * rest // allowed - price_minor * max(0, rest - late) // allowed
    assert (await town.api.desk.get_ticket(ticket_id)).owed_minor == expected, (ticket_id, late)


async def check_books(town: MoneyTown) -> None:
    books = await town.balances()
    bank_sales = await town.pool.fetchval("SELECT count(*) FROM purchase WHERE state = 'approved'")
    fines = Counter(state.partition(" ")[0] for state in town.cash if state.startswith(("paid", "cancelled")))
    assert sum(books.values()) == 0
    assert books["cash"] == town.cash["cash"] + fines["paid"] * FINE
    assert (
        -books["sales"] == sum(PRICES[t.product_id] for t in town.sold) - sum(town.refunded.values()) + bank_sales * TEN
    )
    assert books["acquirer"] == town.bank.taken_minor
    assert -books["penalties"] == (len(town.fines) - fines["cancelled"]) * FINE
    assert books["penalty"] == (len(town.fines) - fines["cancelled"] - fines["paid"]) * FINE
    assert -books["purse"] == await town.pool.fetchval("SELECT sum(balance_minor) FROM card")
    assert books["debt"] == await town.pool.fetchval("SELECT sum(debt_minor) FROM card")
    stored = await town.pool.fetch("SELECT id FROM tap")
    assert sorted(str(row["id"]) for row in stored) == sorted(town.taps), "each tap is there, once"


async def check_settlement(town: MoneyTown) -> None:
    day = service_day(town.now() - town.offset_s)
    first, second = [await town.settlements.make(day) for _ in range(2)]
    assert first == second
    assert faults(first) == []
    assert sum(line.accepted + line.refused for line in first.taps) == len(town.taps)
    books: Any = await town.balances()
    assert sum(line.minor for line in first.fares) == -books["fares"]
    assert sum(line.minor for line in first.shares) == -books["sales"]


async def live(url: str, seed: int, steps: int, *, flat: bool) -> MoneyTown:
    async with money_town(url, seed, flat=flat) as town:
        await town.live(steps)
        await town.come_to_rest()
        await check_books(town)
        await check_cards(town)
        await check_receipts(town)
        await check_codes(town)
        tokens = sorted({tap.token for tap in town.taps.values() if tap.medium == "bank"})
        await check_bank_cards(town, tokens)
        await check_settlement(town)
        return town


@pytest.mark.parametrize("flat", [False, True], ids=["capped", "flat"])
@pytest.mark.parametrize("seed", range(2))
async def test_whatever_happens_everybody_pays_what_the_rules_say(database, seed, flat):
    town = await live(database, seed, 80, flat=flat)
    assert len(town.taps) > 20


@pytest.mark.soak
@pytest.mark.parametrize("flat", [False, True], ids=["capped", "flat"])
@pytest.mark.parametrize("seed", range(100, 140))
async def test_many_towns(database, seed, flat):
    town = await live(database, seed, 150, flat=flat)
    print(f"{len(town.taps)} taps, {len(town.sold)} tickets, refused: {dict(town.refusals)}")
