"""What drivers make of instructions: each is read after some seconds, and obeyed or not, at the stop that it names.

Whether a driver obeys is drawn anew for each instruction, from a seed and the instruction's id: the same instruction
meets the same answer whatever else happens. Whoever obeys waits no longer than `HOLD_S_MAX`, whatever was asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

ANYWHERE = -1  # an instruction that names no stop is for wherever the vehicle stands next
HOLD_S_MAX = 600.0  # the cap at a terminal, the longest that any law may ask for
EARLY_S_MAX = 300.0  # nobody leaves a terminal further ahead of time, whoever asks
READ_S = (1.0, 6.0)  # from when an instruction arrives until the driver has looked
ORDER_S_MAX = 1_800.0  # an order that names no end is void by then
ORDERS_MAX = 4  # a display keeps so many; the oldest goes
ID_LENGTH_MAX = 64
KINDS = ("hold", "depart")


@dataclass(frozen=True, slots=True)
class Note:
    """A driver's answer to an instruction."""

    vehicle: int
    at_s: float
    event: str  # "instruction_read" or "instruction_done"
    instruction_id: str


@dataclass(frozen=True, slots=True)
class Order:
    """An instruction that a driver means to obey; instants are Unix seconds."""

    instruction_id: str
    kind: str  # one of KINDS; "depart" is for the first stop of a run
    stop: int  # StopIdx, or ANYWHERE
    read_s: float
    until_s: float  # void from then on
    hold_s: float | None
    depart_at_s: float | None

    def applies(self, stop: int, *, first: bool, leaves_s: float) -> bool:
        """Whether it is for who stands at that stop, means to leave it then, and knows of the order by that time."""
        here = self.stop in (ANYWHERE, stop) and (first or self.kind == "hold")
        return here and self.read_s <= leaves_s < self.until_s

    def leaves_s(self, ready_s: float, leaves_s: float) -> float:
        """When one who is ready at `ready_s` and would leave at `leaves_s` leaves instead."""
        if self.depart_at_s is not None:
            wanted_s = self.depart_at_s
        elif self.hold_s is not None:
            wanted_s = leaves_s + self.hold_s
        else:
            wanted_s = self.until_s
        if self.kind == "hold":
            wanted_s = max(wanted_s, leaves_s)
        earliest_s = max(ready_s, self.read_s, leaves_s - EARLY_S_MAX)
        return max(min(wanted_s, self.until_s, leaves_s + HOLD_S_MAX), earliest_s)


@dataclass(slots=True)
class Drivers:
    """Everybody's display: what was asked of each, and what they answer; `stop_by_id` are the stops they know."""

    compliance: float
    seed: int
    stop_by_id: Mapping[str, int]
    notes: list[Note] = field(default_factory=list)
    _orders: dict[int, list[Order]] = field(default_factory=dict)

    def tell(self, vehicle: int, instruction: Mapping[str, Any], now_s: float) -> bool:
        """Show an instruction, as decoded from JSON; whether the driver could make sense of it."""
        instruction_id, kind = instruction.get("id"), instruction.get("kind")
        if not isinstance(instruction_id, str) or not 0 < len(instruction_id) <= ID_LENGTH_MAX:
            return False
        until_s = _seconds(instruction.get("until_ts"))
        if until_s is not None and until_s <= now_s:
            return False
        rng = np.random.default_rng([self.seed, crc32(instruction_id.encode())])
        read_s = now_s + float(rng.uniform(*READ_S))
        self.notes.append(Note(vehicle, read_s, "instruction_read", instruction_id))
        if kind in KINDS:
            order = self._order(instruction_id, str(kind), read_s, until_s, instruction)
            if order is not None and rng.random() < self.compliance:
                self._orders[vehicle] = [*self._orders.get(vehicle, [])[1 - ORDERS_MAX :], order]
        return True

    def ordered(self) -> Set[int]:
        """Vehicles with orders not carried out yet, some of them void meanwhile."""
        return self._orders.keys()

    def order(self, vehicle: int, stop: int, *, first: bool, leaves_s: float) -> Order | None:
        """The newest order for a vehicle at a stop that would leave it at `leaves_s`; `first`: its run begins there."""
        for order in reversed(self._orders.get(vehicle, ())):
            if order.applies(stop, first=first, leaves_s=leaves_s):
                return order
        return None

    def left(self, vehicle: int, order: Order, at_s: float) -> None:
        """The vehicle has left where the order kept it: the driver says so, and forgets what came before."""
        self.notes.append(Note(vehicle, at_s, "instruction_done", order.instruction_id))
        orders = self._orders.get(vehicle, [])
        later = orders[orders.index(order) + 1 :] if order in orders else orders
        left = [other for other in later if other.stop not in (ANYWHERE, order.stop)]
        if left:
            self._orders[vehicle] = left
        else:
            self._orders.pop(vehicle, None)

    def due(self, now_s: float) -> list[Note]:
        """What drivers say up to now; it is said once."""
        if not self.notes:
            return []
        said = [note for note in self.notes if note.at_s <= now_s]
        self.notes = [note for note in self.notes if note.at_s > now_s]
        return said

    def _order(
        self, instruction_id: str, kind: str, read_s: float, until_s: float | None, instruction: Mapping[str, Any]
    ) -> Order | None:
        """What is asked for; None where the stop is unknown or no time is given."""
        named = instruction.get("stop_id")
        stop = ANYWHERE if named is None else self.stop_by_id.get(str(named))
        hold_s, depart_at_s = _seconds(instruction.get("hold_s")), _seconds(instruction.get("depart_at"))
        if stop is None or (until_s is None and hold_s is None and depart_at_s is None):
            return None
        void_s = read_s + ORDER_S_MAX if until_s is None else until_s
        return Order(instruction_id, kind, stop, read_s, void_s, hold_s, depart_at_s)


def _seconds(value: object) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value)
