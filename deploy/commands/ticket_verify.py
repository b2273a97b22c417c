"""`takt ticket verify`: what a scanned text says without any server, by the keys of its issuer."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.commands.options import AsJson, Config, DataDir, print_json
from deploy.commands.times import instant, machine_time
from deploy.errors import UserError

if TYPE_CHECKING:
    from deploy.config import Settings
    from ticketing.claims import Credential
    from ticketing.keyset import KeySet


def verify(
    token: Annotated[str, typer.Argument(help="The scanned text, or - to read it from standard input.")],
    keys: Annotated[
        Path | None, typer.Option(help="A key set: JWKS, or COSE key set [default: this instance's own keys].")
    ] = None,
    at: Annotated[float | None, typer.Option(help="The instant to judge at, Unix seconds [default: now].")] = None,
    issuer: Annotated[str, typer.Option(help="The issuer, where the key set does not say.")] = "takt",
    proof: Annotated[
        bool, typer.Option("--proof", help="Demand the fresh proof of the passenger's own device, as for `mobile`.")
    ] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Verify a ticket offline: signature, device's proof and validity. Revoked or used up is the server's to know."""
    from deploy.config import read_settings
    from ticketing.credential import read_credential
    from ticketing.errors import CredentialError
    from ticketing.proof import ProofLimits, stale

    text = sys.stdin.read(8192).strip("\r\n") if token == "-" else token  # noqa: S105
    settings = read_settings(config, data_dir=data_dir)
    key_set = _read_keys(keys, issuer, settings)
    limits = ProofLimits(settings.ticketing.proof_window_s, settings.ticketing.proof_clock_error_s)
    at_s = time.time() if at is None else instant("--at", at)
    try:
        credential = read_credential(text, key_set)
    except CredentialError as error:
        _refuse({"verdict": error.verdict, "reason": error.reason}, as_json)
    document = _judged(credential, at_s, stale(credential, at_s, proof, limits))
    if document["verdict"] != "accepted":
        _refuse(document, as_json)
    if as_json:
        print_json(document)
    else:
        _show_genuine(credential, at_s)


def _judged(credential: Credential, at_s: float, is_stale: bool) -> dict[str, Any]:
    """What a genuine ticket says, and its verdict at an instant in Unix seconds."""
    claims = credential.claims
    verdict = "accepted"
    if is_stale:
        verdict = "stale_proof"
    elif at_s < claims.not_before_s:
        verdict = "not_yet_valid"
    elif at_s >= claims.expires_s:
        verdict = "expired"
    return {
        "verdict": verdict,
        "id": str(claims.ticket_id),
        "issuer": claims.issuer,
        "kid": credential.kid.hex(),
        "product_id": claims.product,
        "valid_from": claims.not_before_s,
        "valid_until": claims.expires_s,
        "networks": list(claims.networks),
        "status_list": {"id": claims.status_list, "index": claims.status_index},
        "device_key": claims.device_key.jwk() if claims.device_key else None,
        "proof_at": credential.proof_s,
    }


def _show_genuine(credential: Credential, at_s: float) -> None:
    claims = credential.claims
    typer.echo(f"genuine and valid now, signed by key {credential.kid.hex()} of {claims.issuer}")
    typer.echo(f"ticket   {claims.ticket_id}")
    typer.echo(f"product  {claims.product}")
    typer.echo(f"valid    {machine_time(claims.not_before_s)} to {machine_time(claims.expires_s)}")
    if credential.proof_s is not None:
        typer.echo(f"proof    of the passenger's own device, {max(0.0, at_s - credential.proof_s):.0f} s old")
    elif claims.device_key is not None:
        typer.echo("proof    none: this is sold to one device and may be a copy; --proof refuses it")


def _refuse(document: dict[str, Any], as_json: bool) -> Any:
    if as_json:
        print_json(document)
        raise typer.Exit(1)
    reason = f" ({document['reason']})" if document.get("reason") else ""
    raise UserError(f"the ticket is refused: {document['verdict']}{reason}")


def _read_keys(file: Path | None, issuer: str, settings: Settings) -> KeySet:
    from ticketing.errors import KeyFileError
    from ticketing.keys import load_issuer_keys
    from ticketing.keyset import key_set_from_cose, key_set_from_jwks

    if file is None:
        from deploy.instance import Instance

        folder = Instance.open(settings.data_dir, create=False).issuer_keys_dir
        try:
            return load_issuer_keys(folder, settings.ticketing.issuer).key_set
        except KeyFileError as error:
            raise UserError(str(error)) from None
    try:
        data = file.read_bytes()
        return key_set_from_jwks(data, issuer) if data.lstrip()[:1] == b"{" else key_set_from_cose(data, issuer)
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); name a key set with --keys") from None
    except ValueError as error:
        raise UserError(f"{file}: {error}; fetch one from /.well-known/jwks.json") from None
