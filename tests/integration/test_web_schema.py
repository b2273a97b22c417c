"""Requests generated from our own description of the API, against the running server: no failure, all described."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from deploy.auth import PERMISSIONS, ROLES
from deploy.instance import Instance
from deploy.letters_api import LettersApi
from deploy.web import routes_of
from dispatch.control import OFFERED
from dispatch.control_api import ControlApi
from dispatch.control_board import ControlBoard
from dispatch.history_read import HistoryReader
from sql.pool import open_pool
from tests.integration.control_desk import LocalControl, bunched_pair
from tests.integration.web_running import Running, running_web
from ticketing.accounts import Accounts
from ticketing.api import TicketingApi
from ticketing.books import Books
from ticketing.config import DEFAULT_TARIFF
from ticketing.editions import TariffSource, open_editions
from ticketing.keys import ensure_card_keys, load_issuer_keys
from ticketing.receipts_api import ReceiptsApi
from ticketing.service import Ticketing
from ticketing.tariff import parse_tariff
from ticketing.trips_desk import TripsDesk

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
ENDLESS = "/api/v1/stream"
EXAMPLES = 15


def try_all(running: Running, headers: dict[str, str]) -> list[str]:
    """Generate requests for each operation in turn; which operations were tried."""
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == ENDLESS:
            continue
        tried.append(f"{operation.method.upper()} {operation.path}")

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case: schemathesis.Case) -> None:
            response = case.call(headers=headers, timeout=10)
            case.validate_response(response, checks=CHECKS)

        attempt()
    return tried


@contextlib.asynccontextmanager
async def running_product(folder: Path, database: str, **settings: Any) -> AsyncIterator[Running]:
    """Dispatch and ticketing behind one web server, on a real PostgreSQL."""
    instance = Instance.open(folder / "data")
    tariff = parse_tariff(DEFAULT_TARIFF.read_text(encoding="utf-8"), str(DEFAULT_TARIFF))
    keys = load_issuer_keys(instance.issuer_keys_dir, "takt")
    pool = await open_pool(database, size_max=4)
    try:
        card_keys = ensure_card_keys(instance.card_keys_path)
        line, shown = bunched_pair(), ControlBoard(msgspec.json.encode(OFFERED))
        shown.publish(line.controller.published)
        control = ControlApi(shown, LocalControl(line, shown), time.time, HistoryReader(pool, "UTC"))
        async with Ticketing(pool, keys, tariff, card_keys=card_keys) as service:
            tickets = TicketingApi(service)
            more = [tickets, control, await receipts_of(service, tickets), LettersApi(pool)]
            async with running_web(folder, more=more, per_address=None, per_subject=None, **settings) as running:
                yield running
    finally:
        await pool.close()


async def receipts_of(service: Ticketing, tickets: TicketingApi) -> ReceiptsApi:
    """Receipts and trips ahead, over the same database."""
    async with service.store.connection() as connection:
        source = TariffSource(str(DEFAULT_TARIFF), DEFAULT_TARIFF.read_text(encoding="utf-8"))
        editions = await open_editions(connection, source)
    accounts = Accounts(service.store, editions)
    trips = TripsDesk(Books(service.store), tickets.desk.sales, service.tariff)
    return ReceiptsApi(service.store, editions, accounts, trips, lambda: service.readers)


@pytest.mark.parametrize("role", ["admin", None])
async def test_generated_requests_meet_what_is_described(tmp_path: Path, database: str, role: str | None) -> None:
    async with running_product(tmp_path, database) as running:
        headers = running.bearer(role) if role else {}
        tried = await asyncio.to_thread(try_all, running, headers)
    described = {f"{o.method} {o.path}" for o in running.server.operations}
    # The tool leaves out the address that it read the description from.
    assert described - set(tried) == {f"GET {ENDLESS}", "GET /openapi.json"}
    assert len(tried) > 30


async def test_every_operation_of_the_product_asks_for_its_right(tmp_path: Path, database: str) -> None:
    """The whole matrix: every operation with nobody, and with every role that does not suffice."""
    async with (
        running_product(tmp_path, database, local_permissions=frozenset()) as running,
        running.client() as client,
    ):
        guarded = [route for route in routes_of(running.server.operations) if route[2] != "public"]
        for method, path, permission in guarded:
            address = re.sub(r"\{\w+\}", "x", path)
            async with client.request(method, address) as response:
                assert (response.status, response.content_type) == (401, "application/problem+json"), (method, path)
            for role in set(ROLES) - PERMISSIONS[permission] - {"admin"}:
                async with client.request(method, address, headers=running.bearer(role)) as response:
                    found = (response.status, response.content_type)
                    assert found == (403, "application/problem+json"), (method, path, role)


async def test_the_description_is_whole(tmp_path: Path) -> None:
    async with running_web(tmp_path) as running, running.client() as client, client.get("/openapi.json") as response:
        assert response.content_type == "application/json"
        document = msgspec.json.decode(await response.read())
    assert document["openapi"].startswith("3.1")
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["tags"][0] in {tag["name"] for tag in document["tags"]}
        problems = [r for code, r in operation["responses"].items() if code == "4XX"]
        assert "application/problem+json" in problems[0]["content"]
    assert document["paths"]["/api/v1/instructions"]["post"]["security"] == [{"token": []}, {"session": []}]
    assert document["paths"]["/api/v1/vehicles"]["get"]["security"] == []
    names = {p["name"] for p in document["paths"]["/api/v1/measures"]["get"]["parameters"]}
    assert names == {"from", "to", "route_id", "by"}
    text = msgspec.json.encode(document).decode()
    for name in set(re.findall(r'"#/components/schemas/([^"]+)"', text)):
        assert name in document["components"]["schemas"]
