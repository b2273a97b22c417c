"""`takt user`: logins of the console."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import AsJson
from deploy.errors import UsageError, UserError

DataDir = Annotated[Path, typer.Option("--data-dir", envvar="TAKT_DATA_DIR", help="The instance's data folder.")]
DEFAULT_DIR = Path("takt-data")


def register(app: typer.Typer) -> None:
    """Add the command and its three parts."""
    group = typer.Typer(
        help="Logins of the console.",
        epilog="Example: takt user add desk1 --role dispatcher --generate",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("add")(add)
    group.command("list")(list_users)
    group.command("remove")(remove)
    app.add_typer(group, name="user")


def add(
    name: Annotated[str, typer.Argument(help="The name to log in with.")],
    role: Annotated[str, typer.Option(help="dispatcher, cashier, inspector, validator, vendor, fleet or admin.")],
    generate: Annotated[bool, typer.Option(help="Make a password and print it once.")] = False,
    data_dir: DataDir = DEFAULT_DIR,
    as_json: AsJson = False,
) -> None:
    """Add a login; the password is asked for, read from a pipe, or made with --generate.

    Example: takt user add desk1 --role dispatcher --generate
    """
    from deploy.auth import ROLES
    from deploy.instance import Instance
    from deploy.users import Users

    if role not in ROLES:
        raise UsageError(f"--role {role}: there is no such role; there are {', '.join(ROLES)}")
    users = Users(Instance.open(data_dir, create=False).users_path)
    password = secrets.token_urlsafe(12) if generate else _read_password()
    user = users.add(name, role, password)
    if as_json:
        shown = {"user": user.name, "role": user.role, **({"password": password} if generate else {})}
        print(json.dumps(shown))
    elif generate:
        print(f"{user.name} may log in as {user.role} with this password, shown this once: {password}")
    else:
        print(f"{user.name} may log in as {user.role}")


def list_users(data_dir: DataDir = DEFAULT_DIR, as_json: AsJson = False) -> None:
    """List the logins and their roles.

    Example: takt user list --json
    """
    from deploy.instance import Instance
    from deploy.users import Users

    users = Users(Instance.open(data_dir, create=False).users_path).list()
    if as_json:
        print(json.dumps({"users": [{"user": user.name, "role": user.role} for user in users]}))
        return
    for user in users:
        print(f"{user.name:24} {user.role}")
    if not users:
        print("There are no logins yet; make one with: takt user add NAME --role dispatcher", file=sys.stderr)


def remove(
    name: Annotated[str, typer.Argument(help="The login to take away.")],
    data_dir: DataDir = DEFAULT_DIR,
    as_json: AsJson = False,
) -> None:
    """Take a login away; whoever is logged in with it is logged out.

    Example: takt user remove desk1
    """
    from deploy.instance import Instance
    from deploy.users import Users

    Users(Instance.open(data_dir, create=False).users_path).remove(name)
    print(json.dumps({"user": name, "removed": True}) if as_json else f"{name} may log in no more")


def _read_password() -> str:
    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return str(password)
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise UserError("no password came on standard input; type one, pipe one, or use --generate")
    return password
