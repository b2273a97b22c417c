"""Notices over a real database: written, read by everybody, closed, kept for the next process, and never altered."""

import asyncpg
import pytest

from dispatch.errors import Problem
from dispatch.history_read import HistoryAwayError
from dispatch.network import Network
from dispatch.notices import Notice, NoticeRequest
from dispatch.notices_api import FRESH_S, SHOWN_S, NoticesApi
from dispatch.notices_store import PostgresNotices
from sql.pool import open_pool
from tests.integration.web_running import network_now

NOW_S = 1_783_926_000.0
STAFF, PUBLIC = frozenset({"notices:write"}), frozenset[str]()
NETWORK: Network = network_now(NOW_S)
ASKED = NoticeRequest("detour_accident", route_ids=[NETWORK.route_id[0]], values={"place": "Main Street"})


class Clock:
    """A clock that the test moves."""

    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_notice_is_written_read_closed_and_outlives_the_process(database: str, clock: Clock) -> None:
    pool = await open_pool(database, size_max=2, size_min=1)
    try:
        api, other = (NoticesApi(PostgresNotices(pool), NETWORK, clock) for _ in range(2))
        notice = await api.create(body=ASKED, subject="dispatcher")
        public, staff = [await other.list_notices(permissions=who) for who in (PUBLIC, STAFF)]
        assert [row.id for row in public.notices] == [notice.id]
        assert (public.notices[0].created_by, staff.notices[0].created_by) == (None, "dispatcher")
        assert await other.entities() == await api.entities() != b""
        clock.now_s += 60
        closed = await other.close(notice.id, subject="admin")
        assert closed.closed_at == clock.now_s
        assert await other.close(notice.id, subject="admin") == closed
        assert await api.close(notice.id, subject="admin") == closed
        clock.now_s += FRESH_S
        assert (await api.list_notices(permissions=PUBLIC)).notices == []
        assert (await api.list_notices(permissions=STAFF)).notices == [closed]
        assert await api.entities() == b""
        rows = await pool.fetch("SELECT version, by_whom, what FROM notice ORDER BY version")
        assert [tuple(row) for row in rows] == [(1, "dispatcher", "created"), (2, "admin", "closed")]
        with pytest.raises(asyncpg.RestrictViolationError, match="append only"):
            await pool.execute("DELETE FROM notice")
        clock.now_s += SHOWN_S + 60
        assert (await api.list_notices(permissions=STAFF)).notices == []
    finally:
        await pool.close()


async def test_what_cannot_be_written_is_said(database: str, clock: Clock) -> None:
    pool = await open_pool(database, size_max=1, size_min=1)
    try:
        api = NoticesApi(PostgresNotices(pool), NETWORK, clock)
        with pytest.raises(Problem, match=r"values\.place: must not be empty") as refused:
            await api.create(body=NoticeRequest("detour_accident", route_ids=["nine"]), subject="dispatcher")
        assert (refused.value.status, "nine" in refused.value.detail) == (422, True)
        with pytest.raises(Problem, match="no notice x"):
            await api.close("x", subject="dispatcher")
    finally:
        await pool.close()


async def test_while_the_database_is_away_nothing_is_promised_and_what_is_known_stands(clock: Clock) -> None:
    class Away:
        away = False

        async def append(self, notice: Notice, version: int, what: str, by: str, at_s: float) -> bool:
            if self.away:
                raise HistoryAwayError("gone")
            self.held = {notice.id: (version, notice)}
            return True

        async def load(self, since_s: float) -> dict[str, tuple[int, Notice]]:
            if self.away:
                raise HistoryAwayError("gone")
            return getattr(self, "held", {})

    store = Away()
    api = NoticesApi(store, NETWORK, clock)
    notice = await api.create(body=ASKED, subject="dispatcher")
    store.away = True
    clock.now_s += 60
    with pytest.raises(Problem, match="nothing was changed"):
        await api.close(notice.id, subject="dispatcher")
    assert (await api.list_notices(permissions=PUBLIC)).notices[0].id == notice.id
    assert api.counters == {"written": 1, "closed": 0, "not_read": 1}
