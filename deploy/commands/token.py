"""`takt token`: a bearer token for this instance's API."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from deploy.commands.options import AsJson
from deploy.errors import UsageError, UserError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="token")(token)


def token(
    role: Annotated[
        str, typer.Option(help="What it allows: dispatcher, cashier, inspector, validator, vendor, monitor or admin.")
    ],
    subject: Annotated[
        str | None,
        typer.Option(help="Whom it speaks for: a person, or a validator as <operator>:<id>. Default: the role's name."),
    ] = None,
    days: Annotated[float, typer.Option(help="For how many days it is valid.")] = 30.0,
    data_dir: Annotated[
        Path, typer.Option("--data-dir", envvar="TAKT_DATA_DIR", help="The instance's data folder.")
    ] = Path("takt-data"),
    as_json: AsJson = False,
) -> None:
    """Print a bearer token for this instance's API; that of a validator counts until `takt device revoke`.

    Example: curl -H "Authorization: Bearer $(takt token --role dispatcher)" localhost:8080/api/v1/measures?from=0&to=1
    """
    from deploy.auth import ROLES, Tokens, issuer_of, read_key
    from deploy.devices import Registry
    from deploy.instance import Instance
    from deploy.revoked import Revocations

    if role not in ROLES:
        raise UsageError(f"--role {role}: there is no such role; there are {', '.join(ROLES)}")
    instance = Instance.open(data_dir, create=False)
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    name, now_s = subject if subject is not None else role, time.time()
    revocations = Revocations(Registry(instance))
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
