"""A player of the past: folds stored rows into the fleet as it was, with what was known and done at that instant.

It holds one page of fixes, the newest fix and headway of each vehicle, and one stretch of alerts and decisions, nothing
else, and reads the next only when these have been played.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

import msgspec

from dispatch.alerts import Alert
from dispatch.control_api import DECISIONS_MAX, DecisionRow
from dispatch.fleet_documents import AlertsDocument, Headway, HeadwaysDocument, Vehicle, VehiclesDocument
from dispatch.history_read import FIXES_MAX, HistoryReader, StoredFix
from dispatch.playback_story import CLOSED_SHOWN_S, DECISIONS_SHOWN_S, HEADWAY_KEPT_S, Measured, Story

LOOK_BACK_S = 120.0  # fixes of vehicles that stand are a minute apart
SILENT_S = 120.0
FORGET_S = 600.0
STRETCH_S = 60.0
PAGE_S_MAX = 240.0  # so that a fast player does not ask the database a dozen times for each of its frames

_ENCODE = msgspec.json.Encoder().encode


class Moment(msgspec.Struct, frozen=True):
    """An instant of the past: the fleet, the headways last measured, alerts that were open, decisions just taken."""

    as_of: float
    feed_version: str
    vehicles: list[Vehicle]
    headways: list[Headway]
    alerts: list[Alert]
    decisions: list[DecisionRow]


class DecisionsDocument(msgspec.Struct, frozen=True):
    """The event `decisions` of a stream of the past."""

    as_of: float
    decisions: list[DecisionRow]


@dataclass(slots=True)
class Reel:
    """The fleet as it was at one instant after another: fixes in, frames out."""

    feed_version: str
    _newest: dict[str, StoredFix] = field(default_factory=dict)
    _page: deque[StoredFix] = field(default_factory=deque)

    def load(self, fixes: list[StoredFix]) -> None:
        """The next page, in the order of time."""
        self._page.extend(fixes)

    def fold(self, at_s: float) -> None:
        """Take the fixes up to an instant from the page; the newest of each vehicle is kept."""
        while self._page and self._page[0].at_s <= at_s:
            fix = self._page.popleft()
            self._newest[fix.key] = fix

    def trips(self) -> dict[str, str | None]:
        """What each vehicle on show drives, by `<operator>/<vehicle>`."""
        return {key: fix.vehicle.trip_id for key, fix in self._newest.items()}

    def seen(self, at_s: float) -> list[Measured]:
        """The headways that dispatchers saw beside the newest fixes, of vehicles that are not silent."""
        return [
            Measured(
                fix.at_s,
                fix.key,
                told.leader_id,
                fix.vehicle.trip_id,
                fix.vehicle.route_id,
                fix.vehicle.direction_id,
                fix.vehicle.next_stop_id,
                told.headway_s,
                told.scheduled_s,
                told.estimated,
            )
            for fix in self._newest.values()
            for told in (fix.headway,)
            if told is not None
            and fix.vehicle.trip_id is not None
            and fix.vehicle.route_id is not None
            and fix.vehicle.direction_id is not None
            and at_s - fix.at_s <= SILENT_S
        ]

    def frame(self, at_s: float) -> VehiclesDocument:
        """The fleet at an instant, by fixes up to then; a vehicle without any for long is silent, then gone."""
        self.fold(at_s)
        for key in [key for key, fix in self._newest.items() if at_s - fix.at_s > FORGET_S]:
            del self._newest[key]
        rows = []
        for _, fix in sorted(self._newest.items()):
            age_s = at_s - fix.at_s
            state = "silent" if age_s > SILENT_S else fix.vehicle.state
            rows.append(msgspec.structs.replace(fix.vehicle, age_s=round(age_s, 1), state=state))
        return VehiclesDocument(at_s, self.feed_version, rows)


class Player:
    """One viewer's way through the past, forward only; `routes` are those whose headways are wanted."""

    def __init__(self, reader: HistoryReader, feed_version: str, routes: list[str], page_s: float) -> None:
        self._reader = reader
        self._routes = routes
        self._page_s = page_s
        self.reel = Reel(feed_version)
        self.story = Story()
        self._fixes_to_s = self._story_to_s = 0.0
        self._told: tuple[bytes, bytes] = (b"", b"")

    async def open(self, at_s: float) -> None:
        """Read what is needed to show a first instant.

        Raises:
            HistoryAwayError: the database does not answer.
        """
        self._fixes_to_s, self._story_to_s = at_s - LOOK_BACK_S, at_s
        await self._read_story(at_s - HEADWAY_KEPT_S)
        await self.go(at_s)

    async def go(self, at_s: float) -> None:
        """Read on as far as an instant; pages are folded as they come, so that one is held at a time."""
        while self._fixes_to_s <= at_s:
            fixes = await self._reader.fixes(self._fixes_to_s, self._fixes_to_s + self._page_s)
            # Where there was too much for one page it goes less far than asked.
            whole = len(fixes) < FIXES_MAX or fixes[-1].at_s == self._fixes_to_s
            self._fixes_to_s = self._fixes_to_s + self._page_s if whole else fixes[-1].at_s
            self.reel.load([fix for fix in fixes if fix.at_s < self._fixes_to_s])
            self.reel.fold(min(at_s, self._fixes_to_s))
        while self._story_to_s <= at_s:
            await self._read_story(self._story_to_s)

    async def _read_story(self, from_s: float) -> None:
        to_s = self._story_to_s + max(STRETCH_S, self._page_s)
        shown_from_s = self._story_to_s - CLOSED_SHOWN_S
        headways = await self._reader.past_headways(from_s, to_s, self._routes)
        alerts = await self._reader.past_alerts(shown_from_s, to_s)
        decisions = await self._reader.decisions(self._story_to_s - DECISIONS_SHOWN_S, to_s, None, DECISIONS_MAX)
        self._story_to_s = to_s
        await asyncio.to_thread(self.story.load, headways, alerts, decisions)

    def moment(self, at_s: float) -> Moment:
        """All of an instant, as far as it has been read."""
        fleet, story = self.reel.frame(at_s), self.story
        headways = story.headways(at_s, self.reel.trips(), self.reel.seen(at_s))
        return Moment(at_s, fleet.feed_version, fleet.vehicles, headways, story.alerts(at_s), story.decisions(at_s))

    def events(self, at_s: float) -> bytes:
        """An instant as events of the live stream; alerts and decisions only where they have changed."""
        now = self.moment(at_s)
        parts = [
            ("vehicles", _ENCODE(VehiclesDocument(at_s, now.feed_version, now.vehicles))),
            ("headways", _ENCODE(HeadwaysDocument(at_s, now.feed_version, now.headways))),
        ]
        told = _ENCODE(now.alerts), _ENCODE(now.decisions)
        if told[0] != self._told[0]:
            parts.append(("alerts", _ENCODE(AlertsDocument(at_s, now.alerts))))
        if told[1] != self._told[1]:
            parts.append(("decisions", _ENCODE(DecisionsDocument(at_s, now.decisions))))
        self._told = told
        return b"".join(b"event: %b\nid: %.3f\ndata: %b\n\n" % (name.encode(), at_s, data) for name, data in parts)
