"""`takt network`: what is in a feed and what is wrong with it."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson, BlockPattern, print_json
from deploy.commands.run import refuse_pattern
from deploy.errors import UserError

if TYPE_CHECKING:
    from dispatch.feed import Feed

PROBLEMS_SHOWN = 50

EXAMPLE = "Example: takt network gtfs.zip --block-pattern '^([0-9]+_[0-9]+)_' --json"


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("network", epilog=EXAMPLE)(network)


def network(
    feed: Annotated[str, typer.Argument(metavar="FEED", help="A GTFS zip, a folder of its tables, or a URL.")],
    block_pattern: BlockPattern = None,
    as_json: AsJson = False,
) -> None:
    """Read a feed, say what is in it and what is wrong with it."""
    refuse_pattern(block_pattern)
    report = describe(*_read(feed, block_pattern), today=dt.datetime.now(dt.UTC).date())
    if as_json:
        print_json(report)
    else:
        _print(feed, report)


def describe(feed: Feed, load_s: float, today: dt.date) -> dict[str, Any]:
    """The report of contract section 4; `services_on` begins at the feed's own start or today."""
    from dispatch.timetable import DAYS_SHOWN, first_day_shown

    network = feed.network
    first = first_day_shown(network, today)
    days = [first + dt.timedelta(days=n) for n in range(DAYS_SHOWN)]
    return {
        "feed_version": network.feed_version,
        "timezone": network.timezone,
        "agencies": feed.counts["agencies"],
        "routes": feed.counts["routes"],
        "trips": feed.counts["trips"],
        "stops": feed.counts["stops"],
        "shapes": feed.counts["shapes"],
        "patterns": len(network.pattern_id),
        "blocks": len(network.block_id),
        "stop_times": feed.counts["stop_times"],
        "services_on": {day.isoformat(): _service_on(feed, day) for day in days},
        "load_s": round(load_s, 3),
        "problems": [
            {
                "file": problem.file,
                "line": problem.line,
                "code": problem.code,
                "message": problem.message,
                "count": problem.count,
            }
            for problem in feed.problems
        ],
    }


def _service_on(feed: Feed, day: dt.date) -> dict[str, int]:
    import numpy as np

    from dispatch.timetable import trips_on

    trips = trips_on(feed.network, day)
    blocks = np.unique(feed.network.trip_block[trips])
    return {"trips": len(trips), "blocks": int((blocks >= 0).sum())}


def _read(source: str, block_pattern: str | None) -> tuple[Feed, float]:
    """The feed and the seconds from the file to the network, loading of the reader's own libraries included."""
    from rich.console import Console

    from dispatch.feed_problems import FeedError
    from dispatch.network_blocks import BlockRuleError

    began = time.perf_counter()
    screen = Console(stderr=True)
    try:
        with screen.status("Reading the feed ...") if screen.is_terminal else _Quiet():
            from dispatch.feed import read_feed

            feed = read_feed(source, block_pattern)
    except (FeedError, BlockRuleError) as error:
        raise UserError(str(error)) from error
    return feed, time.perf_counter() - began


class _Quiet:
    """No progress where nobody watches."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _print(source: str, report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    screen = Console()
    screen.print(
        f"[bold]{escape(source)}[/bold]: version {escape(report['feed_version'])}, {report['timezone']}, "
        f"read in {report['load_s']:.2f} s"
    )
    counts = Table("what", "how many", title="In the feed", title_justify="left")
    counts.columns[1].justify = "right"
    for name in ("agencies", "routes", "trips", "stops", "shapes", "patterns", "blocks", "stop_times"):
        counts.add_row(name.replace("_", " "), f"{report[name]:,}")
    days = Table("day", "", "trips", "blocks", title="What runs", title_justify="left")
    for column in days.columns[2:]:
        column.justify = "right"
    for day, service in report["services_on"].items():
        weekday = dt.date.fromisoformat(day).strftime("%a")
        days.add_row(day, weekday, f"{service['trips']:,}", f"{service['blocks']:,}")
    screen.print(counts, days)
    if not report["problems"]:
        screen.print("No problem found.")
        return
    problems = Table("file", "line", "rows", "problem", title="What is wrong", title_justify="left")
    for problem in report["problems"][:PROBLEMS_SHOWN]:
        line = "" if problem["line"] is None else str(problem["line"])
        problems.add_row(problem["file"], line, f"{problem['count']:,}", escape(problem["message"]))
    screen.print(problems)
