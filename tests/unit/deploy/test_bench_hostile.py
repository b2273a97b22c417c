"""The benchmark of hostile tokens refuses them all; what they cost is a figure, not a test."""

from __future__ import annotations

from deploy.bench import hostile


def test_every_hostile_token_of_the_benchmark_is_refused() -> None:
    measured = hostile.run(None, 0.3)
    assert measured["figures"]["hostile_tokens"] > 50
    assert set(measured["ratios"]) == {"limit_to_refusal_p999"}
