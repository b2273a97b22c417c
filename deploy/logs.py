"""Structured logs: one JSON object a line, on standard error or in a file that turns over, and never a secret."""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

REDACTED = "[redacted]"
_SECRET_NAMES = re.compile(
    r"token|passw|secret|authorization|cookie|private|credential|signing_key|card_key|api_key|dsn", re.IGNORECASE
)
# A JWT, a bearer header, the name and password in a URL: whatever field it came under.
_SECRET_TEXTS = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+|(?<=bearer )\S+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    re.IGNORECASE,
)
_TEXT_CHARS_MAX = 4000
FILE_BYTES_MAX = 10_000_000
FILES_KEPT = 5

Event = MutableMapping[str, Any]


def redact(_logger: Any, _method: str, event: Event) -> Event:
    """Take secrets out of an event, by the name of the field and by the look of the text."""
    return {key: REDACTED if _SECRET_NAMES.search(key) else _clean(value) for key, value in event.items()}


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return _clean_text(value)
    if depth < 4 and isinstance(value, dict):
        return {
            str(key): REDACTED if _SECRET_NAMES.search(str(key)) else _clean(item, depth + 1)
            for key, item in value.items()
        }
    if depth < 4 and isinstance(value, (list, tuple)):
        return [_clean(item, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return _clean_text(str(value))


def _clean_text(text: str) -> str:
    # What came from outside may hold lone surrogates, which no encoder takes.
    return _SECRET_TEXTS.sub(REDACTED, text[:_TEXT_CHARS_MAX].encode("utf-8", "replace").decode())


def _encode(event: Event, **_options: Any) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode("utf-8", "replace")


def configure(level: str = "info", path: Path | None = None, *, service: str = "takt") -> None:
    """Send structlog's events and the libraries' own records to one place, as JSON lines.

    Args:
        level: debug, info, warning or error.
        path: a file, which turns over at 10 MB with five kept; standard error where there is none.
        service: written into every line, so that the lines of several processes can lie in one place.
    """
    shared = _shared(service)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(_handler(path, shared))
    root.setLevel(level.upper())
    # Both speak of every connection and reconnection at info; their warnings are what an operator needs.
    for chatty in ("aiohttp.access", "nats", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _shared(service: str) -> list[Any]:
    """What is done to events of ours and to records of libraries alike."""

    def name_service(_logger: Any, _method: str, event: Event) -> Event:
        event.setdefault("service", service)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        name_service,
        structlog.processors.format_exc_info,
    ]


def _handler(path: Path | None, shared: list[Any]) -> logging.Handler:
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler(sys.stderr)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8"
        )
        path.chmod(0o600)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            redact,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(serializer=_encode),
        ],
    )
    handler.setFormatter(formatter)
    return handler
