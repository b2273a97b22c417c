"""Logs: JSON a line, and nothing in them that opens a door."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from deploy import logs

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"


@pytest.fixture
def lines(tmp_path: Path) -> object:
    root = logging.getLogger()
    kept, level = list(root.handlers), root.level
    others = {name: logging.getLogger(name).level for name in ("aiohttp.access", "nats", "asyncio")}
    path = tmp_path / "takt.log"
    logs.configure("info", path, service="test")
    yield lambda: [json.loads(line) for line in path.read_text().splitlines()]
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.handlers[:] = kept
    root.setLevel(level)
    for name, before in others.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def test_an_event_is_one_json_object(lines) -> None:
    structlog.get_logger("gateway").info("connected", sessions=2)
    (line,) = lines()
    assert (line["message"], line["sessions"], line["level"]) == ("connected", 2, "info")
    assert (line["logger"], line["service"]) == ("gateway", "test")
    assert line["time"].endswith("Z")


def test_a_librarys_own_record_comes_the_same_way(lines) -> None:
    logging.getLogger("asyncpg").warning("slow query %s", "q1")
    (line,) = lines()
    assert (line["message"], line["level"]) == ("slow query q1", "warning")


def test_an_exception_stays_on_its_line(lines) -> None:
    try:
        int("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines()
    assert "ValueError: invalid literal" in line["exception"]


@pytest.mark.parametrize(
    "fields",
    [
        {"token": JWT},
        {"password": "hunter2hunter2"},
        {"headers": {"Authorization": f"Bearer {JWT}"}},
        {"text": f"sent Authorization: Bearer {JWT} to"},
        {"url": "postgresql://takt:hunter2hunter2@127.0.0.1/takt"},
        {"items": [f"x {JWT}", {"api_key": "hunter2hunter2"}]},
        {"cookie": f"takt_session={JWT}"},
    ],
)
def test_a_secret_is_never_written(lines, fields: dict[str, object]) -> None:
    structlog.get_logger().info("event", **fields)
    (line,) = lines()
    text = json.dumps(line)
    assert JWT not in text
    assert "hunter2" not in text
    assert logs.REDACTED in text


def test_a_vehicles_key_is_no_secret(lines) -> None:
    structlog.get_logger().info("alarm", vehicle_key="kp/4582")
    assert lines()[0]["vehicle_key"] == "kp/4582"


def test_what_json_cannot_say_is_written_as_text(lines) -> None:
    structlog.get_logger().info("odd", value=object(), number=float("nan"), text="\udc80")
    assert len(lines()) == 1


def test_the_file_is_its_owners(lines, tmp_path: Path) -> None:
    assert (tmp_path / "takt.log").stat().st_mode & 0o777 == 0o600
