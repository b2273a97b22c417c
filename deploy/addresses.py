"""Addresses of the instance's parts, with and without the credentials in them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from deploy.config import Settings
from deploy.embedded_broker import Broker

if TYPE_CHECKING:
    from deploy.grounds import Grounds

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def public_url(settings: Settings) -> str:
    """Where others find this instance, as it stands in tickets and in what validators are told to fetch.

    Without a setting it is where we listen; every address of this machine is none that a device could go to.
    """
    http = settings.http
    if http.url is not None:
        return http.url.rstrip("/")
    scheme, host = "https" if http.tls_certificate else "http", _ANYWHERE.get(http.host, http.host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{http.port}"


def is_found(settings: Settings) -> bool:
    """Whether others can find what listens for them: not where it does so everywhere and says nowhere."""
    return settings.http.url is not None or settings.http.host not in _ANYWHERE


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
