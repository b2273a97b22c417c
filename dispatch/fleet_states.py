"""States of single vehicles, taken out of the fleet's columns and put back, many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dispatch.fleet import COLUMNS, Fleet
from dispatch.network import Flags, Floats
from dispatch.observations import Descriptor, Rows

NAMES = tuple(COLUMNS)
BLANK = np.array([float(value) for _, value in COLUMNS.values()])
BLANK.setflags(write=False)
TS = NAMES.index("ts_s")


@dataclass(frozen=True, slots=True)
class States:
    """All that the fleet says of n vehicles; whole numbers stand in `columns` as floats, which hold them exactly."""

    columns: Floats  # [n, NAMES]
    descriptor: list[Descriptor | None]
    occupancy: list[str | None]

    def take(self, which: Flags) -> States:
        """Those of `which`."""
        at = np.flatnonzero(which).tolist()
        return States(self.columns[which], [self.descriptor[i] for i in at], [self.occupancy[i] for i in at])


def states_of(fleet: Fleet, rows: Rows) -> States:
    """The states of `rows` as they are now."""
    columns = np.empty((len(rows), len(NAMES)))
    for nth, name in enumerate(NAMES):
        columns[:, nth] = getattr(fleet, name)[rows]
    at = rows.tolist()
    return States(columns, [fleet.descriptor[row] for row in at], [fleet.occupancy[row] for row in at])


def put_states(fleet: Fleet, rows: Rows, states: States) -> None:
    """Put `rows` back to what `states_of` said of them."""
    for nth, name in enumerate(NAMES):
        getattr(fleet, name)[rows] = states.columns[:, nth]
    for row, descriptor, occupancy in zip(rows.tolist(), states.descriptor, states.occupancy, strict=True):
        fleet.descriptor[row], fleet.occupancy[row] = descriptor, occupancy
