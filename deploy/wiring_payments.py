"""Payments' own wiring: the acquirer, for whatever takes money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from deploy import metrics
from deploy.config import Settings
from deploy.errors import UserError

if TYPE_CHECKING:
    from deploy.serving import Grounds
    from ticketing.payment import Payments


@asynccontextmanager
async def payments(grounds: Grounds, user: str) -> AsyncIterator[Payments | None]:
    """The acquirer's client for one user of it, whose name its numbers bear; None where no acquirer is set.

    Raises:
        UserError: the secret cannot be read, or others may read it.
    """
    from ticketing.payment_http import HttpPayments

    chosen = grounds.settings.payments
    if chosen.url is None:
        yield None
        return
    async with HttpPayments(chosen.url, read_secret(grounds.settings), timeout_s=chosen.timeout_s) as client:
        metrics.expose(grounds.registry, f"payments_{user}", lambda: client.counters)
        yield client


def read_secret(settings: Settings) -> str:
    """What goes with every request to the acquirer; empty where no file is set.

    Raises:
        UserError: names the file and the next step.
    """
    from ticketing.errors import KeyFileError
    from ticketing.private_files import read_private

    file = settings.payments.secret_file
    if file is None:
        return ""
    try:
        secret = read_private(file).decode("ascii").strip()
    except KeyFileError as error:
        raise UserError(str(error)) from None
    except UnicodeDecodeError:
        secret = ""
    if not secret or not secret.isprintable():
        raise UserError(f"{file}: holds no secret; write the acquirer's on one line")
    return secret
