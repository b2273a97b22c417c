"""`takt device`: credentials of vehicles and validators for MQTT."""

from __future__ import annotations

import csv
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from deploy.commands.device_letters import letters
from deploy.commands.options import AsJson, Config, DataDir, print_json
from deploy.errors import UsageError, UserError

if TYPE_CHECKING:
    from deploy.config import Settings
    from deploy.devices import Credential, DeviceId, Kind
    from deploy.instance import Instance
    from deploy.runtime import Runtime

FIELD_CHARS_MAX = 4096
ROWS_MAX = 100_000
COLUMNS = ("kind", "operator", "id")
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104

KindArgument = Annotated[str, typer.Argument(metavar="KIND", help="vehicle or validator.")]
OperatorArgument = Annotated[str, typer.Argument(metavar="OPERATOR", help="Who runs it, as in its topics.")]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Its id, as in its topics.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `takt`."""
    device = typer.Typer(
        name="device",
        help="Credentials of vehicles and validators for MQTT.",
        epilog="Example: takt device add vehicle kpt 4582",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    device.command("add", epilog="Example: takt device add vehicle kpt 4582 --json")(add)
    device.command("list", epilog="Example: takt device list --json")(list_devices)
    device.command("revoke", epilog="Example: takt device revoke validator kpt door-17")(revoke)
    device.command("export", epilog="Example: takt device export --format mosquitto --out /etc/mosquitto")(export)
    device.command("letters", epilog="Example: takt device letters vehicle.kpt.4582 --since 2h")(letters)
    app.add_typer(device)


def add(
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="vehicle or validator.")] = None,
    operator: Annotated[str | None, typer.Argument(metavar="OPERATOR", help="Who runs it, as in its topics.")] = None,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="Its id, as in its topics.")] = None,
    *,
    many: Annotated[
        Path | None, typer.Option(metavar="CSV", help="A whole fleet: a file with the columns kind, operator, id.")
    ] = None,
    replace: Annotated[bool, typer.Option(help="Give new credentials to devices that have some.")] = False,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make credentials; user name and password are shown this once. With --many as csv, on standard output."""
    from deploy.devices import Registry

    if many is not None and kind is None:
        devices = _read_fleet(many)
    elif many is None and kind and operator and id:
        devices = [_named(kind, operator, id)]
    else:
        raise typer.BadParameter("name one device (KIND OPERATOR ID) or a fleet (--many CSV)")
    instance, door = _open(data_dir, config)
    credentials = _add(Registry(instance), devices, replace)
    if as_json:
        shown = [_as_json(credential, door) for credential in credentials]
        print_json({"devices": shown} if many else shown[0])
    elif many:
        _print_csv(credentials)
    else:
        _print_one(credentials[0], door)


def list_devices(data_dir: DataDir = None, config: Config = None, as_json: AsJson = False) -> None:
    """List the devices that have credentials."""
    from deploy.devices import Registry

    devices = Registry(_open(data_dir, config)[0]).list()
    if as_json:
        shown = [
            {"kind": d.kind, "operator": d.operator, "id": d.id, "username": d.device.username, "created": d.created}
            for d in devices
        ]
        print_json({"devices": shown})
        return
    for device in devices:
        typer.echo(f"{device.kind:<10} {device.operator:<20} {device.id:<20} since {device.created}")
    typer.echo(f"{len(devices)} devices." if devices else "No devices; add one with: takt device add KIND OPERATOR ID")


def revoke(
    kind: KindArgument,
    operator: OperatorArgument,
    id: IdArgument,
    *,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """End a device's credentials, and its connection if it has one."""
    from deploy.devices import Registry

    device = _named(kind, operator, id)
    Registry(_open(data_dir, config)[0]).revoke(device.kind, operator, id)
    if as_json:
        print_json({"revoked": device.username})
    else:
        typer.echo(f"{device.username} has no credentials any more.")


def export(
    format: Annotated[str, typer.Option("--format", help="For which broker: mosquitto.")] = "mosquitto",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write the files.")] = Path(),
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write the register as a password file and an ACL file for a broker of your own."""
    from deploy.devices import Registry, mosquitto_passwords, mosquitto_rights
    from deploy.private_files import write_private

    if format != "mosquitto":
        raise UsageError(f"--format {format}: there is only mosquitto")
    devices = Registry(_open(data_dir, config)[0]).list()
    if not out.is_dir():
        raise UserError(f"--out {out}: there is no such folder")
    files = {"takt.passwd": mosquitto_passwords(devices), "takt.acl": mosquitto_rights(devices)}
    try:
        for name, text in files.items():
            write_private(out / name, text.encode())
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from None
    if as_json:
        print_json({"files": [str(out / name) for name in files], "devices": len(devices)})
        return
    typer.echo(f"{len(devices)} devices in {out / 'takt.passwd'} and {out / 'takt.acl'}.")
    typer.echo("Add Takt's own user (mosquitto_passwd takt.passwd takt) and name both files in mosquitto.conf.")


@dataclass(frozen=True)
class _Door:
    """Where a device connects."""

    host: str
    port: int
    tls: bool


def _open(data_dir: Path | None, config: Path | None) -> tuple[Instance, _Door]:
    from deploy.config import read_settings
    from deploy.instance import Instance

    settings = read_settings(config, data_dir=data_dir)
    instance = Instance.open(settings.data_dir, create=False)
    return instance, _door(settings, instance.read_runtime())


def _door(settings: Settings, runtime: Runtime | None) -> _Door:
    """That of a broker of your own, else of the running instance, else of the one that the settings would start."""
    if settings.broker_url is not None:
        from gateway.config import Broker
        from gateway.errors import SettingsError

        try:
            broker = Broker.from_url(settings.broker_url)
        except SettingsError as error:
            raise UserError(f"broker_url: {error}") from None
        return _Door(broker.host, broker.port, broker.tls is not None)
    if runtime is not None:
        host, port = runtime.mqtt_listens or runtime.mqtt_host, runtime.mqtt_port
        tls = runtime.mqtt_certificate is not None
    else:
        host, port, tls = settings.mqtt.host, settings.mqtt.port, settings.mqtt.tls_certificate is not None
    return _Door(socket.gethostname() if host in EVERYWHERE else host, port, tls)


def _named(kind: str, operator: str, id: str) -> DeviceId:
    """A device as its name was typed."""
    from deploy.devices import DeviceId

    try:
        return DeviceId(cast("Kind", kind), operator, id)
    except UserError as error:
        raise UsageError(str(error)) from None


def _read_fleet(path: Path) -> list[DeviceId]:
    from deploy.devices import DeviceId

    csv.field_size_limit(FIELD_CHARS_MAX)  # the module's own, which a feed's reader sets to its needs
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
                raise UserError(f"{path}:1: the column {missing[0]} is missing; there must be {', '.join(COLUMNS)}")
            devices: list[DeviceId] = []
            for row in rows:
                if len(devices) >= ROWS_MAX:
                    raise UserError(f"{path}:{rows.line_num}: more than {ROWS_MAX:,} devices; split the file")
                try:
                    devices.append(DeviceId(*((row[column] or "").strip() for column in COLUMNS)))  # type: ignore[arg-type]
                except UserError as error:
                    raise UserError(f"{path}:{rows.line_num}: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: is no csv file in UTF-8 ({error})") from None
    if not devices:
        raise UserError(f"{path}: names no device")
    return devices


def _add(registry: Any, devices: list[DeviceId], replace: bool) -> list[Credential]:
    from rich.console import Console
    from rich.progress import Progress

    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not (screen.is_terminal and len(devices) > 1)) as progress:
        task = progress.add_task("Making credentials", total=len(devices))
        given: list[Credential] = registry.add_many(
            devices, replace=replace, progress=lambda done: progress.update(task, completed=done)
        )
    return given


def _as_json(credential: Credential, door: _Door) -> dict[str, Any]:
    device = credential.device
    return {
        "kind": device.kind,
        "operator": device.operator,
        "id": device.id,
        "username": credential.username,
        "password": credential.password,
        "topics": {"publish": list(device.publishes), "subscribe": list(device.subscribes)},
        "host": door.host,
        "port": door.port,
        "tls": door.tls,
    }


def _print_csv(credentials: list[Credential]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow((*COLUMNS, "username", "password"))
    for credential in credentials:
        device = credential.device
        writer.writerow((device.kind, device.operator, device.id, credential.username, credential.password))


def _print_one(credential: Credential, door: _Door) -> None:
    device = credential.device
    lines = [
        f"user name   {credential.username}",
        f"password    {credential.password}",
        f"broker      {door.host}:{door.port}{' (TLS)' if door.tls else ''}, MQTT 3.1.1",
        *(f"publishes   {topic}" for topic in device.publishes),
        *(f"subscribes  {topic}" for topic in device.subscribes),
        "The password is shown this once and stored nowhere.",
    ]
    typer.echo("\n".join(lines))
