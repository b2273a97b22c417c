"""`takt shift`: a cashier's day at this desk: opened with a float, closed by counting, reported from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson, Config, DataDir, minor_units, print_json

if TYPE_CHECKING:
    from deploy.client import Client

Number = Annotated[int | None, typer.Argument(metavar="[SHIFT]", help="The shift's number [default: the newest].")]


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    shift = typer.Typer(
        name="shift",
        help="A cashier's shift: open, sell and refund, close, reconcile. Amounts are minor units (kopiyky, cents).",
        epilog="Example: takt shift open --float 50000   (500.00 UAH in the drawer)",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    shift.command("open", epilog="Example: takt shift open --float 50000   (500.00 UAH in the drawer)")(open_shift)
    shift.command("close", epilog="Example: takt shift close --counted 51600")(close)
    shift.command("report", epilog="Example: takt shift report 7 --json")(report)
    app.add_typer(shift)


def open_shift(
    float_minor: Annotated[
        int,
        typer.Option(
            "--float", parser=minor_units, metavar="MINOR", help="The cash in the drawer now, in minor units."
        ),
    ] = 0,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Open the shift of this desk; what is sold and refunded here from now on belongs to it."""
    from deploy.client import Client

    client = Client(data_dir, config)
    _show(client, client.post("/api/v1/shifts", {"float_minor": float_minor}), as_json)


def close(
    counted_minor: Annotated[
        int,
        typer.Option(
            "--counted", parser=minor_units, metavar="MINOR", help="The cash counted in the drawer, in minor units."
        ),
    ],
    number: Number = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Close a shift: the count is compared with the ledger, and a difference is booked."""
    from deploy.client import Client

    client = Client(data_dir, config)
    chosen = number if number is not None else _newest(client)["id"]
    _show(client, client.post(f"/api/v1/shifts/{chosen}/close", {"counted_minor": counted_minor}), as_json)


def report(number: Number = None, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what the ledger says about a shift."""
    from deploy.client import Client

    client = Client(data_dir, config)
    _show(client, _newest(client) if number is None else client.get(f"/api/v1/shifts/{number}"), as_json)


def _newest(client: Any) -> Any:
    from deploy.client import SUBJECT
    from deploy.errors import UserError

    own = [shift for shift in client.get("/api/v1/shifts")["shifts"] if shift["subject"] == SUBJECT]
    if not own:
        raise UserError("this desk has had no shift yet: takt shift open --float 0")
    return own[0]


def _show(client: Client, shift: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(shift)
        return
    from ticketing.money import Money

    def money(minor: int) -> str:
        return f"{Money(minor, shift['currency'])!s:>16}"

    closed = f" to {client.in_city(shift['closed_at'])}" if shift["closed_at"] else ", open"
    typer.echo(f"shift {shift['id']} of {shift['subject']}, {client.in_city(shift['opened_at'])}{closed}")
    typer.echo(f"  float                {money(shift['float_minor'])}")
    for line in shift["lines"]:
        if line["kind"] == "difference":
            continue  # it stands below what was counted, from which it follows
        typer.echo(f"  {line['kind']:12} {line['count']:5}   {money(line['cash_minor'])}")
    typer.echo(f"  by the ledger        {money(shift['expected_minor'])}")
    if shift["closed_at"]:
        typer.echo(f"  counted              {money(shift['counted_minor'])}")
        typer.echo(f"  difference           {money(shift['difference_minor'])}")
