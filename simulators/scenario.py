"""Scenarios of one line, as written in a .toml file (docs/scenarios.md); what is wrong with one is said by field."""

from __future__ import annotations

import re
import tomllib
from difflib import get_close_matches
from typing import Annotated

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0, le=1e6)]
Variation = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Gain = Annotated[float, Meta(ge=0, le=1)]

VISITS_MAX = 2_000_000  # of a stop by a vehicle in one run: about half a minute of work
RIDERS_MAX = 5_000_000  # about 1 GB while they are drawn


class ScenarioError(ValueError):
    """A scenario that cannot be run; its text names the file, the line where there is one, and the field."""


class LawGains(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Parameters of the laws; beta is not among them, it follows from the line."""

    alpha_forward: Gain = 0.2
    alpha_two_way: Gain = 1 / 3
    alpha_self: Gain = 0.1
    f0: Gain = 0.5
    kappa: Gain = 0.7


class Linear(msgspec.Struct, frozen=True, tag_field="kind", tag="linear", forbid_unknown_fields=True):
    """Deviations from the (virtual) schedule alone, without truncation: closed forms are known for it."""

    stops: Annotated[int, Meta(ge=1, le=200)] = 30
    vehicles: Annotated[int, Meta(ge=4, le=262_144)] = 65_536
    beta: Gain = 0.05
    segment_noise_s: Positive = 10.0
    gains: LawGains = LawGains()


class Loop(msgspec.Struct, frozen=True, tag_field="kind", tag="loop", forbid_unknown_fields=True):
    """A line of two directions that vehicles go round; times in seconds, riders at each stop."""

    stops_per_direction: Annotated[int, Meta(ge=2, le=200)] = 20
    vehicles: Annotated[int, Meta(ge=1, le=200)] = 10
    headway_s: Annotated[float, Meta(ge=10, le=7200)] = 360.0
    run_s_mean: Annotated[float, Meta(ge=1, le=7200)] = 60.0
    run_cv: Variation = 0.2
    traffic_cv: Variation = 0.1
    traffic_period_s: Annotated[float, Meta(ge=1, le=86_400)] = 900.0
    riders_per_min: Annotated[float, Meta(ge=0, le=60)] = 1.5
    ride_stops_min: Annotated[int, Meta(ge=1)] = 2
    ride_stops_max: Annotated[int, Meta(ge=1)] = 6
    capacity: Annotated[int, Meta(ge=1, le=10_000)] = 90
    dwell_s: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    boarding_s: Annotated[float, Meta(ge=0, le=60)] = 2.0
    alighting_s: Annotated[float, Meta(ge=0, le=60)] = 1.2
    overtaking: bool = False
    control_every: Annotated[int, Meta(ge=1)] = 5
    stop_hold_s_max: Annotated[float, Meta(ge=0, le=3600)] = 90.0
    terminal_hold_s_max: Annotated[float, Meta(ge=0, le=3600)] = 300.0
    compliance: Share = 1.0
    warmup_s: Annotated[float, Meta(ge=0, le=172_800)] = 3600.0
    duration_s: Annotated[float, Meta(ge=60, le=172_800)] = 14_400.0
    # A hold at every fifth stop has to pull harder than one at every stop, for which 0.2 is the textbook's.
    gains: LawGains = LawGains(alpha_forward=0.4)

    @property
    def stops(self) -> int:
        """Of both directions; stop 0 and stop `stops_per_direction` are the terminals."""
        return 2 * self.stops_per_direction

    @property
    def cycle_s(self) -> float:
        """What the timetable gives one round."""
        return self.vehicles * self.headway_s

    @property
    def riders_per_s(self) -> float:
        """Who come to one stop."""
        return self.riders_per_min / 60

    @property
    def dwell_s_mean(self) -> float:
        """At a stop, when every headway is as scheduled."""
        riders = self.riders_per_s * self.headway_s
        return self.dwell_s + max(self.boarding_s, self.alighting_s) * riders

    @property
    def driven_s(self) -> float:
        """One round of running and dwelling, when every headway is as scheduled."""
        return self.stops * (self.run_s_mean + self.dwell_s_mean)

    @property
    def recovery_s(self) -> float:
        """What running and dwelling leave of the cycle, at each of the two terminals; never below zero."""
        return max(0.0, self.cycle_s - self.driven_s) / 2

    @property
    def beta(self) -> float:
        """By how much a headway grows from one stop to the next: riders per second times seconds per boarding."""
        return self.riders_per_s * self.boarding_s

    def is_terminal(self, stop: int) -> bool:
        """The first stop of either direction."""
        return stop % self.stops_per_direction == 0

    def is_control(self, stop: int) -> bool:
        """Every `control_every`-th stop of a direction, counted from its terminal, and the terminals themselves."""
        return stop % self.stops_per_direction % self.control_every == 0


Scenario = Linear | Loop
FIELDS = {
    kind.__struct_config__.tag: ["kind", *kind.__struct_fields__, *LawGains.__struct_fields__]
    for kind in (Linear, Loop)
}


def parse_scenario(text: str, name: str) -> Scenario:
    """A scenario from the text of its file; `name` is how errors call that file.

    Raises:
        ScenarioError: not TOML, an unknown field, a value of the wrong type or out of range, fields that contradict.
    """
    try:
        table = tomllib.loads(text)
        scenario: Scenario = msgspec.convert(table, Scenario)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{name} is not TOML: {error}.") from None
    except RecursionError:
        raise ScenarioError(f"{name}: its values are nested too deep; a scenario has one table, [gains].") from None
    except msgspec.ValidationError as error:
        raise ScenarioError(_located(text, name, _plain(str(error), table.get("kind")))) from None
    trouble = _row(scenario) if isinstance(scenario, Linear) else _loop(scenario)
    if trouble:
        raise ScenarioError(_located(text, name, trouble))
    return scenario


def _located(text: str, name: str, trouble: str) -> str:
    """What is wrong, with the file and the line of the field that it is about: at its start, or an unknown one."""
    field = trouble.partition(":")[0].rpartition(".")[2]
    lines = enumerate(text.splitlines(), 1)
    line = next((number for number, row in lines if re.match(rf"\s*([\w.]+\.)?{re.escape(field)}\s*=", row)), None)
    return f"{name}: {trouble}." if line is None else f"{name}, line {line}: {trouble}."


def _plain(message: str, kind: object) -> str:
    """msgspec's sentence with the field first: `vehicles: Expected int >= 2`."""
    text, at, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$.") if at else "$"
    unknown = re.search(r"unknown field `(.*)`", text)
    if unknown:
        near = get_close_matches(unknown[1], FIELDS[str(kind)], 1)
        within = "" if field == "$" else f"{field}."
        return f"{within}{unknown[1]}: A {kind} scenario has no such field" + (f", but {near[0]}" if near else "")
    if field == "kind" or "field `kind`" in text:
        return 'kind: Expected "loop" or "linear"'
    return text if field == "$" else f"{field}: {text}"


def _row(linear: Linear) -> str | None:
    if linear.vehicles <= 2 * linear.stops:
        return f"vehicles: Expected more than twice the stops, that is more than {2 * linear.stops}"
    return None


def _loop(loop: Loop) -> str | None:
    if not loop.ride_stops_min <= loop.ride_stops_max < loop.stops:
        return f"ride_stops_max: Expected from ride_stops_min ({loop.ride_stops_min}) to {loop.stops - 1}"
    span_s = loop.warmup_s + loop.duration_s
    if span_s / (loop.run_s_mean + loop.dwell_s) * loop.vehicles > VISITS_MAX:
        return f"duration_s: Expected less: vehicles would come to stops more than {VISITS_MAX:,} times"
    if span_s * loop.riders_per_s * loop.stops > RIDERS_MAX:
        return f"riders_per_min: Expected less, or a shorter duration_s: more than {RIDERS_MAX:,} riders would come"
    return None
