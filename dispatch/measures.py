"""Measures of regularity and punctuality, from headways at stops: h observed, H scheduled for the same two trips.

Nothing is averaged over routes, directions or stops before it is squared or ranked: groups are pooled by summing the
numerators and the denominators of their formulas. Sources are named at each measure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.lines import Lines
from dispatch.network import Floats, Ints, Network
from dispatch.passages import Passages

LOS_BOUNDS = ((0.21, "A"), (0.30, "B"), (0.39, "C"), (0.52, "D"), (0.74, "E"))
LOS_HEADWAY_S_MAX = 600.0
PEAK_HOURS = ((7, 10), (16, 19))  # of the timetable's day
WAIT_PEAK_S, WAIT_OFF_PEAK_S = 180.0, 300.0


@dataclass(frozen=True, slots=True)
class MeasureLimits:
    """Windows and ratios that an agency may set."""

    early_s: float = -60.0
    late_s: float = 300.0
    bunched_ratio: float = 0.25
    gapped_ratio: float = 2.0
    headway_s_max: float = 7200.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """N headways at stops: two consecutive departures of one route and direction at one stop."""

    line: Ints
    stop: NDArray[np.int64]  # one number for each stop (and visit, where a pattern comes twice) of a line
    headway_s: Floats
    scheduled_s: Floats
    is_peak: NDArray[np.bool_]
    at_s: Floats  # departure of the follower


class HeadwayMeasure(msgspec.Struct, frozen=True):
    """Regularity of one route and direction; `bunched`, `gapped` and `wait_assessment` are shares of the pairs."""

    route_id: str
    direction_id: int
    pairs: int
    mean_scheduled_s: float | None
    c_vh: float | None
    los: str | None
    awt_s: float | None
    swt_s: float | None
    ewt_s: float | None
    bunched: float | None
    gapped: float | None
    wait_assessment: float | None


class PunctualityMeasure(msgspec.Struct, frozen=True):
    """Punctuality of departures of one route and direction; `on_time`, `early` and `late` are shares."""

    route_id: str
    direction_id: int
    passages: int
    on_time: float | None
    early: float | None
    late: float | None


def headway_adherence(headway_s: Floats, scheduled_s: Floats, group: NDArray[np.int64] | None = None) -> float:
    """c_vh (TCQSM): population standard deviation of h - H over the mean of H; nan where there is no headway.

    With `group` (the stop of each pair), deviations are taken from the mean of their own group, then pooled.
    """
    if not len(headway_s) or scheduled_s.sum() == 0:
        return float("nan")
    deviation_s = headway_s - scheduled_s
    if group is None:
        group = np.zeros(len(deviation_s), dtype=np.int64)
    _, of = np.unique(group, return_inverse=True)
    mean_s = np.bincount(of, weights=deviation_s) / np.bincount(of)
    variance = np.mean((deviation_s - mean_s[of]) ** 2)
    return float(np.sqrt(variance) / scheduled_s.mean())


def level_of_service(c_vh: float, mean_scheduled_s: float) -> str | None:
    """The letter of TCQSM for headway adherence; None where service is too rare for it (mean H above 10 min)."""
    if np.isnan(c_vh) or mean_scheduled_s > LOS_HEADWAY_S_MAX:
        return None
    return next((letter for bound, letter in LOS_BOUNDS if c_vh <= bound), "F")


def mean_wait(headway_s: Floats) -> float:
    """Mean wait of riders who come at random: sum h^2 / (2 sum h) (TfL's AWT; SWT of scheduled headways)."""
    total_s = headway_s.sum()
    return float((headway_s**2).sum() / (2 * total_s)) if total_s > 0 else float("nan")


def on_time(deviation_s: Floats, early_s: float, late_s: float) -> tuple[float, float, float]:
    """Shares of departures on time (both bounds inclusive), early and late; nan where there are none."""
    if not len(deviation_s):
        return float("nan"), float("nan"), float("nan")
    early, late = float(np.mean(deviation_s < early_s)), float(np.mean(deviation_s > late_s))
    return 1.0 - early - late, early, late


def wait_assessment(headway_s: Floats, scheduled_s: Floats, is_peak: NDArray[np.bool_]) -> float:
    """Share of headways at most 3 min (in the peak; else 5 min) above the scheduled one (MTA)."""
    if not len(headway_s):
        return float("nan")
    slack_s = np.where(is_peak, WAIT_PEAK_S, WAIT_OFF_PEAK_S)
    return float(np.mean(headway_s <= scheduled_s + slack_s))


def regular(headway_s: Floats, scheduled_s: Floats) -> float:
    """Share of headways from half to one and a half of the scheduled one (TTC)."""
    if not len(headway_s):
        return float("nan")
    return float(np.mean((headway_s >= 0.5 * scheduled_s) & (headway_s <= 1.5 * scheduled_s)))


def pair_departures(
    passages: Passages, frequent_s: Floats, network: Network, lines: Lines, headway_s_max: float
) -> Pairs:
    """Consecutive departures at each stop of each line, whatever their pattern; none above `headway_s_max`.

    `frequent_s` is the scheduled headway of passages of trips that are run by frequency, nan for all others.
    """
    left = ~np.isnan(passages.departure_s)
    trip, position = passages.trip[left], passages.stop[left]
    at_s, zero_s = passages.departure_s[left], passages.zero_s[left]
    pattern = network.trip_pattern[trip]
    line = lines.pattern_line[pattern]
    visit = stop_visits(network)[network.pattern_stop_start[pattern] + position]
    stop = network.pattern_stop[network.pattern_stop_start[pattern] + position].astype(np.int64) * 64 + visit
    own_s = network.departure_s[network.trip_time_start[trip] + position]
    order = np.lexsort((at_s, stop, line))
    one, two = order[:-1], order[1:]
    headway_s = at_s[two] - at_s[one]
    same = (line[one] == line[two]) & (stop[one] == stop[two]) & (headway_s <= headway_s_max)
    one, two, headway_s = one[same], two[same], headway_s[same]
    scheduled_s = (zero_s + own_s)[two] - (zero_s + own_s)[one]
    loose_s = frequent_s[left][two]
    scheduled_s = np.where(np.isnan(loose_s), scheduled_s, loose_s)
    return Pairs(line[two], stop[two], headway_s, scheduled_s, in_peak(own_s[two]), at_s[two])


def in_peak(own_s: Ints) -> NDArray[np.bool_]:
    """Whether scheduled times (seconds after the service day's start) lie in the peak."""
    hour = own_s / 3600
    is_peak = np.zeros(len(own_s), dtype=np.bool_)
    for from_hour, to_hour in PEAK_HOURS:
        is_peak |= (hour >= from_hour) & (hour < to_hour)
    return is_peak


def measure_headways(pairs: Pairs, network: Network, lines: Lines, limits: MeasureLimits) -> list[HeadwayMeasure]:
    """Regularity of every route and direction that has pairs."""
    measures = []
    for line in np.unique(pairs.line).tolist():
        rows = pairs.line == line
        h, scheduled = pairs.headway_s[rows], pairs.scheduled_s[rows]
        mean_s = float(scheduled.mean())
        c_vh = headway_adherence(h, scheduled, pairs.stop[rows])
        size_s = np.abs(scheduled)
        measures.append(
            headway_figures(
                _name(network, lines, line),
                int(rows.sum()),
                mean_s,
                c_vh,
                (mean_wait(h), mean_wait(scheduled)),
                (
                    float(np.mean(h < limits.bunched_ratio * size_s)),
                    float(np.mean(h > limits.gapped_ratio * size_s)),
                    wait_assessment(h, scheduled, pairs.is_peak[rows]),
                ),
            )
        )
    return measures


def measure_punctuality(
    passages: Passages, network: Network, lines: Lines, limits: MeasureLimits
) -> list[PunctualityMeasure]:
    """Punctuality of the departures of every route and direction that has any."""
    left = ~np.isnan(passages.departure_s)
    trip = passages.trip[left]
    due_s = passages.zero_s[left] + network.departure_s[network.trip_time_start[trip] + passages.stop[left]]
    late_s = passages.departure_s[left] - due_s
    line = lines.pattern_line[network.trip_pattern[trip]]
    measures = []
    for i in np.unique(line).tolist():
        shares = on_time(late_s[line == i], limits.early_s, limits.late_s)
        measures.append(punctuality_figures(_name(network, lines, i), int(np.count_nonzero(line == i)), shares))
    return measures


def headway_figures(
    line: tuple[str, int],
    pairs: int,
    mean_s: float,
    c_vh: float,
    waits_s: tuple[float, float],
    shares: tuple[float, float, float],
) -> HeadwayMeasure:
    """Regularity as it is told of a route and direction: rounded, and null where it cannot be worked out.

    waits_s: actual and scheduled; shares: of the pairs those that are bunched and gapped, and the wait assessment.
    """
    awt_s, swt_s = waits_s
    return HeadwayMeasure(
        *line,
        pairs,
        figure(mean_s, 1),
        figure(c_vh, 4),
        level_of_service(c_vh, mean_s),
        figure(awt_s, 1),
        figure(swt_s, 1),
        figure(awt_s - swt_s, 1),
        *(figure(share, 4) for share in shares),
    )


def punctuality_figures(line: tuple[str, int], passages: int, shares: Iterable[float]) -> PunctualityMeasure:
    """Punctuality as it is told of a route and direction; shares: on time, early and late."""
    return PunctualityMeasure(*line, passages, *(figure(share, 4) for share in shares))


def figure(value: float, digits: int) -> float | None:
    """A number for readers: rounded, null where it is not one."""
    return None if math.isnan(value) else round(value, digits)


def stop_visits(network: Network) -> Ints:
    """For each stop of each pattern how often the pattern was there before: 0 except on loops."""
    of = np.repeat(np.arange(len(network.pattern_id)), np.diff(network.pattern_stop_start))
    key = of.astype(np.int64) * (len(network.stop_id) + 1) + network.pattern_stop
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    rank = np.arange(len(key)) - np.repeat(first, np.diff(first, append=len(key)))
    visits = np.empty(len(key), dtype=np.int32)
    visits[order] = np.minimum(rank, 63)
    return visits


def _name(network: Network, lines: Lines, line: int) -> tuple[str, int]:
    return network.route_id[lines.line_route[line]], int(lines.line_direction[line])
