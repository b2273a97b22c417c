"""`takt card auto-top-up`: a city card that is topped up from a bank card whenever its purse runs low."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.commands.options import AsJson, Config, DataDir, print_json, some_minor_units

Uid = Annotated[str, typer.Argument(metavar="UID", help="The card's UID: 14 hex digits.")]


def register(card: typer.Typer) -> None:
    """Add the commands to `takt card`."""
    auto = typer.Typer(
        name="auto-top-up",
        help="Have a city card topped up from a bank card whenever its purse runs low.",
        epilog="Example: takt card auto-top-up show 04DE5F1EACC040",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    setting = "Example: takt card auto-top-up set 04DE5F1EACC040 --threshold 2000 --amount 10000"
    auto.command("set", epilog=setting)(set_terms)
    auto.command("show", epilog="Example: takt card auto-top-up show 04DE5F1EACC040")(show)
    auto.command("end", epilog="Example: takt card auto-top-up end 04DE5F1EACC040")(end)
    card.add_typer(auto)


def set_terms(
    uid: Uid,
    threshold: Annotated[
        int,
        typer.Option(parser=some_minor_units, metavar="MINOR", help="Top up when the purse holds less (minor units)."),
    ],
    amount: Annotated[
        int, typer.Option(parser=some_minor_units, metavar="MINOR", help="How much to put on the card (minor units).")
    ],
    max_per_day: Annotated[int, typer.Option(min=1, max=10, help="At most so often in 24 hours.")] = 1,
    token: Annotated[
        str | None, typer.Option(help="The acquirer's token of the bank card, not its number [default: asked for].")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Agree on it, or switch it on again after a pause; the acquirer is asked whether the bank card may be charged."""
    from deploy.client import Client

    client = Client(data_dir, config)
    token = typer.prompt("token of the bank card", hide_input=True) if token is None else token
    terms = {"threshold_minor": threshold, "amount_minor": amount, "max_per_day": max_per_day}
    _show(uid, client.put(_path(uid), {**terms, "method_token": token}), as_json)


def show(uid: Uid, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show what was agreed on, whether it is on, and the last top-up."""
    from deploy.client import Client

    _show(uid, Client(data_dir, config).get(_path(uid)), as_json)


def end(uid: Uid, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """End it and forget the bank card; a top-up that is under way is still booked."""
    from deploy.client import Client

    Client(data_dir, config).delete(_path(uid))
    if as_json:
        print_json({"uid": uid.lower(), "auto_top_up": None})
    else:
        typer.echo(f"card {uid.lower()} is topped up by hand alone")


def describe(agreed: dict[str, Any]) -> list[str]:
    """What was agreed on and what became of the last top-up, line by line; times are UTC."""
    from ticketing.money import Money

    below, amount = (Money(agreed[f"{name}_minor"], agreed["currency"]) for name in ("threshold", "amount"))
    why = f" ({agreed['reason']})" if agreed["reason"] else ""
    lines = [f"topped up by itself: {agreed['state']}{why}; below {below} by {amount}, {agreed['max_per_day']} a day"]
    if last := agreed["last_order"]:
        at = datetime.fromtimestamp(last["made_at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
        why = f" ({last['reason']})" if last["reason"] else ""
        lines.append(f"last top-up: {at}, {Money(last['amount_minor'], agreed['currency'])}, {last['state']}{why}")
    return lines


def _path(uid: str) -> str:
    return f"/api/v1/cards/{quote(uid, safe='')}/auto-top-up"


def _show(uid: str, agreed: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(agreed)
        return
    typer.echo(f"card {uid.lower()}")
    for line in describe(agreed):
        typer.echo(f"  {line}")
