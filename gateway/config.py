"""Settings of the gateway, frozen; deploy reads them from files and environment."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from gateway.admission import Limits
from gateway.errors import SettingsError
from gateway.topics import HFP_POSITIONS, POSITIONS

_PORTS = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where an MQTT 3.1.1 broker listens and how to log in; `tls` None: in the clear."""

    host: str
    port: int = 1883
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    keepalive_s: int = 20

    @classmethod
    def from_url(cls, url: str, ca_file: str | None = None) -> Broker:
        """`mqtt://user:password@host:port`, or `mqtts://` for TLS verified against `ca_file` (None: the system's)."""
        parts = urlsplit(url)
        shown = f"{parts.scheme}://{parts.hostname or ''}"  # never the password
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query:
            raise SettingsError(f"broker address {shown}...: write mqtt://[user:password@]host[:port], or mqtts://")
        try:
            port = parts.port or _PORTS[parts.scheme]
        except ValueError as error:
            raise SettingsError(f"broker address {shown}: the port must be a number from 1 to 65535") from error
        tls = None
        if parts.scheme == "mqtts":
            try:
                tls = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(f"certificates {ca_file}: {error}") from error
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, port, user, password, tls)


@dataclass(frozen=True, slots=True)
class Source:
    """One more broker to read positions from; profile "takt" speaks the contract's topics, "hfp" is HFP v2."""

    broker: Broker
    profile: str = "takt"
    topic_filter: str = ""  # "": the profile's own
    timezone: str = "Europe/Helsinki"  # of HFP's operating days
    name: str = "source"

    def __post_init__(self) -> None:
        if self.profile not in _FILTERS:
            raise SettingsError(f"source {self.name}: profile {self.profile!r} is not one of {', '.join(_FILTERS)}")
        try:
            ZoneInfo(self.timezone)
        except (ValueError, OSError, KeyError) as error:
            raise SettingsError(f"source {self.name}: {self.timezone!r} is not a time zone") from error

    @property
    def filter(self) -> str:
        """The topic filter to subscribe to."""
        return self.topic_filter or _FILTERS[self.profile]


_FILTERS = {"takt": POSITIONS, "hfp": HFP_POSITIONS}


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Everything the gateway can be told; every queue, batch, wait and retry has its bound here."""

    broker: Broker
    client_id: str = "takt-gateway"  # the same for a gateway and its successor: the broker keeps its taps under it
    sources: tuple[Source, ...] = ()
    limits: Limits = field(default_factory=lambda: Limits(fixes_per_batch_max=64))
    vehicles_max: int = 200_000

    flush_s: float = 0.010  # positions wait at most so long to share one batch
    flush_fixes_max: int = 4096
    fixes_queued_max: int = 65_536  # beyond it the oldest are dropped and counted

    taps_batch_max: int = 512
    taps_queued_max: int = 16_384  # beyond it the tap connection is no longer read; a broker sends a few thousand ahead
    answers_kept_max: int = 16_384  # for taps that come again; more than a broker sends ahead
    validate_timeout_s: float = 10.0
    retry_s_min: float = 0.1
    retry_s_max: float = 2.0
    tries_alone_max: int = 3  # of one tap while others pass; then it becomes a dead letter

    receipt_every_s: float = 0.25
    receipt_repeats: int = 3  # after the first, each twice as late as the one before, from 2 s
    receipts_max: int = 100_000  # validators and boots remembered at once

    dead_letters_per_device: int = 20
    dead_letters_per_window: int = 2_000  # of all devices
    dead_letter_window_s: float = 60.0
    dead_letters_queued_max: int = 5_000
    dead_letter_batch_max: int = 500
    unstored_letters_every_s: float = 5.0

    publish_queued_max: int = 10_000
    reconnect_s_min: float = 0.2
    reconnect_s_max: float = 10.0
    connect_timeout_s: float = 5.0
