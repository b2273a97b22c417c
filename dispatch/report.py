"""What a report says, as values: lines with their runs and headways, worst stops and hours, and totals."""

from __future__ import annotations

from dataclasses import dataclass

from dispatch.lines import Lines
from dispatch.measures import HeadwayMeasure, MeasureLimits, PunctualityMeasure
from dispatch.network import Floats, Network

Point = tuple[float, float]  # Unix seconds, metres along the line


@dataclass(frozen=True, slots=True)
class ReportSpan:
    """What is reported on: a network whose shift is the one of the passages, and the span of time (Unix seconds)."""

    network: Network
    lines: Lines
    from_s: float
    to_s: float
    limits: MeasureLimits


@dataclass(frozen=True, slots=True)
class Stringline:
    """One run: pieces of (time, place), each drawn through; `name` says whose it is."""

    name: str
    pieces: list[list[Point]]


@dataclass(frozen=True, slots=True)
class HeadwayDots:
    """Headways at the stops of one line; `place_m` is nan beside the main pattern."""

    at_s: Floats
    headway_s: Floats
    scheduled_s: Floats
    place_m: Floats


@dataclass(frozen=True, slots=True)
class LineReport:
    """One route and direction."""

    route_id: str
    short_name: str
    long_name: str
    direction_id: int
    headsign: str
    color: str
    length_m: float
    stops: list[tuple[float, str]]  # metres along the main pattern, name
    planned: list[Stringline]
    driven: list[Stringline]
    dots: HeadwayDots
    headway: HeadwayMeasure | None
    punctuality: PunctualityMeasure


@dataclass(frozen=True, slots=True)
class Worst:
    """A stop or an hour of one line that does badly: waits in seconds, and the share of bunched and gapped headways."""

    short_name: str
    headsign: str
    what: str
    pairs: int
    ewt_s: float
    swt_s: float
    bunched: float
    gapped: float


@dataclass(frozen=True, slots=True)
class Totals:
    """The whole network, pooled by summing the numerators and denominators of all lines."""

    lines: int
    departures: int
    pairs: int
    awt_s: float
    swt_s: float
    on_time: float
    bunched: float
    gapped: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a page shows; times are Unix seconds."""

    from_s: float
    to_s: float
    timezone: str
    feed_version: str
    totals: Totals
    lines: list[LineReport]
    stops: list[Worst]
    hours: list[Worst]
    by_hour: list[tuple[int, float, float, int]]  # local hour, EWT s, SWT s, headways
