"""`takt simulate`: one line, with and without control, every law on the same seeds."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson
from deploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from simulators.experiment import LawResult
    from simulators.scenario import Linear, Loop, Scenario

EXAMPLE = "Example: takt simulate frequent --control none,forward,optimal --seeds 50"
SEEDS = 20
SEEDS_MAX = 10_000  # every hold is kept for its percentile: about 2 kB a run
SCENARIO_BYTES_MAX = 65_536
SEGMENTS_SHOWN = (1, 2, 5, 10, 20, 30)


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("simulate", epilog=EXAMPLE)(simulate)


def simulate(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="`frequent`, `linear`, or a .toml file (docs/scenarios.md).")
    ],
    control: Annotated[
        str | None, typer.Option(metavar="LAW[,LAW...]", help="Which laws to compare [default: all of the scenario's].")
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, max=SEEDS_MAX, help="Runs of each law; the same seeds, the same result.")
    ] = SEEDS,
    as_json: AsJson = False,
) -> None:
    """Run one line under several holding laws, and compare waits, holds and regularity."""
    import msgspec

    from simulators.experiment import compare, parameters_of

    chosen = read_scenario(scenario)
    laws = choose_laws(control, chosen, scenario)
    with _progress(seeds) as progress:
        results = compare(chosen, laws, seeds, workers=os.cpu_count() or 1, progress=progress)
    if as_json:
        report = {"scenario": scenario, "seeds": seeds, "parameters": parameters_of(chosen)}
        typer.echo(json.dumps({**report, "laws": msgspec.to_builtins(results)}))
    else:
        _print(scenario, chosen, results, seeds)


def read_scenario(name: str) -> Scenario:
    """A shipped scenario by its name, or one in a file.

    Raises:
        UserError: there is no such scenario, or it cannot be run.
    """
    from simulators.scenario import ScenarioError, parse_scenario

    shipped = {Path(entry.name).stem: entry for entry in files("simulators").joinpath("scenarios").iterdir()}
    try:
        if name in shipped:
            content = shipped[name].read_bytes()
        elif name.endswith(".toml"):
            with Path(name).open("rb") as file:
                content = file.read(SCENARIO_BYTES_MAX + 1)
        else:
            known = ", ".join(sorted(shipped))
            raise UserError(f"There is no scenario {name!r}: choose one of {known}, or name a .toml file.")
        if len(content) > SCENARIO_BYTES_MAX:
            raise UserError(f"{name}: a scenario has at most {SCENARIO_BYTES_MAX:,} bytes.")
        return parse_scenario(content.decode("utf-8-sig"), name)
    except OSError as error:
        raise UserError(f"{name}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 text: byte {error.start} cannot be read.") from error
    except ScenarioError as error:
        raise UserError(str(error)) from error


def choose_laws(control: str | None, scenario: Scenario, name: str) -> tuple[str, ...]:
    """The laws asked for, each once and in that order; all of the scenario's where none is.

    Raises:
        UserError: a law that does not exist, or that the scenario has no form of.
    """
    from simulators.experiment import laws_of

    possible = laws_of(scenario)
    if control is None:
        return possible
    asked = tuple(dict.fromkeys(law.strip() for law in control.split(",")))
    for law in asked:
        if law not in possible:
            raise UserError(f"--control: {name} has no law {law!r}: choose from {', '.join(possible)}.")
    return asked


@contextmanager
def _progress(seeds: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=seeds)
        yield lambda done: bar.advance(task, done)


def _print(name: str, scenario: Scenario, results: Sequence[LawResult], seeds: int) -> None:
    from simulators.scenario import Linear

    if isinstance(scenario, Linear):
        _print_linear(name, scenario, results, seeds)
    else:
        _print_loop(name, scenario, results, seeds)


def _print_loop(name: str, loop: Loop, results: Sequence[LawResult], seeds: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    screen = Console(highlight=False)
    screen.print(
        f"{name}: {loop.vehicles} vehicles every {loop.headway_s:g} s on a loop of {loop.stops} stops, "
        f"{loop.duration_s / 3600:g} h after {loop.warmup_s / 3600:g} h of warm-up, seeds 0 to {seeds - 1}"
    )
    if loop.driven_s > loop.cycle_s:
        screen.print(
            f"The timetable is {loop.driven_s - loop.cycle_s:.0f} s a round shorter than running and dwelling."
        )
    table = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("law", no_wrap=True)
    for title in ("EWT s", "to none", "c_vh", "hold s", "p95 s", "wait s", "ride s", "denied"):
        table.add_column(title, justify="right", no_wrap=True)
    none = next((result for result in results if result.law == "none"), None)
    for result in results:
        table.add_row(
            result.law,
            _figure(result.ewt_s, 1),
            _change(result.ewt_s, none.ewt_s if none else None),
            _figure(result.c_vh, 2),
            _figure(result.mean_hold_s, 1),
            _figure(result.hold_s_p95, 0),
            _figure(result.mean_wait_s, 0),
            _figure(result.mean_ride_s, 0),
            _figure(None if result.denied_boardings is None else result.denied_boardings / seeds, 0),
        )
    screen.print(table)
    screen.print("EWT: excess wait; hold: mean over visits of control stops; denied: boardings without room, in a run.")


def _print_linear(name: str, linear: Linear, results: Sequence[LawResult], seeds: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from simulators.line_linear import closed_form

    screen = Console(highlight=False)
    screen.print(
        f"{name}: variance of headways after so many segments, in units of the noise of one; in brackets by how much "
        f"it differs from the closed form; {linear.vehicles:,} vehicles, seeds 0 to {seeds - 1}"
    )
    shown = [segments for segments in SEGMENTS_SHOWN if segments <= linear.stops]
    table = Table("law", box=SIMPLE_HEAD)
    for segments in shown:
        table.add_column(str(segments), justify="right")
    for result in results:
        expected_s2 = closed_form(linear, result.law)
        cells = []
        for segments in shown:
            found_s2 = result.headway_variance_s2_by_stop[segments - 1] or 0.0
            off = found_s2 / expected_s2[segments - 1] - 1
            cells.append(f"{found_s2 / linear.segment_noise_s**2:.3f} ({off:+.1%})")
        table.add_row(result.law, *cells)
    screen.print(table)


def _figure(value: Any, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _change(value: float | None, none: float | None) -> str:
    """By how much against no control; a share of nothing says nothing."""
    if value is None or none is None or none <= 0:
        return "-"
    return f"{value / none - 1:+.0%}"
