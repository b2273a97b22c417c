"""The board: the newest wins, and whoever waits is woken."""

import asyncio
from typing import Any

import msgspec

from dispatch.board import Board, Publication


def publication(as_of_s: float, **changes: Any) -> Publication:
    empty = Publication(
        as_of_s=as_of_s,
        feed_version="v1",
        vehicles=b'{"vehicles":[]}',
        headways=b'{"headways":[]}',
        alerts=b'{"alerts":["alarm"]}',
        public_alerts=b'{"alerts":[]}',
        trip_updates=b"{}",
        line_m=[1.5, None],
        pb_vehicle_positions=b"vp",
        pb_trip_updates=b"tu",
        pb_alerts=b"sa",
    )
    return msgspec.structs.replace(empty, **changes)


async def test_nothing_is_shown_at_first() -> None:
    board = Board()
    assert board.latest is None
    assert board.reasons(0.0) == ["dispatch has not told of the fleet yet"]
    assert not await board.newer_than(0, wait_s=0.001)


async def test_who_waits_is_woken_by_the_next() -> None:
    board = Board()
    waiting = asyncio.create_task(board.newer_than(0, wait_s=5))
    await asyncio.sleep(0)
    board.publish(publication(100.0))
    assert await waiting


async def test_a_late_older_publication_is_left_out() -> None:
    board = Board()
    board.publish(publication(100.0))
    board.publish(publication(99.0))
    board.publish(publication(100.0))
    assert board.latest is not None
    assert (board.latest.as_of_s, board.version) == (100.0, 1)


async def test_a_clock_set_back_an_hour_is_believed() -> None:
    board = Board()
    board.publish(publication(10_000.0))
    board.publish(publication(6_400.0))
    assert board.latest is not None
    assert board.latest.as_of_s == 6_400.0


async def test_silence_is_a_reason_not_to_be_ready() -> None:
    board = Board()
    board.publish(publication(100.0))
    assert board.reasons(101.0) == []
    assert board.reasons(130.0) == ["dispatch has been silent for 30 s"]


def test_a_frame_holds_three_events_and_only_staff_see_alarms() -> None:
    shown = publication(100.25)
    events = shown.public_frame.decode().split("\n\n")
    assert [event.splitlines()[0] for event in events[:-1]] == ["event: vehicles", "event: headways", "event: alerts"]
    assert all(event.splitlines()[1] == "id: 100.250" for event in events[:-1])
    assert b"alarm" not in shown.public_frame
    assert b"alarm" in shown.staff_frame
    assert shown.public_frame is shown.public_frame  # made once, shared by all


def test_a_publication_crosses_between_processes_whole() -> None:
    sent = publication(100.0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(sent), type=Publication) == sent
