"""The `takt` command: finds the command's module, and turns what went wrong into one clear sentence."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from deploy.errors import UsageError, UserError

# In the order in which a newcomer meets them.
COMMANDS = (
    "demo",
    "run",
    "network",
    "backtest",
    "eta_score",
    "simulate",
    "report",
    "feed",
    "device",
    "token",
    "user",
    "ticket",
    "card",
    "receipt",
    "fare",
    "tariff",
    "key",
    "shift",
    "settle",
    "rider",
    "audit",
    "backup",
    "restore",
    "migrate",
    "doctor",
    "bench",
)

app = typer.Typer(
    name="takt",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from deploy.version import takt_version

        typer.echo(f"takt {takt_version()}")
        raise typer.Exit


@app.callback(epilog="Example: takt demo --http-port 8080")
def takt(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_tell_version),
    ] = False,
) -> None:
    """Fleet dispatch and e-ticketing for public transport. Start here: takt demo"""


for name in COMMANDS:
    importlib.import_module(f"deploy.commands.{name}").register(app)


def main() -> None:
    """Run one command: exit status 0 done, 1 failed, 2 wrong usage."""
    try:
        app()
    except UserError as error:
        print(f"takt: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe (`takt ... | head`) has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:
        # A disk that is full, or a folder where a file should be: the file and the reason are what helps.
        if error.filename is None:
            raise
        where = error.filename2 or error.filename
        print(f"takt: {where}: {error.strerror}; put it right and try again, or see: takt doctor", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
