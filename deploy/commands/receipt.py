"""`takt receipt`: what an account's day cost and why, in words."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal
from urllib.parse import quote

import typer

from deploy.commands.options import AsJson, Config, DataDir

_RECEIPT_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("receipt", epilog="Example: takt receipt 04DE5F1EACC040 2026-03-04 --lang en")(receipt)


def receipt(
    account: Annotated[
        str,
        typer.Argument(metavar="ACCOUNT", help="A card's UID (14 hex digits), card:UID, bank:ID, or a receipt's id."),
    ],
    day: Annotated[str, typer.Argument(metavar="[DAY]", help="The service day, such as 2026-03-04.")] = "today",
    lang: Annotated[Literal["uk", "en"], typer.Option("--lang", help="The language of the words.")] = "uk",
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Print the receipt of a day: every tap, which rules made its amount, and what is debited when."""
    from deploy.client import Client

    client = Client(data_dir, config)
    if _RECEIPT_ID.fullmatch(account):
        answer = client.get(f"/api/v1/receipts/{account}")
    else:
        answer = client.get(f"/api/v1/accounts/{quote(account, safe=':')}/days/{quote(day, safe='')}")
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    typer.echo(answer["text"][lang])
    if answer["receipt_id"]:
        typer.echo(f"\n/api/v1/receipts/{answer['receipt_id']}/text?lang={lang}")
