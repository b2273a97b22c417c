"""Plays a city: drives a feed's vehicles over MQTT, has riders tap in them, and buys their tickets over HTTP.

One process, one event loop, no threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dispatch.network import Network
from simulators.bank_riders import BankCard
from simulators.duties import plan_duties
from simulators.journal import Journal
from simulators.outing import Ensemble, Outing, Pace
from simulators.provision import DeviceCredential, keep_provisioned, validator_name
from simulators.riders import CityCard, Riders, RiderSettings
from simulators.sales import Sales, SalesSettings
from simulators.transport import Broker, Devices
from simulators.validator_library.fetching import Fetching, Source
from simulators.validator_library.pacing import Limits
from simulators.validator_library.rules import Profile, Rules
from simulators.validators import Fitting, Gates
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
