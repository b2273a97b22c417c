"""Settings: defaults beside the fields, then takt.toml, then TAKT_* variables; frozen, and unknown keys are refused."""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from deploy.errors import UserError

# Variables that start with TAKT_ and are no settings: where the settings are, a backup's passphrase, tests' feeds.
NOT_SETTINGS = frozenset({"TAKT_CONFIG", "TAKT_SHARED", "TAKT_PASSPHRASE"})
_PUBLIC_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[A-Za-z0-9._~/-]+)?/?")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Http(_Section):
    """Where people and programs connect."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    url: str | None = None  # under which others find it: it stands in tickets, and validators fetch from it
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    metrics: Literal["local", "token", "open"] = "local"

    @field_validator("url")
    @classmethod
    def _is_public(cls, url: str | None) -> str | None:
        if url is not None and not _PUBLIC_URL.fullmatch(url):
            raise ValueError("is not an address such as https://city.example")
        return url


class Mqtt(_Section):
    """Where devices connect."""

    host: str = "127.0.0.1"
    port: int = Field(default=1883, ge=0, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None


class Source(_Section):
    """A further broker to take positions from."""

    url: str
    profile: Literal["takt", "hfp"] = "hfp"
    topic: str = ""  # the profile's own
    timezone: str = "Europe/Helsinki"

    @field_validator("timezone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):  # what it raises for odd names is not one thing
            raise ValueError("is not the name of a time zone, such as Europe/Kyiv") from None
        return name


class Gateway(_Section):
    """What the gateway admits, and from where."""

    sources: tuple[Source, ...] = ()
    stale_s_max: float = Field(default=300, gt=0)
    future_s_max: float = Field(default=60, gt=0)
    speed_mps_max: float = Field(default=45, gt=0)
    map_margin_m: float = Field(default=50_000, gt=0)


class Dispatch(_Section):
    """When a headway is out of order; the engine's own defaults say the rest."""

    tick_s: float = Field(default=1.0, ge=0.2, le=10)
    bunched_ratio: float = Field(default=0.25, gt=0, lt=1)
    gapped_ratio: float = Field(default=2.0, gt=1)
    history_days: int = Field(default=92, ge=1, le=3660)
    fixes_days: int = Field(default=3, ge=1, le=366)
    tapping_share: float | None = Field(default=None, gt=0, le=1)  # of riders; None: taps only compare lines


class Ticketing(_Section):
    """What is sold, and by whom."""

    tariff: Path | None = None
    issuer: str = "takt"
    proof_window_s: float = Field(default=30, gt=0)
    proof_clock_error_s: float = Field(default=10, ge=0)
    elsewhere_kmh: float = Field(default=120, gt=0, le=2000)
    keep_trips_days: int = Field(default=120, ge=1, le=3660)


class Payments(_Section):
    """Whom ticketing asks for money, and how much risk it takes with bank cards; amounts in minor units."""

    url: str | None = None
    secret_file: Path | None = None
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    statement: str = Field(default="Takt", min_length=1, max_length=22)  # what riders read; card schemes show 22
    unpaid_minor_max: int = Field(default=20_000, ge=0, le=10**12)
    taps_per_hour_max: int = Field(default=30, ge=1, le=10_000)
    unverified_rides_max: int = Field(default=1, ge=0, le=100)

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and (not url.startswith(("http://", "https://")) or "@" in url):
            raise ValueError("is not an address such as https://acquirer.example/api; a password goes to secret_file")
        return url


class Settings(BaseSettings):
    """Everything that can be set; `takt run --config takt.toml` reads it."""

    model_config = SettingsConfigDict(env_prefix="TAKT_", env_nested_delimiter="__", extra="forbid", frozen=True)

    name: str = "Takt"
    data_dir: Path = Path("takt-data")
    feed: str | None = None
    block_pattern: str | None = None
    database_url: str | None = None
    broker_url: str | None = None
    nats_url: str | None = None
    tile_url: str | None = None
    status_port: int | None = Field(default=None, ge=0, le=65535)  # of one part alone
    timetable_shift_s: float = 0.0
    demo: bool = False
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    gateway: Gateway = Gateway()
    dispatch: Dispatch = Dispatch()
    ticketing: Ticketing = Ticketing()
    payments: Payments = Payments()


def read_settings(path: Path | None = None, **options: Any) -> Settings:
    """Settings from a file (takt.toml in this folder where none is named), the environment and the command's options.

    Options (`http__port=8080`) that are None are not given; the others win over everything.

    Raises:
        UserError: the file is missing or broken, or a key or value is wrong; says which and where.
    """
    _refuse_unknown_variables()
    given = path or (Path(os.environ["TAKT_CONFIG"]) if "TAKT_CONFIG" in os.environ else None)
    file = given or Path("takt.toml")
    values = _read_file(file) if given or file.is_file() else {}

    class Read(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    try:
        return Read(**_nested(options))
    except ValidationError as error:
        raise UserError(_sentence(error, file, values)) from None
    except SettingsError:
        raise UserError(_unreadable_variable()) from None


def _nested(options: dict[str, Any]) -> dict[str, Any]:
    """{"http__port": 80} to {"http": {"port": 80}}, without the options that were not given."""
    nested: dict[str, Any] = {}
    for key, value in options.items():
        section, _, field = key.partition("__")
        if value is None:
            continue
        if field:
            nested.setdefault(section, {})[field] = value
        else:
            nested[section] = value
    return nested


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; name your settings with --config") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a settings file: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: not a settings file: there must be settings by name")
    return values


def _refuse_unknown_variables() -> None:
    for name in os.environ:
        if not name.startswith("TAKT_") or name in NOT_SETTINGS:
            continue
        if name.removeprefix("TAKT_").lower().split("__")[0] not in Settings.model_fields:
            known = ", ".join(f"TAKT_{field.upper()}" for field in Settings.model_fields)
            raise UserError(f"{name}: there is no such setting; there are {known}")


def _unreadable_variable() -> str:
    """Which variable holds no JSON where it must: those of a section, and lists."""
    for name, text in os.environ.items():
        path = name.removeprefix("TAKT_").lower().split("__")
        field = Settings.model_fields.get(path[0]) if name.startswith("TAKT_") else None
        section = field.annotation if field else None
        if not (isinstance(section, type) and issubclass(section, _Section)):
            continue
        try:
            json.loads(text)
        except ValueError:
            if len(path) == 1:
                first = next(iter(section.model_fields)).upper()
                return f"{name}: is a section, not a setting; set what is in it, such as {name}__{first}"
            if path[1:] == ["sources"]:
                return f'{name}: must be a list in JSON, such as [{{"url": "mqtt://host"}}]'
    return "a TAKT_ variable cannot be read; see docs/settings.md for what each may hold"


def _sentence(error: ValidationError, file: Path, values: dict[str, Any]) -> str:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    at = f"{file}{_line_of(file, first['loc'])}" if _is_in(values, first["loc"]) else "settings"
    at = _variable_of(first["loc"]) or at  # it wins over the file
    if first["type"] == "extra_forbidden":
        return f"{at}: {field}: there is no such setting; see docs/settings.md for those there are"
    return f"{at}: {field}: {first['msg'].removeprefix('Value error, ')} (it is {first['input']!r})"


def _variable_of(place: tuple[int | str, ...]) -> str | None:
    """The environment's variable that sets this place, where there is one."""
    wanted = "TAKT_" + "__".join(str(part) for part in place)
    return next((name for name in os.environ if name.lower() == wanted.lower()), None)


def _is_in(values: dict[str, Any], place: tuple[int | str, ...]) -> bool:
    return bool(place) and place[0] in values


def _line_of(file: Path, place: tuple[int | str, ...]) -> str:
    """':12' for the line that holds the last key of the place; '' where it cannot be told."""
    key = next((str(part) for part in reversed(place) if isinstance(part, str)), "")
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.split("=")[0].strip().strip('"') == key or line.strip() == f"[{'.'.join(map(str, place))}]":
            return f":{number}"
    return ""
