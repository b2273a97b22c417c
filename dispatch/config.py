"""Settings of dispatch: frozen, with their defaults beside them or beside the rules that they bound."""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatch.alerts import AlertLimits
from dispatch.headway import HeadwayLimits
from dispatch.measures import MeasureLimits


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """The engine's pace, what it calls out of order, and how much it keeps."""

    tick_s: float = 1.0
    headway: HeadwayLimits = field(default_factory=HeadwayLimits)
    alerts: AlertLimits = field(default_factory=AlertLimits)
    measures: MeasureLimits = field(default_factory=MeasureLimits)
    silent_s: float = 120.0  # nothing is told across a longer silence, and a vehicle's state says so
    forget_s: float = 3600.0  # a vehicle that has been silent for longer is not listed
    off_route_m: float = 60.0
    vehicles_max: int = 200_000
    inbox_fixes_max: int = 400_000
