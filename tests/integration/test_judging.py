"""The database judges as the plain reference does, whatever comes in whichever batches; prices hold while fresh."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from sql import query
from sql.pool import open_pool
from tests.integration.reference_judge import KMH, Card, Reference, Ticket
from ticketing.config import DEFAULT_TARIFF
from ticketing.judging import QUOTES_MAX, Judge
from ticketing.reading import Quote, Reading
from ticketing.seams import Seams
from ticketing.store import Store, warm
from ticketing.tariff import Purse, parse_tariff
from ticketing.verdict import Offline, Tap, Verdict, content_hash

TARIFF = replace(
    parse_tariff(DEFAULT_TARIFF.read_text(encoding="utf-8"), str(DEFAULT_TARIFF)), purse=Purse(800, passback_minutes=5)
)
NOW_S = 1_790_000_000.0
PLACES = [(None, None), (50.4501, 30.5234), (50.4520, 30.5300), (50.2500, 30.5000), (0.0, 0.0)]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


class World:
    """A few media in the database and in the reference, and what their holders do."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.clock_s = NOW_S
        self.past: list[Reading] = []
        tickets = {uuid.UUID(int=rng.getrandbits(128), version=4): self._ticket() for _ in range(4)}
        cards = {b"\x04" + rng.randbytes(6): self._card() for _ in range(6)}
        self.reference = Reference(cards, tickets)
        self.on_cards = {
            uuid.UUID(int=rng.getrandbits(128), version=4): (uid, ticket)
            for uid, card in cards.items()
            for ticket in card.tickets
        }

    def _ticket(self) -> Ticket:
        rng = self.rng
        return Ticket(
            status=rng.choice(["valid"] * 5 + ["revoked", "suspended"]),
            denied=rng.random() < 0.1,
            valid_from_s=NOW_S + rng.choice([-9e4, -9e4, -9e4, 60]),
            valid_until_s=NOW_S + rng.choice([100, 300]) + rng.randrange(1, 10_000) / 10_000,
            allowed=rng.choice([None, 1, 2, 3]),
            passback_s=rng.choice([0.0, 300.0]),
            riders=rng.choice([1, 1, 5]),
        )

    def _card(self) -> Card:
        rng = self.rng
        return Card(
            status=rng.choice(["valid"] * 6 + ["revoked", "suspended"]),
            denied=rng.random() < 0.1,
            key_version=rng.choice([1, 1, 1, 1, 2]),
            balance=rng.choice([0, 800, 2500, 100_000, 100_000]),
            tickets=[self._ticket() for _ in range(rng.choice([0, 0, 0, 1, 2]))],
        )

    async def store(self, pool: Any) -> None:
        for uid, card in self.reference.cards.items():
            status = "active" if card.status == "valid" else card.status
            await pool.execute(
                "INSERT INTO card (uid, key_version, status, balance_minor, currency) VALUES ($1, $2, $3, $4, 'UAH')",
                *(uid, card.key_version, status, card.balance),
            )
            if card.balance:
                await pool.execute(
                    "INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, made_by)"
                    " VALUES ('top_up', 'cash', 'purse:' || encode($1, 'hex'), $2, 'UAH', $1, 'test')",
                    *(uid, card.balance),
                )
            if card.denied:
                await self._deny(pool, "card", uid)
        for ticket_id, ticket in self.reference.tickets.items():
            await self._store_ticket(pool, ticket_id, None, ticket)
        for ticket_id, (uid, ticket) in self.on_cards.items():
            # A ticket on a card is denied by its card alone.
            await self._store_ticket(pool, ticket_id, uid, ticket)

    async def _store_ticket(self, pool: Any, ticket_id: uuid.UUID, uid: bytes | None, ticket: Ticket) -> None:
        await pool.execute(
            "INSERT INTO ticket (id, product_id, card_uid, status, valid_from, valid_until, uses_allowed, networks,"
            " passback, status_list, status_index, price_minor, currency, sold_by, riders)"
            " VALUES ($1, 'x', $2, $3, $4, $5, $6, '{*}', $7, 1, nextval('status_slot'), 0, 'UAH', 'test', $8)",
            *(ticket_id, uid, ticket.status, at(ticket.valid_from_s), at(ticket.valid_until_s)),
            *(ticket.allowed, timedelta(seconds=ticket.passback_s), ticket.riders),
        )
        if ticket.denied and uid is None:
            await self._deny(pool, "ticket", ticket_id.bytes)

    @staticmethod
    async def _deny(pool: Any, kind: str, medium: bytes) -> None:
        await pool.execute("INSERT INTO deny_entry (kind, medium, reason) VALUES ($1, $2, 'lost')", kind, medium)

    def batch(self) -> list[Reading]:
        """Taps as they come, no id twice: new ones, late ones, retries, and ids used again."""
        rng, ids = self.rng, set()
        readings = []
        for _ in range(rng.choice([1, 2, 5, 12, 30])):
            self.clock_s += rng.choice([0.1, 5.0, 40.0])
            if self.past and rng.random() < 0.15:
                reading = rng.choice(self.past)
                if rng.random() < 0.3:
                    tap = structs.replace(reading.tap, token="another")
                    reading = structs.replace(reading, tap=tap, content_hash=content_hash(tap), quote=None)
            else:
                reading = self._reading()
            if (reading.tap.device, reading.tap.id) not in ids:
                ids.add((reading.tap.device, reading.tap.id))
                readings.append(reading)
        of_card = Counter(reading.card_uid for reading in readings)
        for reading in readings:
            card = self.reference.cards.get(reading.card_uid or b"")
            reading.quote = None
            if card and of_card[reading.card_uid] == 1 and not reading.history and rng.random() < 0.3:
                reading.quote = Quote(rng.choice([0, 400, 900]), card.taps + rng.choice([0, 0, 0, 1]))
        self.past += readings
        return readings

    def _reading(self) -> Reading:
        rng = self.rng
        decided = rng.choice([None] * 4 + ["accepted", "accepted", "used_up"])
        lat, lon = rng.choice(PLACES)
        card = rng.random() < 0.6
        late = decided or (card and rng.random() < 0.15)
        made_s = self.clock_s - (rng.choice([10.0, 200.0]) if late else 0.0)
        tap = Tap(
            str(uuid.UUID(int=rng.getrandbits(128), version=4)), "a1", len(self.past), made_s, "card" if card else "qr",
            str(rng.random()), None, rng.choice(["v1", "v2"]), None, lat, lon,
            Offline(decided, 1) if decided else None, "town", rng.choice(["d1", "d2", "d3"]), self.clock_s,
        )  # fmt: skip
        reading = Reading(tap, made_s, content_hash(tap))
        if card:
            known = [*self.reference.cards]
            reading.card_uid = rng.choice([*known * 4, b"\x04nobody"])
            high = self.reference.cards[reading.card_uid].counter if reading.card_uid in known else 0
            reading.counter, reading.key_version = max(0, high + rng.choice([1, 1, 1, 2, 0, -1, -2])), 1
        else:
            reading.ticket_id = rng.choice([*[*self.reference.tickets] * 6, uuid.UUID(int=rng.getrandbits(128))])
        return reading


class Everything(set[bytes]):
    """Holds whatever is asked for: no card is simple."""

    def __contains__(self, _: object) -> bool:
        return True


@pytest.mark.parametrize("simple", [True, False], ids=["as it is", "without the short way"])
async def test_the_database_judges_as_the_reference_does(database, simple):
    pool = await open_pool(database, init=warm)
    paths: Counter[bool] = Counter()
    for seed in range(12):
        world = World(random.Random(seed))
        await world.store(pool)
        judge = Judge(Store(pool, elsewhere_kmh=KMH), TARIFF, Counter())
        if not simple:
            judge._special = Everything()
        for number in range(6):
            batch = world.batch()
            paths[bool(judge._simple(batch))] += 1
            outcome = await judge.judge(batch)
            for reading, row in zip(batch, outcome.rows, strict=True):
                expected = world.reference.judge(reading)
                where = f"seed {seed}, batch {number}, {reading}"
                assert row is not None, where
                if expected is None:
                    assert (row.verdict, row.reason) == (None, "stale_quote"), where
                    continue
                found = (row.verdict, row.charged_minor, row.conflict, row.riders)
                assert found == (expected.verdict, expected.charged, expected.conflict, expected.riders), where
        await check_books(pool, world)
    assert paths[simple], "the way that is tested was gone"
    assert await pool.fetch(query("cards.purse_differences")) == []
    pool.terminate()


async def check_books(pool: Any, world: World) -> None:
    for uid, card in world.reference.cards.items():
        row = await pool.fetchrow("SELECT counter, balance_minor, taps, last_place FROM card WHERE uid = $1", uid)
        assert tuple(row) == (card.counter, card.balance, card.taps, card.last_place)
        rows = await pool.fetch("SELECT card_counter FROM tap WHERE card_uid = $1 AND counter_used", uid)
        assert {row[0] for row in rows} == card.used
        assert len(rows) == len(card.used)
    on_cards = {ticket_id: ticket for ticket_id, (_, ticket) in world.on_cards.items()}
    for ticket_id, ticket in (world.reference.tickets | on_cards).items():
        assert await pool.fetchval("SELECT uses FROM ticket WHERE id = $1", ticket_id) == ticket.uses
    for (device, tap_id), (_, _, said) in world.reference.known.items():
        row = await pool.fetchrow(
            "SELECT verdict::text, charged_minor, conflict, flags FROM tap WHERE device = $1 AND id = $2",
            *(device, tap_id),
        )
        flags = ["elsewhere"] * said.elsewhere + ["late"] * said.late
        assert tuple(row) == (said.verdict, said.charged, said.conflict, flags or None), tap_id


# --- prices ----------------------------------------------------------------------------------------------------------


class Prices:
    """A tariff under which each further ride costs less; `late` taps are booked behind its back before it answers."""

    flat = False

    def __init__(self, pool: Any, late: int = 0, faulty: bool = False) -> None:
        self.pool, self.late, self.faulty = pool, late, faulty
        self.asked: list[int] = []

    async def quotes(self, readings: Sequence[Reading]) -> list[Quote | None]:
        self.asked.append(len(readings))
        if self.faulty:
            raise RuntimeError("no prices today")
        uids = [reading.card_uid for reading in readings]
        found = dict(await self.pool.fetch("SELECT uid, taps FROM card WHERE uid = ANY ($1::bytea[])", uids))
        if self.late:
            self.late -= 1
            await self.pool.execute("UPDATE card SET taps = taps + 1")
        return [Quote(max(0, 900 - 300 * found[uid]), found[uid]) for uid in uids]


async def with_card(database: str, **options: Any) -> tuple[Any, Prices, Judge, Counter[str], World]:
    pool = await open_pool(database)
    world = World(random.Random(1))
    uid = b"\x04simple"
    world.reference.cards = {uid: Card(balance=10_000)}
    world.on_cards = {}
    await world.store(pool)
    prices, counters = Prices(pool, **options), Counter[str]()
    return pool, prices, Judge(Store(pool), TARIFF, counters, Seams(prices)), counters, world


def ride(world: World, counter: int, vehicle: str = "") -> Reading:
    world.clock_s += 1
    tap = Tap(
        str(uuid.uuid4()), "a1", counter, world.clock_s, "card", "x", None, vehicle or f"v{counter}", None, None, None,
        None, "town", "d1", world.clock_s,
    )  # fmt: skip
    return Reading(tap, world.clock_s, content_hash(tap), card_uid=b"\x04simple", counter=counter, key_version=1)


async def test_taps_of_one_card_in_one_batch_are_priced_one_after_the_other(database):
    pool, prices, judge, _, world = await with_card(database)
    outcome = await judge.judge([ride(world, counter) for counter in (1, 2, 3)])
    assert [row and row.charged_minor for row in outcome.rows] == [900, 600, 300]
    assert prices.asked == [1, 1, 1]
    assert outcome.through[-1] == 3
    outcome = await judge.judge([ride(world, 4), ride(world, 4)])
    assert [row and (row.verdict, row.charged_minor) for row in outcome.rows] == [("accepted", 0), ("replayed", None)]
    pool.terminate()


async def test_a_stale_price_is_asked_for_again_and_given_up_after_a_while(database):
    pool, _, judge, counters, world = await with_card(database, late=1)
    outcome = await judge.judge([ride(world, 1)])
    assert [row and row.charged_minor for row in outcome.rows] == [600]
    assert counters["stale_quotes"] == 1
    assert outcome.through == [1]
    pool.terminate()


async def test_a_price_that_never_holds_is_the_fare_and_rated_later(database):
    pool, _, judge, counters, world = await with_card(database, late=99)
    outcome = await judge.judge([ride(world, 1)])
    assert [row and row.charged_minor for row in outcome.rows] == [800]
    assert (counters["stale_quotes"], counters["unquoted"]) == (QUOTES_MAX, 1)
    assert await pool.fetchval("SELECT rating_due FROM tap")
    pool.terminate()


async def test_a_fault_of_the_prices_keeps_nobody_out(database):
    pool, _, judge, counters, world = await with_card(database, faulty=True)
    outcome = await judge.judge([ride(world, 1)])
    assert [row and (row.verdict, row.charged_minor) for row in outcome.rows] == [(Verdict.ACCEPTED, 800)]
    assert counters["pricing_faults"] == 1
    assert await pool.fetchval("SELECT rating_due FROM tap")
    pool.terminate()


async def test_a_price_in_a_day_with_a_cap_can_be_nothing(database):
    pool, _, judge, _, world = await with_card(database)
    for counter in range(1, 6):
        await judge.judge([ride(world, counter)])
    assert await pool.fetchval("SELECT balance_minor FROM card") == 10_000 - 900 - 600 - 300
    assert await pool.fetchval("SELECT count(*) FROM tap WHERE verdict = 'accepted'") == 5
    pool.terminate()
