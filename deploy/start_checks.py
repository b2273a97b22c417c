"""What is known to be wrong before anything is started: said at once, in one sentence, from what is quick to load."""

from __future__ import annotations

import os
import re

from deploy.config import Settings
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.listening import tls_context
from deploy.ports import check_port

NO_FEED = 'there is no feed: name one with --feed FEED or feed = "..." in takt.toml, or try: takt demo'
_BACKBONE = re.compile(r"((nats|tls|wss?)://|[^/]+:\d)")


def check_start(settings: Settings, feed: str | None) -> None:
    """Refuse a start that cannot come to an end, before there is a data folder.

    A folder that another process still holds is left to the start itself, which waits for it a moment.

    Raises:
        UserError: the first thing that is wrong, and the next step.
    """
    check_settings(settings, feed)
    instance = Instance(settings.data_dir.absolute())
    try:
        _check_folder(settings, instance)
    except OSError:
        return  # no folder, or none of ours: opening it says it better


def _check_folder(settings: Settings, instance: Instance) -> None:
    runtime = instance.read_runtime()
    if runtime is not None and _is_alive(runtime.pid):
        raise UserError(
            f"{instance.folder}: another instance is running here (process {runtime.pid}); "
            "stop it or choose another --data-dir"
        )
    if instance.is_running():
        return
    check_ports(settings)
    if instance.is_set_up():
        check_keys(settings, instance)


def check_settings(settings: Settings, feed: str | None) -> None:
    """Refuse what the settings name and cannot be used: feed, tariff, certificates, addresses, the acquirer's secret.

    Raises:
        UserError: names the file or the address.
    """
    from deploy.tariffs import check_tariff

    if feed is not None:
        check_feed(feed)
    check_tariff(settings.model_copy(update={"feed": feed}))
    tls_context(settings.http.tls_certificate, settings.http.tls_key)
    if brings_broker(settings):
        tls_context(settings.mqtt.tls_certificate, settings.mqtt.tls_key)
    check_addresses(settings)
    if settings.payments.secret_file is not None:
        from deploy.wiring_payments import read_secret

        read_secret(settings)


def check_feed(feed: str) -> None:
    """Refuse a feed that is not there; one at an address is asked only when it is read.

    Raises:
        UserError: names it.
    """
    from dispatch.feed_problems import FeedError
    from dispatch.feed_source import check_exists

    try:
        check_exists(feed)
    except FeedError as error:
        raise UserError(str(error)) from None


def check_addresses(settings: Settings) -> None:
    """Refuse addresses of brokers, of the database and of the backbone that are none; nobody is asked yet.

    Raises:
        UserError: names the setting, never a password.
    """
    from gateway.config import Broker
    from gateway.errors import GatewayError

    named = [("broker_url", settings.broker_url)]
    named += [(f"gateway.sources, number {n}", source.url) for n, source in enumerate(settings.gateway.sources, 1)]
    for name, url in named:
        try:
            if url is not None:
                Broker.from_url(url)
        except GatewayError as error:
            raise UserError(f"{name}: {error}") from None
    database, backbone = settings.database_url, settings.nats_url
    if database is not None and not database.startswith(("postgresql://", "postgres://")):
        raise UserError("database_url: is no address; write postgresql://user:password@host/name")
    if backbone is not None and not _BACKBONE.match(backbone):
        raise UserError("nats_url: is no address; write nats://user:password@host:4222")


def check_keys(settings: Settings, instance: Instance) -> None:
    """Refuse key files that cannot be read: that of the API's tokens, those of tickets and those of cards.

    Raises:
        UserError: names the file and the next step.
    """
    from deploy.auth import read_key
    from ticketing.errors import TicketingError
    from ticketing.keys import load_card_keys, load_issuer_keys

    read_key(instance.token_key_path)
    try:
        load_issuer_keys(instance.issuer_keys_dir, settings.ticketing.issuer)
        if instance.card_keys_path.exists():
            load_card_keys(instance.card_keys_path)
    except TicketingError as error:
        raise UserError(str(error)) from None


def check_ports(settings: Settings) -> None:
    """Refuse ports that cannot be listened on.

    Raises:
        UserError: says which port, and by whom it is taken where that can be known.
    """
    if settings.http.port:
        check_port(settings.http.host, settings.http.port, "--http-port")
    if brings_broker(settings) and settings.mqtt.port:
        check_port(settings.mqtt.host, settings.mqtt.port, "--mqtt-port")
    if settings.http.port and brings_broker(settings) and settings.http.port == settings.mqtt.port:
        raise UserError(
            f"port {settings.http.port} is set for both HTTP and MQTT; choose another with --http-port or --mqtt-port"
        )


def brings_broker(settings: Settings) -> bool:
    """Whether devices connect to a broker of ours."""
    return settings.nats_url is None and settings.broker_url is None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
