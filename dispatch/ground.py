"""The ground: one version of the feed, prepared for all that a tick asks of it, and exchanged as a whole."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np

from dispatch.claims import Timetable
from dispatch.headway import MarkMemory
from dispatch.lines import draw_lines
from dispatch.matching import prepare_paths
from dispatch.network import Network
from dispatch.passages import zone_stops
from dispatch.running import RunningTimes
from dispatch.tracks import Roads


@dataclass(frozen=True, slots=True)
class Ground:
    """A network with its roads (and who passed their marks), its timetable, and what running on it takes."""

    network: Network
    roads: Roads
    timetable: Timetable
    running: RunningTimes


def prepare(network: Network) -> Ground:
    """The ground of a network, on which nothing has moved yet.

    Raises:
        IndexError, KeyError: its columns do not fit together.
    """
    lines = draw_lines(network)
    memory = MarkMemory(len(lines.mark_line_m))
    roads = Roads(network, prepare_paths(network), lines, zone_stops(network), memory)
    return Ground(network, roads, Timetable(network), RunningTimes(network, lines.pattern_line))


def fingerprint(network: Network) -> str:
    """What tells a network, moved or not, from every other: places and times by number mean the same in both."""
    digest = hashlib.blake2b(digest_size=16)
    for column in fields(network):
        value = getattr(network, column.name)
        digest.update(f"\n{column.name}:".encode())
        if isinstance(value, np.ndarray):
            digest.update(np.ascontiguousarray(value).data)
        elif isinstance(value, list):
            digest.update("\0".join(value).encode("utf-8", "surrogatepass"))
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()
