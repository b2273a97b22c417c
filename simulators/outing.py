"""One fleet on the road: moves it, speaks for its vehicles over MQTT, and has its riders tap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gateway import topics
from simulators.faults import FaultSettings, Link, Receiver
from simulators.frames import frame_of
from simulators.onboard import Onboard, obey
from simulators.provision import DeviceCredential
from simulators.riders import Riders
from simulators.transport import Device, Devices
from simulators.validators import Gates
from simulators.vehicles import Fleet


@dataclass(frozen=True, slots=True)
class Pace:
    """How often vehicles report, and what goes wrong on the way."""

    position_interval_s: float = 1.0
    slices: int = 5  # the fleet speaks in so many parts an interval, as receivers out of step would
    alarms_per_hour: float = 3.0  # drivers' calls for help, of the whole fleet
    faults: FaultSettings = field(default_factory=FaultSettings)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Those who play together with the vehicles, and the clock (Unix seconds) they all go by."""

    connections: Devices
    gates: Gates
    riders: Riders
    clock: Callable[[], float]


class Outing:
    """One fleet on the road until its plan runs out."""

    def __init__(
        self,
        fleet: Fleet,
        credentials: Sequence[DeviceCredential],
        pace: Pace,
        ensemble: Ensemble,
        rng: np.random.Generator,
    ) -> None:
        duties = fleet.duties
        by_name = {credential.id: credential for credential in credentials}
        self._pace = pace
        self._ensemble = ensemble
        self._connections = ensemble.connections
        self._clock = ensemble.clock
        self._fleet = fleet
        self._names = duties.vehicle_id
        self._onboard = Onboard(fleet.network, duties, boot=rng.bytes(3).hex())
        self._rng = rng
        self._receiver = Receiver(len(duties), pace.faults, rng)
        self._link = Link(pace.faults, rng)
        self._credentials = [by_name[name] for name in duties.vehicle_id]
        self._position_topic = [topics.position(c.operator, c.id) for c in self._credentials]
        self._devices: dict[int, Device] = {}
        self._signed_on: set[int] = set()
        self._equipped: frozenset[int] = frozenset()
        self._shown = 0
        self._slips = 0

    async def run(self, until_s: float) -> None:
        """One slice after the other, each at its time; a late one is counted, and what was missed is left out."""
        loop = asyncio.get_running_loop()
        pause_s = self._pace.position_interval_s / self._pace.slices
        due = loop.time()
        part = 0
        while self._clock() < until_s:
            if part == 0:
                self._follow(self._clock())
                self._alarm(self._clock())
            self._step(part, self._clock())
            part = (part + 1) % self._pace.slices
            due += pause_s
            if loop.time() > due:
                self._slips += 1
                due = loop.time()
            await asyncio.sleep(max(due - loop.time(), 0.0))

    def close(self) -> None:
        """Everybody offline."""
        for device in self._devices.values():
            self._connections.close(device)
        self._devices.clear()

    def statistics(self) -> dict[str, Any]:
        """Vehicles on the road, slices that came late, faults made on purpose."""
        link = self._link
        faults = {"doubled": link.doubled, "delayed": link.delayed, "spoilt": link.spoilt}
        return {"vehicles": self._shown, "slices_late": self._slips, "faults": faults}

    def _follow(self, now_s: float) -> None:
        """Connect vehicles whose work begins, let go of those that are home, and the validators with them."""
        shown = set(self._fleet.shown(now_s).tolist())
        self._shown = len(shown)
        for v in shown - self._devices.keys():
            self._devices[v] = self._make_device(v)
            self._connections.open(self._devices[v])
        for v in list(self._devices.keys() - shown):
            device = self._devices.pop(v)
            credential = self._credentials[v]
            topic = topics.vehicle_event(credential.operator, credential.id)
            self._connections.publish(device, topic, self._onboard.sign_off(now_s), qos=1)
            self._connections.close(device)
            self._signed_on.discard(v)
        equipped = self._ensemble.gates.follow(self._names[v] for v in shown)
        self._equipped = frozenset(v for v in shown if self._names[v] in equipped)

    def _make_device(self, v: int) -> Device:
        credential = self._credentials[v]
        operator, name = credential.operator, credential.id
        return Device(
            credential.username,
            credential.password,
            subscriptions=(topics.instruction(operator, name),),
            on_message=lambda _topic, payload: self._instructed(v, payload),
            on_online=lambda: self._sign_on(v),
            status_topic=topics.vehicle_status(operator, name),
        )

    def _sign_on(self, v: int) -> None:
        if v in self._signed_on:
            return  # the same block after a lost connection
        self._signed_on.add(v)
        self._event(v, self._onboard.sign_on(v, self._fleet, self._clock()))

    def _alarm(self, now_s: float) -> None:
        """Now and then a driver presses the button."""
        chance = self._pace.alarms_per_hour * self._pace.position_interval_s / 3600.0
        if self._signed_on and self._rng.random() < chance:
            self._event(int(self._rng.choice(sorted(self._signed_on))), self._onboard.alarm(now_s))

    def _instructed(self, v: int, payload: bytes) -> None:
        obey(self._fleet, v, payload, self._clock())

    def _event(self, v: int, payload: bytes) -> None:
        if (device := self._devices.get(v)) is not None:
            credential = self._credentials[v]
            topic = topics.vehicle_event(credential.operator, credential.id)
            self._connections.publish(device, topic, payload, qos=1)

    def _step(self, part: int, now_s: float) -> None:
        """Move everybody, let one part of the fleet report, and have riders tap."""
        services = self._fleet.step(now_s)
        riders, gates = self._ensemble.riders, self._ensemble.gates
        riders.board(services, self._equipped, now_s)
        gates.step([(self._names[tap.vehicle], tap) for tap in riders.due(now_s)], now_s)
        self._answer(now_s)
        shown = self._fleet.shown(now_s)
        speaking = shown[shown % self._pace.slices == part]
        frame = frame_of(self._fleet, speaking, now_s)
        lat_deg, lon_deg = self._receiver.blur(speaking, frame.lat_deg, frame.lon_deg, self._pace.position_interval_s)
        heard = self._receiver.heard(speaking, now_s).tolist()
        at_s = (now_s + self._receiver.clock_off_s[speaking]).tolist()
        messages = self._onboard.positions(replace(frame, lat_deg=lat_deg, lon_deg=lon_deg), at_s)
        spoken = [message for message, is_heard in zip(messages, heard, strict=True) if is_heard]
        for v, payload in self._link.send(spoken, now_s):
            if (device := self._devices.get(v)) is not None and device.online:
                self._connections.publish(device, self._position_topic[v], payload)

    def _answer(self, now_s: float) -> None:
        """Send drivers' answers to instructions as they give them."""
        for note in self._fleet.drivers.due(now_s):
            self._event(note.vehicle, self._onboard.answer(note))
