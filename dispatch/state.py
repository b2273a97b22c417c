"""The state of dispatch at one instant: all that a process must know of the last one to go on as if it had not died.

Taking it copies columns and nothing else, between two ticks; what is made of the copies is another thread's work. What
can be had again is left out: what roads take is learnt again from the passages, vehicles whose fixes come late are
noticed again, and predictions that have not come true yet are not scored.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dispatch.alerts import DeskMemory, Sighting
from dispatch.claims import Timetable
from dispatch.control_state import ControlMemory
from dispatch.engine import Engine
from dispatch.fleet import COLUMNS
from dispatch.history_rows import Decision
from dispatch.network import Floats
from dispatch.observations import Descriptor
from dispatch.passages import PassageLog, Passages
from dispatch.running import RunningTimes

PASSAGES_SAVED = 50_000
RECORDED_WITHIN_S = 60.0  # history has the passages that are older; those that are not are told to it again
RELEARNT_S = 60.0  # what roads have taken since they were saved is learnt again in steps of this length
MARKS = ("vehicle", "trip", "time_s", "due_s")
PASSAGE_COLUMNS = tuple(Passages.__dataclass_fields__)

Arrays = dict[str, NDArray[Any]]


class Facts(msgspec.Struct):
    """What is no column. Vehicles are their rows, runs (trip, zero)."""

    key: list[str]
    descriptor: list[Descriptor | None]
    occupancy: list[str | None]
    signed_on: dict[str, Descriptor]
    starts: list[tuple[int, float, str]]  # trip, zero and service date of runs
    favourites: list[tuple[int, tuple[int, float, int]]]
    wins: list[tuple[int, tuple[tuple[int, float], int]]]
    improved_s: float
    contested: list[tuple[int, tuple[tuple[int, float], int]]]
    contested_s: float
    driven_since_s: float
    missing: list[Sighting]
    missing_s: float
    alerts: DeskMemory
    scored: list[str]  # routes, in the order of the score's rows
    scored_since_s: float | None
    scored_hour: int
    control: ControlMemory | None
    decisions: list[Decision]  # on their way to history
    routes: list[tuple[int, int]] = []  # that vehicles were last held to by guess
    turns: tuple[int, int] = (0, 0)  # whose turn it is, of more vehicles than are looked at at once


class State(msgspec.Struct):
    """An engine, and the controller beside it, as they stood at `as_of_s` (Unix seconds)."""

    as_of_s: float
    facts: Facts
    arrays: Arrays


def capture(
    engine: Engine, now_s: float, control: ControlMemory | None = None, decisions: list[Decision] | None = None
) -> State:
    """The state of an engine between two ticks: copies, so that the next tick changes none of it."""
    fleet, n = engine.fleet, len(engine.fleet)
    passages = engine.passage_log.newest(PASSAGES_SAVED)
    total, hourly = engine.eta.score.sums()
    arrays: Arrays = {
        **{f"fleet.{name}": getattr(fleet, name)[:n].copy() for name in COLUMNS},
        **{f"marks.{name}": getattr(engine.roads.memory, name).copy() for name in MARKS},
        **{f"passages.{name}": getattr(passages, name) for name in PASSAGE_COLUMNS},
        "driven": engine.watch.driven.keys.copy(),
        "score.total": total,
        "score.hourly": hourly,
    }
    guesses, better, contest = engine.folding.inference, engine.folding.reassignment, engine.folding.contest
    arrays["trails.held"], arrays["trails.nth"] = guesses.trails.memory(n)
    facts = Facts(
        key=list(fleet.key),
        descriptor=list(fleet.descriptor),
        occupancy=list(fleet.occupancy),
        signed_on=dict(engine.folding.claiming.signed_on),
        starts=_starts(engine.timetable, arrays),
        favourites=list(guesses.favourite.items()),
        wins=list(better.wins.items()),
        improved_s=better.improved_s,
        contested=list(contest.wins.items()),
        contested_s=contest.looked_s,
        driven_since_s=engine.watch.driven.since_s,
        missing=list(engine.watch.missing),
        missing_s=engine.watch.missing_s,
        alerts=engine.desk.memory(),
        scored=list(engine.eta.score.row),
        scored_since_s=engine.eta.score.since_s,
        scored_hour=engine.eta.score.hour,
        control=control,
        decisions=decisions or [],
        routes=list(guesses.route.items()),
        turns=(guesses.turn, contest.turn),
    )
    return State(now_s, facts, arrays)


def resume(engine: Engine, state: State) -> None:
    """Let a new engine on the same ground go on from a state.

    Raises:
        ValueError: the state does not fit; nothing has been taken over then.
    """
    check(engine, state)
    facts, arrays, fleet = state.facts, state.arrays, engine.fleet
    fleet.rows_of(facts.key, len(facts.key))
    for name in COLUMNS:
        getattr(fleet, name)[: len(facts.key)] = arrays[f"fleet.{name}"]
    fleet.descriptor[:], fleet.occupancy[:] = facts.descriptor, facts.occupancy
    for name in MARKS:
        getattr(engine.roads.memory, name)[:] = arrays[f"marks.{name}"]
    for trip, zero_s, date in facts.starts:
        engine.timetable.note_run(trip, zero_s, dt.datetime.strptime(date, "%Y%m%d").date())  # noqa: DTZ007
    engine.folding.claiming.signed_on.update(facts.signed_on)
    guesses = engine.folding.inference
    guesses.favourite.update(facts.favourites)
    guesses.route.update(facts.routes)
    guesses.trails.resume(arrays["trails.held"], arrays["trails.nth"])
    contest = engine.folding.contest
    contest.wins, contest.looked_s = dict(facts.contested), facts.contested_s
    guesses.turn, contest.turn = facts.turns
    better = engine.folding.reassignment
    better.wins, better.improved_s = dict(facts.wins), facts.improved_s
    watch = engine.watch
    watch.driven.since_s, watch.driven.keys = facts.driven_since_s, arrays["driven"]
    watch.missing, watch.missing_s = facts.missing, facts.missing_s
    engine.desk.resume(facts.alerts)
    sums = arrays["score.total"], arrays["score.hourly"]
    engine.eta.score.resume(facts.scored, sums, facts.scored_since_s, facts.scored_hour)
    passages = Passages(*(arrays[f"passages.{name}"] for name in PASSAGE_COLUMNS))
    recall_passages(engine.passage_log, passages, state.as_of_s)
    relearn(engine.running, passages)


def check(engine: Engine, state: State) -> None:
    """See that the columns of a state fit together and onto the engine's ground.

    Raises:
        ValueError: they do not; names the column.
    """
    arrays, n, network = state.arrays, len(state.facts.key), engine.network
    marks, size = engine.roads.memory.vehicle.shape, arrays["passages.vehicle"].shape
    shapes: dict[str, tuple[int, ...]] = {
        "trails.nth": (n,),
        **{f"fleet.{name}": (n,) for name in COLUMNS},
        **{f"marks.{name}": marks for name in MARKS},
        **{f"passages.{name}": size for name in PASSAGE_COLUMNS},
    }
    bounds = {
        **dict.fromkeys(("fleet.trip", "fleet.next_trip", "marks.trip", "passages.trip"), len(network.trip_id)),
        **dict.fromkeys(("marks.vehicle", "passages.vehicle"), n),
        "fleet.pattern": len(network.pattern_id),
        "fleet.claimed_route": len(network.route_id),
    }
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].shape != shape:
            raise ValueError(f"the column {name} is missing or has another length")
    for name, bound in bounds.items():
        if arrays[name].size and not -1 <= int(arrays[name].min()) <= int(arrays[name].max()) < bound:
            raise ValueError(f"the column {name} points outside the feed or the fleet")
    if len(engine.fleet) or not len(state.facts.descriptor) == len(state.facts.occupancy) == n:
        raise ValueError("the engine has seen vehicles already, or the state is not whole")
    trails = engine.folding.inference.trails.memory(0)[0].shape
    if arrays["trails.held"].shape != (trails[0], n, trails[2]):
        raise ValueError("the trails have another shape")
    shape = (len(state.facts.scored), *engine.eta.score.total.shape[1:])
    if arrays["score.total"].shape != shape or arrays["score.hourly"].shape[1:] != shape:
        raise ValueError("the score has another shape")


def recall_passages(log: PassageLog, passages: Passages, as_of_s: float) -> None:
    """Remember passages again; those of the last minute may not have come to history before the end."""
    log.add(passages, may_correct=True)
    young = np.flatnonzero(_time_s(passages) >= as_of_s - RECORDED_WITHIN_S)
    log.carried = int(young[0]) if len(young) else log.written


def relearn(running: RunningTimes, passages: Passages) -> None:
    """Learn from the passages that were not learnt from when what roads take was saved last."""
    at_s = _time_s(passages)
    fresh = at_s > running.learnt_s()
    old = np.flatnonzero(~fresh)
    running.remember(passages.take(old[np.lexsort((at_s[old], passages.vehicle[old]))]))
    step = np.floor(at_s / RELEARNT_S)
    for one in np.unique(step[fresh]).tolist():
        rows = np.flatnonzero(fresh & (step == one))
        rows = rows[np.lexsort((at_s[rows], passages.vehicle[rows]))]
        running.learn(passages.take(rows), float(at_s[rows].max()))


def _time_s(passages: Passages) -> Floats:
    return np.fmax(passages.arrival_s, passages.departure_s)


def _starts(timetable: Timetable, arrays: Arrays) -> list[tuple[int, float, str]]:
    """The service date of every zero that the columns name, and of every run of frequencies.txt.

    Of a run after midnight it cannot be told from its time alone.
    """
    trip = np.concatenate([arrays[name] for name in ("fleet.trip", "fleet.next_trip", "passages.trip")])
    zero_s = np.concatenate([arrays[name] for name in ("fleet.zero_s", "fleet.next_zero_s", "passages.zero_s")])
    trip, zero_s = trip[trip >= 0], zero_s[trip >= 0]
    first = np.unique(zero_s, return_index=True)[1]
    if timetable.by_frequency:
        key = np.where(np.isin(trip, list(timetable.by_frequency)), trip, -1)
        order = np.lexsort((zero_s, key))
        first = order[(np.diff(key[order], prepend=-2) != 0) | (np.diff(zero_s[order], prepend=np.nan) != 0)]
    dates = timetable.start_dates(trip[first], zero_s[first])
    rows = zip(trip[first].tolist(), zero_s[first].tolist(), dates, strict=True)
    return [(one, zero, date) for one, zero, date in rows if date is not None]
