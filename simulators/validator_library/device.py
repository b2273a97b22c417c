"""The thin shell around a `Terminal`: its MQTT connection, its lists over HTTP, its disk, and a clock."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import msgspec

from gateway import topics
from simulators.transport import Device, Devices
from simulators.validator_library.disk import Disk
from simulators.validator_library.fetching import Fetching, Source
from simulators.validator_library.rules import ProductRule
from simulators.validator_library.terminal import Shown, Step, Terminal

REPORT_EVERY_S = 60.0
"""How often a validator says how old its lists are: dispatchers see who has fallen behind."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Access:
    """Who the device is, and where its lists are; `status_lists` are fetched from the start, others once a ticket has
    named them. `step_every_s` is how often the terminal is asked what there is to do. `lists_kept_in` is a folder in
    which the lists outlive a power cut: without it, a validator that is switched on off line knows no ticket.
    """

    operator: str
    name: str
    username: str
    password: str
    http_url: str | None = None
    status_lists: tuple[int, ...] = ()
    refresh_s: float = 20.0
    http_timeout_s: float = 10.0
    step_every_s: float = 0.02
    lists_kept_in: Path | None = None


class ValidatorDevice:
    """A validator at work: enter it to switch it on; `show` is called with whatever the rider is to see."""

    def __init__(
        self,
        access: Access,
        terminal: Terminal,
        devices: Devices,
        disk: Disk,
        show: Callable[[Shown], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.terminal = terminal
        self.counters: Counter[str] = Counter()
        self._access = access
        self._devices = devices
        self._disk = disk
        self._show = show
        self._clock = clock
        operator, name = access.operator, access.name
        self._lists_topic = topics.lists(operator)
        self.device = Device(
            access.username,
            access.password,
            subscriptions=(topics.verdict(operator, name), topics.receipt(operator, name), self._lists_topic),
            status_topic=topics.validator_status(operator, name),
            on_message=self._hear,
        )
        self._fetching = self._make_fetching()
        self._tasks: list[asyncio.Task[None]] = []
        self._reported_s = -math.inf

    async def __aenter__(self) -> ValidatorDevice:
        self.terminal.restore(self._disk.entries())
        if self._fetching is not None:
            self._fetching.restore()
        self._devices.open(self.device)
        name = self._access.name
        self._tasks = [asyncio.create_task(self._work(), name=f"validator {name}")]
        if self._fetching is not None:
            self._tasks.append(asyncio.create_task(self._fetching.run(), name=f"lists of {name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._carry_out(self.terminal.step(self._clock(), online=False))
        self._devices.close(self.device)

    def tap(self, medium: str, token: str) -> str | None:
        """Take a rider's tap; its id, or None when the validator is full and lets nobody in."""
        kept = self.terminal.tap(self._clock(), medium, token)
        self.counters["refused_full"] += kept is None
        return kept.tap_id if kept else None

    def ages_s(self) -> dict[str, float]:
        """How old keys, status lists and deny list are, in seconds."""
        return self.terminal.lists.ages_s(self._clock())

    def _make_fetching(self) -> Fetching | None:
        access = self._access
        if access.http_url is None:
            return None
        source = Source(
            access.http_url,
            access.status_lists,
            access.refresh_s,
            access.http_timeout_s,
            kept_in=access.lists_kept_in,
        )
        return Fetching(source, self.terminal.lists, self._take_products, self._clock, self.counters)

    async def _work(self) -> None:
        while True:
            now_s = self._clock()
            self._carry_out(self.terminal.step(now_s, self.device.online))
            if self.device.online and not 0 <= now_s - self._reported_s < REPORT_EVERY_S:
                self._reported_s = now_s
                report = self.terminal.lists.report(now_s)
                topic = topics.validator_event(self._access.operator, self._access.name)
                self._devices.publish(self.device, topic, _encode(report), qos=0)
            await asyncio.sleep(self._access.step_every_s)

    def _carry_out(self, step: Step) -> None:
        """Write, then send and show: nothing leaves or is shown that a power cut could still take."""
        self._disk.append(step.write)
        operator, name = self._access.operator, self._access.name
        for kept in step.send:
            self._devices.publish(self.device, topics.tap(operator, name), kept.payload, qos=1)
        for shown in step.show:
            self.counters["alone" if shown.alone else "judged"] += 1
            self._show(shown)
        for kept in step.aside:
            self.counters["set_aside"] += 1
            report = {"ts": self._clock(), "event": "tap_set_aside", "id": kept.tap_id, "tries": kept.tries}
            self._devices.publish(self.device, topics.validator_event(operator, name), _encode(report), qos=1)

    def _hear(self, topic: str, payload: bytes) -> None:
        if topic.endswith("/verdict"):
            self.counters["put_back"] += len(self.terminal.on_verdict(payload, self._clock()).put_back)
        elif topic.endswith("/receipt"):
            self.counters["put_back"] += len(self.terminal.on_receipt(payload).put_back)
        elif topic == self._lists_topic and self._fetching is not None:
            self._fetching.wake()  # something is newer; what it is, fetching from the known addresses will show

    def _take_products(self, products: Mapping[str, ProductRule]) -> None:
        self.terminal.rules = replace(self.terminal.rules, products=products)
