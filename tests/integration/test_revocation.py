"""From a cashier's word to a validator that decides alone: status lists, deny list and keys over HTTP, and how soon."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import cbor2
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.answers import Callers
from deploy.binding import bind_all, by_address
from deploy.negotiation import handler_at
from simulators.validator_library.decision import Scan, decide
from simulators.validator_library.fetching import Fetching, Source
from simulators.validator_library.lists import Lists
from simulators.validator_library.memory import Memory
from simulators.validator_library.rules import ProductRule, Rules
from sql import query
from tests.integration.ticket_city import City
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.lists import LIFE_S, TTL_S

ANYBODY = Callers(None, None, None, None, time.time)


@dataclass
class Line:
    """A city's lists over HTTP and a validator that fetches them and is on its own for the rest."""

    city: City
    url: str
    http: aiohttp.ClientSession
    lists: Lists = field(default_factory=Lists)
    products: dict[str, ProductRule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fetching = self.fetching_from(self.url)

    def fetching_from(self, url: str, kept_in: Path | None = None) -> Fetching:
        """What fetches this validator's lists from an address."""
        return Fetching(Source(url, (1,), kept_in=kept_in), self.lists, self.products.update, self.city.now)

    async def fetch(self, later_s: float = 0.0) -> None:
        """Fetch everything, so much later."""
        self.city.offset_s += later_s
        await self.fetching.refresh(self.http)

    def say(self, token: str) -> str:
        """What the validator says to a ticket by itself."""
        rules = Rules(1, self.products, frozenset({"city"}))
        return decide(Scan("qr", token, "kpt/1", self.city.now()), rules, self.lists, Memory()).verdict.value


@pytest_asyncio.fixture
async def line(city: City) -> AsyncIterator[Line]:
    app = web.Application()
    for operation, *forms in by_address(bind_all([city.api])):
        if operation.public and operation.method == "GET":
            app.router.add_get(operation.path, handler_at([operation, *forms], ANYBODY))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as http:
        yield Line(city, url, http)
    await runner.cleanup()


async def test_a_validator_alone_hears_of_every_change_within_a_minute(line):
    """Suspended, valid again, revoked, denied: each is known a list's age and a fetch later, and stays within 60 s."""
    await line.city.sell("month")  # list 1 is there from the start
    sold = await line.city.sell("month")
    await line.fetch()
    assert line.say(sold.token) == "accepted"
    for action, verdict in (("suspend", "suspended"), ("resume", "accepted"), ("revoke", "revoked")):
        await line.city.api.desk.change_ticket(sold.id, action, "a test", subject="cashier")
        await line.fetch(TTL_S)
        assert line.say(sold.token) == line.say(sold.jwt) == verdict
    assert await line.city.say(sold.token) == "revoked", "the server, at once"
    other = await line.city.sell("month")
    async with line.city.pool.acquire() as connection:
        await connection.fetchval(query("lists.deny"), "ticket", uuid.UUID(other.id).bytes, False, "a test")
    await line.fetch()
    assert line.say(other.token) == "denied"
    assert line.fetching.counters == {}
    ages_s = line.lists.ages_s(line.city.now())
    assert max(ages_s.values()) < 60
    # What the books say, at most so old when signed, in a cache for so long, fetched so often by a fetch that ends.
    source, cached_s = Source(line.url), 15.0
    assert TTL_S + cached_s + source.refresh_s + source.timeout_s <= 60


async def test_who_has_a_list_is_told_so(line):
    """ETag and 304, of both forms, until something changes or a quarter of the list's life is over."""
    sold = await line.city.sell("month")

    async def ask(path: str, tag: str | None) -> tuple[int, str, bytes]:
        headers = {} if tag is None else {"If-None-Match": tag}
        async with line.http.get(line.url + path, headers=headers) as reply:
            assert reply.headers["Cache-Control"] == "public, max-age=15"
            return reply.status, reply.headers["ETag"], await reply.read()

    tags: list[str] = []
    for path in ("/status-lists/1", "/status-lists/1/cwt"):
        line.city.offset_s += TTL_S
        status, tag, body = await ask(path, None)
        assert (status, bool(body)) == (200, True)
        assert await ask(path, tag) == (304, tag, b"")
        assert await ask(path, '"of another list"') == (200, tag, body)
        line.city.offset_s += TTL_S
        assert await ask(path, tag) == (304, tag, b""), "looked after, and the same"
        await line.city.api.desk.change_ticket(sold.id, "suspend", "a test", subject="cashier")
        line.city.offset_s += TTL_S
        status, changed, body = await ask(path, tag)
        assert (status, changed != tag, bool(body)) == (200, True, True)
        line.city.offset_s += LIFE_S / 4
        status, renewed, _ = await ask(path, changed)
        assert (status, renewed != changed) == (200, True), "signed anew before it ends"
        await line.city.api.desk.change_ticket(sold.id, "resume", "a test", subject="cashier")
        tags += [tag, changed, renewed]
    assert len(set(tags)) == 6


async def test_a_list_comes_in_the_form_that_is_asked_for(line):
    """As the draft asks of the one address that a ticket names: Accept tells JWT from CWT."""
    await line.city.sell("month")

    async def ask(path: str, **headers: str) -> tuple[str, bytes]:
        async with line.http.get(line.url + path, headers=headers) as reply:
            assert reply.status == 200
            assert "Accept" in reply.headers["Vary"].split(", ")
            return reply.headers["Content-Type"], await reply.read()

    jwt, cwt = "application/statuslist+jwt", "application/statuslist+cwt"
    kind, usual = await ask("/status-lists/1")
    assert (kind, usual[:2]) == (jwt, b"ey")
    assert await ask("/status-lists/1", Accept=jwt) == (jwt, usual)
    kind, binary = await ask("/status-lists/1", Accept=cwt)
    assert kind == cwt
    async with line.http.get(f"{line.url}/status-lists/1/cwt") as reply:
        assert await reply.read() == binary


async def test_a_deny_list_goes_on_after_a_backup_was_restored(line):
    """Its numbers begin again below those that validators have: they would hear of nothing until it is beyond them."""
    denied, forgiven = await line.city.sell("month"), await line.city.sell("month")

    async def deny(ticket_id: str) -> None:
        async with line.city.pool.acquire() as connection:
            await connection.fetchval(query("lists.deny"), "ticket", uuid.UUID(ticket_id).bytes, False, "a test")

    await deny(forgiven.id)
    await line.fetch()
    assert line.say(forgiven.token) == "denied"
    first = line.lists.deny_sequence
    line.lists.deny_sequence = first + 500  # as it would be had the day not been lost
    await line.city.pool.execute("DELETE FROM deny_entry")
    await line.fetch()
    assert line.say(forgiven.token) == "denied", "an empty list says nothing of another"
    await deny(denied.id)
    await line.fetch()
    assert [line.say(ticket.token) for ticket in (denied, forgiven)] == ["denied", "accepted"]
    assert line.lists.deny_sequence < first + 500
    await deny(forgiven.id)
    await line.fetch()
    assert [line.say(ticket.token) for ticket in (denied, forgiven)] == ["denied", "denied"]
    assert line.fetching.counters == {}


async def test_keys_that_change_between_two_fetches(line):
    """A list by a key that came after the key set was fetched is left, and taken with the next."""
    sold = await line.city.sell("month")
    await line.fetch()
    await line.city.api.desk.change_ticket(sold.id, "revoke", "a test", subject="cashier")
    keys, fetch = line.city.service.keys, line.fetching._fetch
    private = Ed25519PrivateKey.generate()
    kid = kid_of(private.public_key().public_bytes_raw())
    news = [(FileSigner(kid, private), KeySet([*keys.key_set.keys, IssuerKey(kid, "takt", private.public_key())]))]
    keys.read = lambda: news.pop() if news else None

    async def change_in_between(http, path, *rest):
        if path == "/status-lists/1":
            line.city.service.reload_issuer_keys()
        await fetch(http, path, *rest)

    line.fetching._fetch = change_in_between
    await line.fetch(TTL_S)
    assert line.fetching.counters["lists_refused"] == 1
    assert line.say(sold.token) == "accepted", "by the list that it holds"
    await line.fetch()
    assert line.say(sold.token) == "revoked"
    assert line.fetching.counters["lists_refused"] == 1
    assert line.say((await line.city.sell("month")).token) == "accepted", "signed by the new key"


async def test_whatever_is_answered_the_next_answer_is_taken(line):
    """Replies that a general decoder would stumble over end no validator's fetching."""
    sold = await line.city.sell("month")
    await line.fetch()
    hostile = [
        *(bytes.fromhex(text) for text in ("c4821b7f7f7f7f7f7f7f7f01", "c5821affffffff01", "d81c81d81d00", "d8236128")),
        *(b"", b"\xff" * 100, b"[" * 100_000, b'{"keys": {}}', cbor2.dumps([{1: True}]), b"x" * (9 * 1024 * 1024)),
    ]
    app, answers = web.Application(), list(hostile)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=answers[0])

    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fetching = line.fetching_from(f"http://127.0.0.1:{runner.addresses[0][1]}")
    for _ in hostile:
        await fetching.refresh(line.http)
        assert line.say(sold.token) == "accepted"
        answers.pop(0)
    await runner.cleanup()
    assert fetching.counters == {"lists_refused": 4 * len(hostile)}
    await line.city.api.desk.change_ticket(sold.id, "revoke", "a test", subject="cashier")
    await line.fetch(TTL_S)
    assert line.say(sold.token) == "revoked"


async def test_a_validator_switched_on_without_a_network_decides_by_what_it_fetched_before(line, tmp_path):
    """Keys, lists and products outlive its power, as old as they are; what was spoilt meanwhile is left."""
    shelf = tmp_path / "lists"
    tickets = [await line.city.sell("month") for _ in range(3)]
    _, revoked, denied = tickets
    await line.city.api.desk.change_ticket(revoked.id, "revoke", "a test", subject="cashier")
    async with line.city.pool.acquire() as connection:
        for removed in (False, True, False):
            await connection.fetchval(query("lists.deny"), "ticket", uuid.UUID(denied.id).bytes, removed, "a test")
    line.fetching = line.fetching_from(line.url, shelf)
    await line.fetch()
    fetched_s, written = line.city.now(), {file.name: file.stat().st_ino for file in shelf.iterdir()}
    assert sorted(written) == ["deny", "keys", "products", "status-1"]
    await line.fetch(1.0)
    assert {file.name: file.stat().st_ino for file in shelf.iterdir()} == written, "nothing new is nothing written"
    assert {file.stat().st_mode & 0o777 for file in shelf.iterdir()} == {0o600}

    def switched_on() -> Line:
        made = Line(line.city, "http://127.0.0.1:1", line.http)
        made.fetching = made.fetching_from(made.url, shelf)
        made.fetching.restore()
        return made

    line.city.offset_s += 2 * LIFE_S
    again = switched_on()
    assert [again.say(ticket.token) for ticket in tickets] == ["accepted", "revoked", "denied"]
    assert again.lists.deny_sequence == line.lists.deny_sequence == 3
    at_s = line.city.now()
    assert all(2 * LIFE_S - 1 < age_s < at_s - fetched_s + 1 for age_s in again.lists.ages_s(at_s).values())
    await again.fetch()
    assert again.fetching.counters == {"fetch_failures": 4}, "nobody answers, and what it has stays"
    assert [again.say(ticket.token) for ticket in tickets] == ["accepted", "revoked", "denied"]

    (shelf / "status-1").write_bytes(b"\xff")
    (shelf / "deny").write_bytes(b"{")
    (shelf / "notes").mkdir()
    spoilt = switched_on()
    assert spoilt.fetching.counters == {"lists_refused": 2}
    assert [spoilt.say(ticket.token) for ticket in tickets] == ["accepted"] * 3
    (shelf / "keys").unlink()
    assert switched_on().say(tickets[0].token) == "unknown_key"


async def test_what_has_not_changed_is_not_sent_again(line, told, tmp_path):
    """304 keeps the copy and renews its age, in memory and on the shelf; what has changed comes whole."""
    shelf = tmp_path / "lists"
    sold = await line.city.sell("month")
    line.fetching = line.fetching_from(line.url, shelf)
    line.http, seen = told
    await line.fetch()
    assert {status for _, status in seen} == {200}
    seen.clear()
    inodes = {file.name: file.stat().st_ino for file in shelf.iterdir()}
    await line.fetch(TTL_S)
    assert [(path, status) for path, status in seen if status != 304] == []
    assert len(seen) == 4
    assert max(line.lists.ages_s(line.city.now()).values()) < TTL_S
    assert {file.name: file.stat().st_ino for file in shelf.iterdir()} == inodes
    assert min(file.stat().st_mtime for file in shelf.iterdir()) > line.city.now() - TTL_S
    await line.city.api.desk.change_ticket(sold.id, "revoke", "a test", subject="cashier")
    seen.clear()
    await line.fetch(TTL_S)
    assert [path for path, status in seen if status == 200] == ["/status-lists/1"]
    assert line.say(sold.token) == "revoked"
    async with line.city.pool.acquire() as connection:
        await connection.fetchval(query("lists.deny"), "ticket", uuid.UUID(sold.id).bytes, False, "a test")
    for statuses in ([304, 304, 304, 200], [304, 304, 304, 200], [304] * 4):  # after another number: another address
        seen.clear()
        await line.fetch()
        assert [status for _, status in seen] == statuses
    (shelf / "keys").unlink()
    for statuses in ([304] * 4, [200, 304, 304, 304]):
        seen.clear()
        await line.fetch()
        assert [status for _, status in seen] == statuses, "what is not on the shelf is fetched whole"
    assert (shelf / "keys").exists()
    assert line.fetching.counters == {"lists_not_kept": 1}


@pytest_asyncio.fixture
async def told() -> AsyncIterator[tuple[aiohttp.ClientSession, list[tuple[str, int]]]]:
    """A client, and the address and status of each of its answers."""
    trace, seen = aiohttp.TraceConfig(), []

    async def note(_session: object, _context: object, params: aiohttp.TraceRequestEndParams) -> None:
        seen.append((params.url.path, params.response.status))

    trace.on_request_end.append(note)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http:
        yield http, seen


async def test_nobody_in_between_can_keep_a_list_from_ageing(line):
    """What says "unchanged" is signed by nobody: it counts until the list that it speaks of ends."""
    sold = await line.city.sell("month")
    await line.fetch()
    app = web.Application()

    async def unchanged(_request: web.Request) -> web.Response:
        return web.Response(status=304)

    app.router.add_get("/{path:.*}", unchanged)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = line.fetching._url
    line.fetching._url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    await line.fetch(LIFE_S / 2)
    assert line.lists.ages_s(line.city.now())["status"] < 60
    await line.fetch(LIFE_S / 2)
    await line.fetch(LIFE_S / 2)
    assert line.lists.ages_s(line.city.now())["status"] > LIFE_S / 2
    assert line.fetching.counters["lists_refused"] == 2
    assert line.say(sold.token) == "accepted", "by the list that it holds"
    fresh = line.fetching_from(line.fetching._url)
    await fresh.refresh(line.http)
    assert fresh.counters["lists_refused"] == 4, "who asked for no change is not told of none"
    await runner.cleanup()
    line.fetching._url = url
    await line.fetch()
    assert line.lists.ages_s(line.city.now())["status"] < 60


async def test_a_full_disk_keeps_no_list_from_being_heeded(line, tmp_path, monkeypatch):
    sold = await line.city.sell("month")
    await line.city.api.desk.change_ticket(sold.id, "revoke", "a test", subject="cashier")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    line.fetching = line.fetching_from(line.url, tmp_path / "lists")
    monkeypatch.setattr("simulators.validator_library.shelf.os.fsync", full)
    await line.fetch()
    assert line.say(sold.token) == "revoked"
    assert line.fetching.counters == {"lists_not_kept": 4}
