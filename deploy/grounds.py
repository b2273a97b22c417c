"""What every part stands on: the database, migrated, and the backbone, started here or joined where they run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from prometheus_client import CollectorRegistry

from deploy.addresses import credentials_of, port_of
from deploy.config import Settings
from deploy.embedded_broker import Broker, BrokerSettings, embedded_broker
from deploy.embedded_postgres import embedded_postgres
from deploy.embedded_supervision import Supervised
from deploy.errors import UserError
from deploy.instance import Instance

if TYPE_CHECKING:
    from deploy.wiring_rating import Rating

T = TypeVar("T")
Say = Callable[[str], None]
Failed = Callable[[BaseException], None]
Checks = list[Callable[[], list[str]]]


@dataclass
class Grounds:
    """What every part stands on: the instance, its settings, and where database and backbone are."""

    instance: Instance
    settings: Settings
    dsn: str
    nats_url: str
    nats_user: str
    nats_password: str
    broker: Broker | None = None  # the embedded one
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    checks: Checks = field(default_factory=list)
    warnings: Checks = field(default_factory=list)
    rating: Rating | None = None  # once ticketing has been entered


async def stand_up(stack: AsyncExitStack, settings: Settings, instance: Instance, failed: Failed, say: Say) -> Grounds:
    """The database and the backbone, until the stack is left; `failed` hears of one kept here that cannot go on.

    Raises:
        UserError: one of them cannot be started or reached.
    """
    down: Checks = []
    if settings.database_url is not None:
        dsn = settings.database_url
    else:
        say("starting PostgreSQL")
        dsn = await _kept(stack, _postgres(instance, say, failed), down)
    await _migrate(dsn)
    if settings.nats_url is not None:
        user, password = credentials_of(settings.nats_url)
        return Grounds(instance, settings, dsn, settings.nats_url, user, password, checks=down)
    say("starting the broker")
    broker = await _kept(stack, _broker(instance, settings, failed), down)
    return Grounds(instance, settings, dsn, broker.nats_url, broker.user, broker.password, broker=broker, checks=down)


def joined(instance: Instance, settings: Settings) -> Grounds:
    """The grounds of a part: from its settings, else those of the instance that runs in the same folder.

    Raises:
        UserError: neither names a backbone.
    """
    runtime = instance.read_runtime()
    nats_url = settings.nats_url or (runtime.nats_url if runtime else "")
    dsn = settings.database_url or (runtime.database_url if runtime else "")
    if not nats_url:
        raise UserError(
            "there is no backbone to join: name one with TAKT_NATS_URL, or start this folder's `takt run` first"
        )
    user, password = credentials_of(nats_url)
    return Grounds(instance, settings, dsn, nats_url, user, password)


async def _kept(stack: AsyncExitStack, program: Supervised[T], down: Checks) -> T:
    """Start a program of ours; while it is away, that is why we are down."""
    running = await stack.enter_async_context(program)
    down.append(lambda: [program.down_reason] if program.down_reason else [])
    return running


def _postgres(instance: Instance, say: Say, failed: Failed) -> Supervised[str]:
    def start(last: str | None, on_died: Callable[[str], None]) -> Any:
        port = int(last.rsplit(":", 1)[1].split("/")[0]) if last else 0
        return embedded_postgres(instance, port, on_died=on_died, say=say)

    return Supervised("PostgreSQL", start, failed)


async def _migrate(dsn: str) -> None:
    from sql.migrate import MigrationError, migrate

    try:
        await migrate(dsn)
    except MigrationError as error:
        raise UserError(str(error)) from None
    except OSError as error:
        raise UserError(f"the database named by database_url cannot be reached: {error}") from None


def _broker(instance: Instance, settings: Settings, failed: Failed) -> Supervised[Broker]:
    def start(last: Broker | None, on_died: Callable[[str], None]) -> Any:
        mqtt = settings.mqtt
        port = last.mqtt_port if last else mqtt.port
        if settings.broker_url is not None:  # devices have a broker of their own; this one joins our processes
            mqtt, port = type(mqtt)(), last.mqtt_port if last else 0
        options = BrokerSettings(mqtt.host, port, mqtt.tls_certificate, mqtt.tls_key)
        return embedded_broker(instance, options, nats_port=port_of(last), on_died=on_died)

    return Supervised("broker", start, failed)
