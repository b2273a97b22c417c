"""`takt key`: the issuer's keys listed, the next one published, used, and an old one retired."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson, DataDir
from deploy.commands.times import machine_time
from deploy.errors import UserError

if TYPE_CHECKING:
    from deploy.instance import Instance
    from ticketing.rotation import KeyInfo

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key's kid, as `takt key list` shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    key = typer.Typer(
        name="key",
        help="The keys that sign tickets: publish the next, use it a day later, retire the old when its tickets end.",
        epilog="Example: takt key list",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    key.command("list", epilog="Example: takt key list")(list_keys)
    key.command("publish", epilog="Example: takt key publish")(publish)
    key.command("use", epilog="Example: takt key use 3f2a9c01")(use)
    key.command("retire", epilog="Example: takt key retire 77b0e1d2")(retire)
    app.add_typer(key)


def list_keys(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys that verify tickets, and which of them signs."""
    from ticketing.rotation import list_keys as read

    _show([*_asked(read, _instance(data_dir).issuer_keys_dir)], as_json)


def publish(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Make the next key and put it into the key sets; it signs nothing yet."""
    from ticketing.rotation import publish_key

    instance = _instance(data_dir)
    key = _asked(publish_key, instance.issuer_keys_dir, time.time())
    _reload(instance, data_dir)
    _show([key], as_json)
    if not as_json:
        typer.echo(f"Published. Use it when every validator has fetched it, in a day: takt key use {key.kid}")


def use(
    key: Key,
    now: Annotated[bool, typer.Option("--now", help="Even if validators may not have fetched it yet.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Sign with a published key from now on; tickets of the one before stay good."""
    from ticketing.rotation import PUBLISHED_S_MIN, use_key

    instance = _instance(data_dir)
    used = _asked(use_key, instance.issuer_keys_dir, key, time.time(), 0.0 if now else PUBLISHED_S_MIN)
    _reload(instance, data_dir)
    _show([used], as_json)


def retire(
    key: Key,
    now: Annotated[bool, typer.Option("--now", help="Also while its tickets are good: they are refused then.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a key out of the key sets for good, once the last ticket that it signed has ended."""
    from ticketing.rotation import find_key, retire_key

    instance = _instance(data_dir)
    found = _asked(find_key, instance.issuer_keys_dir, key)
    needed_until_s = None if now or found.replaced_s is None else _needed_until_s(instance, data_dir, found.replaced_s)
    retired = _asked(retire_key, instance.issuer_keys_dir, key, time.time(), needed_until_s)
    _reload(instance, data_dir)
    if as_json:
        typer.echo(json.dumps({"retired": retired.kid}))
    else:
        typer.echo(f"Key {retired.kid} is retired: what it signed is refused.")


def _needed_until_s(instance: Instance, data_dir: Path | None, replaced_s: float) -> float | None:
    """When the last ticket ends that was sold before the key was replaced; the running instance knows."""
    from deploy.client import Client

    if instance.read_runtime() is None:
        raise UserError("the instance is not running, and only its books say when the key's last ticket ends; start it")
    answer = Client(data_dir).get(f"/api/v1/issuer-keys?replaced_at={replaced_s}")
    until_s: float | None = max((key["needed_until"] or 0.0 for key in answer["keys"]), default=None)
    return until_s


def _instance(data_dir: Path | None) -> Instance:
    from deploy.config import read_settings
    from deploy.instance import Instance

    return Instance.open(read_settings(None, data_dir=data_dir).data_dir, create=False)


def _asked(act: Any, *arguments: Any) -> Any:
    from ticketing.errors import KeyFileError

    try:
        return act(*arguments)
    except KeyFileError as error:
        raise UserError(str(error)) from None


def _reload(instance: Instance, data_dir: Path | None) -> None:
    """A running instance takes the change up at once; its other processes within seconds, by themselves."""
    if instance.read_runtime() is not None:
        from deploy.client import Client

        Client(data_dir).post("/api/v1/issuer-keys/reload", {})


def _show(keys: list[KeyInfo], as_json: bool) -> None:
    if as_json:
        documents = [
            {"kid": key.kid, "state": key.state, "published_at": key.published_s, "replaced_at": key.replaced_s}
            for key in keys
        ]
        typer.echo(json.dumps({"keys": documents}))
        return
    for key in keys:
        replaced = f", replaced {machine_time(key.replaced_s)}" if key.replaced_s is not None else ""
        typer.echo(f"{key.kid}  {key.state:8} published {machine_time(key.published_s)}{replaced}")
