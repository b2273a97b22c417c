"""Gateway and ticketing as a process of their own, as `takt run` has them, which a test may kill at a chosen point."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from deploy import mapping, metrics
from deploy.auth import BearerGate, Tokens
from deploy.garbage_collection import settle
from deploy.letter_box import dead_letter_box
from deploy.serving import run
from deploy.status import StatusApi
from deploy.web import Access, WebServer, WebSettings
from deploy.wiring import judge as judge_seam
from gateway.config import Broker, GatewaySettings
from gateway.service import Gateway, Seams
from gateway.wire import Answer, Tap
from sql.pool import open_pool
from ticketing.card import CardKeys
from ticketing.config import DEFAULT_TARIFF, TicketingSettings
from ticketing.keys import load_issuer_keys
from ticketing.service import Ticketing
from ticketing.store import warm
from ticketing.tariff import parse_tariff

assert mapping  # the seam's own mapping, as the product wires it

START_S_MAX = 30.0
MEMORY_MB_MAX = 400  # of this process: interpreter, libraries, and every queue at its bound


@dataclass(frozen=True)
class JudgeOptions:
    """Where everything is, and after how many committed batches (0: never) this process kills itself.

    It dies with its batch committed, before a verdict or an acknowledgement has left it. With `http` it has the
    product's own /livez, /readyz and /metrics. A `fresh` one imports everything itself, as a product that is started
    again has to; the others are forked from a process that has it all already.
    """

    dsn: str
    mqtt_port: int
    keys_dir: Path
    log: Path
    die_after_commits: int = 0
    card_keys: tuple[tuple[int, bytes, bytes], ...] = ()
    dead_letters_per_device: int = 20
    statement_s_max: float = 5.0
    http: bool = False
    fresh: bool = False
    gateway: dict[str, Any] = field(default_factory=dict)


class JudgeProcess:
    """One such process. `ask` gives {"stats", "counters", "healthy", "degraded_since", "memory_mb", "http_port"}."""

    def __init__(self, options: JudgeOptions) -> None:
        self.options = options
        self.started_s = time.monotonic()
        forks, spawns = multiprocessing.get_context("forkserver"), multiprocessing.get_context("spawn")
        forks.set_forkserver_preload(["tests.faults.judge_process"])
        context: ForkServerContext | SpawnContext = spawns if options.fresh else forks
        self._ours, theirs = context.Pipe()
        self.process = context.Process(target=_main, args=(options, theirs), daemon=True)
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    async def ready(self) -> None:
        """Returns once it answers, unhealthy as it may be; one that is to die may have done so before it could."""
        try:
            await self.ask()
        except (EOFError, ConnectionError):
            if not self.options.die_after_commits:
                raise

    async def ask(self) -> dict[str, Any]:
        return await asyncio.to_thread(self._ask)

    def _ask(self) -> dict[str, Any]:
        self._ours.send("how are you")
        if not self._ours.poll(START_S_MAX):
            raise TimeoutError(f"no answer within {START_S_MAX} s\n{self.options.log.read_text()[-3000:]}")
        answer: dict[str, Any] = self._ours.recv()
        return answer

    def signal(self, number: int) -> None:
        assert self.process.pid
        os.kill(self.process.pid, number)

    async def ended(self, seconds: float = 30.0) -> None:
        await asyncio.to_thread(self.process.join, seconds)
        assert not self.alive, "the process did not end"

    def kill(self) -> None:
        if self.alive:
            self.process.kill()
        self.process.join(10)


def _main(options: JudgeOptions, pipe: Connection) -> None:
    with options.log.open("a") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(_serve(options, pipe))


@asynccontextmanager
async def _status(options: JudgeOptions, gateway: Gateway, service: Ticketing) -> AsyncIterator[int]:
    """The port of the web server that says how this process is; 0: none is wanted."""
    if not options.http:
        yield 0
        return
    registry = CollectorRegistry()
    metrics.expose(registry, "ticketing", lambda: service.counters, service.gauges)
    metrics.expose(registry, "gateway", lambda: gateway.stats)
    api = StatusApi((gateway.healthy, service.healthy), registry, open_metrics=True)
    tokens = Tokens(Ed25519PrivateKey.generate(), "takt:faults")
    access = Access(BearerGate(tokens, time.time), None)
    async with WebServer([api], WebSettings(port=0), access, registry) as server:
        yield server.port


async def _serve(options: JudgeOptions, pipe: Connection) -> None:
    tariff = parse_tariff(DEFAULT_TARIFF.read_text(encoding="utf-8"), str(DEFAULT_TARIFF))
    keys = load_issuer_keys(options.keys_dir, "takt")
    card_keys = tuple(CardKeys(*version) for version in options.card_keys)
    settings = TicketingSettings(statement_s_max=options.statement_s_max)
    pool = await open_pool(options.dsn, size_min=settings.workers, init=warm)
    fast = {"retry_s_min": 0.05, "retry_s_max": 0.5, "reconnect_s_max": 0.5, "connect_timeout_s": 2.0}
    gateway_settings = GatewaySettings(
        Broker("127.0.0.1", options.mqtt_port),
        client_id="takt-judge",
        dead_letters_per_device=options.dead_letters_per_device,
        **(fast | options.gateway),
    )
    stop = asyncio.Event()
    async with Ticketing(pool, keys, tariff, settings, card_keys=card_keys) as service:
        box = dead_letter_box(service.store, settings.dead_letters_per_device_and_day)
        validate = _dying(judge_seam(service), options.die_after_commits)
        seams = Seams(lambda _: None, lambda _: None, validate, box)
        async with Gateway(gateway_settings, seams) as gateway, _status(options, gateway, service) as http_port:

            def answer() -> None:
                try:
                    pipe.recv()
                    pipe.send(
                        {
                            "stats": gateway.stats,
                            "counters": dict(service.counters),
                            "healthy": gateway.healthy() + service.healthy(),
                            "degraded_since": service.degraded_since,
                            "http_port": http_port,
                            "memory_mb": psutil.Process().memory_info().rss / 1e6,
                        }
                    )
                except (EOFError, OSError):  # the test has ended
                    stop.set()

            asyncio.get_running_loop().add_reader(pipe.fileno(), answer)
            settle()
            await stop.wait()
    pool.terminate()


def _dying(validate: Any, commits: int) -> Any:
    """The judge, whose process is killed right after its n-th batch was committed: between COMMIT and PUBACK."""
    left = commits

    async def judged(taps: list[Tap]) -> list[Answer]:
        nonlocal left
        answers: list[Answer] = await validate(taps)
        left -= 1
        if left == 0 and commits:
            os.kill(os.getpid(), signal.SIGKILL)
        return answers

    return judged
