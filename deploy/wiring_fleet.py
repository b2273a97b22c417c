"""Dispatch's side of the web server: its APIs over what the dispatch process tells, each in step with the feed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deploy import metrics
from deploy.accuracy import hear_accuracy
from deploy.feeds import Feeds
from deploy.letters_api import LettersApi
from deploy.links import Links
from deploy.remote_control import RemoteControl, control_board
from deploy.remote_desk import RemoteDesk
from dispatch.board import Board
from gateway import wire

if TYPE_CHECKING:
    from deploy.grounds import Grounds


async def fleet_apis(
    grounds: Grounds,
    links: Links,
    board: Board,
    feeds: Feeds,
    send: Callable[[str, wire.Instruction], bool],
    pool: Any,
) -> list[Any]:
    """The fleet, control, accuracy, notices and playback; `send` takes an instruction down to the gateway."""
    from dispatch.accuracy_api import AccuracyApi
    from dispatch.api import DispatchApi
    from dispatch.control_api import ControlApi
    from dispatch.control_stops_api import ControlStopsApi
    from dispatch.history_read import HistoryReader
    from dispatch.notices_api import NoticesApi
    from dispatch.notices_store import PostgresNotices
    from dispatch.playback import PlaybackApi, PlaybackSettings
    from dispatch.stringline_api import StringlineApi

    network = feeds.network
    reader = HistoryReader(pool, network.timezone)
    controls, control = await control_board(links), RemoteControl(links)
    heard = await hear_accuracy(links, grounds.registry)
    fleet = DispatchApi(board, network, RemoteDesk(links, send, control.note), history=reader)
    notices = NoticesApi(PostgresNotices(pool), network, time.time)
    kept = PlaybackSettings(fixes_days=grounds.settings.dispatch.fixes_days, timezone=network.timezone)
    playback = PlaybackApi(reader, network.feed_version, time.time, kept, network.route_id)
    lines = StringlineApi(reader, network, time.time)
    fleet.streams.control, fleet.notices = controls, notices.entities
    feeds.followers += [fleet.use_network, notices.use_network, playback.use_network, lines.use_network]
    streams = fleet.streams
    metrics.expose(grounds.registry, "notices", lambda: notices.counters)
    metrics.expose(grounds.registry, "playback", lambda: playback.counters, lambda: {"playing": playback.playing})
    metrics.expose(grounds.registry, "stream", lambda: streams.counters, lambda: {"open": streams.open})
    decided = ControlApi(controls, control, time.time, reader)
    accuracy = AccuracyApi(lambda: heard.reply)
    return [fleet, decided, ControlStopsApi(control), accuracy, notices, playback, lines, LettersApi(pool)]
