"""A bounded pool of PostgreSQL connections in which nothing waits for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

IDLE_S_MAX = 60.0
SERVER_SETTINGS = {
    "application_name": "takt",
    "timezone": "UTC",
    "jit": "off",
    # Better to try again than to wait longer for another's lock: a lock held for seconds is somebody's bug.
    "lock_timeout": "4s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_user_timeout": "8000",
}

QUERIES_MAX = 10_000_000
"""Of one connection: closed after so many, it is opened again while somebody waits."""


async def _keep_as_it_is(_connection: Any) -> None:
    """Do nothing to a connection that comes back; asyncpg has rolled back what it may have left open.

    Its own reset asks the server to forget listeners, settings and locks of the session. No statement over a pool makes
    any, and that round trip would be every tap's second one.
    """


async def open_pool(
    dsn: str,
    *,
    size_max: int = 8,
    size_min: int = 2,
    command_timeout_s: float = 5.0,
    connect_timeout_s: float = 5.0,
    init: Callable[[Any], Awaitable[None]] | None = None,
) -> Any:
    """An asyncpg pool on a database that answers now; OSError or asyncpg's errors where it does not.

    init prepares each new connection. command_timeout_s bounds every statement, even where the server silently drops
    packets (asyncpg's default is no bound); idle connections are renewed so that a fail-over or a changed DNS entry is
    noticed. What is taken from it must leave no state in its session: transactions, SET LOCAL and transaction locks
    only.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=min(size_min, size_max),
        max_size=size_max,
        timeout=connect_timeout_s,
        command_timeout=command_timeout_s,
        statement_cache_size=256,
        max_inactive_connection_lifetime=IDLE_S_MAX,
        max_queries=QUERIES_MAX,
        reset=_keep_as_it_is,
        server_settings=SERVER_SETTINGS,
        init=init,
    )
