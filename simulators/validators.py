"""The validators of a fleet at work, each a terminal of the validators' library: riders' taps in, MQTT out and in.

They share what is the same for all of one operator (rules, lists), and each has its own connection, numbers, memory
and disk. Every step is noted in the journal first, by which a checker compares them with the database.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from gateway import topics
from simulators.journal import Journal
from simulators.provision import DeviceCredential
from simulators.riders import RiderTap
from simulators.tap_statistics import TapStatistics
from simulators.transport import Device, Devices
from simulators.validator_library.device import REPORT_EVERY_S
from simulators.validator_library.disk import Disk
from simulators.validator_library.kept_taps import Answered
from simulators.validator_library.lists import Lists
from simulators.validator_library.memory import Memory
from simulators.validator_library.pacing import Limits
from simulators.validator_library.rules import ProductRule, Rules
from simulators.validator_library.tap_states import Kept
from simulators.validator_library.terminal import Step, Terminal

OPEN_MAX = 400  # validators switched on at once
DISK_BYTES_MAX = 256 * 1024  # of one validator: hundreds of them share a machine
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Fitting:
    """How the validators are fitted out: what they decide by when they are alone, and when that is.

    They go alone `fallback_s` seconds after a tap that nobody answered; with None never. Each remembers `media_max`
    media. `folder` is where their disks are; without one a kill leaves what the journal knows. `limits` are those of
    their taps, and at most `open_max` are switched on at once.
    """

    fallback_s: float | None = None
    media_max: int = 128
    folder: Path | None = None
    rules: Rules = field(default_factory=lambda: Rules(1, {}))
    lists: Lists = field(default_factory=Lists)
    limits: Limits = field(default_factory=Limits)
    open_max: int = OPEN_MAX


@dataclass(slots=True)
class Gate:
    """One validator: its terminal, its disk, its connection, the vehicle it stands in."""

    credential: DeviceCredential
    vehicle: str
    terminal: Terminal
    disk: Disk | None
    device: Device
    tap_topic: str
    is_open: bool = False
    reported_s: float = -math.inf


class Gates:
    """All validators, by the vehicle they stand in; leave it to close their disks.

    Those that have no disk of their own take up the taps of earlier starts from the journal.
    """

    def __init__(
        self,
        credentials: Mapping[str, DeviceCredential],
        devices: Devices,
        journal: Journal,
        fitting: Fitting,
        *,
        rng: np.random.Generator,
        clock: Callable[[], float],
    ) -> None:
        self.statistics = TapStatistics()
        self._disks = ExitStack()
        self._devices = devices
        self._journal = journal
        self._clock = clock
        self._fitting = fitting
        if self._fitting.folder is not None:
            self._fitting.folder.mkdir(mode=0o700, exist_ok=True)
        self._gates = {
            vehicle: self._make(vehicle, credential, self._terminal(vehicle, credential, rng))
            for vehicle, credential in credentials.items()
        }
        leftover = journal.leftover()
        for gate in self._gates.values():
            if gate.disk is not None:
                gate.terminal.restore(self._disks.enter_context(gate.disk).entries())
            else:
                gate.terminal.taps.restore(leftover.get(gate.credential.id, ()))
            if gate.terminal.taps.kept:
                self._open(gate)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._disks.close()

    @property
    def lists(self) -> Lists:
        """The lists that all of them go by."""
        return self._fitting.lists

    def take_products(self, products: Mapping[str, ProductRule]) -> None:
        """The tariff's products, for all of them; what is the same as before is passed over."""
        if products == self._fitting.rules.products:
            return
        self._fitting.rules = replace(self._fitting.rules, products=products)
        for gate in self._gates.values():
            gate.terminal.rules = self._fitting.rules

    def alone(self) -> int:
        """How many validators decide by themselves now."""
        return sum(gate.terminal.alone_since_s is not None for gate in self._gates.values())

    def waiting(self) -> int:
        """Taps without a receipt, of all validators."""
        return sum(len(gate.terminal.taps.kept) for gate in self._gates.values())

    def follow(self, vehicles: Iterable[str]) -> set[str]:
        """Switch on the validators of the vehicles on the road, and off those of others that keep no tap.

        Returns the vehicles that have one.
        """
        on_the_road = set(vehicles)
        count = sum(gate.is_open for gate in self._gates.values())
        for vehicle, gate in self._gates.items():
            wanted = vehicle in on_the_road or bool(gate.terminal.taps.kept)
            if wanted and not gate.is_open and count < self._fitting.open_max:
                self._open(gate)
                count += 1
            elif not wanted and gate.is_open:
                gate.is_open = False
                count -= 1
                self._devices.close(gate.device)
        return {vehicle for vehicle in on_the_road & self._gates.keys() if self._gates[vehicle].is_open}

    def step(self, taps: Sequence[tuple[str, RiderTap]], now_s: float) -> None:
        """Take riders' taps, (vehicle, tap) each, and do whatever is due: on record, on disk, then on the air."""
        for vehicle, tap in taps:
            if (gate := self._gates.get(vehicle)) is not None:
                self._take(gate, tap, now_s)
        self._journal.flush()
        outgoing: list[tuple[Gate, Kept]] = []
        for gate in self._gates.values():
            if gate.terminal.next_s() <= now_s:
                step = gate.terminal.step(now_s, gate.device.online)
                if gate.disk is not None:
                    gate.disk.append(step.write)
                self._note(gate, step, now_s)
                outgoing.extend((gate, kept) for kept in step.send)
        for gate, kept in outgoing:
            self._journal.add(now_s, gate.credential.id, "sent", id=kept.tap_id)
        self._journal.flush()  # before a single byte leaves: what is sent is on record
        for gate, kept in outgoing:
            self.statistics.sent += 1
            self.statistics.resent += kept.tries > 1
            self._devices.publish(gate.device, gate.tap_topic, kept.payload, qos=1)
        self._report(now_s)

    def _report(self, now_s: float) -> None:
        """Say how old the lists are, of each gate on the air every REPORT_EVERY_S."""
        report: bytes | None = None
        for gate in self._gates.values():
            if gate.device.online and not 0 <= now_s - gate.reported_s < REPORT_EVERY_S:
                gate.reported_s = now_s
                report = report or _encode(self._fitting.lists.report(now_s))
                topic = topics.validator_event(gate.credential.operator, gate.credential.id)
                self._devices.publish(gate.device, topic, report, qos=0)

    def _terminal(self, vehicle: str, credential: DeviceCredential, rng: np.random.Generator) -> Terminal:
        return Terminal(
            rng.bytes(4).hex(),
            f"{credential.operator}/{vehicle}",
            self._fitting.rules,
            rng=rng,
            lists=self._fitting.lists,
            limits=self._fitting.limits,
            fallback_s=self._fitting.fallback_s,
            memory=Memory(self._fitting.media_max),
        )

    def _make(self, vehicle: str, credential: DeviceCredential, terminal: Terminal) -> Gate:
        operator, name, folder = credential.operator, credential.id, self._fitting.folder
        device = Device(
            credential.username,
            credential.password,
            subscriptions=(topics.verdict(operator, name), topics.receipt(operator, name)),
            status_topic=topics.validator_status(operator, name),
        )
        disk = Disk(folder / f"{operator}.{name}", DISK_BYTES_MAX, self._fitting.media_max) if folder else None
        gate = Gate(credential, vehicle, terminal, disk, device, topics.tap(operator, name))
        device.on_message = lambda topic, payload: self._hear(gate, topic, payload)
        return gate

    def _open(self, gate: Gate) -> None:
        gate.is_open = True
        gate.device.closing = False
        self._devices.open(gate.device)

    def _take(self, gate: Gate, tap: RiderTap, now_s: float) -> None:
        kept = gate.terminal.tap(tap.at_s, tap.medium, tap.token, tap.bank)
        if kept is None:
            self.statistics.refused_full += 1
            return
        self.statistics.made += 1
        self.statistics.by_medium[tap.medium] += 1
        self.statistics.by_trick[tap.trick.value] += 1
        self._journal.add(
            now_s,
            gate.credential.id,
            "tap",
            id=kept.tap_id,
            boot=kept.boot,
            seq=kept.seq,
            payload=kept.payload.decode(),
            trick=tap.trick.value,
        )

    def _note(self, gate: Gate, step: Step, now_s: float) -> None:
        """What riders were shown without the server, and what is set aside and reported."""
        for shown in step.show:
            if shown.alone:
                self.statistics.offline += 1
                self.statistics.by_own_verdict[shown.verdict] += 1
                self._journal.add(now_s, gate.credential.id, "alone", id=shown.tap_id, verdict=shown.verdict)
        for kept in step.aside:
            self._set_aside(gate, kept, now_s)

    def _set_aside(self, gate: Gate, kept: Kept, now_s: float) -> None:
        self.statistics.set_aside += 1
        self._journal.add(now_s, gate.credential.id, "set_aside", id=kept.tap_id)
        report = {"ts": now_s, "event": "tap_set_aside", "id": kept.tap_id, "boot": kept.boot, "seq": kept.seq}
        topic = topics.validator_event(gate.credential.operator, gate.credential.id)
        self._devices.publish(gate.device, topic, _encode({**report, "tries": kept.tries}), qos=1)

    def _hear(self, gate: Gate, topic: str, payload: bytes) -> None:
        now_s = self._clock()
        if topic.endswith("/receipt"):
            answered = gate.terminal.on_receipt(payload)
            self.statistics.receipted_by_range += len(answered.tap_ids)
        else:
            answered = gate.terminal.on_verdict(payload, now_s)
            self._judged(gate, answered, now_s)
        self.statistics.receipted += len(answered.tap_ids)
        self.statistics.put_back += len(answered.put_back)
        by = "verdict" if answered.verdict else "receipt"
        for tap_id in answered.tap_ids:
            self._journal.add(now_s, gate.credential.id, "deleted", id=tap_id, by=by)
        for tap_id in answered.put_back:
            self._journal.add(now_s, gate.credential.id, "put_back", id=tap_id, by=by)

    def _judged(self, gate: Gate, answered: Answered, now_s: float) -> None:
        if answered.verdict is None:
            return
        if answered.duplicate:
            self.statistics.duplicate_answers += 1
            return
        self.statistics.by_verdict[answered.verdict] += 1
        if answered.took_s is not None:
            self.statistics.latencies_s.append(answered.took_s)
        if answered.tap_id is not None:
            self._journal.add(now_s, gate.credential.id, "answered", id=answered.tap_id, verdict=answered.verdict)
