"""One process at work: its parts entered in order, each a context manager, and stopped in the reverse order.

`takt run` holds PostgreSQL, the broker, gateway, ticketing and web, and keeps dispatch in a child process;
`takt run gateway|dispatch|ticketing|web` is one part, joined to the others over NATS.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import structlog

from deploy import logs, wiring, wiring_dispatch, wiring_web
from deploy.addresses import is_found, public_url, with_credentials
from deploy.children import Child, kept_running
from deploy.config import Settings
from deploy.errors import UserError
from deploy.garbage_collection import settle
from deploy.grounds import Grounds, Say, joined, stand_up
from deploy.instance import Instance
from deploy.links import Links, linked
from deploy.part_status import check_status_port, part_status
from deploy.private_files import write_private
from deploy.runtime import Runtime
from deploy.start_checks import NO_FEED, check_keys, check_ports, check_settings

START_S_MAX = 120.0

log = structlog.get_logger("serving")


class Stop:
    """Why and when to stop: a signal, or a part that failed."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.failure: BaseException | None = None

    def listen(self) -> None:
        """Stop on Ctrl-C and on a request to terminate."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.event.set)

    def failed(self, error: BaseException) -> None:
        """A part cannot go on: stop all, and say why once."""
        self.failure = self.failure or error
        self.event.set()

    async def wait(self) -> None:
        """Until it is time.

        Raises:
            UserError: a part failed.
        """
        await self.event.wait()
        if self.failure is not None:
            raise UserError(str(self.failure)) from self.failure


async def serve(settings: Settings, say: Say, while_running: Callable[[Grounds, Stop], Any] | None = None) -> None:
    """Everything in one place, until it is told to stop.

    `while_running` gives a context that is entered last: the demo's city.

    Raises:
        UserError: something is not as it must be, or a part failed for good.
    """
    stop = Stop()
    stop.listen()
    if settings.feed is None:
        raise UserError(NO_FEED)
    check_settings(settings, settings.feed)  # before there is a folder
    instance = Instance.open(settings.data_dir)
    logs.configure(settings.log_level, instance.logs_dir / "takt.log", service="takt")
    with instance.locked():
        async with AsyncExitStack() as stack:
            starting = asyncio.create_task(_start(stack, settings, instance, stop, say), name="start")
            stopping = asyncio.create_task(stop.event.wait(), name="stop")
            await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                await stop.wait()
                say("stopped before it was ready")
                return
            stopping.cancel()
            grounds = starting.result()
            settle()
            if while_running is not None:
                await stack.enter_async_context(while_running(grounds, stop))
            elif (runtime := instance.read_runtime()) is not None:
                say(f"ready; the console: {runtime.http_url}   devices: port {runtime.mqtt_port}")
                if not is_found(settings):
                    say(
                        f"tickets and validators are told of {public_url(settings)}: set http.url to where they find it"
                    )
                say("Ctrl-C stops all of it")
            await stop.wait()
            say("stopping")


async def _start(stack: AsyncExitStack, settings: Settings, instance: Instance, stop: Stop, say: Say) -> Grounds:
    check_ports(settings)
    check_keys(settings, instance)
    say("reading the feed")
    network = await wiring.read_network(settings, instance)
    grounds = await stand_up(stack, settings, instance, stop.failed, say)
    links = await stack.enter_async_context(
        linked(grounds.nats_url, grounds.nats_user, grounds.nats_password, "takt main")
    )
    say("starting ticketing")
    ticketing = await stack.enter_async_context(wiring.ticketing(grounds, links))
    if settings.payments.url is None:
        say("bank cards and the online sale are off: payments.url is not set (docs/bank-cards.md)")
    say("starting dispatch")
    board = await wiring_dispatch.board_from(links, grounds)
    await stack.enter_async_context(_dispatch_child(grounds, stop))
    say("starting the gateway")
    gateway = await stack.enter_async_context(wiring.gateway(grounds, links, ticketing, network))
    say("starting the web server")
    server = await stack.enter_async_context(wiring_web.web(grounds, links, board, network, ticketing, gateway))
    _write_runtime(stack, grounds, server.url)
    async with asyncio.timeout(START_S_MAX):
        await board.newer_than(0, START_S_MAX)
    return grounds


@asynccontextmanager
async def _dispatch_child(grounds: Grounds, stop: Stop) -> AsyncIterator[Child]:
    """Dispatch in a process of its own, with these very settings."""
    instance = grounds.instance
    path = instance.folder / "dispatch.json"
    joined = {"nats_url": with_credentials(grounds), "database_url": grounds.dsn, "status_port": None}
    settings = grounds.settings.model_copy(update=joined)  # its numbers are in our /metrics
    write_private(path, settings.model_dump_json(exclude_none=True).encode())
    child = Child("dispatch", ["deploy", "run", "dispatch", "--config", str(path)], instance.logs_dir / "dispatch.err")
    try:
        async with kept_running(child, stop.failed) as running:
            yield running
    finally:
        path.unlink(missing_ok=True)


def _write_runtime(stack: AsyncExitStack, grounds: Grounds, url: str) -> None:
    import os

    broker = grounds.broker
    mqtt_port = broker.mqtt_port if broker else grounds.settings.mqtt.port
    mqtt_host = broker.mqtt_host if broker else grounds.settings.mqtt.host
    http, mqtt = grounds.settings.http.tls_certificate, grounds.settings.mqtt.tls_certificate
    runtime = Runtime(
        os.getpid(),
        url,
        mqtt_port,
        grounds.dsn,
        with_credentials(grounds),
        mqtt_host,
        http_certificate=str(http.absolute()) if http else None,
        mqtt_certificate=str(mqtt.absolute()) if mqtt else None,
        mqtt_listens=grounds.settings.mqtt.host,
    )
    grounds.instance.write_runtime(runtime)
    stack.callback(grounds.instance.clear_runtime)


async def serve_dispatch(settings: Settings) -> None:
    """Dispatch alone: positions in from the backbone, publications out."""
    await _serve_part("dispatch", settings, wiring_dispatch.dispatch)


async def serve_gateway(settings: Settings) -> None:
    """The gateway alone: taps are judged by whichever ticketing process is free."""
    await _serve_part("gateway", settings, wiring.gateway_alone)


async def serve_ticketing(settings: Settings) -> None:
    """Ticketing alone: answers gateways over the backbone, sharing the load with others of its kind."""
    await _serve_part("ticketing", settings, wiring.ticketing_alone)


async def serve_web(settings: Settings) -> None:
    """The web server alone."""
    await _serve_part("web", settings, wiring_web.web_alone)


PARTS: dict[str, Callable[[Settings], Awaitable[None]]] = {
    "gateway": serve_gateway,
    "dispatch": serve_dispatch,
    "ticketing": serve_ticketing,
    "web": serve_web,
}


async def _serve_part(name: str, settings: Settings, part: Callable[[Grounds, Links], Any]) -> None:
    stop = Stop()
    stop.listen()
    # The web server's own port has all that a status port has.
    settings = settings.model_copy(update={"status_port": None}) if name == "web" else settings
    check_status_port(settings)
    # A part joins what runs: with nothing named to join, an empty folder is a mistyped one.
    instance = Instance.open(settings.data_dir, create=settings.nats_url is not None)
    logs.configure(settings.log_level, instance.logs_dir / f"{name}.log", service=name)
    grounds = joined(instance, settings)
    async with AsyncExitStack() as stack:
        links = await stack.enter_async_context(
            linked(grounds.nats_url, grounds.nats_user, grounds.nats_password, f"takt {name}")
        )
        started = await stack.enter_async_context(part_status(grounds, links))
        await stack.enter_async_context(part(grounds, links))
        started()
        settle()
        log.info("ready")
        await stop.wait()


def run(main: Awaitable[None]) -> None:
    """Run to the end on the fast event loop where there is one.

    Raises:
        UserError: what went wrong, once, however many tasks it went through on its way here.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_as_coroutine(main))
    except BaseExceptionGroup as group:
        first = _first_cause(group)
        if isinstance(first, UserError):
            raise first from None
        log.exception("failed")
        raise UserError(f"{type(first).__name__}: {first}; the log in the data folder says where") from group


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """For this run alone: a policy would change every later loop of the process."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _as_coroutine(main: Awaitable[None]) -> None:
    await main
