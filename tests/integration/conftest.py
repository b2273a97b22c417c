"""A real PostgreSQL for the tests that need one: one server a session, a fresh migrated database a test."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from deploy.embedded_postgres import database_url, embedded_postgres
from deploy.instance import Instance
from deploy.postgres_settings import SETTINGS
from sql.migrate import migrate
from tests.integration.ticket_city import City, open_city


class Server:
    """A running PostgreSQL and its databases."""

    def __init__(self, admin_url: str, user_url: str) -> None:
        self.admin_url = admin_url
        self.user_url = user_url

    def url(self, database: str) -> str:
        return urlunsplit(urlsplit(self.user_url)._replace(path=f"/{database}"))

    async def execute(self, statement: str) -> None:
        admin = await asyncpg.connect(urlunsplit(urlsplit(self.admin_url)._replace(path="/postgres")), timeout=10)
        try:
            await admin.execute(statement)
        finally:
            await admin.close()

    async def create(self, template: str | None = None) -> str:
        """The name of a new database, a copy of the template where one is named."""
        name = f"t_{secrets.token_hex(6)}"
        await self.execute(f"CREATE DATABASE {name} OWNER takt" + (f" TEMPLATE {template}" if template else ""))
        return name

    async def drop(self, name: str) -> None:
        await self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """One PostgreSQL for the session, as the product itself would start it but for waiting for the disk.

    No test here cuts the power of its machine, and every one makes a database and drops it, which are checkpoints.
    """
    instance = Instance.open(tmp_path_factory.mktemp("postgres") / "data")
    with instance.locked():
        async with AsyncExitStack() as stack:
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(SETTINGS, "fsync", "off")
                url = await stack.enter_async_context(embedded_postgres(instance))
            port = urlsplit(url).port
            assert port
            yield Server(database_url(instance, port, admin=True), url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_template(postgres_server: Server) -> str:
    """The name of a migrated database that others are copied from."""
    name = await postgres_server.create()
    await migrate(postgres_server.url(name))
    return name


@pytest_asyncio.fixture
async def empty_database(postgres_server: Server) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    name = await postgres_server.create()
    yield postgres_server.url(name)
    await postgres_server.drop(name)


@pytest_asyncio.fixture
async def database(postgres_server: Server, migrated_template: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database."""
    name = await postgres_server.create(migrated_template)
    yield postgres_server.url(name)
    await postgres_server.drop(name)


@pytest_asyncio.fixture
async def city(database: str) -> AsyncIterator[City]:
    """A city on a database of its own."""
    async for opened in open_city(database):
        yield opened
