"""`takt report`: one HTML page about the service of a day, from history or from recorded positions."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

import typer

from deploy.commands.options import BlockPattern, Config, DataDir
from deploy.errors import UserError

if TYPE_CHECKING:
    from deploy.config import Settings
    from dispatch.network import Network
    from dispatch.passages import Passages

EXAMPLE = "Example: takt report --data-dir takt-data --route 5 --out monday.html"
SPAN_S_MAX = 31 * 86_400.0
ROUTES_LISTED_MAX = 20
DRAWN_S_MAX = 36 * 3600.0  # stringlines of all lines over a longer time are drawn for one route only
STEP_S = 30.0  # of a recording's clock
TIMES = "a date, a local time such as 2026-07-13T06:00, or Unix seconds"


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("report", epilog=EXAMPLE)(report)


def report(
    data_dir: DataDir = None,
    config: Config = None,
    gtfs: Annotated[
        str | None, typer.Option(metavar="FEED", help="The feed that was driven; from history, the instance's own.")
    ] = None,
    positions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recorded positions (csv) instead of history; needs --gtfs.")
    ] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help=f"Begin: {TIMES}.")] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="End [default: the newest there is].")] = None,
    route: Annotated[str | None, typer.Option(metavar="ROUTE", help="One route, by its id or short name.")] = None,
    language: Annotated[Literal["uk", "en"], typer.Option(help="The language of the page.")] = "en",
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the page.")] = Path("report.html"),
    block_pattern: BlockPattern = None,
) -> None:
    """Write a page with stringlines, headways, worst stops and hours, and the measures of every route.

    Over more than a day and a half, stringlines are drawn only of the route that --route names.
    """
    from deploy.config import read_settings

    wish = _Wish(from_, to, route, language)
    if positions is not None:
        if gtfs is None:
            raise UserError("--positions needs the feed that was driven: name it with --gtfs FEED")
        page = _page(_from_positions(gtfs, positions, block_pattern), wish)
    else:
        page = _page(asyncio.run(_from_history(read_settings(config, data_dir=data_dir), gtfs, wish)), wish)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror})") from None
    typer.echo(f"{out}: {len(page.encode()) / 1e6:.1f} MB")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What was asked for."""

    from_: str | None
    to: str | None
    route: str | None
    language: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What there is: passages on a network, and from when to when."""

    title: str
    network: Network
    passages: Passages
    vehicles: list[str]
    span: tuple[float, float]
    bounds: tuple[float, float] | None = None  # ratios of bunched and gapped, where they are set
    alerts: tuple[int, int] | None = None


def _page(seen: _Seen, wish: _Wish) -> str:
    from dispatch.claims import Timetable
    from dispatch.lines import draw_lines
    from dispatch.measures import MeasureLimits
    from dispatch.report import ReportSpan
    from dispatch.report_build import build_report
    from dispatch.report_page import PageSettings, render
    from dispatch.report_words import Speech

    network = seen.network
    from_s, to_s = _span(wish, network.timezone, seen.span)
    limits = MeasureLimits()
    if seen.bounds is not None:
        limits = replace(limits, bunched_ratio=seen.bounds[0], gapped_ratio=seen.bounds[1])
    passages = _of_route(seen.passages, network, wish.route)
    span = ReportSpan(network, draw_lines(network), from_s, to_s, limits)
    found = build_report(span, passages, seen.vehicles, Timetable(network))
    if not found.lines:
        raise UserError("nothing was seen on the route in that span; see --from, --to and --route")
    drawn = wish.route is not None or to_s - from_s <= DRAWN_S_MAX
    settings = PageSettings(seen.title, (limits.bunched_ratio, limits.gapped_ratio), seen.alerts, drawn)
    return render(found, Speech(wish.language, network.timezone), settings)


def _of_route(passages: Passages, network: Network, wanted: str | None) -> Passages:
    import numpy as np

    if wanted is None:
        return passages
    named = [n for n, pair in enumerate(zip(network.route_id, network.route_short_name, strict=True)) if wanted in pair]
    if not named:
        raise UserError(f"--route: the feed has no route {wanted}; it has {_listed(network)}")
    return passages.take(np.isin(network.pattern_route[network.trip_pattern[passages.trip]], named))


def _listed(network: Network) -> str:
    """The feed's routes as --route takes them, so many as fit a sentence."""
    names = list(dict.fromkeys(s or i for i, s in zip(network.route_id, network.route_short_name, strict=True)))
    rest = len(names) - ROUTES_LISTED_MAX
    return ", ".join(names[:ROUTES_LISTED_MAX]) + (f" and {rest} more" if rest > 0 else "")


def _span(wish: _Wish, timezone: str, known: tuple[float, float]) -> tuple[float, float]:
    """What is asked for, within what there is."""
    from_s = _time("--from", wish.from_, timezone, 0) if wish.from_ else known[0]
    to_s = _time("--to", wish.to, timezone, 1) if wish.to else known[1]
    if wish.from_ and not wish.to and _is_day(wish.from_):
        to_s = min(to_s, _time("--from", wish.from_, timezone, 1))
    from_s, to_s = max(from_s, known[0]), min(to_s, known[1])
    if not from_s < to_s:
        zone = ZoneInfo(timezone)
        first, last = (dt.datetime.fromtimestamp(at_s, zone).strftime("%Y-%m-%dT%H:%M") for at_s in known)
        raise UserError(f"there is nothing between --from and --to; passages go from {first} to {last}")
    if to_s - from_s > SPAN_S_MAX:
        raise UserError("from --from to --to are more than 31 days; take a shorter span")
    return from_s, to_s


def _is_day(text: str) -> bool:
    """Whether somebody wrote a date alone; Unix seconds of our time have ten characters as well."""
    return len(text) == 10 and not text.isdigit()


def _time(option: str, text: str, timezone: str, days_added: int) -> float:
    """Unix seconds of what a person wrote; a date alone means its beginning, as an end the beginning of the next."""
    zone = ZoneInfo(timezone)
    try:
        if text.replace(".", "", 1).isdigit() and len(text) > 8:
            return float(text)
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}: {text!r} is not a time; write {TIMES}") from None
    if _is_day(text):
        at += dt.timedelta(days=days_added)
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()


def _from_positions(gtfs: str, positions: Path, block_pattern: str | None) -> _Seen:
    """A recording through the engine, without any database."""
    import numpy as np

    from dispatch.engine import Engine
    from dispatch.feed import read_feed
    from dispatch.feed_problems import FeedError
    from gateway.admission import Limits, Memory, admit
    from simulators.replay import RecordingError, read_recording

    try:
        fixes = read_recording(positions)
        network = read_feed(gtfs, block_pattern).network
    except (FeedError, RecordingError, ValueError) as error:
        raise UserError(str(error)) from None
    if not len(fixes):
        raise UserError(f"{positions}: there is not one position in it")
    limits = Limits(bounds=network.bounds_deg())
    admitted = fixes.take(admit(fixes, Memory(), fixes.ts_s, limits).mask.nonzero()[0])
    if not len(admitted):
        raise UserError(f"{positions}: not one position is fit to use; is {gtfs} the feed that was driven?")
    engine = Engine(network)
    instants = np.arange(admitted.ts_s[0] // STEP_S, admitted.ts_s[-1] // STEP_S + 2) * STEP_S
    edges = np.searchsorted(admitted.ts_s, instants, side="right").tolist()
    for start, end, now_s in zip([0, *edges[:-1]], edges, instants.tolist(), strict=True):
        if end > start:
            engine.ingest(admitted.take(np.arange(start, end)))
            engine.advance(now_s)
    passages = engine.passage_log.all()
    if not len(passages):
        raise UserError(f"{positions}: no vehicle was seen at any stop of {gtfs}; is it the feed that was driven?")
    span = (float(admitted.ts_s[0]), float(admitted.ts_s[-1]) + 1)
    return _Seen(positions.stem, network, passages, list(engine.fleet.key), span)


async def _from_history(settings: Settings, gtfs: str | None, wish: _Wish) -> _Seen:
    """What the database of an instance keeps, whether the instance is running or not."""
    import asyncpg

    from deploy.database import open_database
    from dispatch.history_read import HistoryAwayError, HistoryReader
    from sql.pool import open_pool

    async with open_database(settings) as dsn:
        try:
            async with await open_pool(dsn, size_max=2, size_min=1, command_timeout_s=60.0) as pool:
                return await _read_history(HistoryReader(pool, "UTC"), settings, gtfs, wish)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, HistoryAwayError) as error:
            raise UserError(f"the database cannot be asked ({error}); see: takt doctor, takt migrate") from None


async def _read_history(reader: Any, settings: Settings, gtfs: str | None, wish: _Wish) -> _Seen:
    latest = await reader.latest_span()
    if latest is None:
        raise UserError("history is empty: nothing has been seen at any stop yet")
    network = _network_of(settings, gtfs)
    asked = (0.0, latest[1] + 1) if wish.from_ else (latest[0], latest[1] + 1)
    from_s, to_s = _span(wish, network.timezone, asked)
    rows = await reader.passages(from_s, to_s, None)
    trip_by_id = {trip_id: n for n, trip_id in enumerate(network.trip_id)}
    known = [row for row in rows if row["trip_id"] in trip_by_id]
    if 2 * len(known) < len(rows):
        raise UserError("most of that span was driven by another feed: name it with --gtfs FEED")
    if not known:
        raise UserError("nothing was seen at any stop in that span; see --from and --to")
    vehicles = sorted({row["vehicle"] for row in known})
    network = replace(network, shift_s=_shift_s(network, known))
    passages = _passages_of(known, network, trip_by_id, vehicles)
    counts = await reader.alert_counts(from_s, to_s, None)
    return _Seen(
        settings.name,
        network,
        passages,
        vehicles,
        (from_s, to_s),
        (settings.dispatch.bunched_ratio, settings.dispatch.gapped_ratio),
        (sum(row["alerts"] for row in counts), sum(row["acknowledged"] for row in counts)),
    )


def _passages_of(rows: list[Any], network: Network, trip_by_id: dict[str, int], vehicles: list[str]) -> Passages:
    """Rows of history as the engine's own columns; a stop that the feed does not have on that trip is left out."""
    import numpy as np

    from dispatch.passages import Passages

    number = {key: n for n, key in enumerate(vehicles)}
    trip = np.array([trip_by_id[row["trip_id"]] for row in rows], dtype=np.int32)
    vehicle = np.array([number[row["vehicle"]] for row in rows], dtype=np.int32)
    times = [(row["zero_s"], row["arrival_s"], row["departure_s"]) for row in rows]
    zero_s, arrival_s, departure_s = np.array(times, dtype=float).T
    # Within a trip sequences ascend, so one ascending axis over all trips finds every stop by one binary search.
    start, sequence = network.trip_time_start.astype(np.int64), network.trip_stop_sequence.astype(np.int64)
    axis = np.repeat(np.arange(len(start) - 1), np.diff(start)) * (int(sequence.max(initial=0)) + 1) + sequence
    wanted = trip.astype(np.int64) * (int(sequence.max(initial=0)) + 1)
    wanted += np.array([row["stop_sequence"] for row in rows], dtype=np.int64)
    at = np.minimum(np.searchsorted(axis, wanted), len(axis) - 1)
    found = axis[at] == wanted
    stop = (at - start[trip]).astype(np.int32)
    columns = (vehicle, trip, zero_s, stop, arrival_s, departure_s)
    return Passages(*(column[found] for column in columns))


def _shift_s(network: Network, rows: list[Any]) -> float:
    """By how much the timetable was moved when most of the passages were seen."""
    from collections import Counter

    frequent = {network.trip_id[trip] for trip in network.frequency_trip.tolist()}
    days = Counter((row["start_date"], row["zero_s"]) for row in rows if row["trip_id"] not in frequent)
    if not days:
        return 0.0
    (date, zero_s), _ = days.most_common(1)[0]
    return float(zero_s - replace(network, shift_s=0.0).day_start_s(date))


def _network_of(settings: Settings, gtfs: str | None) -> Network:
    """The feed that is named, else the one that the instance used last."""
    from deploy.instance import Instance
    from dispatch.feed_cache import SUFFIX, load_feed_cached
    from dispatch.feed_problems import FeedError
    from dispatch.network_file import NetworkFileError, load_network

    feed = gtfs or settings.feed
    try:
        instance = Instance.open(settings.data_dir, create=False)
        if feed is not None:
            return load_feed_cached(feed, instance.network_dir, settings.block_pattern)
        files = sorted(instance.network_dir.glob("*" + SUFFIX), key=lambda path: path.stat().st_mtime)
        if not files:
            raise UserError(f"{instance.network_dir}: no feed is kept here; name it with --gtfs FEED")
        return load_network(files[-1])
    except (FeedError, NetworkFileError, ValueError, OSError) as error:
        raise UserError(f"{error}; name the feed with --gtfs FEED") from None
