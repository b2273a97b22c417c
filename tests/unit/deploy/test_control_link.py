"""The controller's end of its seams: what ticketing has counted comes in as it was sent; what is broken does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from deploy.control_link import ControlLink
from deploy.links import Links
from dispatch.controller import TAPS_WAITING_MAX, Controller


@pytest.fixture
def link() -> ControlLink:
    return ControlLink(Links(Client()), Controller(lambda _decision: None, lambda: "id"), Path("control.json"))


def test_boardings_wait_for_the_next_tick(link: ControlLink) -> None:
    link.boarded(msgspec.msgpack.encode([("town/1", 1000.0, 2), ("town/2", 1001.5, 1)]))
    assert list(link.controller.taps) == [("town/1", 1000.0, 2), ("town/2", 1001.5, 1)]


def test_no_more_boardings_wait_than_there_is_room_for(link: ControlLink) -> None:
    for second in range(3):
        link.boarded(msgspec.msgpack.encode([("town/1", float(second), 1)] * TAPS_WAITING_MAX))
    assert len(link.controller.taps) == TAPS_WAITING_MAX
    assert {at_s for _, at_s, _ in link.controller.taps} == {2.0}


@pytest.mark.parametrize("message", [b"", b"\xff", b"[]", msgspec.msgpack.encode([("town/1", "now", 1)])])
def test_what_is_no_list_of_boardings_changes_nothing(link: ControlLink, message: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):  # the link counts it and goes on
        link.boarded(message)
    assert not link.controller.taps
