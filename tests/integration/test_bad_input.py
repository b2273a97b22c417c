"""One rule for bad input, over every route of the description: 400 cannot be read, 422 was read, a field is wrong."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest_asyncio
import yarl
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.auth import Tokens
from deploy.ended_tokens import EndedTokens
from deploy.instance import Instance
from deploy.letters_api import LettersApi
from deploy.tokens_api import TokensApi
from dispatch.history_read import HistoryReader
from dispatch.playback import PlaybackApi
from tests.integration.test_web_schema import receipts_of
from tests.integration.ticket_city import City
from tests.integration.web_running import Running, running_web
from ticketing.auto_top_up_api import AutoTopUpApi
from ticketing.bank_api import BankApi
from ticketing.books import Books
from ticketing.flagged import FlaggedApi
from ticketing.penalties import Penalties
from ticketing.penalties_api import PenaltiesApi
from ticketing.privacy import Privacy
from ticketing.privacy_api import PrivacyApi
from ticketing.purchases import PurchaseApi
from ticketing.settlement import Settlements
from ticketing.settlement_api import SettlementApi
from ticketing.wallet_api import WalletApi

TEXTS = [
    *("x", "☂ " * 3, "-1", "9" * 400, "9" * 30, "1e400", "nan", "'; DROP TABLE tap; --", "2026-13-45", "x" * 2000),
    "\u2028",
]
VALUES: list[Any] = [
    *(*TEXTS, "", "line\nbreak", "x" * 100_000, None, True, -1, 10**30, 0.5, 1e300, [], {}, [[[]]], [{}], ["x"] * 50),
]
LIKELY = ("00000000-0000-4000-8000-000000000000", "0" * 8, "0" * 14, "a" * 32)
UNREADABLE = {
    "half": b'{"a": ',
    "no UTF-8": b'{"a": "\xff"}',
    "NaN": b'{"a": NaN}',
    "NUL": rb'{"a": "\u0000"}',
    "lone surrogate": rb'{"a": "\ud800"}',
    "deep": b'{"a": ' + b"[" * 100_000,
    "form": b"a=1",
    "none": b"",
}


@pytest_asyncio.fixture
async def web(city: City, tmp_path: Path) -> AsyncIterator[Running]:
    """Everything that takes requests, behind one web server."""
    service, tickets = city.service, city.api
    books, tariff, clock = Books(service.store), service.tariff, time.time
    settlements = Settlements(books, tariff)
    tokens = Tokens(Ed25519PrivateKey.generate(), "takt:test")
    ended = EndedTokens(Instance.open(tmp_path / "data"))

    def may_ask(_caller: str) -> float:
        return 0.0

    more = [
        *(tickets, await receipts_of(service, tickets), SettlementApi(settlements)),
        *(PrivacyApi(Privacy(books, 120), settlements), PenaltiesApi(Penalties(books, tariff, clock))),
        *(FlaggedApi(books, clock), BankApi(books, None, None, tariff.currency), PurchaseApi(None, may_ask)),
        *(AutoTopUpApi(books, None, tariff, may_ask), WalletApi(service, lambda _address, _codes: 0.0)),
        *(LettersApi(city.pool), PlaybackApi(HistoryReader(city.pool, "UTC"), "f1", clock), TokensApi(tokens, ended)),
    ]
    async with running_web(tmp_path, more=more, per_address=None, per_subject=None) as running:
        yield running


class Described:
    """One operation of the description, and requests to it that are right but for one thing."""

    def __init__(self, document: dict[str, Any], path: str, method: str) -> None:
        self.path, self.method = path, method
        self._document = document
        operation = document["paths"][path][method]
        self.parameters: list[dict[str, Any]] = operation.get("parameters", [])
        content = operation.get("requestBody", {}).get("content", {})
        self.schema = content.get("application/json", {}).get("schema")

    @property
    def endless(self) -> bool:
        return self.path.endswith("/stream")

    def address(self, **changed: str) -> yarl.URL:
        """With every value in place, some of them changed."""
        path, query = self.path, {}
        for parameter in self.parameters:
            name = parameter["name"]
            text = changed.get(name, str(self._example(parameter["schema"])))
            if parameter["in"] == "path":
                path = path.replace(f"{{{name}}}", yarl.URL.build(path=f"/{text}").raw_path[1:].replace("/", "%2F"))
            elif parameter["in"] == "query" and (name in changed or parameter.get("required")):
                query[name] = text
        return yarl.URL(path, encoded=True).with_query(query)

    def body(self) -> Any:
        """One that is right by its schema."""
        return None if self.schema is None else self._example(self.schema)

    def bodies(self) -> Iterator[Any]:
        """With one field, here or one level below, of each bad kind."""
        right = self.body()
        yield from VALUES
        if isinstance(right, dict):
            for name in self._properties(self.schema):
                for value in VALUES:
                    yield {**right, name: value}
                yield {key: value for key, value in right.items() if key != name}
            yield {**right, "no such field": 1}

    def _properties(self, schema: dict[str, Any]) -> dict[str, Any]:
        return dict(self._resolved(schema).get("properties", {}))

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if choice.get("type") != "null":
                return self._resolved(choice)
        return schema

    def _example(self, schema: dict[str, Any]) -> Any:
        schema = self._resolved(schema)
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "object":
                required = schema.get("required", [])
                return {
                    name: self._example(one) for name, one in schema.get("properties", {}).items() if name in required
                }
            case "array":
                return [self._example(schema.get("items", {}))] * max(1, schema.get("minItems", 1))
            case "integer" | "number":
                return max(1, schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
            case "boolean":
                return False
            case _:
                plain = "x" * max(1, schema.get("minLength", 1))
                pattern = schema.get("pattern", "")
                return next((text for text in (plain, *LIKELY) if re.search(pattern, text)), plain)


async def described(web: Running, client: aiohttp.ClientSession) -> list[Described]:
    async with client.get("/openapi.json") as response:
        document = await response.json()
    found = [Described(document, path, method) for path, methods in document["paths"].items() for method in methods]
    assert len(found) > 70
    return [one for one in found if not one.endless]


async def status_of(client: aiohttp.ClientSession, one: Described, url: yarl.URL, **options: Any) -> int:
    headers = {"Content-Type": "application/json", **options.pop("headers", {})}
    async with client.request(one.method, url, headers=headers, **options) as response:
        await response.read()
        return response.status


async def test_what_was_read_is_never_400(web: Running) -> None:
    """A wrong value of a known field is 422 wherever it stands: body, path, query or header."""
    wrong: set[str] = set()
    async with web.client(headers=web.bearer("admin"), cookie_jar=aiohttp.DummyCookieJar()) as client:
        for one in await described(web, client):
            for parameter in one.parameters:
                for text in TEXTS:
                    data = json.dumps(one.body()) if one.schema else None
                    status = await status_of(client, one, one.address(**{parameter["name"]: text}), data=data)
                    if status in {400, 500}:
                        wrong.add(f"{one.method} {one.path} {parameter['name']}: {status} for {text[:20]!r}")
            for body in one.bodies() if one.schema else ():
                status = await status_of(client, one, one.address(), data=json.dumps(body))
                if status in {400, 500}:
                    wrong.add(f"{one.method} {one.path}: {status} for {json.dumps(body)[:80]}")
            if one.schema:
                keyed = {"Idempotency-Key": "x" * 300}
                status = await status_of(client, one, one.address(), data=json.dumps(one.body()), headers=keyed)
                assert status != 400, (one.method, one.path, "Idempotency-Key")
    assert not wrong, "\n".join(sorted(wrong))


async def test_what_cannot_be_read_is_always_400(web: Running) -> None:
    wrong: set[str] = set()
    async with web.client(headers=web.bearer("admin"), cookie_jar=aiohttp.DummyCookieJar()) as client:
        for one in await described(web, client):
            for name, data in UNREADABLE.items() if one.schema else ():
                status = await status_of(client, one, one.address(), data=data)
                if status != 400:
                    wrong.add(f"{one.method} {one.path}: {status} for a body with {name}")
            for parameter in one.parameters:
                name, data = parameter["name"], json.dumps(one.body()) if one.schema else None
                urls = [one.address(**{name: "a\0"})]
                if parameter["in"] == "query":
                    right = one.address(**{name: "1"})
                    urls.append(right.with_query([*right.query.items(), (name, "1")]))
                for url in urls if parameter["in"] != "header" else ():
                    status = await status_of(client, one, url, data=data)
                    if status != 400:
                        wrong.add(f"{one.method} {one.path}: {status} for {url}")
    assert not wrong, "\n".join(sorted(wrong))
