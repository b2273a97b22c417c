"""The streets of a made-up city: a river from north to south, a ring, radials, and stops on both sides of each street.

Streets join named junctions; each is a seeded curve, so lines that share a street share its very points.
Everything is in metres east and north of the centre; only the feed turns them into degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulators.city_names import stop_names

CENTRE_DEG = (50.45, 30.52)  # so that the coordinates in our documents lie on its map
EARTH_RADIUS_M = 6_371_008.8
POINT_SPACING_M = 60.0
STOP_SPACING_M = 520.0
STOP_FROM_JUNCTION_M = 300.0
KERB_M = 7.0  # a stop's pole stands this far to the right of the street's middle
RIVER_WIDTH_M = 460.0
RIVER_NORTH_M, RIVER_SOUTH_M = 10_500.0, -10_500.0

Points = NDArray[np.float64]  # [n, 2]

# Junction: kilometres east and north, Ukrainian and English name.
JUNCTIONS: dict[str, tuple[float, float, str, str]] = {
    "C": (0.0, 0.0, "Центральна площа", "Central Square"),
    "N1": (0.2, 2.0, "Годинникова вежа", "Clock Tower"),
    "N2": (-0.1, 4.1, "Північна брама", "North Gate"),
    "N3": (0.6, 6.3, "Соснова роща", "Pine Grove"),
    "N4": (0.2, 8.6, "Соснова гора", "Pine Hill"),
    "S1": (-0.2, -1.9, "Критий ринок", "Market Hall"),
    "S2": (0.1, -4.0, "Південна брама", "South Gate"),
    "S3": (-0.5, -6.2, "Млинова", "Mlynova"),
    "S4": (0.3, -8.3, "Тихий затон", "Quiet Backwater"),
    "W1": (-2.0, 0.2, "Ботанічний сад", "Botanical Garden"),
    "W2": (-4.1, -0.1, "Західна брама", "West Gate"),
    "W3": (-6.2, 0.5, "Депо", "Depot"),
    "WN": (-8.4, 1.9, "Лісове", "Lisove"),
    "WS": (-8.3, -1.2, "Яблуневий гай", "Apple Orchard"),
    "E1": (4.2, 0.2, "Східний берег", "East Bank"),
    "E2": (6.3, -0.2, "Технопарк", "Technology Park"),
    "E3": (8.5, 0.6, "Сонячна долина", "Sunny Valley"),
    "NW2": (-3.0, 3.0, "Обсерваторія", "Observatory"),
    "NW3": (-5.1, 4.9, "Цегельня", "Brickworks"),
    "NW4": (-6.8, 6.5, "Кленове", "Klenove"),
    "SW2": (-2.9, -2.9, "Іподром", "Racecourse"),
    "SW3": (-4.9, -4.8, "Теплиці", "Greenhouses"),
    "SW4": (-6.5, -6.6, "Озерце", "Ozertse"),
    "NE2": (3.8, 2.9, "Яхт-клуб", "Yacht Club"),
    "NE3": (5.6, 4.8, "Виставковий центр", "Exhibition Centre"),
    "NE4": (7.0, 6.7, "Зоряне", "Zoriane"),
    "SE2": (3.7, -2.9, "Річковий порт", "River Port"),
    "SE3": (5.5, -4.7, "Папірня", "Paper Mill"),
    "SE4": (7.2, -6.4, "Калинове", "Kalynove"),
}

RING = ("N2", "NE2", "E1", "SE2", "S2", "SW2", "W2", "NW2")
STREETS = (
    *zip(RING, (*RING[1:], RING[0]), strict=True),
    *(("C", "N1"), ("N1", "N2"), ("N2", "N3"), ("N3", "N4"), ("C", "S1"), ("S1", "S2"), ("S2", "S3"), ("S3", "S4")),
    *(("C", "W1"), ("W1", "W2"), ("W2", "W3"), ("W3", "WN"), ("W3", "WS"), ("C", "E1"), ("E1", "E2"), ("E2", "E3")),
    *(("C", "NW2"), ("NW2", "NW3"), ("NW3", "NW4"), ("C", "SW2"), ("SW2", "SW3"), ("SW3", "SW4")),
    *(("NE2", "NE3"), ("NE3", "NE4"), ("SE2", "SE3"), ("SE3", "SE4")),
)


@dataclass(frozen=True, slots=True)
class Stop:
    """One pole."""

    stop_id: str  # five digits: street, place, side; three digits: a junction
    name_uk: str
    name_en: str
    x_m: float
    y_m: float


@dataclass(frozen=True, slots=True)
class Street:
    """The way from one junction to the next: its points, both ends included, and the poles on its right-hand side."""

    points: Points
    stops: tuple[Stop, ...]


@dataclass(frozen=True, slots=True)
class CityMap:
    """Streets by (from, to), each street standing there in both directions, and the stop at each junction."""

    streets: dict[tuple[str, str], Street]
    junctions: dict[str, Stop]


@dataclass(frozen=True, slots=True)
class Route:
    """A way through the city: its points and its stops with the metres from the start to each."""

    points: Points
    stops: tuple[Stop, ...]
    along_m: tuple[float, ...]


def draw_map(seed: int) -> CityMap:
    """The city of this seed: the same junctions always, other curves."""
    rng = np.random.default_rng(seed)
    names = stop_names()
    streets: dict[tuple[str, str], Street] = {}
    for number, (start, end) in enumerate(STREETS):
        points = _curve(_place(start), _place(end), rng)
        there, back = [], []
        for nth, along_m in enumerate(_stop_places(points)):
            uk, en = next(names)
            x_m, y_m, nx, ny = _beside(points, along_m)
            there.append(Stop(f"{number + 1:02d}{nth:02d}1", uk, en, x_m + KERB_M * nx, y_m + KERB_M * ny))
            back.append(Stop(f"{number + 1:02d}{nth:02d}2", uk, en, x_m - KERB_M * nx, y_m - KERB_M * ny))
        streets[start, end] = Street(points, tuple(there))
        streets[end, start] = Street(points[::-1], tuple(reversed(back)))
    junctions = {
        key: Stop(f"{number + 101}", uk, en, *_place(key))
        for number, (key, (_, _, uk, en)) in enumerate(JUNCTIONS.items())
    }
    return CityMap(streets, junctions)


def travel(city: CityMap, way: tuple[str, ...]) -> Route:
    """The route along the junctions of `way`; it calls at every pole on its right and at every junction."""
    pieces = [np.array([_place(way[0])])]
    stops = [city.junctions[way[0]]]
    for start, end in pairwise(way):
        street = city.streets[start, end]
        pieces.append(street.points[1:])
        stops += [*street.stops, city.junctions[end]]
    points = np.concatenate(pieces)
    return Route(points, tuple(stops), tuple(_along_stops(city, way)))


def river() -> Points:
    """The river's banks as a closed polygon in metres, [n, 2]."""
    y_m = np.linspace(RIVER_NORTH_M, RIVER_SOUTH_M, 80)
    west = np.stack((_river_m(y_m) - RIVER_WIDTH_M / 2, y_m), axis=1)
    east = np.stack((_river_m(y_m) + RIVER_WIDTH_M / 2, y_m), axis=1)
    return np.concatenate((west, east[::-1], west[:1]))


def degrees(points: Points) -> Points:
    """Metres east and north of the centre as (latitude, longitude), [n, 2]."""
    lat = CENTRE_DEG[0] + np.degrees(points[:, 1] / EARTH_RADIUS_M)
    lon = CENTRE_DEG[1] + np.degrees(points[:, 0] / (EARTH_RADIUS_M * np.cos(np.radians(CENTRE_DEG[0]))))
    return np.stack((lat, lon), axis=1)


def _place(junction: str) -> tuple[float, float]:
    east_km, north_km, _, _ = JUNCTIONS[junction]
    return east_km * 1000.0, north_km * 1000.0


def _river_m(y_m: Points) -> Points:
    """Metres east of the centre at which the river's middle runs."""
    return 2_250.0 + 380.0 * np.sin(y_m / 2_400.0) + 160.0 * np.sin(y_m / 900.0 + 1.0)


def _curve(start: tuple[float, float], end: tuple[float, float], rng: np.random.Generator) -> Points:
    """A cubic Bezier curve between two junctions with a gentle seeded bend, resampled at even distances."""
    a, b = np.array(start), np.array(end)
    across = np.array([-(b - a)[1], (b - a)[0]])
    bend = rng.uniform(-0.16, 0.16, size=2)
    first, second = a + (b - a) / 3 + bend[0] * across, a + 2 * (b - a) / 3 + bend[1] * across
    t = np.linspace(0.0, 1.0, 200)[:, None]
    fine = (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * b
    along_m = _along(fine)
    even_m = np.linspace(0.0, along_m[-1], int(along_m[-1] / POINT_SPACING_M) + 2)
    points = np.stack([np.interp(even_m, along_m, fine[:, axis]) for axis in (0, 1)], axis=1)
    points[0], points[-1] = a, b
    return points


def _stop_places(points: Points) -> list[float]:
    """Where poles stand: evenly, not close to a junction and not on a bridge."""
    length_m = float(_along(points)[-1])
    room_m = length_m - 2 * STOP_FROM_JUNCTION_M
    count = int(room_m / STOP_SPACING_M) + 1
    places = np.linspace(STOP_FROM_JUNCTION_M, length_m - STOP_FROM_JUNCTION_M, max(count, 2))
    return [float(place) for place in places if not _over_water(points, float(place))]


def _over_water(points: Points, place_m: float) -> bool:
    x_m, y_m, _, _ = _beside(points, place_m)
    return bool(abs(x_m - _river_m(np.array(y_m))) < RIVER_WIDTH_M / 2 + 60.0)


def _beside(points: Points, place_m: float) -> tuple[float, float, float, float]:
    """A place on a line and the unit vector to its right."""
    along_m = _along(points)
    k = min(int(np.searchsorted(along_m, place_m, side="right")) - 1, len(points) - 2)
    here, step = points[k], points[k + 1] - points[k]
    length_m = float(np.hypot(*step))
    x_m, y_m = here + step * ((place_m - along_m[k]) / length_m)
    return float(x_m), float(y_m), float(step[1] / length_m), float(-step[0] / length_m)


def _along(points: Points) -> Points:
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate(([0.0], np.cumsum(steps)))


def _along_stops(city: CityMap, way: tuple[str, ...]) -> list[float]:
    places = [0.0]
    base_m = 0.0
    for start, end in pairwise(way):
        points = city.streets[start, end].points
        length_m = float(_along(points)[-1])
        within = _stop_places(points) if (start, end) in STREETS else _mirrored(points, length_m)
        places += [base_m + place for place in within] + [base_m + length_m]
        base_m += length_m
    return places


def _mirrored(points: Points, length_m: float) -> list[float]:
    return [length_m - place for place in reversed(_stop_places(points[::-1]))]
