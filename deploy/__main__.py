"""The `takt` command: finds the command's module, and turns what went wrong into one clear sentence."""

from __future__ import annotations

import importlib
import sys

import typer

from deploy.errors import UserError

# In the order in which a newcomer meets them.
COMMANDS = (
    "demo",
    "run",
    "network",
    "backtest",
    "eta_score",
    "simulate",
    "report",
    "device",
    "token",
    "user",
    "ticket",
    "card",
    "key",
    "shift",
    "audit",
    "backup",
    "restore",
    "migrate",
    "doctor",
    "bench",
)

app = typer.Typer(
    name="takt",
    help="Fleet dispatch and e-ticketing for public transport. Start here: takt demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for name in COMMANDS:
    importlib.import_module(f"deploy.commands.{name}").register(app)


def main() -> None:
    """Run one command: exit status 0 done, 1 failed, 2 wrong usage."""
    try:
        app()
    except UserError as error:
        print(f"takt: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe (`takt ... | head`) has seen enough.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
