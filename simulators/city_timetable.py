"""The timetable of a made-up city: lines and their variants, headways by time of day, trips joined into blocks."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulators.city_map import CityMap, Route, travel

TRAM, BUS = 0, 3
FIRST_S, LAST_S = 4.5 * 3600, 25 * 3600  # first and last departure of a line's ends; the last arrive after 26:00
STAGGER_S = 90  # so that not all lines leave the centre at the same instant
LAYOVER_S_MIN, LAYOVER_SHARE = 300, 0.08
REST_S_MAX = 40 * 60  # a vehicle that would wait longer for its next trip goes home
HEADWAY_MIN_MAX = 20.0
DWELL_S = 18
SPEED_MPS = {TRAM: 7.0, BUS: 7.4}  # between stops, without dwelling
TIME_GRAIN_S = 10

# Until when (hours), how many times the peak's headway, how many times the free running time.
PERIODS = (
    (6.0, 3.0, 0.94),
    (7.0, 1.5, 1.0),
    (9.5, 1.0, 1.14),
    (16.0, 1.5, 1.04),
    (19.5, 1.0, 1.16),
    (22.0, 2.0, 1.0),
    (99.0, 3.5, 0.94),
)
DAY_FACTORS = {"weekday": 1.0, "saturday": 1.4, "sunday": 1.7}


@dataclass(frozen=True, slots=True)
class Line:
    """A line: each variant is a way through the junctions, run in both directions unless it comes back by itself."""

    number: str
    kind: int
    color: str
    text_color: str
    headway_min: float  # of each variant in the peak
    variants: tuple[tuple[str, ...], ...]
    peak_only: tuple[tuple[str, ...], ...] = ()  # short turns between the others


NORTH_SOUTH = ("N4", "N3", "N2", "N1", "C", "S1", "S2", "S3", "S4")
RING_WAY = ("W2", "NW2", "N2", "NE2", "E1", "SE2", "S2", "SW2", "W2")  # clockwise

LINES = (
    Line("1", TRAM, "C0392B", "FFFFFF", 6, (RING_WAY,)),
    Line("2", TRAM, "1F6FB2", "FFFFFF", 5, (NORTH_SOUTH,), peak_only=(("N2", "N1", "C", "S1", "S2"),)),
    Line("3", TRAM, "1E8449", "FFFFFF", 3, (("W3", "W2", "W1", "C", "E1", "E2", "E3"),)),
    Line("4", BUS, "8E44AD", "FFFFFF", 6, (("NW4", "NW3", "NW2", "C", "E1", "SE2", "SE3", "SE4"),)),
    Line("5", BUS, "D35400", "FFFFFF", 6, (("C", "W1", "W2", "W3", "WN"), ("C", "W1", "W2", "W3", "WS"))),
    Line("6", BUS, "0E7C86", "FFFFFF", 5, (("SW4", "SW3", "SW2", "C", "N1", "N2", "NE2", "NE3", "NE4"),)),
    Line("7", BUS, "F1C40F", "1B1B1B", 10, (("E1", "E2", "E3", "E2", "E1"),)),
    Line("8", BUS, "6D4C41", "FFFFFF", 6, (("NW4", "NW3", "NW2", "W2", "SW2", "SW3", "SW4"),)),
    Line("9", BUS, "C2185B", "FFFFFF", 7, (("NE4", "NE3", "NE2", "E1", "SE2", "SE3", "SE4"),)),
    Line("10", BUS, "558B2F", "FFFFFF", 8, (("S4", "S3", "S2", "SW2", "W2", "W3", "WS"),)),
    Line("11", BUS, "37474F", "FFFFFF", 10, (("N4", "N3", "N2", "NW2", "C", "S1"),)),
    Line("12", BUS, "7FB3D5", "1B1B1B", 20, (("E3", "E2", "E1", "C", "W1"),)),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One direction of one way of a line."""

    line: Line
    direction: int
    way: tuple[str, ...]
    route: Route
    peak_only: bool
    offset: float  # of its times at the trunk, as a share of the headway: branches and short turns alternate
    trunk_stop: int = 0  # its first stop that all ways of the line in this direction call at

    @property
    def shape_id(self) -> str:
        """Line, direction and the junctions at both ends and in the middle, which tell the ways of a line apart."""
        return f"{self.line.number}-{self.direction}-{self.way[0]}-{self.way[len(self.way) // 2]}-{self.way[-1]}"

    @property
    def circular(self) -> bool:
        """Whether it ends where it began."""
        return self.way[0] == self.way[-1]

    @property
    def ring(self) -> bool:
        """Whether it ends where it began without turning round, so that it has another direction."""
        return self.circular and self.way != self.way[::-1]


@dataclass(slots=True)
class Trip:
    """One departure of a variant; times are seconds after the service day's start."""

    variant: Variant
    service: str
    times_s: list[int]
    block_id: str = ""


def plan_variants(city: CityMap) -> list[Variant]:
    """All variants of all lines, both directions."""
    variants = []
    for line in LINES:
        for nth, way in enumerate((*line.variants, *line.peak_only)):
            peak_only = way in line.peak_only
            offset = 0.5 if peak_only else nth / len(line.variants)
            variants.append(Variant(line, 0, way, travel(city, way), peak_only, offset))
            if way != way[::-1]:  # an out-and-back line has no other direction
                back = way[::-1]
                variants.append(Variant(line, 1, back, travel(city, back), peak_only, offset))
    return [replace(variant, trunk_stop=_trunk_stop(variant, variants)) for variant in variants]


def _trunk_stop(variant: Variant, variants: list[Variant]) -> int:
    same = [v.route.stops for v in variants if (v.line, v.direction) == (variant.line, variant.direction)]
    return next((n for n, stop in enumerate(variant.route.stops) if all(stop in stops for stops in same)), 0)


def plan_trips(variants: list[Variant], service: str) -> list[Trip]:
    """All trips of one service in the order of departure, joined into blocks."""
    trips = [
        Trip(variant, service, run_times_s(variant, departure_s))
        for variant in variants
        for departure_s in departures_s(variant, service)
    ]
    trips.sort(key=lambda trip: (trip.times_s[0], trip.variant.shape_id))
    _join_blocks(trips, service)
    return trips


def departures_s(variant: Variant, service: str) -> Iterator[int]:
    """Departures from the first stop, such that the line's ways share the trunk evenly.

    The headway is that of the period in which the trunk is reached; all ways of the line go by the same beat there.
    """
    beat_s = FIRST_S + int(variant.line.number) * STAGGER_S
    while beat_s <= LAST_S:
        headway_s = _headway_s(variant, service, beat_s)
        trunk_s = beat_s + variant.offset * headway_s
        departure_s = trunk_s - run_times_s(variant, 0, _period(trunk_s)[2])[variant.trunk_stop]
        in_its_time = not variant.peak_only or (_period(departure_s)[1] == 1.0 and service == "weekday")
        if departure_s >= FIRST_S and in_its_time:
            yield round(departure_s / 30) * 30
        beat_s += headway_s


def run_times_s(variant: Variant, departure_s: int, slowness: float | None = None) -> list[int]:
    """The time at each stop: slower in the peaks, or as slow as is given."""
    speed_mps = SPEED_MPS[variant.line.kind] / (slowness or _period(departure_s)[2])
    return [
        departure_s + round((along_m / speed_mps + nth * DWELL_S) / TIME_GRAIN_S) * TIME_GRAIN_S
        for nth, along_m in enumerate(variant.route.along_m)
    ]


def _headway_s(variant: Variant, service: str, at_s: float) -> float:
    minutes = variant.line.headway_min * _period(at_s)[1] * DAY_FACTORS[service]
    return round(min(minutes, max(HEADWAY_MIN_MAX, variant.line.headway_min)) * 2) * 30


def _period(at_s: float) -> tuple[float, float, float]:
    return next(period for period in PERIODS if at_s < period[0] * 3600)


def _join_blocks(trips: list[Trip], service: str) -> None:
    """First in, first out at every terminal: the vehicle that has rested longest takes the next departure."""
    waiting: dict[tuple[str, str, int], deque[tuple[float, str]]] = defaultdict(deque)
    blocks: dict[str, int] = defaultdict(int)
    arrivals: list[tuple[float, tuple[str, str, int], str]] = []
    for trip in trips:
        now_s = trip.times_s[0]
        arrivals.sort(reverse=True)
        while arrivals and arrivals[-1][0] <= now_s:
            ready_s, place, block_id = arrivals.pop()
            waiting[place].append((ready_s, block_id))
        line = trip.variant.line.number
        queue = waiting[_terminal(trip.variant, 0)]
        while queue and now_s - queue[0][0] > REST_S_MAX:
            queue.popleft()
        if queue:
            trip.block_id = queue.popleft()[1]
        else:
            blocks[line] += 1
            trip.block_id = f"{service}-{line}-{blocks[line]:02d}"
        run_s = trip.times_s[-1] - now_s
        ready_s = trip.times_s[-1] + max(LAYOVER_S_MIN, LAYOVER_SHARE * run_s)
        arrivals.append((ready_s, _terminal(trip.variant, -1), trip.block_id))


def _terminal(variant: Variant, end: int) -> tuple[str, str, int]:
    """Where a vehicle waits, and for which trips: on the ring each direction keeps its own."""
    return variant.line.number, variant.way[end], variant.direction if variant.circular else 0
