"""A city that sells tickets and judges taps on a real PostgreSQL, with a desk and a clock that tests may set."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sql import query
from sql.pool import open_pool
from ticketing.api import TicketingApi
from ticketing.card import CardKeys, sun_message
from ticketing.config import TicketingSettings
from ticketing.keys import FileSigner, IssuerKeys
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.seams import Seams
from ticketing.service import Ticketing
from ticketing.store import warm
from ticketing.tariff import parse_tariff
from ticketing.verdict import Answer, Tap

TARIFF = parse_tariff((Path(__file__).parents[2] / "ticketing" / "tariff.toml").read_text(), "tariff.toml")
UID = bytes.fromhex("04de5f1eacc040")
CARD_KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
# AN12196 page 12: all keys zero, UID 04DE5F1EACC040, counter 61.
PUBLISHED_KEYS = CardKeys(9, bytes(16), bytes(16), diversified=False)
PUBLISHED = "p=EF963FF7828658A599F3041510671E88&c=94EED9EE65337086"


def issuer_keys() -> IssuerKeys:
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    kid = kid_of(public.public_bytes_raw())
    return IssuerKeys(FileSigner(kid, private), KeySet([IssuerKey(kid, "takt", public)]))


@dataclass
class City:
    """A judge of taps with its desk, and a clock that tests may set."""

    url: str
    pool: Any
    service: Ticketing
    api: TicketingApi
    boardings: list[tuple[str, float, int]]
    offset_s: float = 0.0
    seq: Counter[str] = field(default_factory=Counter)

    def now(self) -> float:
        return time.time() + self.offset_s

    async def sell(self, product: str = "single", **options: Any):
        return await self.api.desk.sell(product, subject="cashier", **options)

    def tap(self, token: str, medium: str = "qr", device: str = "door", **fields: Any) -> Tap:
        self.seq[device] += 1
        given = {
            "id": str(uuid.uuid4()),
            "boot": "a1",
            "seq": self.seq[device],
            "ts": self.now(),
            "bank": None,
            "vehicle": "4582",
            "stop_id": None,
            "lat": None,
            "lon": None,
            "offline": None,
            "operator": "kpt",
            "received_s": self.now(),
        } | fields
        return Tap(medium=medium, token=token, device=device, **given)

    async def judge(self, *taps: Tap) -> list[Answer]:
        return await self.service.validate(taps)

    async def say(self, token: str, medium: str = "qr", **fields: Any) -> str:
        return (await self.judge(self.tap(token, medium, **fields)))[0].verdict.value

    async def card(self, counter: int, **fields: Any) -> str:
        return await self.say(sun_message(CARD_KEYS, UID, counter, b"12345"), "card", **fields)

    async def balances(self) -> dict[str, int]:
        """What the ledger's accounts hold in minor units, by the first part of their names."""
        rows = await self.pool.fetch(query("ledger.balances"))
        return {row["account"].partition(":")[0]: row["minor"] for row in rows}

    async def value(self, statement: str, *arguments: Any) -> Any:
        return await self.pool.fetchval(statement, *arguments)


async def open_city(url: str, settings: TicketingSettings | None = None) -> AsyncIterator[City]:
    pool = await open_pool(url, init=warm)
    boardings: list[tuple[str, float, int]] = []
    service = Ticketing(
        pool,
        issuer_keys(),
        TARIFF,
        settings,
        card_keys=(PUBLISHED_KEYS, CARD_KEYS),
        seams=Seams(on_boardings=boardings.extend),
        clock=lambda: city.now(),  # noqa: PLW0108  # there is no city yet
    )
    try:
        async with service:
            city = City(url, pool, service, TicketingApi(service), boardings)
            yield city
            # Whatever a test did, the books are in order afterwards.
            assert await pool.fetch(query("cards.purse_differences")) == []
            assert sum(row["minor"] for row in await pool.fetch(query("ledger.balances"))) == 0
            assert await pool.fetchval("SELECT count(*) FROM ticket WHERE uses > uses_allowed") == 0
    finally:
        pool.terminate()
