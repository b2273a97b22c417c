"""Where a running instance is reached, as it tells the other commands."""

from __future__ import annotations

import msgspec


class Runtime(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a running instance is reached; there is none while it is stopped.

    `database_url` and `nats_url` hold passwords, hence the file's rights. The certificates are those that the
    instance was started with, wherever it was told of them, as whole paths; None: no TLS there. `mqtt_host` is where
    this machine reaches the broker, `mqtt_listens` the address that it was told to listen on.
    """

    pid: int
    http_url: str
    mqtt_port: int
    database_url: str
    nats_url: str = ""
    mqtt_host: str = "127.0.0.1"
    http_certificate: str | None = None
    mqtt_certificate: str | None = None
    mqtt_listens: str | None = None
