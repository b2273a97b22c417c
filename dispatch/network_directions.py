"""Directions of routes whose trips state none (direction_id is optional in GTFS): told apart by where trips lead."""

from __future__ import annotations

import numpy as np

from dispatch.network import Floats, Ints

UNKNOWN = -1


def infer_directions(direction: Ints, route: Ints, lead_m: Floats) -> Ints:
    """Directions with the unknown ones filled in, where a route has no other.

    `lead_m` [trips, 2] is the way east and north from each trip's first stop to its last. Direction 0 is the one in
    which the route's first trip that leads anywhere leads; trips that lead against it are direction 1, loops are 0.
    Unknown directions of a route that states some are 0, as are those of a route without a trip that leads anywhere.
    """
    filled = direction.copy()
    unknown = direction == UNKNOWN
    filled[unknown] = 0
    stated = np.unique(route[~unknown])
    candidates = np.flatnonzero(unknown & ~np.isin(route, stated) & (np.hypot(*lead_m.T) > 0))
    routes, first = np.unique(route[candidates], return_index=True)
    reference = lead_m[candidates[first]][np.searchsorted(routes, route[candidates])]
    against = (lead_m[candidates] * reference).sum(axis=1) < 0
    filled[candidates[against]] = 1
    return filled
