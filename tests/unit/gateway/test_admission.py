"""Admission: each rule by itself, then together over batches, always with the time as an argument."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gateway import admission
from gateway.admission import Limits, Memory, Outcome, admit

NOW_S = 1_771_257_600.0
LIMITS = Limits()
METRE_DEG = 1 / admission.METRES_PER_DEGREE


@dataclass
class Fixes:
    vehicle_key: list[str]
    ts_s: NDArray[np.float64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64] = field(init=False)
    accuracy_m: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        self.lon_deg = np.full(len(self.ts_s), 30.5)
        self.accuracy_m = np.full(len(self.ts_s), np.nan)


def fixes(*rows: tuple[str, float, float]) -> Fixes:
    """Vehicle, seconds after NOW_S - 100, metres north of 50 degrees."""
    keys, after_s, north_m = zip(*rows, strict=True)
    return Fixes(list(keys), NOW_S - 100 + np.array(after_s, float), 50 + np.array(north_m, float) * METRE_DEG)


def outcomes(batch: Fixes, memory: Memory | None = None, limits: Limits = LIMITS, now_s: float = NOW_S) -> list[str]:
    judged = admit(batch, Memory() if memory is None else memory, now_s, limits)
    return [Outcome(code).name.lower() for code in judged.outcome]


def column(*values: float) -> NDArray[np.float64]:
    return np.array(values, float)


def test_a_fix_over_five_minutes_old_is_stale() -> None:
    assert admission.stale(column(699, 700, 1000), 1000.0, LIMITS).tolist() == [True, False, False]


def test_a_fix_over_a_minute_ahead_is_from_the_future() -> None:
    assert admission.future(column(1000, 1060, 1061), 1000.0, LIMITS).tolist() == [False, False, True]


def test_a_fix_is_off_the_map_beyond_the_margin_around_its_bounds() -> None:
    limits = Limits(bounds=(50.0, 30.0, 51.0, 31.0), margin_m=1_000.0)
    lat, lon = column(50.5, 49.992, 49.98, 50.5, 50.5), column(30.5, 30.5, 30.5, 31.013, 31.03)
    assert admission.off_map(lat, lon, limits).tolist() == [False, False, True, False, True]


def test_without_bounds_no_fix_is_off_the_map() -> None:
    assert not admission.off_map(column(-80.0), column(170.0), LIMITS).any()


def test_a_fix_of_the_same_time_is_a_duplicate() -> None:
    assert admission.duplicate(column(5, 6), column(5, 5)).tolist() == [True, False]


def test_a_fix_older_than_the_last_admitted_one_is_late() -> None:
    assert admission.late(column(4, 5, 6), column(5, 5, 5)).tolist() == [True, False, False]


def test_a_fix_later_than_the_limit_is_out_of_order() -> None:
    found = admission.out_of_order(column(49, 50, 199), column(200, 200, 200), LIMITS)
    assert found.tolist() == [True, False, False]


def test_a_late_fix_is_handed_on_and_moves_no_memory() -> None:
    memory = Memory()
    outcomes(fixes(("a", 100, 1000)), memory)
    late = fixes(("a", 90, 900), ("a", 80, 99_000), ("a", -60, 0))
    assert outcomes(late, memory) == ["late", "teleport", "out_of_order"]
    assert outcomes(fixes(("a", 101, 1010)), memory) == ["admitted"]


def test_a_fix_further_away_than_anybody_could_drive_is_a_teleport() -> None:
    gap_m, elapsed_s = column(600, 601, 601, 900), column(10, 10, 10, 10)  # 45 m/s and 150 m
    accuracy_m = column(np.nan, np.nan, 4, 1e9)
    assert admission.teleport(gap_m, elapsed_s, accuracy_m, LIMITS).tolist() == [False, True, False, True]


def test_of_a_flood_the_newest_fixes_are_kept() -> None:
    limits = Limits(fixes_per_batch_max=2)
    batch = fixes(("a", 1, 0), ("a", 2, 0), ("b", 1, 0), ("a", 3, 0))
    assert outcomes(batch, limits=limits) == ["flood", "admitted", "admitted", "admitted"]


def test_distance_is_that_of_the_globe() -> None:
    one_degree = admission.distance_m(column(0, 60, 0), column(0, 10, 179.5), column(1, 60, 0), column(0, 11, -179.5))
    assert one_degree == pytest.approx([111_195, 55_597, 111_195], rel=1e-3)


def test_a_vehicle_drives_on() -> None:
    memory = Memory()
    for second in range(5):
        assert outcomes(fixes(("a", second, 10 * second)), memory) == ["admitted"]


def test_what_was_admitted_counts_within_the_same_batch() -> None:
    batch = fixes(("a", 10, 0), ("a", 10, 0), ("b", 10, 0), ("a", 9, 0), ("a", 11, 9_000), ("a", 12, 20))
    assert outcomes(batch) == ["admitted", "duplicate", "admitted", "late", "teleport", "admitted"]


def test_a_batch_at_once_and_one_fix_at_a_time_end_alike() -> None:
    rng = np.random.default_rng(7)
    rows = [(f"v{rng.integers(4)}", float(rng.integers(60)), float(rng.integers(3)) * 400) for _ in range(200)]
    one_by_one, memory = [], Memory()
    for row in rows:
        one_by_one += outcomes(fixes(row), memory)
    assert outcomes(fixes(*rows)) == one_by_one


def test_a_vehicle_that_moved_while_silent_is_believed_after_a_few_fixes() -> None:
    memory = Memory()
    outcomes(fixes(("a", 0, 0)), memory)
    far = [fixes(("a", second, 40_000 + 10 * second)) for second in range(1, 6)]
    assert [outcomes(batch, memory)[0] for batch in far] == ["teleport"] * 3 + ["admitted"] * 2


def test_scattered_jumps_are_never_believed() -> None:
    memory = Memory()
    outcomes(fixes(("a", 0, 0)), memory)
    for second in range(1, 30):
        away_m = 40_000 if second % 2 else -40_000
        assert outcomes(fixes(("a", second, away_m)), memory) == ["teleport"]


def test_of_two_vehicles_under_one_id_the_first_is_followed() -> None:
    memory = Memory()
    for second in range(0, 60, 2):
        assert outcomes(fixes(("a", second, 0)), memory) == ["admitted"]
        assert outcomes(fixes(("a", second + 1, 40_000)), memory) == ["teleport"]


def test_a_refused_fix_moves_nothing() -> None:
    memory = Memory()
    outcomes(fixes(("a", 50, 0)), memory)
    outcomes(fixes(("a", 300, 0)), memory)  # from the future
    assert outcomes(fixes(("a", 51, 0)), memory) == ["admitted"]


def test_a_step_of_our_own_clock_does_not_silence_a_vehicle() -> None:
    memory = Memory()
    ahead = fixes(("a", 3_600, 0))
    assert outcomes(ahead, memory, now_s=NOW_S + 3_600) == ["admitted"]
    assert outcomes(fixes(("a", 1, 0)), memory) == ["admitted"]


def test_a_recording_is_judged_by_its_own_times() -> None:
    batch = fixes(("a", 0, 0), ("a", 5_000, 0), ("a", 10_000, 0))
    judged = admit(batch, Memory(), batch.ts_s + np.array([1.0, 400.0, 1.0]), LIMITS)
    assert judged.counts() == {"admitted": 2, "stale": 1}


@pytest.mark.parametrize("ts_s", [0.0, NOW_S - 1024 * 604_800, NOW_S - 86_400, NOW_S + 600, 2**31, 1e11, -1e11])
def test_a_clock_gone_wrong_is_stale_or_future(ts_s: float) -> None:
    batch = fixes(("a", 0, 0))
    batch.ts_s[0] = ts_s
    assert outcomes(batch)[0] in {"stale", "future"}


def test_the_memory_forgets_those_heard_longest_ago() -> None:
    memory = Memory(vehicles_max=16)
    for number in range(40):
        outcomes(fixes((f"v{number}", number, 0)), memory)
    assert len(memory) <= 16
    assert memory.evicted == 40 - len(memory)
    assert outcomes(fixes(("v39", 39, 0), ("v0", 0, 0)), memory) == ["duplicate", "admitted"]


def test_the_memory_says_how_many_were_heard_lately() -> None:
    memory = Memory()
    outcomes(fixes(("a", 0, 0), ("b", 50, 0), ("c", 90, 0), ("b", 95, 0)), memory)
    assert memory.heard(NOW_S - 60, NOW_S) == 2


def test_an_empty_batch_is_no_trouble() -> None:
    empty = Fixes([], np.zeros(0), np.zeros(0))
    assert admit(empty, Memory(), NOW_S, LIMITS).counts() == {}


rows = st.lists(st.tuples(st.sampled_from("abc"), st.floats(-1e4, 1e4), st.floats(-1e6, 1e6)), min_size=1, max_size=30)


@given(rows, st.integers(1, 3))
def test_every_fix_has_one_outcome_and_a_vehicle_never_goes_back(
    data: list[tuple[str, float, float]], size: int
) -> None:
    memory, last = Memory(vehicles_max=8), dict.fromkeys("abc", -np.inf)
    for begin in range(0, len(data), size):
        batch = fixes(*data[begin : begin + size])
        judged = admit(batch, memory, NOW_S, LIMITS)
        assert sum(judged.counts().values()) == len(batch.vehicle_key)
        for row in np.flatnonzero(judged.mask):
            key = batch.vehicle_key[row]
            if judged.outcome[row] == Outcome.LATE:
                assert last[key] - LIMITS.late_s <= batch.ts_s[row] < last[key]
            else:
                assert batch.ts_s[row] > last[key]
                last[key] = batch.ts_s[row]
