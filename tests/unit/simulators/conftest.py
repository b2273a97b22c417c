"""What the simulators' tests share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dispatch.network import Network
from tests.unit.simulators.straight_line import make_line


@pytest.fixture
def line() -> Callable[..., Network]:
    """Makes a straight line with a timetable."""
    return make_line
