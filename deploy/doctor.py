"""Is this machine, this data folder and this instance fit to work? One function a question, each with its next step."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import socket
import stat
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from deploy.data_folder import holds_other_things
from deploy.embedded_process import who_listens
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.listening import trusting
from deploy.runtime import Runtime

if TYPE_CHECKING:
    from deploy.config import Settings

State = Literal["ok", "warn", "fail"]

DISK_FREE_WARN_BYTES = 5 << 30
DISK_FREE_FAIL_BYTES = 500 << 20
POSTGRES_MAJOR_MIN = 15
ANSWER_S_MAX = 5.0
BOOKS_S_MAX = 60.0
NOT_BEFORE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # older than this program: a clock that says less is wrong


class Finding(msgspec.Struct, frozen=True):
    """One answer: `detail` says what is, `next_step` what to do, "" where there is nothing to do."""

    check: str
    state: State
    detail: str
    next_step: str = ""


class _Ready(msgspec.Struct):
    warnings: list[str] = []


@dataclass(frozen=True)
class Patient:
    """What is examined; `instance` is None where there is no data folder yet, `runtime` where nothing runs."""

    settings: Settings
    instance: Instance | None = None
    runtime: Runtime | None = None

    @property
    def database_url(self) -> str | None:
        """Where the database answers now, if anywhere."""
        return self.settings.database_url or (self.runtime.database_url if self.runtime else None)


def examine(settings: Settings) -> list[Finding]:
    """Ask every question; one that fails by itself is a finding too and keeps no other from being asked.

    Raises:
        UserError: the data folder is a folder of something else.
    """
    patient, found = _find(settings)
    for check in CHECKS:
        try:
            found += check(patient)
        except UserError as error:
            found.append(Finding(check.__name__.removeprefix("check_"), "fail", str(error)))
        except Exception as error:  # a doctor who faints is no help
            name = check.__name__.removeprefix("check_")
            found.append(Finding(name, "fail", f"cannot be checked: {error!r}", "report this with the text above"))
    return found


def _find(settings: Settings) -> tuple[Patient, list[Finding]]:
    folder = settings.data_dir
    if not folder.exists():
        missing = Finding("data folder", "warn", f"{folder}: no instance yet", f"takt run --data-dir {folder}")
        return Patient(settings), [missing]
    try:
        instance = Instance.open(folder, create=False)
        runtime = instance.read_runtime()
    except UserError as error:
        if holds_other_things(folder):
            raise  # there is no instance to examine, only a slip of the keyboard
        return Patient(settings), [Finding("data folder", "fail", str(error))]
    running = f"running, process {runtime.pid}" if runtime else "not running"
    return Patient(settings, instance, runtime), [Finding("data folder", "ok", f"{instance.folder}: {running}")]


def check_python(_: Patient) -> list[Finding]:
    """Python knows the world's time zones (an older one than ours would not have got here)."""
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        ZoneInfo("Europe/Kyiv")
    except ZoneInfoNotFoundError:
        return [Finding("python", "fail", f"{version}, without time zones", "install the package tzdata")]
    return [Finding("python", "ok", version)]


def check_disk(patient: Patient) -> list[Finding]:
    """There is room for taps to be stored."""
    folder = patient.settings.data_dir.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 2**30:.1f} GiB free at {there}"
    if free < DISK_FREE_FAIL_BYTES:
        return [Finding("disk", "fail", text, "free space: a full disk stops ticketing")]
    if free < DISK_FREE_WARN_BYTES:
        return [Finding("disk", "warn", text, "free space soon, or move the data folder")]
    return [Finding("disk", "ok", text)]


def check_rights(patient: Patient) -> list[Finding]:
    """Nobody but the owner may read passwords, keys and logs."""
    if patient.instance is None:
        return []
    folder = patient.instance.folder
    private = [*folder.glob("*.json"), *folder.glob("keys/**/*.*"), *folder.glob("nats/*.conf")]
    found = []
    # 0711 is what PostgreSQL's own user needs where root has no user namespaces.
    if _mode(folder) & 0o066:
        found.append(Finding("rights", "fail", f"{folder}: others may look into it", f"chmod 700 {folder}"))
    for path in private:
        if _mode(path) & 0o077:
            found.append(Finding("rights", "fail", f"{path}: others may read it", f"chmod 600 {path}"))
    return found or [Finding("rights", "ok", "data folder, passwords and keys are the owner's alone")]


def check_keys(patient: Patient) -> list[Finding]:
    """Every key file holds the key that it should."""
    if patient.instance is None:
        return []
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    instance = patient.instance
    issuers = sorted(instance.issuer_keys_dir.glob("*.pem"))
    if not issuers:
        step = "restore them from a backup: tickets already sold cannot be verified without them"
        return [Finding("keys", "fail", f"{instance.issuer_keys_dir}: no issuer key", step)]
    for path in (instance.token_key_path, *issuers):
        try:
            good = isinstance(load_pem_private_key(path.read_bytes(), None), Ed25519PrivateKey)
        except (OSError, ValueError, TypeError):
            good = False
        if not good:
            return [Finding("keys", "fail", f"{path}: no Ed25519 key can be read from it", "restore it from a backup")]
    return [Finding("keys", "ok", f"{len(issuers)} issuer keys and the API's token key")]


def check_postgres(patient: Patient) -> list[Finding]:
    """The database answers, is new enough and up to date."""
    url = patient.database_url
    if url is not None:
        return asyncio.run(_ask_database(url))
    from deploy.postgres_files import postgres_bin
    from deploy.postgres_settings import MAJOR

    try:
        postgres_bin()
    except UserError as error:
        return [Finding("postgresql", "fail", str(error))]
    written = patient.instance.postgres_major if patient.instance else None
    if written not in (None, MAJOR):
        step = "make a backup with the Takt that made it and restore that with this one"
        return [Finding("postgresql", "fail", f"the database is version {written}'s, this Takt brings {MAJOR}", step)]
    return [Finding("postgresql", "ok", f"version {MAJOR}, embedded, not running")]


async def _ask_database(url: str) -> list[Finding]:
    import asyncpg

    from sql.migrate import MigrationError, pending_migrations

    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_S_MAX, command_timeout=ANSWER_S_MAX)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TimeoutError) as error:
        step = "start it, or correct database_url in the settings; the log of an embedded one is logs/postgres.log"
        return [Finding("postgresql", "fail", f"does not answer ({error or type(error).__name__})", step)]
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
        durable = await connection.fetchval("SHOW fsync") == "on"
    finally:
        await connection.close(timeout=ANSWER_S_MAX)
    found = [Finding("postgresql", "ok", f"version {number // 10000}.{number % 10000}, answers")]
    if number // 10000 < POSTGRES_MAJOR_MIN:
        step = f"use PostgreSQL {POSTGRES_MAJOR_MIN} or newer"
        found = [Finding("postgresql", "fail", f"version {number // 10000} is too old", step)]
    if not durable:
        found.append(Finding("postgresql", "fail", "fsync is off: a power cut loses receipted taps", "turn fsync on"))
    try:
        pending = await pending_migrations(url)
    except MigrationError as error:
        return [*found, Finding("migrations", "fail", str(error))]
    if pending:
        return [*found, Finding("migrations", "warn", f"{len(pending)} have yet to run", "takt migrate, or takt run")]
    return [*found, Finding("migrations", "ok", "up to date")]


def check_books(patient: Patient) -> list[Finding]:
    """Nobody altered the audit log, and every purse holds what the ledger says."""
    return asyncio.run(_ask_books(patient.database_url)) if patient.database_url is not None else []


async def _ask_books(url: str) -> list[Finding]:
    import asyncpg

    from deploy.commands.audit import sentence
    from sql import query

    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_S_MAX, command_timeout=BOOKS_S_MAX)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TimeoutError):
        return []  # check_postgres says it
    try:
        broken = await connection.fetch(query("audit.broken"))
        purses = await connection.fetch(query("cards.purse_differences"))
        debts = await connection.fetch(query("rating.debt_differences"))
        balances = await connection.fetch(query("ledger.balances"))
    except (asyncpg.UndefinedFunctionError, asyncpg.UndefinedColumnError):
        return []  # not migrated yet, which is said as well
    finally:
        await connection.close(timeout=ANSWER_S_MAX)
    step = "compare it with a backup from before, and keep this database as evidence"
    found = [Finding("audit log", "fail", sentence(row), step) for row in broken]
    found = found or [Finding("audit log", "ok", "the chain is whole")]
    if sum(row["minor"] for row in balances):
        found.append(Finding("ledger", "fail", "does not sum to zero", step))
    for row in purses[:5]:
        text = f"card {row['uid'].hex()} holds {row['balance_minor']} and its transfers say {row['booked_minor']}"
        found.append(Finding("ledger", "fail", text, step))
    for row in debts[:5]:
        text = f"card {row['uid'].hex()} owes {row['debt_minor']} and its transfers say {row['booked_minor']}"
        found.append(Finding("ledger", "fail", text, step))
    if not purses and not debts:
        found.append(Finding("ledger", "ok", f"{len(balances)} accounts sum to zero, every purse agrees"))
    return found


def check_broker(patient: Patient) -> list[Finding]:
    """The broker takes an MQTT client."""
    if patient.settings.broker_url is not None:
        return []  # its password is not ours to try; /readyz says whether the gateway is connected
    if patient.runtime is None or patient.instance is None:
        from deploy.embedded_broker import nats_program

        try:
            nats_program()
        except UserError as error:
            return [Finding("broker", "fail", str(error))]
        return [Finding("broker", "ok", "embedded, not running")]
    where = f"{patient.runtime.mqtt_host}:{patient.runtime.mqtt_port}"
    refusal = _connect_mqtt(patient.runtime, patient.instance)
    if refusal:
        return [Finding("broker", "fail", f"MQTT at {where}: {refusal}", "see logs/nats.log in the data folder")]
    return [Finding("broker", "ok", f"takes MQTT clients at {where}")]


def _connect_mqtt(runtime: Runtime, instance: Instance) -> str:
    """Why an MQTT client is not taken; "" when it is."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    done, answers = threading.Event(), ["no answer"]

    def connected(_client: object, _data: object, _flags: object, reason: object, _properties: object) -> None:
        answers[0] = "" if str(reason) == "Success" else str(reason)
        done.set()

    client = Client(CallbackAPIVersion.VERSION2, client_id=f"doctor-{instance.secrets.mqtt_client_suffix}")
    client.username_pw_set("takt", instance.secrets.broker_password)
    client.on_connect = connected
    if runtime.mqtt_certificate:
        client.tls_set_context(trusting(Path(runtime.mqtt_certificate)))
    try:
        client.connect(runtime.mqtt_host, runtime.mqtt_port)
    except OSError as error:
        return str(error)
    client.loop_start()
    done.wait(ANSWER_S_MAX)
    client.disconnect()
    client.loop_stop()
    return answers[0]


def check_http(patient: Patient) -> list[Finding]:
    """A running instance says that it can work."""
    if patient.runtime is None or not patient.runtime.http_url.startswith(("http://", "https://")):
        return []
    url = patient.runtime.http_url.rstrip("/") + "/readyz"
    certificate = patient.runtime.http_certificate
    context = trusting(Path(certificate)) if certificate else None
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX, context=context) as answer:  # noqa: S310
            said = msgspec.json.decode(answer.read(100_000), type=_Ready)
        amiss = [Finding("running", "warn", warning) for warning in said.warnings]
        return [Finding("http", "ok", f"{url}: ready"), *amiss]
    except urllib.error.HTTPError as error:
        reason = error.read(2000).decode(errors="replace")
        return [Finding("http", "fail", f"{url}: {error.code} {reason}", "see the reasons it gives")]
    except (OSError, msgspec.DecodeError) as error:
        return [Finding("http", "fail", f"{url}: {error}", "see the logs folder")]


def check_ports(patient: Patient) -> list[Finding]:
    """The ports that a start would need are free."""
    if patient.runtime is not None:
        return []
    found = []
    for name, option, port in (
        ("http", "--http-port", patient.settings.http.port),
        ("mqtt", "--mqtt-port", patient.settings.mqtt.port),
    ):
        listener = who_listens(port) if port else None
        if listener:
            step = f"stop it or choose another with {option}"
            found.append(Finding("ports", "warn", f"{port} ({name}) is taken by {listener}", step))
        else:
            found.append(Finding("ports", "ok", f"{port} ({name}) is free"))
    return found


def check_clock(patient: Patient) -> list[Finding]:
    """The clock is not behind what has already happened."""
    now = dt.datetime.now(dt.UTC)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC on {socket.gethostname()}"
    if now < NOT_BEFORE:
        return [Finding("clock", "fail", text, "set the clock: tickets are judged by it")]
    if patient.instance is not None:
        newest = max(path.stat().st_mtime for path in patient.instance.folder.iterdir())
        if newest > now.timestamp() + 60:
            ahead = dt.datetime.fromtimestamp(newest, dt.UTC)
            return [
                Finding(
                    "clock",
                    "fail",
                    f"{text}, but the data folder was written at {ahead:%Y-%m-%d %H:%M} UTC",
                    "set the clock",
                )
            ]
    return [Finding("clock", "ok", text)]


def check_console(_: Patient) -> list[Finding]:
    """The dispatcher console is built."""
    spec = find_spec("dispatch")
    page = Path(spec.origin).parent / "console" / "dist" / "index.html" if spec and spec.origin else Path()
    if not page.is_file():
        return [Finding("console", "warn", "is not built: there is an API and no page", "make console")]
    return [Finding("console", "ok", "built")]


def check_ticket_page(_: Patient) -> list[Finding]:
    """The passenger's page is built."""
    spec = find_spec("ticketing")
    page = Path(spec.origin).parent / "wallet" / "dist" / "index.html" if spec and spec.origin else Path()
    if not page.is_file():
        return [Finding("ticket page", "warn", "is not built: passengers cannot buy on /ticket", "make wallet")]
    return [Finding("ticket page", "ok", "built")]


def check_tariff(patient: Patient) -> list[Finding]:
    """The tariff in its file is one that the next start would take."""
    from deploy import tariffs

    file = patient.settings.ticketing.tariff
    try:
        tariffs.check_tariff(patient.settings)
    except UserError as error:
        goes_on = "; what runs goes on with the tariff it has" if patient.runtime else ""
        return [Finding("tariff", "fail", str(error), f"put it right: no start would take it{goes_on}")]
    return [Finding("tariff", "ok", f"{file}: can be used" if file else "the shipped one")]


def check_feed(patient: Patient) -> list[Finding]:
    """A feed was read, so a start is quick."""
    if patient.instance is None:
        return []
    cached = [path for path in patient.instance.network_dir.glob("*") if path.is_file()]
    if not cached:
        step = "takt run with feed set in the settings reads it; takt network FEED says what is in it"
        return [Finding("feed", "warn", "none was read yet", step)]
    size = sum(path.stat().st_size for path in cached)
    return [Finding("feed", "ok", f"{len(cached)} read and kept, {size / 1e6:.0f} MB")]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


CHECKS = (
    check_python,
    check_disk,
    check_rights,
    check_keys,
    check_postgres,
    check_books,
    check_broker,
    check_http,
    check_ports,
    check_clock,
    check_console,
    check_ticket_page,
    check_tariff,
    check_feed,
)
