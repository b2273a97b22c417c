"""Taps judged and booked, beside single-row commits of the same PostgreSQL and bare Ed25519 verification.

Durability is on (fsync, synchronous_commit) or the run is refused. Cards and tickets are made before the clock starts;
what is timed is what the gateway's seam does: taps in, answers out, every one checked, judged, booked and committed.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.errors import UserError
from sql.pool import open_pool
from ticketing.card import CardKeys, sun_message
from ticketing.config import DEFAULT_TARIFF, TicketingSettings
from ticketing.credential import Claims, issue_qr
from ticketing.keys import FileSigner, IssuerKeys
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.service import Ticketing
from ticketing.tariff import parse_tariff
from ticketing.verdict import Tap, Verdict

CONNECTIONS = 16
CALLERS = 24
TAPS_A_CALL = 64
CARDS = 20_000
TICKETS = 20_000


@dataclass(frozen=True)
class Rate:
    """So many a second, and how many cores of this process that took."""

    per_s: float
    cores: float


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  # every benchmark is asked the same way
    """Measure on an embedded PostgreSQL of our own, in a folder that is thrown away."""
    from deploy.embedded_postgres import embedded_postgres
    from deploy.instance import Instance
    from sql.migrate import migrate

    async def measured() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="takt-bench-") as folder:
            instance = Instance.open(Path(folder) / "data")
            with instance.locked():
                async with embedded_postgres(instance) as dsn:
                    await migrate(dsn)
                    return await measure(dsn, seconds)

    return asyncio.run(measured())


async def measure(dsn: str, seconds: float) -> dict[str, Any]:
    """Figures and ratios of contract section 4, each measured for so many seconds on a migrated database."""
    await _check_durable(dsn)
    ed25519 = measure_ed25519(min(seconds, 3.0))
    commits = await measure_commits(dsn, seconds)
    cards = await measure_cards(dsn, seconds)
    qrs = await measure_qr(dsn, seconds)
    figures = {
        "card_taps_per_s": round(cards.per_s),
        "qr_taps_per_s": round(qrs.per_s),
        "commits_per_s": round(commits),
        "ed25519_verifications_per_s": round(ed25519),
        "card_cores_used": round(cards.cores, 2),
        "qr_cores_used": round(qrs.cores, 2),
    }
    ratios = {
        "card_taps_to_commits": round(cards.per_s / commits, 2),
        "qr_taps_to_ed25519": round(qrs.per_s / qrs.cores / ed25519, 2),
    }
    return {"figures": figures, "ratios": ratios}


def measure_ed25519(seconds: float) -> float:
    """Bare verifications a second on one core, of a message as long as a ticket's."""
    private = Ed25519PrivateKey.generate()
    public, message = private.public_key(), os.urandom(96)
    signature = private.sign(message)
    count, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < seconds:
        for _ in range(100):
            public.verify(signature, message)
        count += 100
    return count / spent


async def measure_commits(dsn: str, seconds: float) -> float:
    """Single-row inserts a second, each its own commit, over CONNECTIONS connections: what a tap alone would cost."""
    pool = await open_pool(dsn, size_max=CONNECTIONS, size_min=CONNECTIONS)
    try:
        await pool.execute("CREATE TABLE IF NOT EXISTS bench_row (id bigint GENERATED ALWAYS AS IDENTITY, text text)")
        deadline = time.perf_counter() + seconds
        counts = await asyncio.gather(*(_insert_until(pool, deadline) for _ in range(CONNECTIONS)))
        await pool.execute("DROP TABLE bench_row")
        return sum(counts) / seconds
    finally:
        await pool.close()


async def _insert_until(pool: Any, deadline: float) -> int:
    count = 0
    async with pool.acquire() as connection:
        while time.perf_counter() < deadline:
            await connection.execute("INSERT INTO bench_row (text) VALUES ($1)", "a tap of no great length")
            count += 1
    return count


async def measure_cards(dsn: str, seconds: float) -> Rate:
    """City-card taps a second: SUN message checked with diversified keys, judged, charged to the purse, committed."""
    keys = CardKeys(1, secrets.token_bytes(16), secrets.token_bytes(16))
    uids = [b"\x04" + secrets.token_bytes(6) for _ in range(CARDS)]
    pool = await open_pool(dsn)
    try:
        await pool.copy_records_to_table(
            "card",
            records=[(uid, 1, 10**9, "UAH") for uid in uids],
            columns=["uid", "key_version", "balance_minor", "currency"],
        )
        await pool.execute("ANALYZE card")
        messages = (sun_message(keys, uid, counter, b"\x00" * 5) for counter in itertools.count(1) for uid in uids)
        return await _drive(pool, "card", messages, seconds, card_keys=(keys,))
    finally:
        await pool.close()


async def measure_qr(dsn: str, seconds: float) -> Rate:
    """QR taps a second: signature checked, judged, booked, committed; passes, so that every tap is accepted."""
    signer, issuer_keys = _issuer()
    now_s = int(time.time())
    ids = [uuid.UUID(bytes=secrets.token_bytes(16), version=4) for _ in range(TICKETS)]
    tokens = [
        issue_qr(Claims("takt", id_, "day", now_s - 60, now_s + 86400, ("*",), 900, index), signer)
        for index, id_ in enumerate(ids)
    ]
    pool = await open_pool(dsn)
    try:
        async with pool.acquire() as connection:
            await connection.executemany(
                "INSERT INTO ticket (id, product_id, valid_from, valid_until, networks, passback, status_list,"
                " status_index, price_minor, currency, sold_by) VALUES ($1, 'day', now() - interval '1 minute',"
                " now() + interval '1 day', '{*}', '0', 900, $2, 0, 'UAH', 'bench')",
                list(zip(ids, range(TICKETS), strict=True)),
                timeout=60,
            )
            await connection.execute("ANALYZE ticket")
        return await _drive(pool, "qr", itertools.cycle(tokens), seconds, issuer_keys=issuer_keys)
    finally:
        await pool.close()


async def _drive(
    pool: Any,
    medium: str,
    tokens: Iterator[str],
    seconds: float,
    card_keys: tuple[CardKeys, ...] = (),
    issuer_keys: IssuerKeys | None = None,
) -> Rate:
    """Callers that always have a batch under way, each a gateway's share; the taps are made before they are timed."""
    tariff = parse_tariff(DEFAULT_TARIFF.read_text(encoding="utf-8"), str(DEFAULT_TARIFF))
    settings = TicketingSettings()
    numbers = itertools.count(1)
    accepted = taps = 0
    spent_s = cores_s = 0.0
    async with Ticketing(pool, issuer_keys or _issuer()[1], tariff, settings, card_keys=card_keys) as service:
        while spent_s < seconds:
            calls = [
                [_tap(medium, next(tokens), caller, next(numbers)) for _ in range(TAPS_A_CALL)]
                for caller in range(CALLERS)
                for _ in range(8)
            ]
            shares = [calls[caller * 8 : caller * 8 + 8] for caller in range(CALLERS)]
            begun, cpu = time.perf_counter(), time.process_time()
            counts = await asyncio.gather(*(_call(service, share) for share in shares))
            spent_s += time.perf_counter() - begun
            cores_s += time.process_time() - cpu
            accepted += sum(counts)
            taps += len(calls) * TAPS_A_CALL
    if accepted < taps:
        raise UserError(f"{taps - accepted} of {taps} {medium} taps were not accepted: {dict(service.counters)}")
    return Rate(taps / spent_s, cores_s / spent_s)


async def _call(service: Ticketing, share: list[list[Tap]]) -> int:
    accepted = 0
    for taps in share:
        accepted += sum(answer.verdict is Verdict.ACCEPTED for answer in await service.validate(taps))
    return accepted


def _tap(medium: str, token: str, caller: int, number: int) -> Tap:
    now_s = time.time()
    return Tap(
        str(uuid.UUID(int=secrets.randbits(128), version=4)),
        "a1",
        number,
        now_s,
        medium,
        token,
        None,
        f"v{number % 600}",
        None,
        None,
        None,
        None,
        "town",
        f"door-{caller}",
        now_s,
    )


def _issuer() -> tuple[FileSigner, IssuerKeys]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    signer = FileSigner(kid_of(public.public_bytes_raw()), private)
    return signer, IssuerKeys(signer, KeySet([IssuerKey(signer.kid, "takt", public)]))


async def _check_durable(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for name in ("fsync", "synchronous_commit"):
            value = await connection.fetchval("SELECT current_setting($1)", name)
            if value != "on":
                raise UserError(f"{name} is {value}: commits that may be lost are no commits; set it on and run again")
    finally:
        await connection.close()
