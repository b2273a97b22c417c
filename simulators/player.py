"""Plays a city: drives a feed's vehicles over MQTT, has riders tap in them, and buys their tickets over HTTP.

One process, one event loop, no threads. `play` is the library's door; `main` runs it from a file of configuration,
since credentials belong into no command line.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import signal
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dispatch.network import Network
from dispatch.network_file import NetworkFileError, load_network
from simulators.bank_riders import BankCard, make_bank_cards
from simulators.duties import plan_duties
from simulators.gates import Fitting, Gates
from simulators.journal import Journal
from simulators.outing import Ensemble, Outing, Pace
from simulators.provision import DeviceCredential, Kind, keep_provisioned, validator_name
from simulators.riders import CityCard, Riders, RiderSettings
from simulators.sales import Sales, SalesSettings
from simulators.transport import Broker, Devices
from simulators.validator_library.fetching import Fetching, Source
from simulators.validator_library.pacing import Limits
from simulators.validator_library.rules import Profile, Rules
from simulators.vehicles import Fleet, VehicleSettings

Report = Callable[[dict[str, Any]], None]
NOTHING_RUNS_S = 60.0
SOCKETS_SPARE = 64  # beside one for each device


@dataclass(frozen=True, slots=True)
class PlayerSettings:
    """How the city is played."""

    plan_s: float = 48 * 3_600.0  # how far ahead vehicles know their work; then they begin anew
    connects_per_s: float = 150.0
    report_s: float = 30.0
    journal: Path | None = None
    vehicles: VehicleSettings = field(default_factory=VehicleSettings)
    pace: Pace = field(default_factory=Pace)
    riders: RiderSettings = field(default_factory=RiderSettings)
    sales: SalesSettings = field(default_factory=SalesSettings)
    limits: Limits = field(default_factory=Limits)
    fallback_s: float | None = None  # validators decide alone when nobody has answered for so long; None: never
    disks: Path | None = None  # a folder for the validators' disks
    networks: tuple[str, ...] = ()  # where tickets must be good, for validators alone


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: devices by their credentials, and riders by what they hold."""

    devices: Sequence[DeviceCredential]
    cards: Sequence[CityCard] = ()
    bank_cards: Sequence[BankCard] = ()


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the city comes in, and what opens it; the clock on the wall, and who hears how it goes.

    `report` gets the statistics now and then. The contexts are for TLS; None: without.
    """

    http_url: str
    mqtt_host: str
    mqtt_port: int
    kiosk_token: str = ""
    tls: ssl.SSLContext | None = None
    http_tls: ssl.SSLContext | None = None
    report: Report | None = None
    clock: Callable[[], float] = time.time


async def play(
    network: Network,
    cast: Cast,
    doors: Doors,
    settings: PlayerSettings,
    rng: np.random.Generator,
    stop: asyncio.Event,
) -> dict[str, Any]:
    """Play until `stop` is set; returns the statistics.

    Vehicles and validators are those that have credentials (see provision.needed_devices). The generator must be
    a fresh one each time for one instance, since the taps' ids come from it.
    """
    devices, clock = cast.devices, doors.clock
    allow_sockets(2 * len(devices) + SOCKETS_SPARE)  # a validator has a disk as well
    fleet_rng, fault_rng, rider_rng, gate_rng, device_rng, sales_rng = rng.spawn(6)
    broker = Broker(doors.mqtt_host, doors.mqtt_port, doors.tls, connects_per_s=settings.connects_per_s)
    riders = Riders(settings.riders, rider_rng, bank_cards=cast.bank_cards)
    riders.enrol(cast.cards)
    sales = Sales(doors.http_url, doors.kiosk_token, riders, settings.sales, doors.http_tls)
    validators = {device.id: device for device in devices if device.kind == "validator"}
    vehicles = [device for device in devices if device.kind == "vehicle"]
    async with contextlib.AsyncExitStack() as stack:
        journal = stack.enter_context(Journal(settings.journal))
        connections = Devices(broker, device_rng)
        gates = Gates(
            {v.id: validators[name] for v in vehicles if (name := validator_name(v.id)) in validators},
            connections,
            journal,
            _fitting(settings),
            rng=gate_rng,
            clock=clock,
        )
        stack.enter_context(gates)
        await stack.enter_async_context(connections)
        fetching = Fetching(Source(doors.http_url, tls=doors.http_tls), gates.lists, gates.take_products, clock)
        ensemble = Ensemble(connections, gates, riders, clock)
        player = _Player(network, vehicles, settings, ensemble, sales, fetching, clock)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(player.drive(fleet_rng, fault_rng), name="player drives"),
                group.create_task(sales.run(sales_rng), name="player buys tickets"),
                group.create_task(player.report(doors.report), name="player reports"),
            ]
            if settings.fallback_s is not None:
                tasks.append(group.create_task(fetching.run(), name="player fetches lists"))
            await stop.wait()
            for task in tasks:
                task.cancel()
    return player.statistics()


def _fitting(settings: PlayerSettings) -> Fitting:
    """How validators are fitted out: readers without a safe place for card keys, which take cards on trust."""
    profile = Profile(cards_on_trust=True, bank_alone=True)
    rules = Rules(1, {}, frozenset(settings.networks), profile)
    return Fitting(settings.fallback_s, folder=settings.disks, rules=rules, limits=settings.limits)


@dataclass(slots=True)
class _Player:
    """Everything of one play, and its statistics."""

    network: Network
    credentials: Sequence[DeviceCredential]
    settings: PlayerSettings
    ensemble: Ensemble
    sales: Sales
    fetching: Fetching
    clock: Callable[[], float]
    outing: Outing | None = None

    async def drive(self, fleet_rng: np.random.Generator, fault_rng: np.random.Generator) -> None:
        """Drive the fleet for ever, planning anew whenever the plan runs out."""
        while True:
            now_s = self.clock()
            until_s = now_s + self.settings.plan_s
            duties = plan_duties(self.network, now_s - self.settings.vehicles.warm_up_s, until_s)
            duties = keep_provisioned(duties, self.credentials)
            if not len(duties):
                await asyncio.sleep(NOTHING_RUNS_S)  # at night, or nobody has credentials
                continue
            fleet = Fleet(self.network, duties, self.settings.vehicles, rng=fleet_rng, now_s=now_s)
            self.outing = Outing(fleet, self.credentials, self.settings.pace, self.ensemble, fault_rng)
            try:
                await self.outing.run(until_s)
            finally:
                self.outing.close()

    async def report(self, report: Report | None) -> None:
        """Hand the statistics to `report` now and then."""
        while True:
            await asyncio.sleep(self.settings.report_s)
            if report is not None:
                report(self.statistics())

    def statistics(self) -> dict[str, Any]:
        """Everything counted so far."""
        counters, sales = self.ensemble.connections.counters, self.sales.statistics
        return {
            **(self.outing.statistics() if self.outing else {}),
            "online": self.ensemble.connections.online(),
            "connects": counters.connects,
            "disconnects": counters.disconnects,
            "refused": counters.refused,
            "failed": counters.failed,
            "published": counters.published,
            "unsent": counters.unsent,
            "received": counters.received,
            "riders_turned_away": self.ensemble.riders.turned_away,
            "riders_empty_handed": self.ensemble.riders.empty_handed,
            "taps_waiting": self.ensemble.gates.waiting(),
            "validators_alone": self.ensemble.gates.alone(),
            "lists_age_s": self._lists_age_s(),
            "lists_failed": self.fetching.counters.total(),
            **self.ensemble.gates.statistics.as_dict(),
            "tickets_sold": sales.sold,
            "tickets_revoked": sales.revoked,
            "sales_refused": sales.refused,
            "sales_failed": sales.failed,
            "sales_problem": sales.last_problem,
        }

    def _lists_age_s(self) -> dict[str, float]:
        """How old the validators' lists are; without those that they do not have."""
        ages = self.ensemble.gates.lists.ages_s(self.clock())
        return {name: round(age_s, 1) for name, age_s in ages.items() if math.isfinite(age_s)}


def allow_sockets(count: int) -> None:
    """Raise this process's own limit of open files as far as it takes and may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class CardConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A city card; bytes in hex."""

    uid: str
    meta_read: str
    file_read: str
    version: int = 1
    counter: int = 0


class DeviceConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A device's credentials."""

    kind: Kind
    operator: str
    id: str
    username: str
    password: str


class PlayerConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What `main` reads: where everything is, who may connect, and how to play. It holds secrets."""

    network: Path
    http_url: str
    mqtt_host: str
    mqtt_port: int
    kiosk_token: str
    devices: list[DeviceConfig]
    cards: list[CardConfig] = []
    bank_riders: int = 0  # people with bank cards; for a simulated acquirer only
    bank_key: str = ""  # hex; what their tokens follow from
    shift_s: float | None = None
    mqtt_ca: Path | None = None  # the server's certificate, or who signed it
    http_ca: Path | None = None
    seed: int | None = None
    settings: PlayerSettings = PlayerSettings()


def main(config_path: Path | None) -> None:
    """Play as a JSON file says (None: standard input) until SIGTERM or SIGINT; statistics go out as JSON lines.

    Raises:
        SystemExit: with one sentence, where the configuration or the network cannot be used.
    """
    name = "standard input" if config_path is None else str(config_path)
    try:
        text = sys.stdin.buffer.read() if config_path is None else config_path.read_bytes()
        config = msgspec.json.decode(text, type=PlayerConfig, dec_hook=_read_path)
        cards = [_card(card) for card in config.cards]
        bank_cards = make_bank_cards(bytes.fromhex(config.bank_key), config.bank_riders)
        network = load_network(config.network)
        trust = _trust(config.mqtt_ca), _trust(config.http_ca)
    except (OSError, ValueError, NetworkFileError) as error:
        raise SystemExit(f"{name}: {error}") from None
    if config.shift_s is not None:
        network = replace(network, shift_s=config.shift_s)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_play(config, network, cards, bank_cards, trust))


def _card(card: CardConfig) -> CityCard:
    read = bytes.fromhex
    return CityCard(read(card.uid), read(card.meta_read), read(card.file_read), card.version, card.counter)


def _read_path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise ValueError(f"expected a path, got {value!r}")
    return Path(value)


async def _play(
    config: PlayerConfig,
    network: Network,
    cards: Sequence[CityCard],
    bank_cards: Sequence[BankCard],
    trust: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    devices = [DeviceCredential(d.kind, d.operator, d.id, d.username, d.password) for d in config.devices]
    where = config.http_url, config.mqtt_host, config.mqtt_port, config.kiosk_token
    doors = Doors(*where, tls=trust[0], http_tls=trust[1], report=_print_report)
    cast = Cast(devices, cards, bank_cards)
    await play(network, cast, doors, config.settings, np.random.default_rng(config.seed), stop)


def _trust(certificate: Path | None) -> ssl.SSLContext | None:
    """Trust a server by the very certificate given, whatever name that was made for."""
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context


def _print_report(statistics: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(statistics).decode() + "\n")
    sys.stdout.flush()
