"""Joins the seams: each service with what it calls, in this process or over a link.

Every function here makes one part ready to be entered; `deploy.serving` says in which order.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import structlog

from deploy import mapping, metrics
from deploy.addresses import public_url
from deploy.config import Settings
from deploy.control_messages import tell_progress
from deploy.errors import UserError
from deploy.feed_fares import follow_fares
from deploy.feed_switch import hear_switches
from deploy.feeds import network_in_use
from deploy.instance import Instance
from deploy.letter_box import LetterBox, dead_letter_box, letters_tally
from deploy.links import (
    BOARDINGS,
    EVENTS,
    FIXES,
    INSTRUCTIONS,
    TAPS,
    Links,
    Outgoing,
)
from deploy.numbers import counted, gauged
from deploy.retold import Lately, Remembered
from deploy.tariff_changes import following
from deploy.validators_seen import Reports
from deploy.whereabouts import hear_places
from deploy.wiring_payments import bank_judge, charging
from deploy.wiring_rating import open_rating
from dispatch.board import Publication
from dispatch.network import Network
from gateway import wire
from gateway.admission import Limits
from gateway.batch import FixBatch
from gateway.config import Broker as MqttBroker
from gateway.config import GatewaySettings, Source
from gateway.errors import GatewayError
from gateway.service import Gateway, Seams

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from ticketing.service import Ticketing

FIX_BATCHES_WAITING_MAX = 500  # five seconds of the gateway's batches
VALIDATE_S_MAX = 8.0

log = structlog.get_logger("wiring")
_ENCODE = msgspec.msgpack.Encoder().encode
_PUBLICATION = msgspec.msgpack.Decoder(Publication)
_INSTRUCTION = msgspec.msgpack.Decoder(tuple[str, wire.Instruction])


async def read_network(settings: Settings, instance: Instance) -> Network:
    """The network in use: of the feed that was switched to, else of the settings' own.

    Raises:
        UserError: the feed or the block pattern cannot be used; names file, line and reason.
    """
    if settings.feed is None:
        raise UserError('there is no feed: name one with --feed FEED or feed = "..." in takt.toml')
    in_use = network_in_use(settings, instance)
    return in_use if in_use is not None else await read_feed_network(settings.feed, settings, instance)


async def read_feed_network(feed: str, settings: Settings, instance: Instance) -> Network:
    """A feed's network, from the cache or read anew in a child process, its timetable moved as set.

    Raises:
        UserError: the feed or the block pattern cannot be used; names file, line and reason.
    """
    from dispatch.feed_cache import load_feed_cached
    from dispatch.feed_problems import FeedError

    try:
        network = await asyncio.to_thread(load_feed_cached, feed, instance.network_dir, settings.block_pattern)
    except (FeedError, ValueError, OSError) as error:
        raise UserError(str(error)) from None
    return dataclasses.replace(network, shift_s=settings.timetable_shift_s)


# --- ticketing -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def ticketing(grounds: Grounds, links: Links) -> AsyncIterator[Ticketing]:
    """The judge of taps, with its pool; what it counts as boardings goes to dispatch."""
    from sql.pool import open_pool
    from ticketing.config import TicketingSettings
    from ticketing.errors import TicketingError
    from ticketing.keys import ensure_card_keys, load_card_keys, load_issuer_keys
    from ticketing.proof import ProofLimits
    from ticketing.seams import Seams
    from ticketing.service import Ticketing
    from ticketing.store import warm

    settings, instance = grounds.settings, grounds.instance
    try:
        keys = load_issuer_keys(instance.issuer_keys_dir, settings.ticketing.issuer)
        card_keys = ensure_card_keys(instance.card_keys_path)
    except TicketingError as error:
        raise UserError(str(error)) from None
    boardings = Outgoing(links, BOARDINGS, size=1000)
    sender = asyncio.create_task(boardings.run(), name="link boardings")
    proof = ProofLimits(settings.ticketing.proof_window_s, settings.ticketing.proof_clock_error_s)
    options = TicketingSettings(
        issuer=settings.ticketing.issuer,
        public_url=public_url(settings),
        proof=proof,
        elsewhere_kmh=settings.ticketing.elsewhere_kmh,
    )
    pool = await open_pool(grounds.dsn, size_min=options.workers, init=warm)
    rating = await open_rating(grounds, pool)
    service = Ticketing(
        pool,
        keys,
        rating.tariff,
        options,
        card_keys=card_keys,
        read_card_keys=lambda: load_card_keys(instance.card_keys_path),
        seams=Seams(
            rating.pricing,
            bank_judge(settings, rating),
            await hear_places(links),
            lambda counts: boardings.put(_ENCODE(counts)),
        ),
    )
    fares = await follow_fares(grounds, rating, links)
    metrics.expose(grounds.registry, "ticketing", lambda: service.counters, service.gauges)
    grounds.checks.append(service.healthy)
    try:
        async with rating.accounts.rounds, service, charging(grounds, service), following(rating, links):
            yield service
    finally:
        sender.cancel()
        fares.cancel()
        async with asyncio.timeout(3):
            await pool.close()


def judge(service: Ticketing) -> Callable[[list[wire.Tap]], Awaitable[list[wire.Answer]]]:
    """The gateway's seam to a judge in this process."""

    async def validate(taps: list[wire.Tap]) -> list[wire.Answer]:
        answers = await service.validate([mapping.tap(tap) for tap in taps])
        return [mapping.answer(answer) for answer in answers]

    return validate


def remote_judge(links: Links) -> Callable[[list[wire.Tap]], Awaitable[list[wire.Answer]]]:
    """The gateway's seam to whichever ticketing process is free."""

    async def validate(taps: list[wire.Tap]) -> list[wire.Answer]:
        return mapping.decode_answers(await links.ask(TAPS, mapping.encode_taps(taps), VALIDATE_S_MAX))

    return validate


# --- gateway ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def gateway(grounds: Grounds, links: Links, service: Ticketing, network: Network) -> AsyncIterator[Gateway]:
    """The gateway beside ticketing: taps are a call, positions go to dispatch's process."""
    quota = service.settings.dead_letters_per_device_and_day
    box = LetterBox(dead_letter_box(service.store, quota), letters_tally(service.store))
    async with _gateway(grounds, links, judge(service), box, network) as running:
        yield running


@asynccontextmanager
async def gateway_alone(grounds: Grounds, links: Links) -> AsyncIterator[Gateway]:
    """The gateway in a process of its own."""
    from sql.pool import open_pool
    from ticketing.store import Store

    network = await read_network(grounds.settings, grounds.instance) if grounds.settings.feed else None
    pool = await open_pool(grounds.dsn, size_max=2)
    try:
        store = Store(pool)
        box = LetterBox(dead_letter_box(store, 1000), letters_tally(store))
        async with _gateway(grounds, links, remote_judge(links), box, network) as running:
            await hear_switches(links, lambda changed: running.use_bounds(changed.bounds_deg()))
            yield running
    finally:
        async with asyncio.timeout(3):
            await pool.close()


@asynccontextmanager
async def _gateway(
    grounds: Grounds,
    links: Links,
    validate: Callable[[list[wire.Tap]], Awaitable[list[wire.Answer]]],
    box: LetterBox,
    network: Network | None,
) -> AsyncIterator[Gateway]:
    lately = Lately()
    fixes = Remembered(links, FIXES, FIX_BATCHES_WAITING_MAX, lately)
    events = Remembered(links, EVENTS, 10_000, lately)

    def on_fixes(batch: FixBatch) -> None:
        fixes.put(mapping.encode_fixes(batch))

    def on_event(event: wire.VehicleEvent) -> None:
        events.put(_ENCODE(event.as_dict()))

    try:
        settings = gateway_settings(grounds, network)
    except GatewayError as error:
        raise UserError(str(error)) from None
    progress, on_instruction = tell_progress(links, lately)
    reports = Reports(links)
    outgoings = (fixes, events, progress, reports.outgoing)
    senders = [asyncio.create_task(outgoing.run(), name="link") for outgoing in outgoings]
    seams = Seams(
        on_fixes,
        on_event,
        validate,
        box.keep,
        on_validator_event=reports.hear,
        on_instruction=on_instruction,
        count_dead_letters=box.tally,
    )
    running = Gateway(settings, seams)
    metrics.expose(
        grounds.registry,
        "gateway",
        lambda: counted(running.stats),
        lambda: {**gauged(running.stats), "sources_away": len(running.away()), "remembered_bytes": lately.bytes},
    )
    grounds.checks.append(running.healthy)
    grounds.warnings.append(running.warnings)
    try:
        with grounds.instance.gateway_locked():
            async with running:
                await links.receive(INSTRUCTIONS, lambda data: _send_down(running, data))
                await lately.serve(links)
                yield running
    finally:
        for sender in senders:
            sender.cancel()


def gateway_settings(grounds: Grounds, network: Network | None) -> GatewaySettings:
    """The gateway's settings from ours: where devices are, and what the map's bounds are."""
    settings, secrets = grounds.settings, grounds.instance.secrets
    chosen = settings.gateway
    broker = grounds.broker
    if settings.broker_url is not None:
        main = MqttBroker.from_url(settings.broker_url)
    elif broker is not None:
        main = MqttBroker(broker.mqtt_host, broker.mqtt_port, broker.user, broker.password, broker.tls())
    else:
        main = MqttBroker(settings.mqtt.host, settings.mqtt.port, grounds.nats_user, grounds.nats_password)
    sources = tuple(
        Source(MqttBroker.from_url(source.url), source.profile, source.topic, source.timezone, f"source {number}")
        for number, source in enumerate(chosen.sources, 1)
    )
    limits = Limits(
        stale_s=chosen.stale_s_max,
        future_s=chosen.future_s_max,
        speed_mps_max=chosen.speed_mps_max,
        fixes_per_batch_max=64,
        bounds=network.bounds_deg() if network else None,
        margin_m=chosen.map_margin_m,
    )
    client_id = f"takt-{grounds.instance.id}-{secrets.mqtt_client_suffix}"
    return GatewaySettings(main, client_id=client_id, sources=sources, limits=limits)


def _send_down(running: Gateway, data: bytes) -> None:
    key, instruction = _INSTRUCTION.decode(data)
    running.send_instruction(key, instruction)


@asynccontextmanager
async def ticketing_alone(grounds: Grounds, links: Links) -> AsyncIterator[Ticketing]:
    """Ticketing in a process of its own, sharing the taps with others of its kind."""
    async with ticketing(grounds, links) as service:
        validate = judge(service)

        async def answer(question: bytes) -> bytes:
            return mapping.encode_answers(await validate(mapping.decode_taps(question)))

        await links.serve(TAPS, answer, queue="ticketing")
        yield service
