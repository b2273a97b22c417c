"""The validators of a fleet at work: riders' taps in, MQTT out and in, every step noted in the journal first."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from gateway import topics
from gateway.wire import Offline
from simulators.journal import Journal
from simulators.provision import DeviceCredential
from simulators.riders import RiderTap
from simulators.transport import Device, Devices
from simulators.validators import Answered, Kept, Limits, Validator

LATENCIES_KEPT = 5_000
OPEN_MAX = 400  # validators switched on at once
OFFLINE_AFTER_S = 15.0  # a validator that has been without its broker for so long decides by itself
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Gate:
    """One validator: its memory, its connection, the vehicle it stands in."""

    credential: DeviceCredential
    vehicle: str
    validator: Validator
    device: Device
    tap_topic: str
    since_online_s: float = -math.inf  # when it was last seen connected
    is_open: bool = False


@dataclass(slots=True)
class TapStatistics:
    """What became of all taps, for people to look at."""

    made: int = 0
    sent: int = 0
    resent: int = 0
    refused_full: int = 0
    offline: int = 0
    set_aside: int = 0
    receipted: int = 0
    receipted_by_range: int = 0  # by the cumulative receipt, since the verdict was lost
    duplicate_answers: int = 0
    by_verdict: Counter[str] = field(default_factory=Counter)
    by_trick: Counter[str] = field(default_factory=Counter)
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def as_dict(self) -> dict[str, Any]:
        """Counts, verdicts by name, and the latency from sending to verdict in milliseconds."""
        p50, p99 = np.percentile(self.latencies_s, [50, 99]) if self.latencies_s else (math.nan, math.nan)
        return {
            "taps": self.made,
            "sent": self.sent,
            "resent": self.resent,
            "refused_full": self.refused_full,
            "offline": self.offline,
            "set_aside": self.set_aside,
            "receipted": self.receipted,
            "receipted_by_range": self.receipted_by_range,
            "duplicate_answers": self.duplicate_answers,
            "by_verdict": dict(self.by_verdict),
            "by_trick": dict(self.by_trick),
            "latency_p50_ms": None if math.isnan(p50) else round(float(p50) * 1000, 1),
            "latency_p99_ms": None if math.isnan(p99) else round(float(p99) * 1000, 1),
        }


class Gates:
    """All validators, by the vehicle they stand in. `leftover` are taps of earlier starts, by validator."""

    def __init__(
        self,
        credentials: Mapping[str, DeviceCredential],
        devices: Devices,
        journal: Journal,
        *,
        limits: Limits,
        rng: np.random.Generator,
        clock: Callable[[], float],
        leftover: Mapping[str, Sequence[tuple[float, bytes]]] | None = None,
        open_max: int = OPEN_MAX,
    ) -> None:
        self.statistics = TapStatistics()
        self._devices = devices
        self._journal = journal
        self._clock = clock
        self._open_max = open_max
        self._gates = {
            vehicle: self._make(vehicle, credential, Validator(rng.bytes(4).hex(), rng, limits))
            for vehicle, credential in credentials.items()
        }
        for gate in self._gates.values():
            gate.validator.restore((leftover or {}).get(gate.credential.id, ()))
            if gate.validator.kept:
                self._open(gate)

    def waiting(self) -> int:
        """Taps without a receipt, of all validators."""
        return sum(len(gate.validator.kept) for gate in self._gates.values())

    def follow(self, vehicles: Iterable[str]) -> set[str]:
        """Switch on the validators of the vehicles on the road, and off those of others that keep no tap.

        Returns the vehicles that have one.
        """
        on_the_road = set(vehicles)
        count = sum(gate.is_open for gate in self._gates.values())
        for vehicle, gate in self._gates.items():
            wanted = vehicle in on_the_road or bool(gate.validator.kept)
            if wanted and not gate.is_open and count < self._open_max:
                self._open(gate)
                count += 1
            elif not wanted and gate.is_open:
                gate.is_open = False
                count -= 1
                self._devices.close(gate.device)
        return {vehicle for vehicle in on_the_road & self._gates.keys() if self._gates[vehicle].is_open}

    def step(self, taps: Sequence[tuple[str, RiderTap]], now_s: float) -> None:
        """Take riders' taps, (vehicle, tap) each, and send whatever is due."""
        for vehicle, tap in taps:
            if (gate := self._gates.get(vehicle)) is not None:
                self._take(gate, tap, now_s)
        outgoing: list[tuple[Gate, Kept]] = []
        for gate in self._gates.values():
            if not gate.device.online:
                continue
            gate.since_online_s = now_s
            if gate.validator.next_s() <= now_s:
                send, aside = gate.validator.due(now_s)
                outgoing.extend((gate, kept) for kept in send)
                for kept in aside:
                    self._set_aside(gate, kept, now_s)
        for gate, kept in outgoing:
            self._journal.add(now_s, gate.credential.id, "sent", id=kept.tap_id)
        self._journal.flush()  # before a single byte leaves: what is sent is on record
        for gate, kept in outgoing:
            self.statistics.sent += 1
            self.statistics.resent += kept.tries > 1
            self._devices.publish(gate.device, gate.tap_topic, kept.payload, qos=1)

    def _make(self, vehicle: str, credential: DeviceCredential, validator: Validator) -> Gate:
        operator, name = credential.operator, credential.id
        device = Device(
            credential.username,
            credential.password,
            subscriptions=(topics.verdict(operator, name), topics.receipt(operator, name)),
            status_topic=topics.validator_status(operator, name),
        )
        gate = Gate(credential, vehicle, validator, device, topics.tap(operator, name))
        device.on_message = lambda topic, payload: self._hear(gate, topic, payload)
        return gate

    def _open(self, gate: Gate) -> None:
        gate.is_open = True
        gate.device.closing = False
        gate.since_online_s = self._clock()
        self._devices.open(gate.device)

    def _take(self, gate: Gate, tap: RiderTap, now_s: float) -> None:
        alone = not gate.device.online and now_s - gate.since_online_s > OFFLINE_AFTER_S
        kept = gate.validator.tap(
            now_s=tap.at_s,
            medium=tap.medium,
            token=tap.token,
            vehicle=gate.vehicle,
            offline=Offline("accepted") if alone else None,
        )
        if kept is None:
            self.statistics.refused_full += 1
            return
        self.statistics.made += 1
        self.statistics.offline += alone
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

    def _set_aside(self, gate: Gate, kept: Kept, now_s: float) -> None:
        self.statistics.set_aside += 1
        self._journal.add(now_s, gate.credential.id, "set_aside", id=kept.tap_id)
        report = {"ts": now_s, "event": "tap_set_aside", "id": kept.tap_id, "boot": kept.boot, "seq": kept.seq}
        topic = topics.validator_event(gate.credential.operator, gate.credential.id)
        self._devices.publish(gate.device, topic, _encode({**report, "tries": kept.tries}), qos=1)

    def _hear(self, gate: Gate, topic: str, payload: bytes) -> None:
        now_s = self._clock()
        if topic.endswith("/receipt"):
            answered = gate.validator.on_receipt(payload)
            self.statistics.receipted_by_range += len(answered.tap_ids)
        else:
            answered = gate.validator.on_verdict(payload, now_s)
            self._judged(gate, answered, now_s)
        self.statistics.receipted += len(answered.tap_ids)
        by = "verdict" if answered.verdict else "receipt"
        for tap_id in answered.tap_ids:
            self._journal.add(now_s, gate.credential.id, "deleted", id=tap_id, by=by)

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
