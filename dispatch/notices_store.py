"""Notices in PostgreSQL: each change is a row of its own with who and when, and none is ever altered."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import asyncpg
import msgspec

from dispatch.history_read import GONE, HistoryAwayError
from dispatch.notices import Notice
from sql import query

WAIT_S_MAX = 5.0
KEPT_MAX = 2_000  # notices that are read back, the newest

_ENCODE = msgspec.json.Encoder().encode
_NOTICE = msgspec.json.Decoder(Notice)


class NoticeStore(Protocol):
    """Where notices are kept."""

    async def append(self, notice: Notice, version: int, what: str, by: str, at_s: float) -> bool:
        """Write a version of a notice; False when somebody else wrote that version before."""

    async def load(self, since_s: float) -> dict[str, tuple[int, Notice]]:
        """Version and content of each notice that is open, or was until `since_s` or later."""


class PostgresNotices:
    """In the table `notice`; HistoryAwayError where the database does not answer in time."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def append(self, notice: Notice, version: int, what: str, by: str, at_s: float) -> bool:
        """Write a version of a notice; False when somebody else wrote that version before."""
        row = (notice.id, version, at_s, by, what, _ENCODE(notice).decode(), notice.until, notice.closed_at)
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await self._pool.execute(query("notices.append"), *row)
        except asyncpg.UniqueViolationError:
            return False
        except GONE as error:
            raise HistoryAwayError(str(error)) from error
        return True

    async def load(self, since_s: float) -> dict[str, tuple[int, Notice]]:
        """Version and content of each notice that is open, or was until `since_s` or later."""
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                rows = await self._pool.fetch(query("notices.latest"), since_s, KEPT_MAX)
        except GONE as error:
            raise HistoryAwayError(str(error)) from error
        return {row["id"]: (row["version"], _NOTICE.decode(row["notice"])) for row in rows}
