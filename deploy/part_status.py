"""A status port for a part that runs as a process of its own: /livez, /readyz and /metrics, and nothing else."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from deploy import metrics
from deploy.auth import BearerGate, Tokens, issuer_of, read_key
from deploy.config import Settings
from deploy.ports import check_port
from deploy.status import StatusApi
from deploy.version import takt_version
from deploy.web import Access, WebServer, WebSettings

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from deploy.links import Links

STARTING = "the part is starting"


def check_status_port(settings: Settings) -> None:
    """Refuse a status port that cannot be listened on.

    Raises:
        UserError: says by whom it is taken where that can be known.
    """
    if settings.status_port:
        check_port(settings.http.host, settings.status_port, "TAKT_STATUS_PORT")


@asynccontextmanager
async def part_status(grounds: Grounds, links: Links) -> AsyncIterator[Callable[[], None]]:
    """Listen where `status_port` says, if it does; call what this gives once the part has started.

    Who may read the numbers, the address and the certificate are those of the settings' `http`.
    """
    settings, instance = grounds.settings, grounds.instance
    if settings.status_port is None:
        yield lambda: None
        return
    starting = [STARTING]
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    status = StatusApi(
        [lambda: starting, lambda: [reason for check in grounds.checks for reason in check()]],
        grounds.registry,
        open_metrics=settings.http.metrics == "open",
        warnings=[lambda: [warning for warn in grounds.warnings for warning in warn()]],
    )
    options = WebSettings(
        host=settings.http.host,
        port=settings.status_port,
        tls_certificate=settings.http.tls_certificate,
        tls_key=settings.http.tls_key,
        version=takt_version(),
        pages=False,
        local_permissions=frozenset({"metrics:read"} if settings.http.metrics == "local" else ()),
    )
    metrics.expose(grounds.registry, "links", lambda: links.counters)
    async with WebServer([status], options, Access(BearerGate(tokens, time.time), None), grounds.registry):
        yield starting.clear
