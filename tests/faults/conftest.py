"""A city under faults: a real PostgreSQL, a real broker, gateway and ticketing as a process that may be killed."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from simulators.checker import Comparison
from tests.faults.invariants import check_invariants
from tests.faults.judge_process import JudgeOptions, JudgeProcess
from tests.faults.validators_at_work import OPERATOR, ValidatorsAtWork
from tests.integration.conftest import (
    database,  # noqa: F401  # fixtures
    migrated_template,  # noqa: F401
    postgres_server,  # noqa: F401
)
from tests.integration.gateway_brokers import RunningBroker, nats_broker
from ticketing.claims import Claims
from ticketing.keys import IssuerKeys, load_issuer_keys
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

ACK_WAIT = "12s"  # as the product's own broker has it (deploy.embedded_broker)


@pytest.fixture
def seed() -> int:
    """Another one each time; a failure shows it, and TAKT_FAULT_SEED plays it again."""
    chosen = int(os.environ.get("TAKT_FAULT_SEED") or random.SystemRandom().randrange(2**32))
    print(f"TAKT_FAULT_SEED={chosen}")
    return chosen


@dataclass
class Town:
    """Everything but the judge, which tests start and kill as they like."""

    folder: Path
    dsn: str
    broker: RunningBroker
    seed: int
    keys: IssuerKeys
    sold: list[str] = field(default_factory=list)
    ids: list[uuid.UUID] = field(default_factory=list)
    judges: list[JudgeProcess] = field(default_factory=list)

    @property
    def keys_dir(self) -> Path:
        return self.folder / "keys"

    @property
    def log(self) -> Path:
        return self.folder / "judge.log"

    async def judge(self, **options: Any) -> JudgeProcess:
        """Start a judge; it is killed after the test."""
        given = {"dsn": self.dsn, "mqtt_port": self.broker.port, "keys_dir": self.keys_dir, "log": self.log} | options
        print("judge:", {name: value for name, value in given.items() if name != "dsn"})
        process = JudgeProcess(JudgeOptions(**given))
        self.judges.append(process)
        await process.ready()
        return process

    def validators(self, count: int, **options: Any) -> ValidatorsAtWork:
        print("validators:", count, options)
        return ValidatorsAtWork(self.folder, options.pop("port", self.broker.port), count, self.seed, **options)

    async def sell(self, count: int, product: str = "single", uses: int | None = 1, jwt: bool = False) -> list[str]:
        """Tokens of so many tickets, in the books."""
        now_s = int(time.time())
        ids = [uuid.UUID(int=random.getrandbits(128), version=4) for _ in range(count)]
        first = len(self.sold)
        until_s = now_s + 86_400
        claims = [
            Claims("takt", ticket, product, now_s - 7_200, until_s, ("*",), 900, first + n)
            for n, ticket in enumerate(ids)
        ]
        tokens = [
            issue_jwt(claim, self.keys.signer, "http://lists") if jwt else issue_qr(claim, self.keys.signer)
            for claim in claims
        ]
        await self.execute_many(
            "INSERT INTO ticket (id, product_id, valid_from, valid_until, uses_allowed, networks, passback,"
            " status_list, status_index, price_minor, currency, sold_by)"
            " VALUES ($1, $2, to_timestamp($3), to_timestamp($4), $5,"
            " '{*}', '0', 900, $6, 0, 'UAH', 'test')",
            [(c.ticket_id, product, c.not_before_s, c.expires_s, uses, c.status_index) for c in claims],
        )
        self.sold += tokens
        self.ids += ids
        return tokens

    async def execute_many(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            await connection.executemany(statement, rows)
        finally:
            await connection.close()

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        connection = await asyncpg.connect(self.dsn, timeout=10)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def value(self, statement: str, *arguments: Any) -> Any:
        return (await self.fetch(statement, *arguments))[0][0]

    async def check(self, validators: ValidatorsAtWork, judge: JudgeProcess | None = None) -> Comparison:
        """The invariants; see tests.faults.invariants."""
        said = await judge.ask() if judge else None
        return await check_invariants(self.dsn, validators.entries(), judge=said, log=self.log, secrets=self.sold[:200])


def write_key(folder: Path, name: str) -> None:
    """A new issuer key; the last by name signs."""
    folder.mkdir(exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file = folder / f"{name}.pem"
    file.touch(mode=0o600)
    file.write_bytes(pem)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    started = nats_broker(tmp_path, ack_wait=ACK_WAIT, mqtt="max_ack_pending: 8192")
    started.start()
    yield started
    started.kill()


@pytest_asyncio.fixture
async def town(tmp_path: Path, database: str, broker: RunningBroker, seed: int) -> AsyncIterator[Town]:  # noqa: F811
    random.seed(seed)
    write_key(tmp_path / "keys", "2026-01")
    town = Town(tmp_path, database, broker, seed, load_issuer_keys(tmp_path / "keys", "takt"))
    assert OPERATOR == "town"
    yield town
    for judge in town.judges:
        judge.kill()
    if town.log.exists():
        print("judge's log:", town.log.read_text(errors="replace")[-2000:])
