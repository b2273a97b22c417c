"""The linear line against the closed forms that are published for it."""

import numpy as np
import pytest

from simulators.line_linear import LINEAR_LAWS, closed_form, run_linear
from simulators.scenario import LawGains, Linear

SEGMENTS = np.array([1, 2, 5, 10, 20, 30]) - 1
# Variance of arrival headways, in units of the noise of one segment, after so many of them.
PUBLISHED = {
    ("none", 0.5): [2.000, 4.315, 13.754, 43.486, 263.684, 1484.932],
    ("forward", 0.5): [2.000, 3.040, 4.252, 4.851, 5.263, 5.445],
    ("two-way", 0.5): [2.000, 2.222, 2.365, 2.434, 2.482, 2.503],
    ("simple", 0.5): [2.000, 2.500, 2.664, 2.667, 2.667, 2.667],
    ("simple", 0.8): [2.000, 3.280, 4.959, 5.492, 5.555, 5.556],
}


@pytest.mark.parametrize(("law", "f0"), PUBLISHED)
def test_closed_forms_are_the_published_ones(law: str, f0: float) -> None:
    linear = Linear(segment_noise_s=10.0, gains=LawGains(f0=f0))
    found = closed_form(linear, law)[SEGMENTS] / 100
    assert found == pytest.approx(PUBLISHED[law, f0], rel=2e-4)


@pytest.mark.parametrize(("law", "f0"), PUBLISHED)
def test_the_laws_reproduce_them(law: str, f0: float) -> None:
    linear = Linear(segment_noise_s=10.0, gains=LawGains(f0=f0))
    runs = [run_linear(linear, (law,), np.random.default_rng(seed))[law] for seed in range(3)]
    assert np.mean(runs, axis=0)[SEGMENTS] / 100 == pytest.approx(PUBLISHED[law, f0], rel=0.03)


def test_laws_see_the_same_noise_alone_or_together() -> None:
    linear = Linear(vehicles=256)
    together = run_linear(linear, LINEAR_LAWS, np.random.default_rng(5))
    for law in LINEAR_LAWS:
        alone = run_linear(linear, (law,), np.random.default_rng(5))
        assert alone[law].tolist() == together[law].tolist()
    assert len({values[0] for values in together.values()}) == 1
