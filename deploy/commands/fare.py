"""`takt fare`: what rides cost by a tariff, without any instance; a city tries its tariff by its known cases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from deploy.commands.options import AsJson
from deploy.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ticketing.city_tariff import CityTariff
    from ticketing.fare_cases import Outcome

EXAMPLE = 'Example: takt fare my-city.toml --ride "08:00 bus 12" --ride "08:25 tram 1" --medium card'
CASES_BYTES_MAX = 16 << 20


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("fare", epilog=EXAMPLE)(fare)


def fare(
    tariff: Annotated[Path, typer.Argument(metavar="TARIFF", help="A tariff (docs/tariff.md).")],
    cases: Annotated[
        Path | None, typer.Argument(metavar="[CASES]", help="Known cases (JSON): rides, and what they should cost.")
    ] = None,
    ride: Annotated[
        list[str] | None, typer.Option("--ride", metavar="RIDE", help='Such as "08:00-08:20 rail 1>2"; give several.')
    ] = None,
    medium: Annotated[str | None, typer.Option("--medium", help="What rides are paid with that do not say so.")] = None,
    network: Annotated[str | None, typer.Option("--network", help="The network of rides that name none.")] = None,
    category: Annotated[str | None, typer.Option("--category", help="The rider's concession.")] = None,
    city: Annotated[str | None, typer.Option("--city", help="Only the cases under this name in CASES.")] = None,
    gtfs: Annotated[Path | None, typer.Option("--gtfs", metavar="FEED", help="A feed whose fares count too.")] = None,
    lang: Annotated[Literal["uk", "en"], typer.Option("--lang", help="The language of receipts.")] = "uk",
    as_json: AsJson = False,
) -> None:
    """Rate rides by a tariff and print the receipt, or check a file of cases and say which of them differ."""
    from ticketing.errors import TariffError
    from ticketing.fare_cases import check_case, find_cases

    if (cases is None) == (not ride):
        raise UserError("name a file of cases, or rides with --ride; not both")
    try:
        sold = _read(tariff, gtfs)
        _known("--medium", medium, {id for table in sold.tables for id in table.media})
        _known("--network", network, sold.networks)
        _known("--category", category, sold.categories)
        found: Sequence[Mapping[str, Any]] = [{"id": "rides", "rides": ride}]
        if cases is not None:
            found = find_cases(_document(cases), city)
        if not found:
            raise UserError(f"{cases}: no list of cases under the key tests")
        given = {"medium": medium, "network": network, "category": category}
        defaults = {key: value for key, value in given.items() if value is not None}
        outcomes = [check_case({**defaults, **case}, sold) for case in found]
    except TariffError as error:
        raise UserError(str(error)) from None
    if cases is None and outcomes[0].unread is not None:
        raise UserError(f"--ride: {outcomes[0].unread}")
    if as_json:
        typer.echo(json.dumps(_report(outcomes), ensure_ascii=False, indent=2))
    else:
        _print(outcomes, lang, receipts=cases is None)
    if any(outcome.differs or outcome.unread for outcome in outcomes):
        raise typer.Exit(1)


def _read(path: Path, gtfs: Path | None) -> CityTariff:
    from deploy.tariffs import fare_files, tariff_text
    from ticketing.editions import TariffSource

    return TariffSource(str(path), tariff_text(path), fare_files(str(gtfs)) if gtfs else {}).read().city


def _known(option: str, word: str | None, words: Collection[str]) -> None:
    """Refuse a word that the tariff does not have: it would price the rides as if nothing had been said."""
    if word is not None and words and word not in words:
        raise UserError(f"{option} {word}: the tariff has none of that name, but {', '.join(sorted(words))}")


def _document(path: Path) -> object:
    try:
        if path.stat().st_size > CASES_BYTES_MAX:
            raise UserError(f"{path}: is larger than {CASES_BYTES_MAX >> 20} MB: these are no cases")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise UserError(f"{path}: is no JSON: {error}") from None


def _report(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        "cases": [
            {
                "id": outcome.id,
                "charges_minor": list(outcome.charges),
                "total_minor": outcome.total_minor,
                "currency": outcome.tariff.currency,
                "debits": [{"at": debit.at_s, "amount_minor": debit.minor} for debit in outcome.debits],
                "differs": list(outcome.differs),
                "unread": outcome.unread,
            }
            for outcome in outcomes
        ],
        "differ": sum(differs for differs, _ in _states(outcomes)),
        "not_understood": sum(unread for _, unread in _states(outcomes)),
    }


def _print(outcomes: list[Outcome], lang: Literal["uk", "en"], *, receipts: bool) -> None:
    from ticketing.receipt import receipt

    for outcome in outcomes:
        if not receipts:
            state = "not understood" if outcome.unread else "differs" if outcome.differs else "as expected"
            typer.echo(f"{state:<14}  {outcome.id}{f': {outcome.unread}' if outcome.unread else ''}")
        for said in outcome.differs:
            typer.echo(f"    {said}")
        if receipts or outcome.differs:
            for rating in outcome.ratings:
                taps = {line.tap_id for line in rating.lines}
                debits = [debit for debit in outcome.debits if debit.tap_ids[-1] in taps]  # of two days: by the later
                typer.echo(receipt(rating, outcome.tariff, lang, debits).text())
    if not receipts:
        differ, unread = (sum(bool(one) for one in column) for column in zip(*_states(outcomes), strict=True))
        typer.echo(f"{len(outcomes)} cases, {differ} differ, {unread} not understood")


def _states(outcomes: list[Outcome]) -> list[tuple[bool, bool]]:
    return [(bool(outcome.differs), outcome.unread is not None) for outcome in outcomes]
