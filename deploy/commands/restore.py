"""`takt restore`: a new instance from a backup."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.backup import PassphraseFile, Progress, read_passphrase
from deploy.commands.options import AsJson, Config
from deploy.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("restore", epilog="Example: takt restore takt-2026-07-13.backup --data-dir restored")(restore)


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file made by takt backup.")],
    *,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="NEW", help="A new or empty folder [default: takt-data].")
    ] = None,
    passphrase_file: PassphraseFile = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a new instance from a backup, whole or not at all.

    With a database of your own in the settings the data goes there; it must be empty.
    """
    from deploy.config import read_settings
    from deploy.restore import restore as make_anew

    if not file.is_file():
        raise UserError(f"{file}: there is no such file; name one that takt backup has made")
    passphrase = read_passphrase(passphrase_file, "Passphrase of the backup", confirm=False)
    if not passphrase:
        raise UserError("no passphrase: give the backup's with --passphrase-file FILE or in TAKT_PASSPHRASE")
    settings = read_settings(config, data_dir=data_dir)
    folder = settings.data_dir
    with Progress("Restoring") as progress:
        result = asyncio.run(
            make_anew(file, folder, passphrase, database_url=settings.database_url, progress=progress.update)
        )
    manifest = result.manifest
    if as_json:
        document = {"data_dir": str(folder), "instance": manifest.instance_id, "created": manifest.created}
        typer.echo(json.dumps({**document, "files": result.files}, ensure_ascii=False))
        return
    typer.echo(f"{folder}: instance {manifest.instance_id} as it was on {manifest.created}")
    for what, name in (("settings", "takt.toml"), ("tariff", "tariff.toml")):
        if (folder / "settings" / name).exists():
            typer.echo(f"Its {what}: {folder / 'settings' / name}")
    typer.echo(f"Start it with: takt run --data-dir {folder}")
