"""`takt ticket`: sell and show tickets at a running instance, take and pay out what is owed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson, Config, DataDir, card_uid, print_json
from deploy.commands.ticket_verify import verify
from deploy.commands.times import instant
from deploy.errors import UsageError, UserError

if TYPE_CHECKING:
    from deploy.client import Client


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    ticket = typer.Typer(
        name="ticket",
        help="Sell, show, refund and verify tickets, take or pay out what is owed, for a desk or a script.",
        epilog="Example: takt ticket issue single --qr ticket.svg",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    ticket.command("issue", epilog="Example: takt ticket issue single --qr ticket.svg")(issue)
    ticket.command("show", epilog="Example: takt ticket show 7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11")(show)
    ticket.command("refund", epilog='Example: takt ticket refund 7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11 --reason "rain"')(
        refund
    )
    ticket.command("pay", epilog="Example: takt ticket pay 7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11")(pay)
    ticket.command("pay-out", epilog="Example: takt ticket pay-out 7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11")(pay_out)
    ticket.command("refunds-owed", epilog="Example: takt ticket refunds-owed")(refunds_owed)
    ticket.command("verify", epilog="Example: takt ticket verify - --keys jwks.json < token.txt")(verify)
    app.add_typer(ticket)


def issue(
    product: Annotated[str, typer.Argument(help="The product's id in the tariff, such as single.")],
    valid_from: Annotated[float | None, typer.Option(help="When it begins, Unix seconds [default: now].")] = None,
    device_key: Annotated[Path | None, typer.Option(help="The passenger's public key, a JWK file.")] = None,
    card: Annotated[str | None, typer.Option(help="The UID of the city card that shall hold it.")] = None,
    qr: Annotated[Path | None, typer.Option(help="Write the QR code to this file: .svg or .png.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Sell a ticket, paid in cash at this desk."""
    from deploy.client import Client

    body: dict[str, Any] = {"product_id": product}
    if valid_from is not None:
        body["valid_from"] = instant("--valid-from", valid_from)
    if qr is not None:
        _check_suffix(qr)
        if card is not None:
            raise UsageError("--qr and --card: a ticket on a city card has no code; leave one of them out")
    if device_key is not None:
        body["device_key"] = _read_json(device_key)
    if card is not None:
        body["card_uid"] = card_uid(card)
    client = Client(data_dir, config)
    sold = client.once("/api/v1/tickets", body)
    if qr is not None:
        _write_qr(qr, sold["token"])
    if as_json:
        print_json(sold)
        return
    typer.echo(f"ticket   {sold['id']}")
    typer.echo(f"product  {sold['product_id']}, {_money(sold)}")
    typer.echo(f"valid    {client.in_city(sold['valid_from'])} to {client.in_city(sold['valid_until'])}")
    if card is None:
        typer.echo(f"token    {sold['token']}")
        if qr is None and sys.stdout.isatty():
            _show_qr(sold["token"])
    if qr is not None:
        typer.echo(f"QR code  {qr}")


def show(
    ticket_id: Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")],
    qr: Annotated[Path | None, typer.Option(help="Write its QR code to this file: .svg or .png.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show a ticket as it stands in the books."""
    from urllib.parse import quote

    from deploy.client import Client

    if qr is not None:
        _check_suffix(qr)
    client = Client(data_dir, config)
    found = client.get(f"/api/v1/tickets/{quote(ticket_id, safe='')}")
    if qr is not None:
        if found["token"] is None:
            raise UserError(f"ticket {ticket_id} is on city card {found['card_uid']}: it has no code to show")
        _write_qr(qr, found["token"])
    if as_json:
        print_json(found)
        return
    typer.echo(f"ticket   {found['id']}, {_standing(found)}" + (f" ({found['reason']})" if found["reason"] else ""))
    typer.echo(f"product  {found['product_id']}, {_money(found)}, sold by {found['sold_by']}")
    typer.echo(f"valid    {client.in_city(found['valid_from'])} to {client.in_city(found['valid_until'])}")
    _echo_uses(client, found)
    if found["owed_minor"]:
        from ticketing.money import Money

        typer.echo(f"owes     {Money(found['owed_minor'], found['currency'])}: it was given back, and had been used")
    if found["refund_owed_minor"]:
        from ticketing.money import Money

        owed = Money(found["refund_owed_minor"], found["currency"])
        typer.echo(f"refund   {owed} to be paid out: its bank would not take it (takt ticket pay-out {found['id']})")
    if qr is not None:
        typer.echo(f"QR code  {qr}")


def refund(
    ticket_id: Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    override: Annotated[
        bool, typer.Option("--override", help="Give all of it back against the tariff's rule; the audit log says so.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a ticket and give back what the tariff says for it, the way it was paid."""
    from urllib.parse import quote

    from deploy.client import Client
    from ticketing.money import Money

    body: dict[str, Any] = {"reason": reason} | ({"override": True} if override else {})
    client = Client(data_dir, config)
    found = client.once(f"/api/v1/tickets/{quote(ticket_id, safe='')}/refund", body)
    if as_json:
        print_json(found)
        return
    typer.echo(f"ticket   {found['id']}, {found['status']} ({found['reason']})")
    back = Money(found["refunded_minor"], found["currency"])
    of = "" if back.minor == found["price_minor"] else f", of {_money(found)}"
    typer.echo(f"refund   {back}{of}")
    _echo_uses(client, found)


def pay(
    ticket_id: Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take in cash what a ticket that was given back owes: rides of before that were told of after that."""
    from urllib.parse import quote

    from deploy.client import Client
    from ticketing.money import Money

    client = Client(data_dir, config)
    path = f"/api/v1/tickets/{quote(ticket_id, safe='')}"
    owed = client.get(path)["owed_minor"]
    found = client.once(f"{path}/pay", {})
    if as_json:
        print_json(found)
        return
    typer.echo(f"ticket   {found['id']}, {Money(owed, found['currency'])} taken, nothing is owed any more")


def pay_out(
    ticket_id: Annotated[str, typer.Argument(metavar="ID", help="The ticket's id.")],
    bank_returned: Annotated[
        int | None,
        typer.Option(help="Minor units that the acquirer's statement says it gave back, of a refund that is unclear."),
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Pay in cash, out of the open shift, what a bank would not take back of a ticket's refund."""
    from urllib.parse import quote

    from deploy.client import Client
    from ticketing.money import Money

    client = Client(data_dir, config)
    owed = _refunds_owed(client).get(ticket_id)
    body = {} if bank_returned is None else {"bank_returned_minor": bank_returned}
    found = client.once(f"/api/v1/tickets/{quote(ticket_id, safe='')}/pay-out", body)
    if as_json:
        print_json(found)
        return
    minor = (owed["amount_minor"] if owed else 0) - (bank_returned or 0)
    paid = f"{Money(minor, found['currency'])} paid out, " if minor > 0 else ""
    typer.echo(f"ticket   {found['id']}, {paid}nothing of its refund is owed any more")


def refunds_owed(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the refunds that no bank would take, the oldest first, and what to do about each."""
    from deploy.client import Client
    from ticketing.money import Money

    client = Client(data_dir, config)
    found = _refunds_owed(client)
    if as_json:
        print_json(list(found.values()))
        return
    for one in found.values():
        amount = Money(one["amount_minor"], one["currency"])
        typer.echo(
            f"{one['ticket_id']}  {amount}  {one['state']} since {client.in_city(one['since'])} ({one['reason']})"
        )
        typer.echo(f"  {one['what_to_do']['en']}")
    if not found:
        typer.echo("no refund is owed")


def _refunds_owed(client: Client) -> dict[str, Any]:
    """By ticket."""
    return {one["ticket_id"]: one for one in client.get("/api/v1/refunds-owed")["refunds"]}


def _standing(found: dict[str, Any]) -> str:
    """The status, but for a valid ticket that takes nobody any further."""
    is_used_up = found["uses_allowed"] is not None and found["uses"] >= found["uses_allowed"]
    return "used up" if found["status"] == "valid" and is_used_up else str(found["status"])


def _echo_uses(client: Client, found: dict[str, Any]) -> None:
    allowed = found["uses_allowed"]
    typer.echo(f"used     {found['uses']}" + (f" of {allowed}" if allowed else " (pass)"))
    if found["last_used_at"]:
        typer.echo(f"last     {client.in_city(found['last_used_at'])} on {found['last_place']}")


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"{file}: is no JSON ({error})") from None


def _check_suffix(file: Path) -> None:
    """Before anything is sold: a file that cannot be written as asked."""
    if file.suffix not in (".svg", ".png"):
        raise UserError(f"{file}: a QR code is written as .svg or .png; name the file so")
    if not file.parent.is_dir():
        raise UserError(f"{file.parent}: there is no such folder")


def _write_qr(file: Path, token: str) -> None:
    from ticketing import qr

    try:
        file.write_bytes(qr.png(token) if file.suffix == ".png" else qr.svg_file(token))
    except OSError as error:
        raise UserError(
            f"{file}: cannot be written ({error.strerror}); the ticket is sold, see: takt ticket show ID --qr FILE"
        ) from None


def _show_qr(token: str) -> None:
    from ticketing import qr

    typer.echo(qr.terminal(token))


def _money(fields: dict[str, Any]) -> str:
    from ticketing.money import Money

    return str(Money(fields["price_minor"], fields["currency"]))
