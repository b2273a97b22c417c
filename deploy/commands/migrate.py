"""`takt migrate`: brings the database up to date with this version."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.commands.options import AsJson, Config, DataDir
from deploy.errors import UserError

if TYPE_CHECKING:
    from deploy.config import Settings


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="migrate", epilog="Example: takt migrate --check")(migrate)


def migrate(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 when something is to do.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Run the migrations that the database has not had: the one of database_url, or the instance's own."""
    from deploy.config import read_settings

    names = asyncio.run(_migrate(read_settings(config, data_dir=data_dir), check))
    if as_json:
        typer.echo(json.dumps({"pending" if check else "applied": names}))
    elif check:
        typer.echo(f"To run: {', '.join(names)}." if names else "The database is up to date.")
    else:
        typer.echo(f"Ran {', '.join(names)}." if names else "The database was up to date.")
    if check and names:
        raise typer.Exit(1)


async def _migrate(settings: Settings, check: bool) -> list[str]:
    import asyncpg

    from deploy.database import open_database
    from sql.migrate import MigrationError, pending_migrations
    from sql.migrate import migrate as run

    async with open_database(settings) as dsn:
        try:
            return await (pending_migrations(dsn) if check else run(dsn))
        except MigrationError as error:
            raise UserError(str(error)) from None
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise UserError(f"the database cannot be asked ({error}); see TAKT_DATABASE_URL, or: takt doctor") from None
