"""Control: which lines are advised on or run automatically, by which law, since when, and whether it helps.

Off is the default, and only a person changes it. What a line was like in the ten minutes before it was switched on
is kept beside what it is like now: excess wait (EWT) and headway adherence (c_vh) of all its stops, both directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from dispatch.advice import DEFAULT_LAW
from dispatch.control_measures import NOTHING, Measured
from dispatch.holding import LAWS
from dispatch.network import Network

Mode = Literal["off", "advise", "automatic"]
OFFERED: Final = [name for name in LAWS if name != "none"]
FILE_VERSION = 1


class LineControl(msgspec.Struct):
    """A row of GET /api/v1/control; `since` in Unix seconds, `ewt_before_s` and `c_vh_before` from when it began."""

    route_id: str
    short_name: str
    mode: Mode = "off"
    law: str = DEFAULT_LAW
    by: str | None = None
    since: float | None = None
    ewt_s: float | None = None
    c_vh: float | None = None
    ewt_before_s: float | None = None
    c_vh_before: float | None = None
    advised: int = 0
    applied: int = 0
    declined: int = 0
    stop_ids: list[str] | None = None  # its own control stops, beside the terminals; None: by rule


class _Kept(msgspec.Struct):
    version: int
    lines: list[LineControl]


@dataclass(slots=True)
class ControlTable:
    """All routes of a network, and those of the file that it does not have now: they may come back."""

    lines: dict[str, LineControl] = field(default_factory=dict)
    version: int = 0  # rises with every change of mode, law or count
    changes: int = 0  # of what is kept in the file

    def use_network(self, network: Network) -> None:
        """Have a row for every route."""
        for route_id, name in zip(network.route_id, network.route_short_name, strict=True):
            line = self.lines.setdefault(route_id, LineControl(route_id, name))
            line.short_name = name
        self.version += 1

    def set(self, route_id: str, mode: Mode, law: str | None, by: str, now_s: float) -> LineControl:
        """Switch a line; what it was like before stands from when it was last off."""
        line = self.lines[route_id]
        if mode != "off" and line.mode == "off":
            line.ewt_before_s, line.c_vh_before = line.ewt_s, line.c_vh
            line.advised = line.applied = line.declined = 0
        line.mode, line.law, line.by, line.since = mode, law or line.law, by, now_s
        self.version += 1
        self.changes += 1
        return line

    def set_stops(self, route_id: str, stop_ids: Sequence[str] | None) -> LineControl:
        """List a route's own control stops; None: none of its own."""
        line = self.lines[route_id]
        line.stop_ids = None if stop_ids is None else sorted(set(stop_ids))
        self.version += 1
        self.changes += 1
        return line

    def own_stops(self) -> dict[str, frozenset[str]]:
        """The routes that have control stops of their own, and those."""
        return {name: frozenset(line.stop_ids) for name, line in self.lines.items() if line.stop_ids is not None}

    def mode_of(self, route_id: str) -> Mode:
        """The mode of a route."""
        line = self.lines.get(route_id)
        return "off" if line is None else line.mode

    def count(self, route_id: str, what: Literal["advised", "applied", "declined"]) -> None:
        """Count what became of an advice."""
        line = self.lines.get(route_id)
        if line is not None:
            setattr(line, what, getattr(line, what) + 1)
            self.version += 1

    def measure(self, measured: dict[str, Measured]) -> None:
        """Note how routes are now."""
        for route_id, line in self.lines.items():
            found = measured.get(route_id, NOTHING)
            if (line.ewt_s, line.c_vh) != (found.ewt_s, found.c_vh):
                line.ewt_s, line.c_vh = found.ewt_s, found.c_vh
                self.version += 1

    def rows(self, network: Network) -> list[LineControl]:
        """A row for each route, in the feed's order."""
        return [self.lines[route_id] for route_id in network.route_id if route_id in self.lines]

    def to_bytes(self) -> bytes:
        """The lines that are not as they were made, for a file."""
        kept = [line for line in self.lines.values() if line.since is not None or line.stop_ids is not None]
        return msgspec.json.format(msgspec.json.encode(_Kept(FILE_VERSION, kept)), indent=1)

    def restore(self, data: bytes) -> int:
        """Take over what `to_bytes` made; returns how many lines are controlled.

        Raises:
            ValueError: it is nothing that `to_bytes` made, or names a law that there is not.
        """
        try:
            kept = msgspec.json.decode(data, type=_Kept)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"the file of controlled lines cannot be read: {error}") from None
        if kept.version != FILE_VERSION:
            raise ValueError(f"the file of controlled lines is of version {kept.version}, not {FILE_VERSION}")
        unknown = [line.law for line in kept.lines if line.law not in LAWS]
        if unknown:
            raise ValueError(f"the file of controlled lines names a law that there is not: {unknown[0]}")
        self.lines |= {line.route_id: line for line in kept.lines}
        self.version += 1
        return sum(line.mode != "off" for line in kept.lines)
