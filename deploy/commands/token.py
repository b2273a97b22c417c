"""`takt token`: bearer tokens for this instance's API, made, and ended before their time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import AsJson, print_json
from deploy.errors import UsageError, UserError

Folder = Annotated[Path, typer.Option("--data-dir", envvar="TAKT_DATA_DIR", help="The instance's data folder.")]
HERE = Path("takt-data")


def register(app: typer.Typer) -> None:
    """Add the command, and the one below it."""
    group = typer.Typer(name="token", rich_markup_mode=None, subcommand_metavar="[revoke]")
    group.callback(
        invoke_without_command=True,
        epilog='Example: curl -H "Authorization: Bearer $(takt token --role dispatcher)" localhost:8080/api/v1/alerts',
    )(token)
    group.command("revoke", epilog="Example: takt token revoke --subject anna --role cashier")(revoke)
    app.add_typer(group)


def token(
    context: typer.Context,
    role: Annotated[
        str | None,
        typer.Option(help="What it allows: dispatcher, cashier, inspector, validator, vendor, fleet, monitor, admin."),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(help="Whom it speaks for: a person, or a validator as <operator>:<id>. Default: the role's name."),
    ] = None,
    days: Annotated[float, typer.Option(help="For how many days it is valid.")] = 30.0,
    data_dir: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """Print a bearer token for this instance's API; it counts until it expires or is revoked.

    That of a validator counts until `takt device revoke`, too.
    """
    if context.invoked_subcommand is not None:
        return
    from deploy.auth import ROLES, Tokens, issuer_of, read_key
    from deploy.devices import Registry
    from deploy.ended_tokens import EndedTokens
    from deploy.instance import Instance
    from deploy.revoked import Revocations

    if role is None:
        raise UsageError(f"--role: say what the token allows; there are {', '.join(ROLES)}")
    if role not in ROLES:
        raise UsageError(f"--role {role}: there is no such role; there are {', '.join(ROLES)}")
    instance = Instance.open(data_dir, create=False)
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    name, now_s = subject if subject is not None else role, time.time()
    revocations = Revocations(Registry(instance), EndedTokens(instance))
    try:
        made = tokens.issue(role, name, now_s, days * 86_400)
        if revocations.why_refused(tokens.verify(made, now_s)) is not None:
            # Tokens are dated to the second: one made in that of a revocation looks older than it.
            time.sleep(1.0)
            now_s += 1.0
            made = tokens.issue(role, name, now_s, days * 86_400)
    except ValueError as error:
        raise UsageError(f"--subject {name}, --days {days:g}: {error}") from None
    if (why := revocations.why_refused(tokens.verify(made, now_s))) is not None:
        raise UserError(f"--subject {name}: {why}")
    if as_json:
        expires_at = tokens.verify(made, now_s).exp
        print(json.dumps({"token": made, "role": role, "subject": name, "expires_at": expires_at}))
    else:
        print(made)


def revoke(
    one: Annotated[str | None, typer.Argument(metavar="[TOKEN]", help="One token; - reads it from a pipe.")] = None,
    subject: Annotated[str | None, typer.Option(help="Everything made so far for this person or device.")] = None,
    role: Annotated[str | None, typer.Option(help="With --subject: only tokens of this role.")] = None,
    data_dir: Folder = HERE,
    as_json: AsJson = False,
) -> None:
    """End a bearer token before its time, or all that somebody has; the API refuses them within two seconds."""
    from deploy.auth import TokenError, Tokens, issuer_of, read_key
    from deploy.ended_tokens import EndedTokens
    from deploy.instance import Instance

    if (one is None) == (subject is None) or (one is not None and role is not None):
        raise UsageError("name one TOKEN, or --subject (with --role where only that one's tokens are meant)")
    instance = Instance.open(data_dir, create=False)
    ended = EndedTokens(instance)
    if subject is not None:
        until_s = ended.end_all(subject, role)
        said = {"subject": subject, "role": role, "jti": None, "until": until_s}
        text = f"all tokens{f' of the role {role}' if role else ''} made so far for {subject} are revoked"
    else:
        tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
        try:
            claims = tokens.verify(sys.stdin.read().strip() if one == "-" else one or "", time.time())
        except TokenError as error:
            raise UserError(f"TOKEN: {error}; nothing was revoked") from None
        ended.end(claims)
        said = {"subject": claims.sub, "role": claims.role, "jti": claims.jti, "until": claims.exp}
        text = f"the token of {claims.sub} ({claims.role}) is revoked"
    if as_json:
        print_json(said)
    else:
        typer.echo(text)
