"""The whole chain: a line set to automatic holds itself together, one left alone beside it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.product import Product, product

pytestmark = [pytest.mark.acceptance, pytest.mark.soak, pytest.mark.timeout(2400)]

HELD, LEFT_ALONE = "t2", "t3"  # 38 vehicles each, every 2.5 and 3 minutes
LASTS_S, MEASURED_S = 1_500.0, 600.0


@pytest.fixture
def city(tmp_path: Path) -> Iterator[Product]:
    running = product(tmp_path / "data", "demo", "--vehicles", "76", "--compliance", "0.9")
    running.start()
    running.ready()
    yield running
    running.stop()


def excess_wait_s(city: Product, route: str, now_s: float) -> float:
    """Of the last minutes, both directions pooled by their pairs."""
    path = f"/api/v1/measures?from={now_s - MEASURED_S:.0f}&to={now_s:.0f}&route_id={route}"
    headways = [row["headway"] for row in city.http(path, role="dispatcher").json["measures"]]
    return sum(h["ewt_s"] * h["pairs"] for h in headways) / sum(h["pairs"] for h in headways)


def test_a_line_set_to_automatic_has_less_excess_wait_than_one_left_alone(city: Product) -> None:
    started_s = time.time()
    path = f"/api/v1/routes/{HELD}/control"
    assert city.http(path, {"mode": "automatic", "law": "optimal"}, "dispatcher", "PUT").status == 200
    city.wait("twenty-five minutes of the city", lambda: time.time() - started_s > LASTS_S, LASTS_S + 60.0)

    path = f"/api/v1/instructions?route_id={HELD}"
    states = [row["state"] for row in city.http(path, role="dispatcher").json["instructions"]]
    assert states.count("done") > 0.5 * len(states) > 5
    now_s = time.time()
    held_s, alone_s = (excess_wait_s(city, route, now_s) for route in (HELD, LEFT_ALONE))
    print(f"excess wait {held_s:.1f} s held, {alone_s:.1f} s left alone; {states.count('done')} of {len(states)} done")
    assert held_s < 0.7 * alone_s
