"""Taps judged and booked, beside single-row commits of the same PostgreSQL and bare Ed25519 verification.

Durability is on (fsync, synchronous_commit) or the run is refused. Cards and tickets are made before the clock starts;
what is timed is what the gateway's seam does: taps in, answers out, every one checked, judged, booked and committed.
What is compared is measured in turns, ROUNDS of each, and medians of figures and ratios are given: on a machine that
others use as well, both sides of a ratio then had the same neighbours.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.bench import rating
from deploy.bench.doors import Done, HttpWork, MqttWork, run_child
from deploy.bench.yardsticks import check_durable, measure_commits, measure_ed25519, measure_pgbench, time_commits
from deploy.errors import UserError
from deploy.garbage_collection import settle
from sql.pool import open_pool
from ticketing.card import CardKeys, sun_message
from ticketing.claims import Claims
from ticketing.config import DEFAULT_TARIFF, TicketingSettings
from ticketing.keys import FileSigner, IssuerKeys
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.service import Ticketing
from ticketing.store import warm
from ticketing.tariff import Tariff, parse_tariff
from ticketing.ticket_cwt import issue_qr
from ticketing.verdict import Tap, Verdict

ROUNDS = 5
CALLERS = 48  # so many calls are under way that no batch waits for its callers
TAPS_A_CALL = 64
CALLS_A_TURN = 12  # a card taps once in a turn at most, 48 x 12 x 64 being fewer than CARDS: its taps keep their order
CARDS = 40_000  # so that a turn lasts about a second, beside which its first and last batches are little
TICKETS = 20_000
HTTP_CONNECTIONS = 32
HTTP_SUBJECTS = 8
HTTP_PER_S_MAX = 6_000
MQTT_TAPS_PER_S = 1_000
MQTT_DEVICES = 200
MQTT_WARM_UP_TAPS = 500


@dataclass(frozen=True)
class Rate:
    """So many a second, and how many cores of this process that took."""

    per_s: float
    cores: float


@dataclass
class Bench:
    """A city that is measured: its database, its cards and tickets, and the keys for both."""

    dsn: str
    pool: Any
    folder: Path
    tariff: Tariff
    issuer: IssuerKeys
    card_keys: CardKeys
    cards: Iterator[str]
    tickets: Iterator[str]
    numbers: list[Iterator[int]] = field(default_factory=lambda: [itertools.count(1) for _ in range(CALLERS)])

    def service(self) -> Ticketing:
        """A judge as `takt run` has it."""
        return Ticketing(self.pool, self.issuer, self.tariff, TicketingSettings(), card_keys=(self.card_keys,))


def run(gtfs: Path | None, seconds: float) -> dict[str, Any]:  # noqa: ARG001  # every benchmark is asked the same way
    """Measure on an embedded PostgreSQL and broker of our own, in a folder that is thrown away."""
    import uvloop

    from deploy.embedded_broker import BrokerSettings, embedded_broker
    from deploy.embedded_postgres import embedded_postgres
    from deploy.instance import Instance
    from sql.migrate import migrate

    async def measured() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="takt-bench-") as folder:
            instance = Instance.open(Path(folder) / "data")
            with instance.locked():
                async with embedded_postgres(instance) as dsn:
                    await migrate(dsn)
                    bench = await prepare(dsn, Path(folder))
                    settle()  # as a server does when it is ready
                    document = await measure(bench, seconds)
                    async with embedded_broker(instance, BrokerSettings(mqtt_port=0)) as broker:
                        document["figures"] |= await measure_mqtt(bench, broker, seconds)
                    document["figures"]["rate_day_20_taps_ms"] = rating.figures(seconds)["rate_day_20_taps_ms"]
                    await bench.pool.close()
                    return document

    return uvloop.run(measured())


async def prepare(dsn: str, folder: Path) -> Bench:
    """Cards with money and tickets that are passes, so that every tap is accepted, in a migrated database."""
    await check_durable(dsn)
    signer, issuer = _issuer()
    keys = CardKeys(1, secrets.token_bytes(16), secrets.token_bytes(16))
    tariff = parse_tariff(DEFAULT_TARIFF.read_text(encoding="utf-8"), str(DEFAULT_TARIFF))
    pool = await open_pool(dsn, size_min=TicketingSettings().workers, init=warm)
    uids = [b"\x04" + secrets.token_bytes(6) for _ in range(CARDS)]
    await pool.copy_records_to_table(
        "card",
        records=[(uid, 1, 10**9, "UAH") for uid in uids],
        columns=["uid", "key_version", "balance_minor", "currency"],
    )
    now_s = int(time.time())
    ids = [uuid.UUID(bytes=secrets.token_bytes(16), version=4) for _ in range(TICKETS)]
    async with pool.acquire() as connection:
        await connection.executemany(
            "INSERT INTO ticket (id, product_id, valid_from, valid_until, networks, passback, status_list,"
            " status_index, price_minor, currency, sold_by) VALUES ($1, 'day', now() - interval '1 minute',"
            " now() + interval '1 day', '{*}', '0', 900, $2, 0, 'UAH', 'bench')",
            list(zip(ids, range(TICKETS), strict=True)),
            timeout=60,
        )
    await pool.execute("ANALYZE card, ticket")
    cards = (sun_message(keys, uid, counter, b"\x00" * 5) for counter in itertools.count(1) for uid in uids)
    tickets = [
        issue_qr(Claims("takt", id_, "day", now_s - 60, now_s + 86400, ("*",), 900, index), signer)
        for index, id_ in enumerate(ids)
    ]
    return Bench(dsn, pool, folder, tariff, issuer, keys, cards, itertools.cycle(tickets))


async def measure(bench: Bench, seconds: float) -> dict[str, Any]:
    """Figures and ratios of contract section 4, in turns that add up to so many seconds for each figure."""
    turn_s = seconds / ROUNDS
    commits, pgbench, cards, qrs, ed25519 = [], [], [], [], []
    async with bench.service() as service:
        for _ in range(ROUNDS):
            commits.append(await measure_commits(bench.dsn, turn_s))
            cards.append(await _drive(bench, service, "card", turn_s))
            pgbench.append(await measure_pgbench(bench.dsn, turn_s, bench.folder))
            ed25519.append(measure_ed25519(min(turn_s, 1.0)))
            qrs.append(await _drive(bench, service, "qr", turn_s))
    http = await measure_http(bench, seconds)
    median = statistics.median
    figures = {
        "card_taps_per_s": round(median(rate.per_s for rate in cards)),
        "qr_taps_per_s": round(median(rate.per_s for rate in qrs)),
        "http_taps_per_s": round(http.per_s),
        "commits_per_s": round(median(commits)),
        "pgbench_commits_per_s": round(median(pgbench)),
        "ed25519_verifications_per_s": round(median(ed25519)),
        "cores_used": round(median(rate.cores for rate in cards), 2),
        "qr_cores_used": round(median(rate.cores for rate in qrs), 2),
        "http_cores_used": round(http.cores, 2),
        "load_average": round(os.getloadavg()[0], 1),
    }
    ratios = {
        "card_taps_to_commits": round(median(c.per_s / n for c, n in zip(cards, commits, strict=True)), 2),
        "qr_taps_to_ed25519": round(median(q.per_s / q.cores / n for q, n in zip(qrs, ed25519, strict=True)), 2),
    }
    return {"figures": figures, "ratios": ratios}


async def _drive(bench: Bench, service: Ticketing, medium: str, seconds: float) -> Rate:
    """Callers that always have a batch under way, each a gateway's share; the taps are made before they are timed."""
    tokens = bench.cards if medium == "card" else bench.tickets
    accepted = taps = 0
    spent_s = cores_s = 0.0
    while spent_s < seconds:
        shares = [
            [
                [_tap(medium, next(tokens), caller, next(bench.numbers[caller])) for _ in range(TAPS_A_CALL)]
                for _ in range(CALLS_A_TURN)
            ]
            for caller in range(CALLERS)
        ]
        begun, cpu = time.perf_counter(), time.process_time()
        counts = await asyncio.gather(*(_call(service, share) for share in shares))
        spent_s += time.perf_counter() - begun
        cores_s += time.process_time() - cpu
        accepted += sum(counts)
        taps += CALLERS * CALLS_A_TURN * TAPS_A_CALL
    if accepted < taps:
        raise UserError(f"{taps - accepted} of {taps} {medium} taps were not accepted: {dict(service.counters)}")
    return Rate(taps / spent_s, cores_s / spent_s)


async def measure_http(bench: Bench, seconds: float) -> Rate:
    """Card taps, one a request, through the real web application; its clients are in another process."""
    from prometheus_client import CollectorRegistry

    from deploy.auth import BearerGate, Tokens
    from deploy.web import Access, WebServer, WebSettings
    from ticketing.api import TicketingApi

    tokens = Tokens(Ed25519PrivateKey.generate(), "takt:bench")
    bearers = [
        tokens.issue("validator", f"town:http-{number}", time.time(), 3600).encode() for number in range(HTTP_SUBJECTS)
    ]
    total = round(seconds * HTTP_PER_S_MAX / HTTP_CONNECTIONS)
    # In the order in which they are sent: a card's second message must not overtake its first on another connection.
    requests: list[list[bytes]] = [[] for _ in range(HTTP_CONNECTIONS)]
    for number in range(total):
        for connection, waiting in enumerate(requests):
            waiting.append(_request(bench, bearers[connection % HTTP_SUBJECTS], f"c{connection}", number))
    async with (
        bench.service() as service,
        WebServer(
            [TicketingApi(service)],
            WebSettings(port=0),
            Access(BearerGate(tokens, time.time), None),
            CollectorRegistry(),
        ) as server,
    ):
        cpu = time.process_time()
        done = await run_child(HttpWork(server.port, seconds, requests), bench.folder)
        cores = (time.process_time() - cpu) / done.seconds
    _check(done, "HTTP")
    return Rate(done.accepted / done.seconds, cores)


def _request(bench: Bench, bearer: bytes, boot: str, number: int) -> bytes:
    body = _json(bench, boot, number)
    return (
        b"POST /api/v1/validations HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nAuthorization: Bearer "
        + bearer
        + b"\r\nContent-Length: "
        + str(len(body)).encode()
        + b"\r\n\r\n"
        + body
    )


def _json(bench: Bench, boot: str, number: int) -> bytes:
    tap_id = str(uuid.UUID(int=secrets.randbits(128), version=4))
    body = {"id": tap_id, "boot": boot, "seq": number, "ts": time.time(), "medium": "card", "token": next(bench.cards)}
    return msgspec.json.encode(body | {"vehicle": f"v{number % 600}"})


async def measure_mqtt(bench: Bench, broker: Any, seconds: float) -> dict[str, float]:
    """From publish to verdict at MQTT_TAPS_PER_S, through broker, gateway and judge; validators in another process.

    ROUNDS turns of so many seconds each, and the worst turn's percentile beside the median of them. Beside both what a
    commit of one row takes in the same seconds: no verdict can be earlier, nor calmer than the disk.
    """
    from deploy.wiring import judge
    from gateway.admission import Limits
    from gateway.config import Broker, GatewaySettings
    from gateway.refusal import DeadLetter
    from gateway.service import Gateway, Seams

    async def keep(letters: list[DeadLetter]) -> None:
        raise UserError(f"a tap of the benchmark was refused: {letters[0]}")

    settings = GatewaySettings(
        Broker("127.0.0.1", broker.mqtt_port, broker.user, broker.password),
        client_id="bench-gateway",
        limits=Limits(fixes_per_batch_max=64),
    )
    async with bench.service() as service:
        seams = Seams(lambda _batch: None, lambda _event: None, judge(service), keep)
        async with Gateway(settings, seams):
            warm_up = MqttWork(
                broker.mqtt_port, broker.user, broker.password, 500, _mqtt_taps(bench, MQTT_WARM_UP_TAPS)
            )
            await run_child(warm_up, bench.folder)
            turns = [await _mqtt_turn(bench, broker, seconds) for _ in range(ROUNDS)]
    figures = {name: round(statistics.median(turn[name] for turn in turns), 2) for name in turns[0]}
    return figures | {"tap_p99_worst_ms": max(turn["tap_p99_ms"] for turn in turns)}


async def _mqtt_turn(bench: Bench, broker: Any, seconds: float) -> dict[str, float]:
    taps = _mqtt_taps(bench, round(MQTT_TAPS_PER_S * seconds))
    work = MqttWork(broker.mqtt_port, broker.user, broker.password, MQTT_TAPS_PER_S, taps)
    over = asyncio.Event()
    commits = asyncio.create_task(time_commits(bench.pool, over))
    cpu = time.process_time()
    try:
        done = await run_child(work, bench.folder)
    finally:
        over.set()
    cores = (time.process_time() - cpu) / done.seconds
    commits_s = await commits
    _check(done, "MQTT")
    return {
        "tap_p50_ms": round(1000 * percentile(done.latencies_s, 0.50), 1),
        "tap_p99_ms": round(1000 * percentile(done.latencies_s, 0.99), 1),
        "commit_p50_ms": round(1000 * percentile(commits_s, 0.50), 1),
        "commit_p99_ms": round(1000 * percentile(commits_s, 0.99), 1),
        "mqtt_taps_per_s": round(len(taps) / done.seconds),
        "mqtt_cores_used": round(cores, 2),
    }


def _mqtt_taps(bench: Bench, count: int) -> list[tuple[str, str, bytes]]:
    boot = secrets.token_hex(4)
    taps = []
    for number in range(count):
        turn, device = divmod(number, MQTT_DEVICES)
        payload = _json(bench, boot, turn)
        taps.append((f"validator/v1/town/door-{device}/tap", msgspec.json.decode(payload)["id"], payload))
    return taps


def percentile(ordered: list[float], share: float) -> float:
    """The smallest value that at least this share of the ordered ones do not exceed."""
    return ordered[max(0, -(-len(ordered) * round(share * 1000) // 1000) - 1)]


def _check(done: Done, door: str) -> None:
    if done.other:
        raise UserError(f"{done.other} of {done.other + done.accepted} taps over {door} were not accepted")


async def _call(service: Ticketing, share: list[list[Tap]]) -> int:
    accepted = 0
    for taps in share:
        accepted += sum(answer.verdict is Verdict.ACCEPTED for answer in await service.validate(taps))
    return accepted


def _tap(medium: str, token: str, caller: int, number: int) -> Tap:
    now_s = time.time()
    return Tap(
        str(uuid.UUID(int=secrets.randbits(128), version=4)),
        "a1",
        number,
        now_s,
        medium,
        token,
        None,
        f"v{number % 600}",
        None,
        None,
        None,
        None,
        "town",
        f"door-{caller}",
        now_s,
    )


def _issuer() -> tuple[FileSigner, IssuerKeys]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    signer = FileSigner(kid_of(public.public_bytes_raw()), private)
    return signer, IssuerKeys(signer, KeySet([IssuerKey(signer.kid, "takt", public)]))
