"""Watch: what a tick says of every cause for an alert, from headways and from vehicles that have left their route."""

from __future__ import annotations

import numpy as np

from dispatch.alerts import AlertLimits, Condition, Sighting
from dispatch.fleet import NO_TRIP, Fleet
from dispatch.headway import HeadwayLimits, Headways
from dispatch.network import Network
from dispatch.observations import Rows


def sight(
    fleet: Fleet, network: Network, headways: Headways, strayed: Rows, bounds: HeadwayLimits, limits: AlertLimits
) -> list[Sighting]:
    """Every cause that is not plainly off. Headways that were estimated raise no alert: they are said, not seen."""
    with np.errstate(invalid="ignore"):
        near = ~headways.estimated & (headways.ratio < limits.bunched_hold_ratio)
        far = ~headways.estimated & (headways.ratio > limits.gapped_hold_ratio)
        bunched, gapped = headways.ratio < bounds.bunched_ratio, headways.ratio > bounds.gapped_ratio
    sightings = [
        _sight_headway(fleet, network, kind, headways, i, Condition.ON if on[i] else Condition.HOLD)
        for kind, rows, on in (("bunched", near, bunched), ("gapped", far, gapped))
        for i in np.flatnonzero(rows).tolist()
    ]
    for row in strayed.tolist():
        sightings.append(Sighting("off_route", fleet.key[row], Condition.ON, *line_of(fleet, network, row)))
    return sightings


def sight_alarm(fleet: Fleet, network: Network, key: str) -> Sighting:
    """A driver's alarm, with the line where the vehicle is known to be on one."""
    row = fleet.index.get(key)
    line = line_of(fleet, network, row) if row is not None else (None, None)
    return Sighting("alarm", key, Condition.ON, *line)


def line_of(fleet: Fleet, network: Network, row: int) -> tuple[str | None, int | None]:
    """Route and direction of a vehicle's trip."""
    if fleet.trip[row] == NO_TRIP:
        return None, None
    pattern = int(fleet.pattern[row])
    return network.route_id[network.pattern_route[pattern]], int(network.pattern_direction[pattern])


def _sight_headway(
    fleet: Fleet, network: Network, kind: str, headways: Headways, i: int, condition: Condition
) -> Sighting:
    row, leader = int(headways.vehicle[i]), int(headways.leader[i])
    stop = network.pattern_stop[network.pattern_stop_start[fleet.pattern[row]] + int(headways.next_stop[i])]
    return Sighting(
        kind,
        fleet.key[row],
        condition,
        *line_of(fleet, network, row),
        fleet.key[leader].partition("/")[2] if leader >= 0 else None,
        network.stop_id[stop],
        round(float(headways.headway_s[i]), 1),
        round(float(headways.scheduled_s[i]), 1),
        round(float(headways.ratio[i]), 3),
    )
