"""The database of an instance as commands reach it: the one that is set, the running instance's, or one started now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from deploy.config import Settings
from deploy.errors import UserError
from deploy.instance import Instance

CONNECT_S_MAX, CLOSE_S_MAX = 10.0, 5.0

T = TypeVar("T")


@asynccontextmanager
async def database_of(instance: Instance, database_url: str | None) -> AsyncIterator[str]:
    """The URL of an instance's database: the one that is set, the running instance's, or the embedded one's until then.

    Raises:
        UserError: the embedded one cannot be started.
    """
    from deploy.embedded_postgres import embedded_postgres

    runtime = instance.read_runtime()
    if database_url or runtime:
        yield database_url or (runtime.database_url if runtime else "")
        return
    with instance.locked():
        async with embedded_postgres(instance) as url:
            yield url


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[str]:
    """The same as the settings have it; one that they name needs no instance here."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    async with database_of(Instance.open(settings.data_dir, create=False), None) as url:
        yield url


def running_database_url(settings: Settings) -> str:
    """The URL of a database that runs; UserError where none is set and the instance does not run."""
    if settings.database_url is not None:
        return settings.database_url
    runtime = Instance.open(settings.data_dir, create=False).read_runtime()
    if runtime is None:
        folder = settings.data_dir
        raise UserError(f"{folder}: the instance is not running; start it with: takt run --data-dir {folder}")
    return runtime.database_url


def ask_database(settings: Settings, question: Callable[[Any], Awaitable[T]], answer_s_max: float) -> T:
    """What a question asked over a connection brings; UserError where the database does not run or answer."""
    url = running_database_url(settings)

    async def asked() -> T:
        connection = await asyncpg.connect(url, timeout=CONNECT_S_MAX, command_timeout=answer_s_max)
        try:
            return await question(connection)
        finally:
            await connection.close(timeout=CLOSE_S_MAX)

    try:
        return asyncio.run(asked())
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UserError(f"the database does not answer ({error}); see: takt doctor") from None
