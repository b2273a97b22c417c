"""`takt backtest`: recorded positions through the very same engine, as fast as it goes."""

from __future__ import annotations

import gc
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from deploy.commands.options import AsJson, BlockPattern, print_json
from deploy.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from dispatch.engine import Engine
    from dispatch.folding import Folded
    from dispatch.observations import Descriptor, Observations

    Floats = NDArray[np.float64]

EXAMPLE = "Example: takt backtest --gtfs gtfs.zip --positions positions.csv --json"
SAMPLES_MAX = 20_000_000  # predictions that wait to be scored: here no vehicle is left out
STEP_S = 30.0  # of the recording's clock: a tick, and a sample of the predictions


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("backtest", epilog=EXAMPLE)(backtest)


def backtest(
    gtfs: Annotated[str, typer.Option(metavar="FEED", help="The feed that was driven: a GTFS zip, folder or URL.")],
    positions: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Recorded positions (csv): timestamp, vehicle_id, latitude, longitude; and where known "
            "trip_id, route_id, direction_id, start_date, bearing, speed.",
        ),
    ],
    ignore_trips: Annotated[
        bool,
        typer.Option("--ignore-trips", help="Hide what the file says of trips and routes, and compare at the end."),
    ] = False,
    block_pattern: BlockPattern = None,
    as_json: AsJson = False,
) -> None:
    """Send recorded positions through the engine, and say how well it followed them."""
    gc.disable()  # a run leaves no cycles behind, and its millions of numbers are not worth looking through
    report = run(gtfs, positions, ignore_trips=ignore_trips, block_pattern=block_pattern)
    if as_json:
        print_json(report)
    else:
        _print(report)


def run(gtfs: str, positions: Path, *, ignore_trips: bool = False, block_pattern: str | None = None) -> dict[str, Any]:
    """The report of contract section 4.

    Raises:
        UserError: the feed or the recording cannot be read.
    """
    from dispatch.engine import Engine
    from dispatch.eta_watch import EtaWatch
    from dispatch.feed import read_feed
    from dispatch.feed_problems import FeedError
    from gateway.admission import Limits, Memory, admit
    from simulators.replay import RecordingError, open_recording

    began = time.perf_counter()
    try:
        recording = open_recording(positions)
        network = read_feed(gtfs, block_pattern).network
    except (FeedError, RecordingError, ValueError) as error:
        raise UserError(str(error)) from error
    fixes = recording.fixes
    if not len(fixes):
        raise UserError(f"{positions}: there is not one position in it")
    admission = admit(fixes, Memory(), fixes.ts_s, Limits(bounds=network.bounds_deg()))
    rejected = {reason: count for reason, count in admission.counts().items() if reason not in ("admitted", "late")}
    if recording.broken:
        rejected["malformed"] = recording.broken
    admitted = fixes.take(admission.mask.nonzero()[0])
    if not len(admitted):
        why = ", ".join(f"{reason} {count:,}" for reason, count in rejected.items() if count)
        raise UserError(
            f"{positions}: not one of {len(fixes):,} positions is fit to use ({why}); is {gtfs} their feed?"
        )
    hidden = replace(admitted, descriptor=[None] * len(admitted)) if ignore_trips else admitted
    engine = Engine(network, eta=EtaWatch(SAMPLES_MAX))
    folded = _play(engine, hidden)
    return {
        "positions": {"read": len(fixes) + recording.broken, "admitted": len(admitted), "rejected": rejected},
        **_describe(engine, folded, admitted if ignore_trips else None),
        "elapsed_s": round(time.perf_counter() - began, 3),
    }


def _play(engine: Engine, fixes: Observations) -> list[Folded]:
    """Tick every 30 s of the recording, each time with the fixes up to that instant and none after.

    Returns what became of the fixes, tick by tick; what was predicted when, the engine itself keeps watch over.
    """
    import numpy as np

    folded: list[Folded] = []
    first_s, last_s = float(fixes.ts_s[0]), float(fixes.ts_s[-1])
    instants = np.arange(np.ceil(first_s / STEP_S), np.ceil(last_s / STEP_S) + 1) * STEP_S
    until = np.searchsorted(fixes.ts_s, instants, side="right")
    done = 0
    for now_s, end in zip(instants.tolist(), until.tolist(), strict=True):
        if end > done:
            engine.ingest(fixes.take(np.arange(done, end)))
            done = end
        folded.append(engine.advance(now_s))
        engine.foresee(now_s)
    return folded


def _describe(engine: Engine, folded: list[Folded], hidden: Observations | None) -> dict[str, Any]:
    """Everything of the report that the run itself tells."""
    import numpy as np

    offset_m = np.concatenate([part.offset_m for part in folded])
    on_route = np.concatenate([part.on_route for part in folded])
    matched = int(on_route.sum())
    passages = engine.passage_log.all()
    headway, punctuality = engine.measure(passages)
    near = offset_m[on_route]
    return {
        "matching": {
            "matched": matched,
            "matched_share": round(matched / max(len(offset_m), 1), 4),
            "off_route": int((~np.isnan(offset_m) & ~on_route).sum()),
            "offset_m_p50": round(float(np.percentile(near, 50)), 2) if matched else None,
            "offset_m_p90": round(float(np.percentile(near, 90)), 2) if matched else None,
        },
        "assignment": _assignment(engine, folded, hidden),
        "passages": {"observed": len(passages), "refused": _refused(engine)},
        "headway": msgspec.to_builtins(headway),
        "punctuality": msgspec.to_builtins(punctuality),
        "eta": _score(engine),
    }


def _refused(engine: Engine) -> dict[str, int]:
    """Stops that were not seen, by reason; what is still under way at the end of the recording ends there."""
    import numpy as np

    refused = Counter(engine.tracks.refused)
    fleet = engine.fleet
    rows = np.flatnonzero((fleet.trip[: len(fleet)] >= 0) & ~np.isnan(fleet.place_m[: len(fleet)]))
    stops = np.diff(engine.network.pattern_stop_start)[fleet.pattern[rows]]
    refused["track_end"] += int(np.maximum(stops - fleet.next_stop[rows], 0).sum())
    return {reason: count for reason, count in sorted(refused.items()) if count}


def _assignment(engine: Engine, folded: list[Folded], hidden: Observations | None) -> dict[str, Any]:
    """How many fixes had a trip given or inferred, and how often the inferred one is the one the file names."""
    import numpy as np

    trip = np.concatenate([part.trip for part in folded])
    driven = int((trip >= 0).sum())
    if hidden is None:
        return {"given": driven, "inferred": 0, "route_agreement": None, "trip_agreement": None}
    runs = zip(hidden.vehicle_key, hidden.ts_s.tolist(), strict=True)
    claims: dict[tuple[str, float], Descriptor | None] = dict(zip(runs, hidden.descriptor, strict=True))
    network, keys = engine.network, engine.fleet.key
    on_route = np.concatenate([part.on_route for part in folded])
    vehicle, ts_s = (np.concatenate([getattr(part, name) for part in folded]) for name in ("vehicle", "ts_s"))
    same_route = same_trip = with_route = with_trip = 0
    for i in np.flatnonzero(on_route).tolist():
        claim = claims.get((keys[vehicle[i]], float(ts_s[i])))
        if claim is None:
            continue
        pattern = network.trip_pattern[trip[i]]
        line = (network.route_id[network.pattern_route[pattern]], int(network.pattern_direction[pattern]))
        if claim[1]:
            with_route += 1
            same_route += line == (claim[1], claim[2])
        if claim[0]:
            with_trip += 1
            same_trip += network.trip_id[trip[i]] == claim[0]
    return {
        "given": 0,
        "inferred": driven,
        "route_agreement": round(same_route / with_route, 4) if with_route else None,
        "trip_agreement": round(same_trip / with_trip, 4) if with_trip else None,
    }


def _score(engine: Engine) -> dict[str, Any]:
    """The pinned scoring of definitions.md section 2, as the engine's own watch over its predictions has kept it."""
    from dispatch.eta_score import horizons_of, scores_of

    sums = engine.eta.score.total.sum(axis=0)
    score, baseline_score = scores_of(sums)
    return {
        "horizons": msgspec.to_builtins(horizons_of(sums)),
        "score": score,
        "baseline_score": baseline_score,
    }


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    screen = Console()
    positions, matching, passages = report["positions"], report["matching"], report["passages"]
    near = (
        f" (offset p50 {matching['offset_m_p50']} m, p90 {matching['offset_m_p90']} m)" if matching["matched"] else ""
    )
    screen.print(
        f"{positions['admitted']:,} of {positions['read']:,} positions admitted, {matching['matched_share']:.1%} "
        f"matched{near}, {passages['observed']:,} passages, {report['elapsed_s']:.1f} s"
    )
    if not matching["matched"]:
        screen.print("None was found on a path of the feed at a time of its timetable: is it the feed of that day?")
    rejected = ", ".join(f"{reason} {count:,}" for reason, count in positions["rejected"].items() if count)
    if rejected:
        screen.print(f"Positions left out: {rejected}")
    refused = ", ".join(f"{reason} {count}" for reason, count in passages["refused"].items())
    screen.print(f"Stops not seen: {refused or 'none'}")
    regularity = Table("route", "direction", "pairs", "c_vh", "AWT s", "SWT s", "EWT s", "bunched", "gapped")
    for row in report["headway"]:
        figures = (row["pairs"], row["c_vh"], row["awt_s"], row["swt_s"], row["ewt_s"], row["bunched"], row["gapped"])
        regularity.add_row(row["route_id"], str(row["direction_id"]), *(_cell(figure) for figure in figures))
    arrivals = Table("left s", "n", "MAE s", "baseline", "within", "baseline")
    for row in report["eta"]["horizons"]:
        names = ("n", "mae_s", "baseline_mae_s", "within", "baseline_within")
        arrivals.add_row(f"{row['from_s']}-{row['to_s']}", *(_cell(row[name]) for name in names))
    screen.print(regularity, arrivals)


def _cell(figure: float | None) -> str:
    """A figure, or a dash where nothing was seen that it could be worked out from."""
    return "–" if figure is None else str(figure)
