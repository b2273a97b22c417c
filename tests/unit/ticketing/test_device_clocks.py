"""What taps taken online tell of their device's clock: by how much it is wrong, and never a tap that was held back."""

from __future__ import annotations

import pytest

from ticketing.device_clocks import DeviceClocks

DAY = 86_400
BOOT = ("kpt", "door", "a1")


def known(*taps: tuple[float, float]) -> float | None:
    """What is known after taps: when each was received, and by how much its device's time was behind that."""
    clocks = DeviceClocks()
    for received_s, behind_s in taps:
        clocks.hear(BOOT, received_s - behind_s, received_s)
    return clocks.behind_s(BOOT)


@pytest.mark.parametrize(
    ("taps", "behind_s"),
    [
        ([], None),
        ([(0, 0.2)], 0),
        ([(0, 29)], 0),
        ([(0, -50)], 0),
        ([(0, -7200)], -7200),  # nothing comes before it was sent
        ([(0, DAY), (30, DAY), (59, DAY)], None),  # a day behind, or held back
        ([(0, DAY), (0, DAY + 50), (1, DAY + 90)], None),  # held back, and sent in one go
        ([(0, DAY), (70, DAY + 1)], None),
        ([(0, DAY + 1), (30, DAY), (70, DAY + 1)], DAY),
        ([(0, 600), (70, 530), (140, 531), (150, 530), (210, 535)], 530),
        ([(0, 0.5), (60, 7200), (61, 7260), (62, 7270)], 0),  # a right clock, and taps of an outage
        ([(0, DAY), (30, DAY), (70, DAY), (80, 0.3)], 0),  # set right
        ([(0, 0.3), (100, -3600)], -3600),  # set wrong
        ([(0, 0.3), (100, 3600), (130, 3601), (200, 3600.5)], 3600),
        ([(0, 40), (100, 41), (200, 40)], 0),  # a slow network
        ([(0, 200), (50, 200), (100, 200)], 0),
        ([(0, DAY), (50, DAY), (60, 0.1), (150, DAY)], 0),  # held back: the clock is right between
    ],
)
def test_what_is_known_of_a_clock(taps, behind_s):
    assert known(*taps) == behind_s


@pytest.mark.parametrize(
    ("behind_s", "late_s", "at_s"),
    [
        (56 * 365 * DAY, 3600.0, 0.0),  # no battery, and set by a network before the tap
        (-13 * 365 * DAY, 3600.0, 0.0),
        (56 * 365 * DAY, 56 * 365 * DAY + 3600.0, 56 * 365 * DAY),  # not set
        (-13 * 365 * DAY, 3600.0 - 13 * 365 * DAY, -13 * 365 * DAY),
        (7200.0, 3600.0, 7200.0),  # set or not: nobody can tell
    ],
)
def test_a_clock_that_was_off_by_decades_is_seen_to_be_set(behind_s, late_s, at_s):
    clocks, now_s = DeviceClocks(), 60 * 365 * DAY
    clocks.remember(BOOT, behind_s)
    assert clocks.behind_at(BOOT, now_s - late_s, now_s) == at_s


def test_news_are_told_once():
    clocks = DeviceClocks()
    assert [clocks.hear(BOOT, at_s - 0.1, at_s) for at_s in range(4)] == [True, False, False, False]
    assert [clocks.hear(BOOT, at_s + 90.0, at_s) for at_s in range(4)] == [True, False, False, False]


def test_what_was_known_before_a_restart_gives_way_to_what_is_heard():
    clocks = DeviceClocks()
    assert clocks.unasked([BOOT, BOOT]) == [BOOT]
    assert clocks.unasked([BOOT]) == []
    clocks.remember(BOOT, 3600.0)
    assert clocks.behind_s(BOOT) == 3600.0
    clocks.hear(BOOT, 10.0, 10.1)
    clocks.remember(BOOT, 3600.0)
    assert clocks.behind_s(BOOT) == 0.0


def test_only_the_devices_heard_last_are_kept():
    clocks = DeviceClocks(boots_max=2)
    for number in range(5):
        clocks.hear(("kpt", f"d{number}", "a"), 0.0, 0.0)
        assert clocks.unasked([("kpt", f"u{number}", "a")]) == [("kpt", f"u{number}", "a")]
    assert [clocks.behind_s(("kpt", f"d{number}", "a")) for number in range(5)] == [None, None, None, 0.0, 0.0]
    assert len(clocks._asked) <= 2
