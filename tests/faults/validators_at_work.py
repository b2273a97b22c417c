"""Validators of the product's own simulator at work: journal, connections, and the loop that drives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from simulators.journal import Entry, Journal, read_journal
from simulators.player import allow_sockets
from simulators.provision import DeviceCredential
from simulators.riders import RiderTap, Trick
from simulators.transport import Broker, Devices
from simulators.validator_library.pacing import Limits
from simulators.validators import Fitting, Gates

OPERATOR = "town"
TURN_S = 0.02
JOURNAL_BYTES_MAX = 2**31  # the checker needs the whole record, so no test's journal may turn
LIMITS = Limits(first_pause_s=1.0, pause_s_max=3.0, tries_max=1_000)


class ValidatorsAtWork:
    """So many validators, each in a vehicle `bus-<n>` under the name `<prefix>-<n>`; enter to connect them."""

    def __init__(
        self,
        folder: Path,
        port: int,
        count: int,
        seed: int,
        *,
        prefix: str = "v",
        limits: Limits = LIMITS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.journal_path = folder / f"{prefix}.journal"
        self.names = [f"{prefix}-{number}" for number in range(count)]
        self._broker = Broker("127.0.0.1", port, connects_per_s=400.0, pause_s_first=0.2, pause_s_max=1.0)
        # Boots and ids come from it, and neither may come again within one database.
        self._rng = np.random.default_rng([seed, *prefix.encode()])
        self._limits = limits
        self._clock = clock
        self._waiting: list[tuple[str, RiderTap]] = []

    async def __aenter__(self) -> ValidatorsAtWork:
        allow_sockets(len(self.names) + 512)
        self.journal = Journal(self.journal_path, JOURNAL_BYTES_MAX).__enter__()
        self.devices = Devices(self._broker, self._rng)
        await self.devices.__aenter__()
        self.gates = Gates(
            {f"bus-{name}": DeviceCredential("validator", OPERATOR, name, name, "") for name in self.names},
            self.devices,
            self.journal,
            Fitting(limits=self._limits, open_max=len(self.names)),
            rng=self._rng,
            clock=self._clock,
        )
        self._loop = asyncio.create_task(self._work(), name="validators at work")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        await self.devices.__aexit__(None, None, None)
        self.journal.__exit__()

    def tap(self, number: int, token: str, medium: str = "qr", at_s: float | None = None) -> None:
        """A rider taps at the validator of this number."""
        vehicle = f"bus-{self.names[number % len(self.names)]}"
        self._waiting.append((vehicle, RiderTap(at_s or self._clock(), 0, medium, token, Trick.NONE)))

    async def tap_steadily(self, tokens: list[str], per_s: float) -> None:
        """One token after the other, at the validators in turn, so many a second."""
        begun = time.monotonic()
        for number, token in enumerate(tokens):
            self.tap(number, token)
            ahead_s = begun + (number + 1) / per_s - time.monotonic()
            if ahead_s > TURN_S:
                await asyncio.sleep(ahead_s)

    @property
    def receipted(self) -> int:
        return self.gates.statistics.receipted

    @property
    def waiting(self) -> int:
        """Taps that have no receipt yet."""
        return self.gates.waiting() + len(self._waiting)

    async def online(self, seconds: float = 30.0) -> None:
        await until(lambda: self.devices.online() == len(self.names), seconds, "every validator connected")

    async def all_receipted(self, seconds: float = 60.0) -> None:
        await until(
            lambda: not self.waiting,
            seconds,
            "every tap's receipt",
            lambda: f"{self.waiting} wait; {self.gates.statistics.as_dict()}",
        )

    def entries(self) -> list[Entry]:
        """The journal as it lies on disk."""
        self.journal.flush()
        return entries_of(self.journal_path)

    async def _work(self) -> None:
        self.gates.follow({f"bus-{name}" for name in self.names})
        while True:
            taps, self._waiting = self._waiting, []
            self.gates.step(taps, self._clock())
            await asyncio.sleep(TURN_S)


def entries_of(journal: Path) -> list[Entry]:
    """All that a test's validators wrote down."""
    assert not journal.with_name(journal.name + ".1").exists(), "the journal has turned: the record is not whole"
    with journal.open("rb") as file:
        return list(read_journal(file))


async def until(holds: Callable[[], bool], seconds: float, what: str, why: Callable[[], str] = lambda: "") -> None:
    """Wait for what other processes do; there is no event of ours to await."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; {why()}"
        await asyncio.sleep(0.01)
