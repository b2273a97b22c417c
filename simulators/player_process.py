"""A play in a process of its own, as a file says where everything is: credentials belong into no command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dispatch.network import Network
from dispatch.network_file import NetworkFileError, load_network
from simulators.bank_riders import BankCard, make_bank_cards
from simulators.player import Cast, Doors, PlayerSettings, play
from simulators.provision import DeviceCredential, Kind
from simulators.riders import CityCard


class CardConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A city card; bytes in hex."""

    uid: str
    meta_read: str
    file_read: str
    version: int = 1
    counter: int = 0


class DeviceConfig(msgspec.Struct, forbid_unknown_fields=True):
    """A device's credentials."""

    kind: Kind
    operator: str
    id: str
    username: str
    password: str


class PlayerConfig(msgspec.Struct, forbid_unknown_fields=True):
    """What `main` reads: where everything is, who may connect, and how to play. It holds secrets."""

    network: Path
    http_url: str
    mqtt_host: str
    mqtt_port: int
    kiosk_token: str
    devices: list[DeviceConfig]
    cards: list[CardConfig] = []
    bank_riders: int = 0  # people with bank cards; for a simulated acquirer only
    bank_key: str = ""  # hex; what their tokens follow from
    shift_s: float | None = None
    mqtt_ca: Path | None = None  # the server's certificate, or who signed it
    http_ca: Path | None = None
    seed: int | None = None
    settings: PlayerSettings = PlayerSettings()


def main(config_path: Path | None) -> None:
    """Play as a JSON file says (None: standard input) until SIGTERM or SIGINT; statistics go out as JSON lines.

    Raises:
        SystemExit: with one sentence, where the configuration or the network cannot be used.
    """
    name = "standard input" if config_path is None else str(config_path)
    try:
        text = sys.stdin.buffer.read() if config_path is None else config_path.read_bytes()
        config = msgspec.json.decode(text, type=PlayerConfig, dec_hook=_read_path)
        cards = [_card(card) for card in config.cards]
        bank_cards = make_bank_cards(bytes.fromhex(config.bank_key), config.bank_riders)
        network = load_network(config.network)
        trust = _trust(config.mqtt_ca), _trust(config.http_ca)
    except (OSError, ValueError, NetworkFileError) as error:
        raise SystemExit(f"{name}: {error}") from None
    if config.shift_s is not None:
        network = replace(network, shift_s=config.shift_s)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_play(config, network, cards, bank_cards, trust))


def _card(card: CardConfig) -> CityCard:
    read = bytes.fromhex
    return CityCard(read(card.uid), read(card.meta_read), read(card.file_read), card.version, card.counter)


def _read_path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise ValueError(f"expected a path, got {value!r}")
    return Path(value)


async def _play(
    config: PlayerConfig,
    network: Network,
    cards: Sequence[CityCard],
    bank_cards: Sequence[BankCard],
    trust: tuple[ssl.SSLContext | None, ssl.SSLContext | None],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    devices = [DeviceCredential(d.kind, d.operator, d.id, d.username, d.password) for d in config.devices]
    where = config.http_url, config.mqtt_host, config.mqtt_port, config.kiosk_token
    doors = Doors(*where, tls=trust[0], http_tls=trust[1], report=_print_report)
    cast = Cast(devices, cards, bank_cards)
    await play(network, cast, doors, config.settings, np.random.default_rng(config.seed), stop)


def _trust(certificate: Path | None) -> ssl.SSLContext | None:
    """Trust a server by the very certificate given, whatever name that was made for."""
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(certificate)
    return context


def _print_report(statistics: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(statistics).decode() + "\n")
    sys.stdout.flush()
