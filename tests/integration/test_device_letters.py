"""Dead letters as a fleet's supplier reads them: by operator, in words, page by page, with nothing dangerous."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest_asyncio

from deploy.letter_box import dead_letter_box, letters_tally
from deploy.letters import NEWEST, Wanted, read_letters
from deploy.letters_api import LettersApi
from gateway.refusal import Reason, Refusal, dead_letter
from tests.integration.web_running import Running, running_web
from ticketing.store import Store

NOW_S = 1_771_257_482.0
WRONG = Refusal(Reason.WRONG_TYPE, "Expected `float`, got `str` - at `$.lat`")


@pytest_asyncio.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database, min_size=1, max_size=2) as made:
        yield made


async def keep(pool: asyncpg.Pool, device: str, payload: bytes, refusal: Refusal = WRONG, at_s: float = NOW_S) -> None:
    """One refused message on its way through the gateway's own door."""
    kind, operator, name = device.split(".")
    fleet = {"vehicle": "fleet", "validator": "validator"}[kind]
    topic = f"{fleet}/v1/{operator}/{name}/{'tap' if kind == 'validator' else 'position'}"
    letter = dead_letter(at_s, f"{operator}/{name}", topic, payload, refusal)
    await dead_letter_box(Store(pool), 1000)([letter])


async def test_a_letter_says_what_where_and_what_next(pool: asyncpg.Pool) -> None:
    await keep(pool, "vehicle.kpt.1", b'{"ts": 1771257482, "lat": "50.45", "lon": 30.5}')
    (letter,) = (await read_letters(pool, Wanted("kpt", "1"))).letters
    assert (letter.received_at, letter.kind, letter.topic) == (NOW_S, "vehicle", "fleet/v1/kpt/1/position")
    assert (letter.reason, letter.where, letter.size_bytes) == ("wrong_type", "lat", 47)
    assert letter.what.startswith("A field is of another type")
    assert "numbers without quotes" in letter.next_step
    assert letter.excerpt == '{"ts": 1771257482, "lat": "50.45", "lon": 30.5}'


async def test_letters_are_an_operator_s_own_newest_first_and_page_by_page(pool: asyncpg.Pool) -> None:
    for number in range(5):
        await keep(pool, f"vehicle.kpt.{number % 2}", b"{", at_s=NOW_S + number)
    await keep(pool, "vehicle.other.1", b"{")
    await keep(pool, "validator.kpt.1", b"{", at_s=NOW_S + 9)
    seen, before = [], NEWEST
    while before is not None:
        page = await read_letters(pool, Wanted("kpt", kind="vehicle", before=before, limit=2))
        seen += [letter.received_at - NOW_S for letter in page.letters]
        before = page.next
    assert seen == [4, 3, 2, 1, 0]
    both = await read_letters(pool, Wanted("kpt", "1"))
    assert [letter.kind for letter in both.letters] == ["validator", "vehicle", "vehicle"]
    late = await read_letters(pool, Wanted("kpt", since_s=NOW_S + 4))
    assert [letter.received_at - NOW_S for letter in late.letters] == [9, 4]


async def test_what_was_counted_and_not_stored_is_a_number(pool: asyncpg.Pool) -> None:
    await keep(pool, "vehicle.kpt.1", b"{")
    tell = letters_tally(Store(pool))
    await tell({"kpt/1": 7, "kpt/2": 2, "other/1": 5})
    await tell({"kpt/1": 1, "": 3})
    assert (await read_letters(pool, Wanted("kpt", "1"))).not_stored == 8
    assert (await read_letters(pool, Wanted("kpt", since_s=time.time()))).not_stored == 10
    assert (await read_letters(pool, Wanted("kpt", since_s=time.time() + 2 * 86_400))).not_stored == 0
    counted = await pool.fetchrow("SELECT kept, dropped FROM dead_letter_count WHERE operator = 'kpt' AND device = '1'")
    assert tuple(counted) == (1, 8)


async def test_an_excerpt_holds_no_ticket_no_card_and_no_command_for_a_terminal(pool: asyncpg.Pool) -> None:
    tap = {
        "token": "6BFOXN:SECRET",
        "bank": {"par": "Q1HJ PAR"},
        "vehicle": "4111 1111 1111 1111",
        "x": "\x1b[2J\u202e",
    }
    for payload in (json.dumps(tap, ensure_ascii=False).encode(), str(tap).encode(), b"{token: 6BFOXN, par=Q1HJ"):
        await keep(
            pool, "validator.kpt.1", payload, Refusal(Reason.MALFORMED_JSON, "invalid character (byte 2)\x1b]0;x")
        )
    for letter in (await read_letters(pool, Wanted("kpt"))).letters:
        shown = letter.excerpt + letter.detail
        assert not any(secret in shown for secret in ("6BFOXN", "SECRET", "Q1HJ", "PAR", "4111", "1111"))
        assert shown.isprintable()


async def test_an_excerpt_is_where_the_fault_is_and_binary_is_bytes(pool: asyncpg.Pool) -> None:
    long = b'{"note": "' + b"a" * 700 + b'", "lat": 50.x}' + b" " * 600
    await keep(pool, "vehicle.kpt.1", long, Refusal(Reason.MALFORMED_JSON, "JSON is malformed: invalid (byte 722)"))
    await keep(pool, "vehicle.kpt.1", b"\x0a\x05\xff\xfe\x00\x01", Refusal(Reason.MALFORMED_PROTOBUF))
    await keep(pool, "validator.kpt.1", b"{}", Refusal(Reason.NOT_JUDGED, "PostgresError: relation secret"))
    failed, binary, text = (await read_letters(pool, Wanted("kpt"))).letters
    assert '"lat": 50.x}' in text.excerpt
    assert text.excerpt[0] == text.excerpt[-1] == "…"
    assert (text.where, text.size_bytes) == ("byte 722", len(long))
    assert binary.excerpt == "bytes 0a 05 ff fe 00 01"
    assert "secret" not in failed.detail


@contextlib.asynccontextmanager
async def door(folder: Path, pool: asyncpg.Pool) -> AsyncIterator[Running]:
    async with running_web(folder, more=[LettersApi(pool)]) as running:
        yield running


async def test_an_operator_reads_its_own_letters_and_no_other_s(tmp_path: Path, pool: asyncpg.Pool) -> None:
    for number in range(3):
        await keep(pool, f"vehicle.kpt.{number}", b"{")
    async with door(tmp_path, pool) as running, running.client() as client:
        address = "/api/v1/operators/kpt/letters"
        mine = running.bearer("fleet", "kpt")
        async with client.get(f"{address}?limit=2", headers=mine) as reply:
            first = await reply.json()
            assert (reply.status, [one["device"] for one in first["letters"]]) == (200, ["2", "1"])
        async with client.get(f"{address}?before={first['next']}", headers=mine) as reply:
            rest = await reply.json()
            assert ([one["device"] for one in rest["letters"]], rest["next"]) == (["0"], None)
        async with client.get(f"{address}?device=1&kind=vehicle", headers=running.bearer("admin")) as reply:
            assert [one["device"] for one in (await reply.json())["letters"]] == ["1"]
        for headers, status in (
            (running.bearer("fleet", "other"), 403),
            (running.bearer("validator", "kpt:1"), 403),
            (running.bearer("dispatcher", "kpt"), 403),
            ({}, 401),
        ):
            async with client.get(address, headers=headers) as reply:
                assert reply.status == status
        for query in ("limit=201", "limit=0", "before=0", "since=-1", "since=nan", "kind=tram"):
            async with client.get(f"{address}?{query}", headers=mine) as reply:
                assert reply.status == 422, query


async def test_a_database_that_is_away_is_said(tmp_path: Path, pool: asyncpg.Pool) -> None:
    async with door(tmp_path, pool) as running, running.client() as client:
        await pool.close()
        async with client.get("/api/v1/operators/kpt/letters", headers=running.bearer("fleet", "kpt")) as reply:
            assert reply.status == 503
