"""Measures of lines: how regular and how punctual each route and direction was, from passages that are remembered."""

from __future__ import annotations

import msgspec
import numpy as np

from dispatch.ground import Ground
from dispatch.measures import (
    HeadwayMeasure,
    MeasureLimits,
    PunctualityMeasure,
    measure_headways,
    measure_punctuality,
    pair_departures,
)
from dispatch.passages import PassageLog, Passages


class LineMeasure(msgspec.Struct, frozen=True):
    """A row of GET /api/v1/measures: regularity and punctuality of one route and direction."""

    route_id: str
    direction_id: int
    headway: HeadwayMeasure | None
    punctuality: PunctualityMeasure | None


def measure(
    passages: Passages, ground: Ground, limits: MeasureLimits
) -> tuple[list[HeadwayMeasure], list[PunctualityMeasure]]:
    """Regularity and punctuality of some passages, by route and direction."""
    network, lines = ground.network, ground.roads.lines
    frequent_s = ground.timetable.frequent_s(passages.trip, passages.zero_s)
    pairs = pair_departures(passages, frequent_s, network, lines, limits.headway_s_max)
    return measure_headways(pairs, network, lines, limits), measure_punctuality(passages, network, lines, limits)


def measure_span(
    log: PassageLog, ground: Ground, limits: MeasureLimits, span_s: tuple[float, float], route_id: str | None
) -> list[LineMeasure]:
    """Both of the departures in `from <= t < to` that are remembered, of one route or of all."""
    known = log.all()
    inside = (known.departure_s >= span_s[0]) & (known.departure_s < span_s[1])
    if route_id is not None:
        route = ground.timetable.route_by_id.get(route_id, -1)
        inside &= ground.network.pattern_route[ground.network.trip_pattern[known.trip]] == route
    headways, punctuality = measure(known.take(np.flatnonzero(inside)), ground, limits)
    found = {(row.route_id, row.direction_id): row for row in headways}
    return [
        LineMeasure(row.route_id, row.direction_id, found.get((row.route_id, row.direction_id)), row)
        for row in punctuality
    ]
