"""Addresses of the instance's parts, with and without the credentials in them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from deploy.config import Settings
from deploy.embedded_broker import Broker

if TYPE_CHECKING:
    from deploy.serving import Grounds


def public_url(settings: Settings) -> str:
    """Where others find this instance, as it stands in tickets."""
    scheme = "https" if settings.http.tls_certificate else "http"
    return f"{scheme}://{settings.http.host}:{settings.http.port}"


def credentials_of(url: str) -> tuple[str, str]:
    """User and password in an address; empty where there are none."""
    parts = urlsplit(url)
    return unquote(parts.username or ""), unquote(parts.password or "")


def with_credentials(grounds: Grounds) -> str:
    """The backbone's address with the credentials in it, for a file of the owner's."""
    if not grounds.nats_user or "@" in grounds.nats_url:
        return grounds.nats_url
    scheme, _, place = grounds.nats_url.partition("://")
    return f"{scheme}://{quote(grounds.nats_user)}:{quote(grounds.nats_password, safe='')}@{place}"


def port_of(broker: Broker | None) -> int:
    """The backbone's port of a broker that ran before; 0 for a free one."""
    return int(broker.nats_url.rsplit(":", 1)[1]) if broker else 0
