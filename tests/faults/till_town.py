"""A till between two proxies, with its clients: they ask until they are answered, whatever becomes of the till."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from datetime import time as clock
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import aiohttp
import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.auth import Tokens
from deploy.config import Settings
from deploy.doctor.books import check_books
from deploy.doctor.patient import Patient
from simulators.acquirer import Acquirer, open_acquirer
from sql import query
from tests.faults.boundaries import Blow, Boundaries, When, acquirer_proxy, postgres_proxy
from tests.faults.conftest import write_key
from tests.faults.till_process import TillOptions, TillProcess
from tests.integration.money_town import CAPPED

CITY = ZoneInfo("Europe/Kyiv")
TRIES_MAX, RETRY_S = 12, 0.25
LATER_S = 7200.0
"""Beyond every wait between two questions to the acquirer (an hour) and the time that one is in somebody's hands."""
UNDER_WAY = """
    SELECT 'payment' AS what, key AS name FROM payment WHERE state NOT IN ('approved', 'declined')
    UNION ALL SELECT 'purchase', id FROM purchase WHERE state = 'pending'
    UNION ALL SELECT 'charge', id FROM bank_charge WHERE state = 'asked'
    UNION ALL SELECT 'top-up', id FROM auto_top_up_order WHERE state = 'open'
    UNION ALL SELECT 'tap', id::text FROM tap WHERE rating_due"""
BOOKED_TWICE = """
    SELECT payment_key FROM transfer WHERE payment_key IS NOT NULL GROUP BY 1 HAVING count(*) > 1
    UNION ALL SELECT ticket_id::text FROM transfer WHERE kind = 'sale' GROUP BY 1 HAVING count(*) > 1
    UNION ALL SELECT reverses::text FROM transfer WHERE reverses IS NOT NULL GROUP BY 1 HAVING count(*) > 1"""


@dataclass
class TillTown:
    """Everything but the flows. `offset_s` is how far ahead its clock is."""

    url: str
    folder: Path
    acquirer: Acquirer
    boundaries: Boundaries
    pool: Any
    tokens: Tokens
    options: dict[str, Any]
    offset_s: float = 0.0
    taps: int = 0
    answers: list[str] = field(default_factory=list)
    till: TillProcess | None = None

    async def running(self) -> TillProcess:
        """The till, started anew where it was killed."""
        if self.till is None:
            self.till = till = TillProcess(TillOptions(**self.options, offset_s=self.offset_s))
            await till.ready()
        return self.till

    async def kill(self) -> None:
        till, self.till = self.till, None
        if till is not None:
            await till.kill()

    async def once(self, method: str, path: str, body: object, key: str | None, role: str) -> tuple[int, Any]:
        """One request; status 0 where nobody answered."""
        till = await self.running()
        headers = {"Authorization": f"Bearer {self.tokens.issue(role, f'{role}1', time.time(), 3600)}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            async with (
                aiohttp.ClientSession(f"http://127.0.0.1:{till.port}") as session,
                session.request(method, path, json=body, headers=headers) as answer,
            ):
                said = await answer.json(content_type=None) if answer.status != 204 else None
        except (aiohttp.ClientError, OSError) as error:
            self.answers.append(f"{method} {path}: {error!r}")
            return 0, None
        self.answers.append(f"{method} {path}: {answer.status} {said if answer.status >= 400 else ''}")
        assert answer.status != 500, f"after {self.boundaries.struck!r}\n{self.options['log'].read_text()[-4000:]}"
        return answer.status, said

    async def ask(
        self, method: str, path: str, body: object = None, *, key: str | None = None, role: str = "cashier",
        refused: tuple[int, ...] = (),
    ) -> Any:  # fmt: skip
        """Ask until it is done, as a patient client does; `refused` are statuses that are taken for an answer, too."""
        for _ in range(TRIES_MAX):
            status, said = await self.once(method, path, body, key, role)
            if 0 < status < 400 or status in refused:
                return said
            assert status in (0, 503), f"{method} {path}: {status} {said} after {self.boundaries.struck!r}"
        raise AssertionError(f"{method} {path}: never answered, after {self.boundaries.struck!r}: {self.answers[-5:]}")

    async def work(self, later_s: float = 0.0, what: str = "money") -> dict[str, int]:
        """Have the workers do all that is due, so much later."""
        self.offset_s += later_s
        done: dict[str, int] = await self.ask("POST", "/work", {"offset_s": self.offset_s, "what": what}, role="admin")
        return done

    async def tap(self, medium: str, token: str) -> str:
        """A ride; the verdict."""
        self.taps += 1
        tap = {
            "id": str(uuid.uuid4()), "boot": "a1", "seq": self.taps, "ts": time.time() + self.offset_s,
            "medium": medium, "token": token, "vehicle": f"v{self.taps}",
        }  # fmt: skip
        if medium == "bank":
            tap["bank"] = {"par": None, "oda": "passed"}
        for _ in range(TRIES_MAX):
            said = await self.ask("POST", "/api/v1/validations", tap, role="validator")
            if not said["retry"]:
                break
            await asyncio.sleep(RETRY_S)  # as a validator does, which was told that nothing was decided
        return str(said["verdict"])

    @asynccontextmanager
    async def struck(self, number: int, when: When, blow: Blow) -> AsyncIterator[None]:
        """A block in which the till is struck at the so many-th message."""
        await self.running()
        self.boundaries.arm(number, when, blow)
        try:
            yield
        finally:
            self.boundaries.disarm()

    async def rows(self, statement: str, *arguments: object) -> list[Any]:
        return list(await self.pool.fetch(statement, *arguments))

    async def value(self, statement: str, *arguments: object) -> Any:
        return await self.pool.fetchval(statement, *arguments)

    async def next_morning(self) -> None:
        """It is eight o'clock on the next day in the city: what a flow takes does not depend on when a test runs."""
        now = datetime.fromtimestamp(time.time() + self.offset_s, CITY)
        eight = datetime.combine(now.date() + timedelta(days=1), clock(8), CITY)
        await self.work(eight.timestamp() - now.timestamp())

    async def come_to_rest(self) -> None:
        """All that was left under way is done, within its time."""
        for _ in range(3):
            await self.work(LATER_S)
            if not await self.rows(UNDER_WAY):
                break

    async def check(self) -> None:
        """What must hold whatever happened: nothing lost, nothing twice, and the bank's record is ours."""
        after = f"after {self.boundaries.struck!r}"
        assert await self.rows(UNDER_WAY) == [], f"left under way {after}"
        assert await self.rows(BOOKED_TWICE) == [], after
        balances = {row["account"]: row["minor"] for row in await self.rows(query("ledger.balances"))}
        assert sum(balances.values()) == 0, after
        assert balances.get("acquirer", 0) == sum(self.acquirer.charged.values()), f"books and bank differ {after}"
        ours = {row["key"]: row["minor"] for row in await self.rows(
            "SELECT key, amount_minor AS minor FROM payment WHERE state = 'approved' AND kind <> 'verify'"
        )}  # fmt: skip
        theirs = {o.key: o.amount_minor for o in self.acquirer.operations.values() if o.approved and o.amount_minor}
        assert ours == theirs, f"books and bank differ by key {after}"
        lost = "SELECT id FROM purchase WHERE state IN ('approved', 'returned') AND ticket_id IS NULL"
        assert await self.rows(lost) == [], f"paid and not issued {after}"
        found = await asyncio.to_thread(check_books, Patient(Settings(database_url=self.url)))
        assert [finding for finding in found if finding.state != "ok"] == [], f"the doctor finds something {after}"
        assert found, "the doctor has looked"


@asynccontextmanager
async def till_town(url: str, folder: Path, acquirer: Acquirer | None = None) -> AsyncIterator[TillTown]:
    """A town on a migrated database; its log is shown where a test fails."""
    acquirer = acquirer or Acquirer("secret")
    at = urlsplit(url)
    assert at.hostname
    assert at.port
    boundaries = Boundaries(lambda: town.kill())  # noqa: PLW0108  # there is none yet
    signing = Ed25519PrivateKey.generate()
    if not (folder / "keys").exists():
        write_key(folder / "keys", "2026-01")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(open_acquirer(acquirer))
        bank = urlsplit(acquirer.url).port
        assert bank
        through = await stack.enter_async_context(postgres_proxy(boundaries, at.hostname, at.port))
        bank = await stack.enter_async_context(acquirer_proxy(boundaries, bank))
        pool = await asyncpg.create_pool(url, min_size=1, max_size=2)
        stack.push_async_callback(pool.close)
        netloc = f"{at.netloc.rpartition('@')[0]}@127.0.0.1:{through}"
        options = {
            "dsn": f"{at._replace(netloc=netloc).geturl()}?sslmode=disable",
            "acquirer_url": f"http://127.0.0.1:{bank}",
            "keys_dir": folder / "keys",
            "tariff": CAPPED,
            "token_key": signing.private_bytes_raw(),
            "log": folder / "till.log",
        }
        town = TillTown(url, folder, acquirer, boundaries, pool, Tokens(signing, "takt:till"), options)
        stack.push_async_callback(town.kill)
        yield town
