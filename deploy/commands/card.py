"""`takt card`: city cards enrolled, shown, topped up and blocked, and the keys that they speak with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from deploy.commands import card_auto_top_up
from deploy.commands.options import AsJson, Config, DataDir, card_uid, minor_units, print_json, some_minor_units
from deploy.errors import UsageError, UserError

Uid = Annotated[str, typer.Argument(metavar="UID", help="The card's UID: 14 hex digits.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    card = typer.Typer(
        name="card",
        help="City cards: enrol, show, top up (also by themselves), block, replace; and their keys.",
        epilog="Example: takt card enrol 04DE5F1EACC040 --product month",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    card.command("enrol", epilog="Example: takt card enrol 04DE5F1EACC040 --product month --json")(enrol)
    card.command("show", epilog="Example: takt card show 04DE5F1EACC040")(show)
    card.command("top-up", epilog="Example: takt card top-up 04DE5F1EACC040 10000   (100.00 UAH)")(top_up)
    card.command("trips", epilog="Example: takt card trips 04DE5F1EACC040 10")(trips)
    card.command("category", epilog="Example: takt card category 04DE5F1EACC040 student --from 2026-03-04")(category)
    card.command("block", epilog='Example: takt card block 04DE5F1EACC040 --reason "lost"')(block)
    card.command("unblock", epilog='Example: takt card unblock 04DE5F1EACC040 --reason "found"')(unblock)
    card.command(
        "replace", epilog='Example: takt card replace 04DE5F1EACC040 04112233445566 --reason "lost"   (enrol it first)'
    )(replace)
    key = typer.Typer(
        name="key",
        help="Card key versions.",
        epilog="Example: takt card key list",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    key.command("import", epilog="Example: takt card key import --version 7 --undiversified")(import_key)
    key.command("list", epilog="Example: takt card key list")(list_keys)
    card.add_typer(key)
    card_auto_top_up.register(card)
    app.add_typer(card)


def enrol(
    uids: Annotated[list[str], typer.Argument(metavar="UID...", help="UIDs: 14 hex digits each.")],
    key_version: Annotated[int | None, typer.Option(help="The key version [default: the newest].")] = None,
    product: Annotated[str | None, typer.Option(help="A product that each card shall hold, such as month.")] = None,
    top_up: Annotated[
        int, typer.Option(parser=minor_units, metavar="MINOR", help="Money for each card's purse, in minor units.")
    ] = 0,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Enrol cards; the keys to write to them are shown this once."""
    from deploy.client import Client

    client = Client(data_dir, config)
    body = {"uids": _checked(uids), "key_version": key_version, "product_id": product}
    cards = client.once("/api/v1/cards", body)["cards"]
    # The keys come first: they are told this once, and a top-up that is refused must not cost them.
    if as_json:
        print_json({"cards": cards})
    else:
        for card in cards:
            typer.echo(f"card {card['uid']}, key version {card['key_version']}")
            typer.echo(f"  meta-read key  {card['meta_read_key']}")
            typer.echo(f"  file-read key  {card['file_read_key']}")
    for done, card in enumerate(cards if top_up else ()):
        try:
            client.once(f"/api/v1/cards/{card['uid']}/top-up", {"amount_minor": top_up})
        except UserError as error:
            raise UserError(
                f"enrolled, and topped up {done} of {len(cards)}, not card {card['uid']}: {error}"
            ) from None


def _checked(uids: list[str]) -> list[str]:
    """UIDs as they are stored, each a UID and none twice."""
    checked: list[str] = []
    for uid in map(card_uid, uids):
        if uid in checked:
            raise UserError(f"card {uid} stands there twice: none was enrolled")
        checked.append(uid)
    return checked


def show(uid: Uid, data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """Show a card: its state, its purse and what it holds."""
    from deploy.client import Client

    _show(Client(data_dir, config).get(f"/api/v1/cards/{quote(uid, safe='')}"), as_json)


def top_up(
    uid: Uid,
    amount_minor: Annotated[
        int,
        typer.Argument(parser=some_minor_units, metavar="MINOR", help="How much, in minor units (kopiyky, cents)."),
    ],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put money on a card, taken in cash at this desk."""
    _post(uid, "top-up", {"amount_minor": amount_minor}, data_dir, config, as_json)


def trips(
    uid: Uid,
    number: Annotated[int, typer.Argument(min=1, metavar="TRIPS", help="How many trips are bought at once.")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Sell trips ahead onto a card, for cash at this desk: the more at once, the cheaper each."""
    from deploy.client import Client
    from ticketing.money import Money

    sold = Client(data_dir, config).once(f"/api/v1/cards/{quote(uid, safe='')}/trips", {"trips": number})
    if as_json:
        print_json(sold)
    else:
        typer.echo(f"{number} trips on card {uid.lower()}: {Money(sold['price_minor'], sold['currency'])}")


def category(
    uid: Uid,
    name: Annotated[str, typer.Argument(metavar="CATEGORY", help="A category of the tariff, or none.")],
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Since this day, such as 2026-03-04 [default: now].")
    ] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say which concession a card's holder has: rides from now on (or since a day) are priced by it."""
    from deploy.client import Client

    body = {"category": None if name == "none" else name} | ({} if from_ is None else {"from": from_})
    answer = Client(data_dir, config).post(f"/api/v1/cards/{quote(uid, safe='')}/category", body)
    if as_json:
        print_json(answer)
    else:
        typer.echo(f"card {answer['uid']}: {answer['category'] or 'no category'}")


def block(
    uid: Uid,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Put a card on the deny list: it is refused everywhere."""
    _post(uid, "block", {"reason": reason}, data_dir, config, as_json)


def unblock(
    uid: Uid,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Take a card off the deny list."""
    _post(uid, "unblock", {"reason": reason}, data_dir, config, as_json)


def replace(
    uid: Uid,
    new_uid: Annotated[str, typer.Argument(metavar="NEW_UID", help="A card that is enrolled and was never used.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Carry purse, tickets and concession of a lost card to a new one; the old one is over for good."""
    _post(uid, "replace", {"new_uid": card_uid(new_uid), "reason": reason}, data_dir, config, as_json)


def import_key(
    version: Annotated[int, typer.Option(min=1, max=2**31 - 1, help="The number of the key version.")],
    meta_read_key: Annotated[
        str | None, typer.Option(help="SDM meta-read key, 32 hex digits [default: asked for, unseen].")
    ] = None,
    file_read_key: Annotated[
        str | None, typer.Option(help="SDM file-read key or its master, 32 hex digits [default: asked for, unseen].")
    ] = None,
    undiversified: Annotated[
        bool, typer.Option("--undiversified", help="The file-read key is every card's own, not a master (AN10922).")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Add a version of card keys to this instance; a running one reads it at once."""
    from deploy.client import Client
    from deploy.config import read_settings
    from deploy.instance import Instance
    from ticketing.card import CardKeys
    from ticketing.errors import KeyFileError
    from ticketing.keys import import_card_keys

    settings = read_settings(None, data_dir=data_dir)
    instance = Instance.open(settings.data_dir, create=False)
    meta = _key("--meta-read-key", meta_read_key)
    file = _key("--file-read-key", file_read_key)
    try:
        keys = import_card_keys(instance.card_keys_path, CardKeys(version, meta, file, not undiversified))
    except KeyFileError as error:
        raise UserError(str(error)) from None
    running = instance.read_runtime() is not None
    if running:
        Client(data_dir).post("/api/v1/card-keys/reload", {})
    if as_json:
        print_json({"versions": [key.version for key in keys], "reloaded": running})
        return
    versions = ", ".join(str(key.version) for key in keys)
    typer.echo(f"Card key versions: {versions}." + (" The running instance uses them." if running else ""))


def list_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the card key versions; never the keys."""
    from deploy.config import read_settings
    from deploy.instance import Instance
    from ticketing.errors import KeyFileError
    from ticketing.keys import load_card_keys

    path = Instance.open(read_settings(None, data_dir=data_dir).data_dir, create=False).card_keys_path
    try:
        keys = load_card_keys(path)
    except KeyFileError as error:
        raise UserError(str(error)) from None
    if as_json:
        print_json({"versions": [{"version": key.version, "diversified": key.diversified} for key in keys]})
        return
    for key in keys:
        typer.echo(f"version {key.version}, {'diversified by UID' if key.diversified else 'one key for all cards'}")


def _post(
    uid: str, action: str, body: dict[str, Any], data_dir: Path | None, config: Path | None, as_json: bool
) -> None:
    from deploy.client import Client

    _show(Client(data_dir, config).once(f"/api/v1/cards/{quote(uid, safe='')}/{action}", body), as_json)


def _show(card: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(card)
        return
    from ticketing.money import Money

    counter = f"counter {card['counter']}" if card["counter"] >= 0 else "never tapped"
    typer.echo(f"card {card['uid']}, {card['status']}, key version {card['key_version']}, {counter}")
    typer.echo(f"  purse  {Money(card['balance_minor'], card['currency'])}")
    for line in card_auto_top_up.describe(card["auto_top_up"]) if card["auto_top_up"] else ():
        typer.echo(f"  {line}")
    for ticket in card["tickets"]:
        allowed = ticket["uses_allowed"]
        used = f"{ticket['uses']} of {allowed} used" if allowed else "pass"
        typer.echo(f"  holds  {ticket['product_id']}, {ticket['status']}, {used}, ticket {ticket['id']}")


def _key(option: str, text: str | None) -> bytes:
    given = text if text is not None else typer.prompt(option.removeprefix("--"), hide_input=True)
    try:
        key = bytes.fromhex(given)
    except ValueError:
        key = b""
    if len(key) != 16:
        raise UsageError(f"{option}: an AES-128 key has 32 hex digits")
    return key
