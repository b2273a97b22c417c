"""A validator that decides alone says what the server would have said: the same taps, the same memory, both asked."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.validator_library.decision import Decision, Scan, decide, note
from simulators.validator_library.lists import Lists
from simulators.validator_library.memory import Memory
from simulators.validator_library.rules import Profile, Rules, products_from_json
from sql import query
from tests.faults.hostile_tokens import hostile_tokens, mutations
from tests.integration.ticket_city import CARD_KEYS, TARIFF, UID, City
from ticketing.card import sun_message
from ticketing.claims import Claims
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.signing import b64url
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt
from ticketing.verdict import Offline, Tap, Verdict

WINDOW_S, CLOCK_ERROR_S = 30, 10
DEVICE, THIEF = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (3, 4))
JWK = {"kty": "OKP", "crv": "Ed25519", "x": b64url(DEVICE.public_key().public_bytes_raw())}
VEHICLES = ("4582", "4583")
SEED = 20260714


@dataclass
class Both:
    """The server and one validator that hears of everything; `said` counts what both say."""

    city: City
    rules: Rules
    lists: Lists = field(default_factory=Lists)
    memory: Memory = field(default_factory=Memory)
    said: Counter[str] = field(default_factory=Counter)
    decisions: list[tuple[Scan, Decision]] = field(default_factory=list)

    async def fetch(self, numbers: set[int]) -> None:
        """What a validator fetches, as the server gives it."""
        at_s, api = self.city.now(), self.city.api
        self.lists.take_keys(self.city.service.keys.key_set.cose_keys(), at_s)
        for number in numbers:
            self.lists.take_status_list(await api.lists.status_list(number), at_s)
        self.lists.take_deny_list(msgspec.json.encode(await api.lists.deny_list(0)), at_s)

    async def ask(self, scans: list[Scan], alone: bool = False) -> None:
        """Both are asked in the order of time and say the same; alone: the server hears of it an hour later."""
        for scan in sorted(scans, key=lambda scan: scan.at_s):
            self.decisions.append((scan, decision := decide(scan, self.rules, self.lists, self.memory)))
            note(decision, scan, self.memory)
        for begin in range(0, len(self.decisions), 100):
            some = self.decisions[begin : begin + 100]
            answers = await self.city.judge(*(self._tap(scan, decision, alone) for scan, decision in some))
            for (scan, decision), answer in zip(some, answers, strict=True):
                assert decision.verdict is answer.verdict, (scan, decision, answer)
                self.said[answer.verdict.value] += 1
        assert await self.city.value("SELECT count(*) FROM tap WHERE conflict") == 0

    def _tap(self, scan: Scan, decision: Decision, alone: bool) -> Tap:
        at: dict[str, Any] = {"ts": scan.at_s, "received_s": scan.at_s, "vehicle": scan.place.partition("/")[2]}
        if alone:
            at |= {"received_s": scan.at_s + 3_600, "offline": Offline(decision.verdict.value, self.rules.version)}
        return self.city.tap(scan.token, scan.medium, **at)


@pytest_asyncio.fixture
async def both(city: City) -> Both:
    rules = Rules(
        1,
        products_from_json(msgspec.json.encode(await city.api.list_products())),
        frozenset(TARIFF.networks_of("kpt")),
        Profile(card_keys=(CARD_KEYS,)),
    )
    return Both(city, rules)


def scan(token: str, at_s: float, rng: random.Random, medium: str = "qr") -> Scan:
    return Scan(medium, token, f"kpt/{rng.choice(VEHICLES)}", at_s)


def proven(token: str, at_s: int, key: Ed25519PrivateKey = DEVICE) -> str:
    return with_proof(token, at_s, key.sign(proof_message(plain_token(token), at_s)))


async def change(city: City, ticket_id: str, how: str) -> None:
    """What a cashier, a conflict or another tariff may do to a ticket."""
    ticket = uuid.UUID(ticket_id)
    match how:
        case "revoke" | "suspend" | "resume":
            await city.api.desk.change_ticket(ticket_id, how, "a test", subject="cashier")
        case "deny" | "forgive":
            async with city.pool.acquire() as connection:
                await connection.fetchval(query("lists.deny"), "ticket", ticket.bytes, how == "forgive", "a test")
        case "metro":
            await city.pool.execute("UPDATE ticket SET networks = '{metro}' WHERE id = $1", ticket)


FATES: tuple[tuple[str, ...], ...] = (
    (),
    ("revoke",),
    ("suspend",),
    ("suspend", "resume"),
    ("suspend", "revoke"),
    ("deny",),
    ("deny", "forgive"),
    ("metro",),
    ("revoke", "deny", "metro"),
    ("suspend", "deny", "metro"),
    ("deny", "metro"),
)


@pytest.mark.parametrize(
    ("alone", "products"), [(False, ("single", "ten", "day", "group", "mobile")), (True, ("ten", "mobile"))]
)
async def test_tickets_of_every_fate_at_every_edge_of_their_time(both, alone, products):
    """Products, states, lists, networks, proofs and forms in all combinations, at the edges of validity and window."""
    rng, scans, numbers = random.Random(SEED), [], set()
    start_s = float(int(both.city.now()) + 3_600)
    for product in products:
        for fate in FATES:
            bound = product == "mobile"
            sold = await both.city.sell(product, valid_from=start_s, **({"device_key": JWK} if bound else {}))
            for how in fate:
                await change(both.city, sold.id, how)
            ticket = await both.city.api.desk.get_ticket(sold.id)
            numbers.add(await both.city.value("SELECT status_list FROM ticket WHERE id = $1", uuid.UUID(sold.id)))
            end_s = ticket.valid_until
            middle_s = start_s + 600
            times = [start_s - 1, start_s - 0.5, start_s, start_s + 1, middle_s, middle_s + 299, middle_s + 301]
            times += [end_s - 1, end_s - 0.5, end_s, end_s + 1]
            for at_s in times:
                for token in (ticket.token, ticket.jwt):
                    scans.append(scan(token, at_s, rng))
                    if bound:
                        ages = (-CLOCK_ERROR_S - 1, -CLOCK_ERROR_S, 0, WINDOW_S, WINDOW_S + CLOCK_ERROR_S)
                        for age_s in (*ages, WINDOW_S + CLOCK_ERROR_S + 1):
                            scans.append(scan(proven(token, int(at_s) - age_s), at_s, rng))
                        scans.append(scan(proven(token, int(at_s), THIEF), at_s, rng))
    await both.fetch(numbers)
    await both.ask(scans, alone)
    told = {verdict.value for verdict in Verdict} - {"malformed", "unknown_key", "replayed", "unknown", "unavailable"}
    assert told - set(both.said) == {"insufficient_funds"}
    assert len(scans) > 300 * len(products)


async def test_what_is_not_genuine_or_not_sold(both):
    """Hostile tokens, mutations, other issuers, and genuine ones that nobody sold."""
    rng, at_s = random.Random(SEED), both.city.now() + 60
    sold = await both.city.sell("mobile", device_key=JWK)
    signer, key = both.city.service.keys.signer, both.city.service.keys.key_set.keys[0]
    genuine = [sold.token, sold.jwt, proven(sold.token, int(at_s)), proven(sold.jwt, int(at_s))]
    tokens = [*hostile_tokens(sold.token, sold.jwt, key).values()]
    for token in genuine:
        tokens += mutations(token, rng, 300)
    tokens.append(with_proof(sold.token, int(at_s), DEVICE.sign(proof_message(plain_token(sold.jwt), int(at_s)))))
    never = Claims("takt", uuid.uuid4(), "single", int(at_s) - 9, int(at_s) + 900, ("*",), 1, 2**31)
    for claims in (never, msgspec.structs.replace(never, product="of another tariff")):
        tokens += [issue_qr(claims, signer), issue_jwt(claims, signer, "https://lists")]
    await both.fetch({1})
    await both.ask([scan(token, at_s, rng) for token in tokens])
    assert set(both.said) == {"malformed", "unknown_key", "bad_signature", "unknown"}


async def test_city_cards(both):
    """Counters that rise and do not, cards that are blocked, messages that are changed."""
    rng, at_s = random.Random(SEED), both.city.now() + 60
    other = bytes.fromhex("04aabbccddeeff")
    for uid in (UID, other):
        await both.city.api.cards.enrol([uid.hex()], CARD_KEYS, subject="admin")
        await both.city.api.cards.top_up(uid.hex(), 200_000, subject="cashier", idempotency_key=None)
    await both.city.api.cards.block(other.hex(), "lost", subject="cashier")
    await both.fetch(set())
    scans = []
    for number in range(300):
        uid = rng.choice((UID, UID, other))
        message = sun_message(CARD_KEYS, uid, rng.choice((number, number, max(0, number - 5))), rng.randbytes(5))
        if rng.random() < 0.3:
            message = next(mutations(message, rng, 1))
        # Far apart: how soon a purse may pay again on one vehicle is the server's to say.
        scans.append(scan(message, at_s + 3_600 * number, rng, "card"))
    await both.ask(scans)
    assert set(both.said) == {"malformed", "bad_signature", "replayed", "denied", "accepted"}
