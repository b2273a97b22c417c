"""Claims: what devices say they drive, looked up in the timetable and judged.

A claim is a trip (with its service day), a block, or only a route. An unknown trip, or one that is not due within
hours, is counted and treated as no claim. Days are read once and kept; so are claims, since a fleet repeats its own.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass

import numpy as np

from dispatch.fleet import NO_TRIP
from dispatch.network import Floats, Ints, Network
from dispatch.observations import Descriptor
from dispatch.timetable import Runs, blocks_on, join, runs_on, service_date

EARLY_S_MAX = 2 * 3600.0  # a claimed trip may be this long before its start
LATE_S_MAX = 4 * 3600.0  # and this long after its end
FOLLOWS_S_MAX = 3 * 3600.0  # a longer wait is a new sign-on, not a layover
JUST_ENDED_S = 600.0
CLAIMS_KEPT = 100_000
DAY = dt.timedelta(days=1)

DUE_BEFORE_S, DUE_AFTER_S = 600.0, 2400.0  # runs on the road: about to start, or late by as much


@dataclass(frozen=True, slots=True)
class Claim:
    """A descriptor as indices of the network; -1 and nan where it says nothing (or nothing that is known)."""

    trip: int = NO_TRIP
    zero_s: float = np.nan
    route: int = -1
    direction: int = -1
    block: int = -1
    is_loose: bool = False  # a trip of frequencies.txt that does not say which of its departures


NO_CLAIM = Claim()


class Timetable:
    """A network's trips as assignment asks for them: by id, by day, by block. Days are read once and kept."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.trip_by_id = {name: i for i, name in enumerate(network.trip_id)}
        self.route_by_id = {name: i for i, name in enumerate(network.route_id)}
        self.block_by_id = {name: i for i, name in enumerate(network.block_id)}
        self.first_s = network.departure_s[network.trip_time_start[:-1]]
        self.last_s = network.arrival_s[network.trip_time_start[1:] - 1]
        self.by_frequency = frozenset(network.frequency_trip.tolist())
        self.loose = frozenset(network.frequency_trip[~network.frequency_exact].tolist())  # without exact_times
        self._claims: dict[tuple[Descriptor, int], tuple[Claim, Counter[str]]] = {}
        self._next: dict[int, dict[int, tuple[int, float]]] = {}
        self._runs: dict[dt.date, Runs] = {}
        self._frequent: dict[tuple[int, float], float] = {}
        self._starts: dict[float, str] = {}  # of plain trips, by zero
        self._frequent_starts: dict[tuple[int, float], dt.date] = {}  # of trips of frequencies.txt, by run
        self._due: tuple[float, Runs] | None = None

    def day_start_s(self, date: dt.date) -> float:
        """Unix time at which the times of `date` count zero; remembers the date for `start_date`."""
        start_s = self.network.day_start_s(date)
        return self.note_zero(start_s, date)

    def note_zero(self, zero_s: float, date: dt.date) -> float:
        """Remember to which service day the zero of a run belongs; returns it."""
        if len(self._starts) >= CLAIMS_KEPT:
            self._starts.clear()
        self._starts[zero_s] = date.strftime("%Y%m%d")
        return zero_s

    def note_run(self, trip: int, zero_s: float, date: dt.date) -> float:
        """Remember to which service day a run belongs; returns its zero.

        A departure of frequencies.txt at 24:00 and the next day's at 00:00 have one zero, so its trip is noted as well.
        """
        if trip not in self.by_frequency:
            return self.note_zero(zero_s, date)
        if len(self._frequent_starts) >= CLAIMS_KEPT:
            self._frequent_starts.clear()
        self._frequent_starts[trip, zero_s] = date
        return zero_s

    def start_date(self, trip: int, zero_s: float) -> str:
        """The service date (YYYYMMDD) of a run: as noted, else the day in whose timetable it is."""
        if trip in self.by_frequency:
            return self._date_of_departure(trip, zero_s).strftime("%Y%m%d")
        known = self._starts.get(zero_s)
        if known is None:
            self.note_zero(zero_s, service_date(self.network, zero_s + 43_200.0))
            known = self._starts[zero_s]
        return known

    def _date_of_departure(self, trip: int, zero_s: float) -> dt.date:
        known = self._frequent_starts.get((trip, zero_s))
        if known is not None:
            return known
        falls = service_date(self.network, zero_s + float(self.first_s[trip]))
        # After midnight it may belong to the day before; the day whose clocks change begins before its midnight.
        for date in (falls - DAY, falls, falls + DAY):
            runs = self.runs_of(date)
            if bool(((runs.trip == trip) & (self.day_start_s(date) + runs.offset_s == zero_s)).any()):
                break
        else:
            date = falls
        self.note_run(trip, zero_s, date)
        return date

    def start_dates(self, trip: Ints, zero_s: Floats) -> list[str | None]:
        """The service date of each run; None where there is no trip."""
        if self.by_frequency:
            runs = zip(trip.tolist(), zero_s.tolist(), strict=True)
            return [self.start_date(one, zero) if one >= 0 else None for one, zero in runs]
        key = np.where(trip >= 0, zero_s, -np.inf)
        zeros, first, of = np.unique(key, return_index=True, return_inverse=True)
        names = np.array(
            [
                None if zero == -np.inf else self.start_date(int(trip[i]), float(zero))
                for zero, i in zip(zeros.tolist(), first.tolist(), strict=True)
            ],
            dtype=object,
        )
        dates: list[str | None] = names[of].tolist() if len(names) else []
        return dates

    def start_time(self, trip: int, zero_s: float) -> str | None:
        """The start time of a run of frequencies.txt ("HH:MM:SS"); None for all other trips."""
        if trip not in self.by_frequency:
            return None
        date = self._date_of_run(trip, zero_s)
        second = round(zero_s + float(self.first_s[trip]) - self.day_start_s(date))
        return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"

    def start_times(self, trip: Ints, zero_s: Floats) -> list[str | None]:
        """The start time of each run, None for all that are not of frequencies.txt."""
        if not self.by_frequency:
            return [None] * len(trip)
        return [self.start_time(*run) for run in zip(trip.tolist(), zero_s.tolist(), strict=True)]

    def frequent_s(self, trip: Ints, zero_s: Floats) -> Floats:
        """Headway of the row of frequencies.txt that each run belongs to; nan for runs that keep exact times."""
        headway_s = np.full(len(trip), np.nan)
        if not self.by_frequency:
            return headway_s
        known = self._frequent
        for i, run in enumerate(zip(trip.tolist(), zero_s.tolist(), strict=True)):
            if run[0] in self.by_frequency:
                if run not in known:
                    known[run] = self._find_frequent_s(*run)
                headway_s[i] = known[run]
        return headway_s

    def _find_frequent_s(self, trip: int, zero_s: float) -> float:
        network = self.network
        begins_s = zero_s + float(self.first_s[trip]) - self.day_start_s(self._date_of_run(trip, zero_s))
        rows = np.flatnonzero((network.frequency_trip == trip) & (network.frequency_start_s <= begins_s + 1))
        if len(self._frequent) >= CLAIMS_KEPT:
            self._frequent.clear()
        if not len(rows):
            return float("nan")
        row = rows[np.argmax(network.frequency_start_s[rows])]
        return float("nan") if network.frequency_exact[row] else float(network.frequency_headway_s[row])

    def nearest_zero_s(self, trip: int, zero_s: float, late_s: float) -> float:
        """Zero of that departure of a trip of frequencies.txt by which a vehicle, now `late_s` late, is least late.

        Around midnight it may be one of the day before or after.
        """
        date = self._date_of_run(trip, zero_s)
        best, best_away_s, best_date = zero_s, np.inf, date
        for day in (date, date - DAY, date + DAY):
            runs = self.runs_of(day)
            zeros_s = runs.offset_s[runs.trip == trip] + self.day_start_s(day)
            if len(zeros_s):
                away_s = np.abs(zero_s + late_s - zeros_s)
                nearest = int(np.argmin(away_s))
                if away_s[nearest] < best_away_s:
                    best, best_away_s, best_date = float(zeros_s[nearest]), float(away_s[nearest]), day
        return self.note_run(trip, best, best_date)

    def _date_of_run(self, trip: int, zero_s: float) -> dt.date:
        return dt.datetime.strptime(self.start_date(trip, zero_s), "%Y%m%d").date()  # noqa: DTZ007

    def runs_of(self, date: dt.date) -> Runs:
        """Runs of one service day; the days before yesterday are forgotten."""
        if date not in self._runs:
            self._runs = {day: runs for day, runs in self._runs.items() if day >= date - dt.timedelta(days=2)}
            self._runs[date] = runs_on(self.network, date)
        return self._runs[date]

    def due_at(self, now_s: float) -> Runs:
        """Runs that may be on the road now, looked up again every minute."""
        if self._due is None or not 0 <= now_s - self._due[0] < 60:
            date = service_date(self.network, now_s)
            parts = []
            # Tomorrow's runs may begin soon, and a day on which clocks go forward begins an hour before its midnight.
            for runs in (self.runs_of(date - DAY), self.runs_of(date), self.runs_of(date + DAY)):
                due = (runs.start_s - DUE_BEFORE_S <= now_s) & (now_s <= runs.end_s + DUE_AFTER_S)
                parts.append(runs.take(due))
            self._due = (now_s, join(parts))
        return self._due[1]

    def next_of(self, trip: int, zero_s: float) -> tuple[int, float] | None:
        """The trip after this one in its block, and its zero; None at the block's end."""
        if self.network.trip_block[trip] < 0 or trip in self.by_frequency:
            return None
        date = self._date_of_run(trip, zero_s)
        key = date.toordinal()
        if key not in self._next:
            self._next = {day: chain for day, chain in self._next.items() if day >= key - 2}
            self._next[key] = self._chain(date)
        return self._next[key].get(trip)

    def _chain(self, date: dt.date) -> dict[int, tuple[int, float]]:
        blocks = blocks_on(self.network, date)
        start_s = self.day_start_s(date)
        trips = blocks.runs.trip.tolist()
        same = np.ones(len(trips), dtype=np.bool_)
        same[blocks.start[:-1]] = False
        return {a: (b, start_s) for a, b, chained in zip(trips, trips[1:], same[1:].tolist(), strict=False) if chained}

    def read_claim(self, descriptor: Descriptor | None, at_s: float, counts: Counter[str]) -> Claim:
        """What a descriptor means at a time; `counts` gets the reason of what is not accepted."""
        if descriptor is None:
            return NO_CLAIM
        key = (descriptor, int(at_s // 300))
        known = self._claims.get(key)
        if known is None:
            reasons: Counter[str] = Counter()
            known = self._judge(descriptor, at_s, reasons), reasons
            if len(self._claims) >= CLAIMS_KEPT:
                self._claims.clear()
            self._claims[key] = known
        counts.update(known[1])
        return known[0]

    def _judge(self, descriptor: Descriptor, at_s: float, counts: Counter[str]) -> Claim:
        trip_id, route_id, direction, start_date, start_time, block_id = descriptor
        route = self.route_by_id.get(route_id, -1) if route_id else -1
        if route_id and route < 0:
            counts["unknown_route"] += 1
        direction = direction if direction in (0, 1) and route >= 0 else -1
        if trip_id:
            trip = self.trip_by_id.get(trip_id, NO_TRIP)
            if trip == NO_TRIP:
                counts["unknown_trip"] += 1
            else:
                zero_s = self._zero_of(trip, start_date, start_time, at_s)
                if np.isnan(zero_s):
                    counts["trip_not_due"] += 1
                else:
                    return Claim(trip, zero_s, is_loose=trip in self.by_frequency and not start_time)
        block = self.block_by_id.get(block_id, -1) if block_id else -1
        if block_id and block < 0:
            counts["unknown_block"] += 1
        if block >= 0:
            trip, zero_s = self._of_block(block, at_s)
            if trip != NO_TRIP:
                return Claim(trip, zero_s, block=block)
            counts["block_not_due"] += 1
        return Claim(route=route, direction=direction)

    def _zero_of(self, trip: int, start_date: str | None, start_time: str | None, at_s: float) -> float:
        """Unix time at which the claimed run's times count zero; nan when it is not due within hours of `at_s`."""
        today = service_date(self.network, at_s)
        claimed = _date_of(start_date)
        dates = [claimed] if claimed else [today + dt.timedelta(days=n) for n in (-1, 0, 1)]
        offset_s = 0.0
        if trip in self.by_frequency:
            begun_s = _seconds_of(start_time)
            if begun_s is None:
                return self._under_way(trip, dates, at_s)
            offset_s = begun_s - float(self.first_s[trip])
        best, best_away_s = np.nan, np.inf
        for date in dates:
            zero_s = self.day_start_s(date) + offset_s
            early_s, late_s = zero_s + self.first_s[trip] - at_s, at_s - zero_s - self.last_s[trip]
            away_s = max(early_s, late_s, 0.0)
            if early_s <= EARLY_S_MAX and late_s <= LATE_S_MAX and away_s < best_away_s:
                best, best_away_s = self.note_run(trip, float(zero_s), date), away_s
        return float(best)

    def _under_way(self, trip: int, dates: list[dt.date], at_s: float) -> float:
        """The departure of a trip of frequencies.txt that is nearest to the middle of its way at `at_s`."""
        best, best_away_s = np.nan, EARLY_S_MAX
        for date in dates:
            runs = self.runs_of(date)
            mine = np.flatnonzero(runs.trip == trip)
            if len(mine):
                away_s = np.abs((runs.start_s[mine] + runs.end_s[mine]) / 2 - at_s)
                nearest = int(np.argmin(away_s))
                if away_s[nearest] < best_away_s:
                    best_away_s = float(away_s[nearest])
                    best = self.note_run(trip, self.day_start_s(date) + float(runs.offset_s[mine[nearest]]), date)
        return float(best)

    def _of_block(self, block: int, at_s: float) -> tuple[int, float]:
        """The trip of a block that is under way by the timetable, else the next, else one that has just ended."""
        today = service_date(self.network, at_s)
        ended_last = NO_TRIP, np.nan
        for date in (today - DAY, today, today + DAY):
            runs = self.runs_of(date)
            mine = np.flatnonzero(self.network.trip_block[runs.trip] == block)
            ahead = mine[(runs.end_s[mine] >= at_s) & (runs.start_s[mine] - at_s <= FOLLOWS_S_MAX)]
            ended = mine[(runs.end_s[mine] < at_s) & (runs.end_s[mine] >= at_s - JUST_ENDED_S)]
            if len(ahead):
                return int(runs.trip[ahead[0]]), self.day_start_s(date)
            if len(ended):
                ended_last = int(runs.trip[ended[-1]]), self.day_start_s(date)
        return ended_last


def _date_of(text: str | None) -> dt.date | None:
    """A GTFS date; None where there is none or it is no date."""
    if not text or len(text) != 8 or not text.isdecimal():
        return None
    try:
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _seconds_of(text: str | None) -> int | None:
    """A GTFS time of day as seconds; None where there is none or it is no time."""
    parts = text.split(":") if text else []
    if len(parts) != 3 or not all(part.isdecimal() and len(part) <= 3 for part in parts):
        return None
    return int(parts[0]) * 3600 + int(parts[1]) * 60 + int(parts[2])
