"""`takt device letters`: why messages of a device, or of an operator's fleet, could not be taken."""

from __future__ import annotations

import datetime as dt
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from deploy.commands.options import AsJson, Config, DataDir, print_json
from deploy.errors import UsageError, UserError

if TYPE_CHECKING:
    from deploy.letters import Letter, Page, Wanted

ANSWER_S_MAX = 30.0
_AGO = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def letters(
    name: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="A device by its user name (vehicle.kpt.4582) or as KIND OPERATOR ID, or an OPERATOR."
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 20,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not older: 30m, 2h, 3d, or 2026-11-22T08:00 (local).")
    ] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only those before the letter of this number.")] = None,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the messages of a device, or of an operator's devices, that could not be read, and what to do about them."""
    from deploy.letters import NEWEST, Wanted

    kind, operator, device = _meant(name)
    since_s = _since(since, time.time()) if since is not None else 0.0
    page = _ask(Wanted(operator, device, cast("Any", kind), since_s, before or NEWEST, limit), data_dir, config)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(page))
        return
    for letter in page.letters:
        typer.echo(_shown(letter))
    typer.echo(_sum(page, ".".join(name)))


def _meant(name: list[str]) -> tuple[str | None, str, str | None]:
    """Kind, operator and id of what was named; None where it may be any."""
    from deploy.devices import DeviceId
    from gateway import topics

    parts = name[0].split(".") if len(name) == 1 else name
    if len(parts) == 1:
        if not topics.is_id(parts[0]):
            raise UsageError(f"{parts[0]!r}: is neither a device, such as vehicle.kpt.4582, nor an operator")
        return None, parts[0], None
    if len(parts) != 3:
        raise UsageError(f"{' '.join(name)}: name a device as vehicle.kpt.4582 or vehicle kpt 4582, or an operator")
    try:
        named = DeviceId(cast("Any", parts[0]), parts[1], parts[2])
    except UserError as error:
        raise UsageError(str(error)) from None
    return named.kind, named.operator, named.id


def _since(text: str, now_s: float) -> float:
    """Unix seconds of `2h` ago, or of a local time."""
    if ago := _AGO.fullmatch(text):
        return max(0.0, now_s - int(ago[1]) * _SECONDS[ago[2]])
    try:
        return max(0.0, dt.datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since {text}: write how long ago, such as 2h, or a time such as 2026-11-22T08:00"
        ) from None


def _shown(letter: Letter) -> str:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter.received_at))
    lines = [
        f"{at}  {letter.topic}  {letter.size_bytes:,} bytes  no. {letter.id}",
        f"  {letter.reason}: {letter.what}{f' At: {letter.where}.' if letter.where else ''}",
        *([f"  said  {letter.detail}"] if letter.detail else []),
        *([f"  sent  {letter.excerpt}"] if letter.excerpt else []),
        f"  next  {letter.next_step}",
    ]
    return "\n".join(lines)


def _sum(page: Page, name: str) -> str:
    count = len(page.letters)
    told = f"{count} letter{'s' * (count != 1)}." if count else f"No letters of {name}."
    if page.not_stored:
        told += f" {page.not_stored:,} more were counted and not stored: beyond a device's quota."
    if page.next is not None:
        told += f" Older ones: --before {page.next}"
    return told


def _ask(wanted: Wanted, data_dir: Path | None, config: Path | None) -> Page:
    from deploy.config import read_settings
    from deploy.database import ask_database
    from deploy.letters import read_letters

    settings = read_settings(config, data_dir=data_dir)
    return ask_database(settings, lambda connection: read_letters(connection, wanted), ANSWER_S_MAX)
