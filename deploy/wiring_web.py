"""The web server's own wiring: every API behind one door, in this process or one of its own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog

from deploy import metrics
from deploy.announcer import Announcer
from deploy.auth import BearerGate, Tokens, issuer_of, read_key
from deploy.config import Settings
from deploy.devices import Registry
from deploy.ended_tokens import EndedTokens
from deploy.feeds import Feeds
from deploy.links import (
    INSTRUCTIONS,
    Links,
    Outgoing,
)
from deploy.revoked import Revocations
from deploy.sessions import Sessions
from deploy.status import InstanceInfo, StatusApi
from deploy.tariff_changes import TariffApi
from deploy.tokens_api import TokensApi
from deploy.users import Users
from deploy.validators_seen import ValidatorsSeen
from deploy.version import takt_version
from deploy.web import Access, WebServer, WebSettings
from deploy.wiring import read_network, ticketing
from deploy.wiring_books import city_books
from deploy.wiring_dispatch import board_from
from deploy.wiring_fleet import fleet_apis
from deploy.wiring_payments import selling
from deploy.wiring_rating import receipts
from deploy.wiring_wallet import wallet
from dispatch.board import Board
from dispatch.network import Network
from gateway import wire
from gateway.service import Gateway

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from ticketing.service import Ticketing

log = structlog.get_logger("wiring")
_ENCODE = msgspec.msgpack.Encoder().encode


@asynccontextmanager
async def web(
    grounds: Grounds,
    links: Links,
    board: Board,
    network: Network,
    service: Ticketing,
    gateway: Gateway,
) -> AsyncIterator[WebServer]:
    """The web server beside everything else."""
    feeds = Feeds(grounds.settings, grounds.instance, links, network)
    feeds.followers.append(lambda changed: gateway.use_bounds(changed.bounds_deg()))
    tell = Announcer(Registry(grounds.instance), gateway.publish_lists)
    async with _web(grounds, links, board, feeds, service, gateway.send_instruction, tell) as server:
        yield server


@asynccontextmanager
async def web_alone(grounds: Grounds, links: Links) -> AsyncIterator[WebServer]:
    """The web server in a process of its own; ticketing is stateless, so it brings its own judge."""
    down = Outgoing(links, INSTRUCTIONS, size=1000)
    sender = asyncio.create_task(down.run(), name="link instructions")

    def send(key: str, instruction: wire.Instruction) -> bool:
        down.put(_ENCODE((key, instruction)))
        return True

    network = await read_network(grounds.settings, grounds.instance)
    feeds = Feeds(grounds.settings, grounds.instance, links, network)
    board = await board_from(links, grounds)
    try:
        async with (
            ticketing(grounds, links) as service,
            _web(grounds, links, board, feeds, service, send) as server,
        ):
            yield server
    finally:
        sender.cancel()


@asynccontextmanager
async def _web(
    grounds: Grounds,
    links: Links,
    board: Board,
    feeds: Feeds,
    service: Ticketing,
    send: Callable[[str, wire.Instruction], bool],
    announcer: Announcer | None = None,
) -> AsyncIterator[WebServer]:
    from sql.pool import open_pool
    from ticketing.api import TicketingApi
    from ticketing.books import Books

    settings, instance = grounds.settings, grounds.instance
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    ended = EndedTokens(instance)
    sessions = Sessions(Users(instance.users_path), tokens, time.time)
    # A pool of its own: a report of a month must not take the connections that taps wait for.
    pool = await open_pool(grounds.dsn, size_max=3, size_min=1, command_timeout_s=20.0)
    assert grounds.rating is not None, "ticketing is entered before the web server"
    seen = ValidatorsSeen(Books(service.store))
    await seen.follow(links)
    doors = [
        _status(grounds, feeds, service),
        seen,
        TokensApi(tokens, ended),
        TariffApi(grounds, grounds.rating, links),
    ]
    metrics.expose(grounds.registry, "links", lambda: links.counters)
    tickets = TicketingApi(service)
    try:
        fleet = await fleet_apis(grounds, links, board, feeds, send, pool)
        async with (
            feeds,
            selling(grounds, service) as sale,
            city_books(grounds, service, feeds, each_night=announcer is not None) as books,
            WebServer(
                [*doors, *fleet, feeds, tickets, wallet(grounds, service), *sale, *books, *receipts(grounds, service)],
                _options(settings),
                Access(BearerGate(tokens, time.time, Revocations(Registry(instance), ended).why_refused), sessions),
                grounds.registry,
            ) as server,
            announcer.announcing(tickets.lists) if announcer else contextlib.nullcontext(),
        ):
            yield server
    finally:
        async with asyncio.timeout(3):
            await pool.close()


def _status(grounds: Grounds, feeds: Feeds, service: Ticketing) -> StatusApi:
    return StatusApi(
        [lambda: [reason for check in grounds.checks for reason in check()]],
        grounds.registry,
        lambda: describe(grounds.settings, feeds.network, service.tariff.currency),
        open_metrics=grounds.settings.http.metrics == "open",
        warnings=[lambda: [warning for warn in grounds.warnings for warning in warn()]],
    )


def _options(settings: Settings) -> WebSettings:
    http = settings.http
    return WebSettings(
        host=http.host,
        port=http.port,
        tls_certificate=http.tls_certificate,
        tls_key=http.tls_key,
        version=takt_version(),
        tile_url=settings.tile_url,
        local_permissions=frozenset({"metrics:read"} if http.metrics == "local" else ()),
    )


def describe(settings: Settings, network: Network, currency: str) -> InstanceInfo:
    """What this instance is, now."""
    from dispatch.timetable import service_date

    date: dt.date = service_date(network, time.time())
    return InstanceInfo(
        name=settings.name,
        version=takt_version(),
        feed_version=network.feed_version,
        timezone=network.timezone,
        demo=settings.demo,
        service_date=date.isoformat(),
        timetable_shift_s=network.shift_s,
        currency=currency,
        tile_url=settings.tile_url,
    )
