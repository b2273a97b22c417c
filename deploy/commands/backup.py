"""`takt backup`: the instance's data and keys in one encrypted file."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import AsJson, Config, DataDir, print_json
from deploy.errors import UserError

PASSPHRASE_VARIABLE = "TAKT_PASSPHRASE"  # noqa: S105
PASSPHRASE_BYTES_MAX = 1024

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help=f"Its first line is the passphrase; else {PASSPHRASE_VARIABLE}, else you are asked."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("backup", epilog="Example: takt backup --passphrase-file ~/.takt-passphrase takt-2026-07-13.backup")(
        backup
    )


def backup(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write; it must not exist.")],
    *,
    passphrase_file: PassphraseFile = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write database, keys, devices, logins, orders, settings and tariff into one encrypted file.

    The instance may be running. Where no passphrase is given and nobody can be asked, one is made and printed once.
    """
    from deploy.backup import back_up
    from deploy.backup_file import new_passphrase
    from deploy.config import read_settings
    from deploy.instance import Instance

    settings = read_settings(config, data_dir=data_dir)
    instance = Instance.open(settings.data_dir, create=False)
    passphrase = read_passphrase(
        passphrase_file, "Passphrase for the backup (empty: one is made for you)", confirm=True
    )
    made = not passphrase
    passphrase = passphrase or new_passphrase()
    with Progress("Writing the backup") as progress:
        result = asyncio.run(
            back_up(
                instance,
                out,
                passphrase,
                database_url=settings.database_url,
                settings_files=_settings_files(config, settings.ticketing.tariff),
                progress=progress.update,
            )
        )
    size = out.stat().st_size
    if as_json:
        document = {"file": str(out), "bytes": size, "instance": result.manifest.instance_id, "files": result.files}
        print_json({**document, "passphrase": passphrase} if made else document)
        return
    typer.echo(f"{out}: {size:,} bytes, the database and {result.files} files of {instance.folder}")
    if made:
        typer.echo(
            f"passphrase: {passphrase}\nKeep it: without it nobody can restore this backup, and it is not shown again."
        )


def _settings_files(config: Path | None, tariff: Path | None) -> dict[str, Path]:
    given = os.environ.get("TAKT_CONFIG")
    files = {"takt.toml": config or (Path(given) if given else Path("takt.toml"))}
    return files | ({"tariff.toml": tariff} if tariff else {})


def read_passphrase(file: Path | None, question: str, confirm: bool) -> str:
    """The passphrase from a file, else the environment, else a person; "" where there is nobody to ask.

    Raises:
        UserError: the file cannot be read or is empty.
    """
    # Taken out, so that no program started later inherits it.
    given = os.environ.pop(PASSPHRASE_VARIABLE, "")
    if file is not None:
        try:
            lines = file.read_bytes()[:PASSPHRASE_BYTES_MAX].decode().splitlines()
        except OSError as error:
            raise UserError(f"{file}: cannot be read ({error.strerror})") from None
        except UnicodeDecodeError:
            raise UserError(f"{file}: is no text; its first line should be the passphrase") from None
        if not lines or not lines[0].strip():
            raise UserError(f"{file}: its first line is empty; it should be the passphrase")
        return lines[0].strip()
    if given or not sys.stdin.isatty():
        return given
    answer: str = typer.prompt(question, default="", hide_input=True, show_default=False, err=True)
    if (
        confirm
        and answer
        and typer.prompt("Again", default="", hide_input=True, show_default=False, err=True) != answer
    ):
        raise UserError("the two passphrases are not the same; start again")
    return answer


class Progress:
    """Bytes done so far, on a terminal only."""

    def __init__(self, what: str) -> None:
        from rich.console import Console

        screen = Console(stderr=True)
        self._what = what
        self._status = screen.status(f"{what} ...") if screen.is_terminal else None

    def __enter__(self) -> Progress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def update(self, done: int) -> None:
        """Say how many bytes are done."""
        if self._status:
            self._status.update(f"{self._what} ... {done / 1e6:,.0f} MB")
