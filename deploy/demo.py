"""A demo's city: its feed, its timetable moved to a busy hour, and its devices, riders and logins.

Everything goes through the same doors as in production: devices get credentials from the register, cards and tickets
come over HTTP, and vehicles and validators connect over MQTT from a process of their own.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from deploy.auth import Tokens, issuer_of, read_key
from deploy.children import Child, kept_running
from deploy.config import Settings
from deploy.devices import DeviceId as Registered
from deploy.devices import Registry
from deploy.errors import UserError
from deploy.grounds import Grounds
from deploy.instance import Instance
from deploy.private_files import read_json, write_private
from deploy.runtime import Runtime
from deploy.serving import Stop
from deploy.users import Users
from deploy.wiring import read_network
from deploy.wiring_payments import read_secret
from dispatch.network import Network
from dispatch.network_file import save_network
from dispatch.timetable import busiest_weekday, first_day_shown, move_to
from simulators.acquirer import Acquirer, address_of, free_socket, open_acquirer
from simulators.city import make_city
from simulators.player import PlayerSettings
from simulators.player_process import CardConfig, DeviceConfig, PlayerConfig
from simulators.provision import needed_devices
from simulators.vehicles import VehicleSettings

CITY_SEED = 1
HORIZON_S = 20 * 3600.0  # devices are provided for those who drive in so many hours
VEHICLES_MAX = 5_000
CARDS = 400
CARD_PURSE_MINOR = 20_000
BANK_RIDERS = 500
VALIDATORS_WAIT_S = 1.5  # then they decide by themselves; the demo shares its machine with all that it simulates
NETWORKS = ("city",)  # as the tariff that ships names it
LOGIN = "dispatcher"
TOKEN_S = 30 * 86_400.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What a demo can be told."""

    feed: str | None
    vehicles: int | None
    at_s: float
    seed: int
    compliance: float  # share of instructions that drivers obey


@dataclass(frozen=True, slots=True)
class Play:
    """What is played: the moved timetable, and which day of it."""

    network: Network
    date: dt.date
    network_path: Path
    acquirer: socket.socket | None = None  # where the simulated one will answer


class _Logins(msgspec.Struct):
    user: str
    password: str


async def prepare(settings: Settings, options: DemoOptions, say: Say) -> tuple[Settings, Play]:
    """The settings of a demo, and what it plays: the feed's busiest weekday, moved so that the time asked for is now.

    Raises:
        UserError: the feed cannot be used, or nothing runs in it.
    """
    instance = Instance.open(settings.data_dir)
    feed = options.feed or str(_made_up(instance, options.seed))
    settings = settings.model_copy(update={"feed": feed, "demo": True})
    network = await read_network(settings, instance)
    date = busiest_weekday(network, first_day_shown(network, dt.datetime.now(dt.UTC).date()))
    if date is None:
        raise UserError(f"{feed}: nothing runs on a weekday in the fourteen days from the feed's start")
    network = move_to(network, date, options.at_s, time.time())
    settings = settings.model_copy(update={"timetable_shift_s": network.shift_s})
    path = instance.network_dir / "demo.network"
    await asyncio.to_thread(save_network, network, path)
    clock = f"{int(options.at_s // 3600):02}:{int(options.at_s // 60 % 60):02}"
    say(f"playing {date:%A} {date.isoformat()} of feed {network.feed_version}: it is {clock} there")
    settings, listener = _with_acquirer(settings, instance)
    return settings, Play(network, date, path, listener)


def _with_acquirer(settings: Settings, instance: Instance) -> tuple[Settings, socket.socket | None]:
    """Settings that name a simulated acquirer, and the socket where it will answer; as they are where one is set."""
    if settings.payments.url is not None:
        return settings, None
    secret_file = instance.keys_dir / "acquirer-secret"
    if not secret_file.exists():
        write_private(secret_file, secrets.token_hex(16).encode())
    listener = free_socket()
    chosen = {"url": address_of(listener), "secret_file": secret_file}
    return settings.model_copy(update={"payments": settings.payments.model_copy(update=chosen)}), listener


def _made_up(instance: Instance, seed: int) -> Path:
    """The made-up city's feed in the data folder, made once; valid from the Monday of the week it was made in."""
    path = instance.folder / f"city-{seed}.zip"
    if not path.exists():
        today = dt.datetime.now(dt.UTC).date()
        write_private(path, make_city(seed, today - dt.timedelta(days=today.weekday())))
    return path


def traffic(options: DemoOptions, play: Play, say: Say) -> Callable[[Grounds, Stop], Any]:
    """The context of a city at work, entered when everything else runs."""

    @asynccontextmanager
    async def running(grounds: Grounds, stop: Stop) -> AsyncIterator[None]:
        instance = grounds.instance
        limit = options.vehicles if options.vehicles is not None else VEHICLES_MAX
        say("giving vehicles and validators their credentials")
        devices = await _provide(grounds, play.network, limit)
        runtime = instance.read_runtime()
        assert runtime is not None  # it is written before this is entered
        config = await _player(grounds, runtime, devices, play, options)
        path = instance.folder / "player.json"
        write_private(path, msgspec.json.encode(config, enc_hook=str))
        child = Child("city", ["simulators", str(path)], instance.logs_dir / "city.log")
        async with _acquirer(grounds, play.acquirer), kept_running(child, stop.failed):
            _welcome(grounds, len(devices), runtime.http_url, say)
            yield

    return running


async def _player(
    grounds: Grounds, runtime: Runtime, devices: list[DeviceConfig], play: Play, options: DemoOptions
) -> PlayerConfig:
    """What the city's own process is told: its doors, its devices, and the cards that are enrolled for its riders."""
    instance, settings = grounds.instance, grounds.settings
    tokens = Tokens(read_key(instance.token_key_path), issuer_of(instance.id))
    return PlayerConfig(
        network=play.network_path,
        http_url=runtime.http_url,
        mqtt_host=runtime.mqtt_host,
        mqtt_port=runtime.mqtt_port,
        kiosk_token=_token(tokens, "cashier", "kiosk"),
        devices=devices,
        cards=await _enrol(runtime.http_url, tokens),
        shift_s=play.network.shift_s,
        mqtt_ca=settings.mqtt.tls_certificate,
        http_ca=settings.http.tls_certificate,
        bank_riders=BANK_RIDERS if play.acquirer is not None else 0,  # no bank is troubled with made-up cards
        bank_key=hashlib.sha256(instance.id.encode()).hexdigest(),  # the same riders after a restart
        settings=PlayerSettings(
            journal=instance.folder / "demo-validators.jsonl",  # it holds tokens: no log
            fallback_s=VALIDATORS_WAIT_S,
            disks=instance.folder / "demo-validators",
            networks=NETWORKS,
            vehicles=VehicleSettings(hold_compliance=options.compliance),
        ),
    )


@asynccontextmanager
async def _acquirer(grounds: Grounds, listener: socket.socket | None) -> AsyncIterator[None]:
    """The simulated acquirer at work; nothing where the settings name another."""
    if listener is None:
        yield
        return
    journal = grounds.instance.folder / "demo-acquirer.jsonl"
    async with open_acquirer(Acquirer(read_secret(grounds.settings), journal=journal), listener):
        yield


async def _provide(grounds: Grounds, network: Network, limit: int) -> list[DeviceConfig]:
    """Credentials for the fleet: those kept from the last run, and new ones for whom there are none yet."""
    instance = grounds.instance
    path = instance.folder / "demo-devices.json"
    kept = read_json(path, list[DeviceConfig]) if path.exists() else []
    have = {(device.kind, device.operator, device.id): device for device in kept}
    needed = needed_devices(network, time.time(), HORIZON_S, limit)
    missing = [need for need in needed if (need.kind, need.operator, need.id) not in have]
    if missing:
        wanted = [Registered(need.kind, need.operator, need.id) for need in missing]
        made = await asyncio.to_thread(Registry(instance).add_many, wanted, replace=True)
        for need, credential in zip(missing, made, strict=True):
            device = DeviceConfig(need.kind, need.operator, need.id, credential.username, credential.password)
            have[need.kind, need.operator, need.id] = device
        write_private(path, msgspec.json.encode(list(have.values())))
        if grounds.broker is not None:
            await grounds.broker.reload()
    return [have[need.kind, need.operator, need.id] for need in needed]


async def _enrol(http_url: str, tokens: Tokens) -> list[CardConfig]:
    """City cards for the riders, with money in their purses; fresh ones each time, since their counters start anew."""
    uids = ["04" + secrets.token_hex(6).upper() for _ in range(CARDS)]
    headers = {"Authorization": f"Bearer {_token(tokens, 'admin', 'demo')}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(http_url, headers=headers, timeout=timeout) as session:
        enrolled = await _post(session, "/api/v1/cards", {"uids": uids})
        room = asyncio.Semaphore(8)

        async def top_up(uid: str) -> None:
            async with room:
                await _post(session, f"/api/v1/cards/{uid}/top-up", {"amount_minor": CARD_PURSE_MINOR})

        await asyncio.gather(*(top_up(card["uid"]) for card in enrolled["cards"]))
    return [
        CardConfig(card["uid"], card["meta_read_key"], card["file_read_key"], card["key_version"])
        for card in enrolled["cards"]
    ]


async def _post(session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> Any:
    async with session.post(path, json=body, ssl=False) as reply:
        if reply.status >= 300:
            raise UserError(f"the demo's city cards: {path}: {await reply.text()}")
        return await reply.json()


def _token(tokens: Tokens, role: str, subject: str) -> str:
    return tokens.issue(role, subject, time.time(), TOKEN_S)


def _welcome(grounds: Grounds, devices: int, url: str, say: Say) -> None:
    """Where to look, and how to log in."""
    instance = grounds.instance
    path = instance.folder / "demo-login.json"
    users = Users(instance.users_path)
    if path.exists() and users.find(LOGIN):
        login = read_json(path, _Logins)
    else:
        login = _Logins(LOGIN, secrets.token_urlsafe(9))
        if users.find(LOGIN):
            users.remove(LOGIN)
        users.add(login.user, "dispatcher", login.password)
        write_private(path, msgspec.json.encode(login))
    data_dir = instance.folder
    say(f"ready; {devices} devices are connecting")
    say(f"the console: {url}   log in as {login.user} with {login.password}")
    say(f"the API: {url}/docs   a token: takt token --role cashier --data-dir {data_dir}")
    say("Ctrl-C stops all of it")
