"""The form in which an API names its operations; deploy.binding reads the rest from each handler's signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Route(NamedTuple):
    """One operation: permission is "public" or a name that deploy.auth knows, status the HTTP status of success."""

    method: str
    path: str
    permission: str
    handler: Callable[..., Any]
    status: int = 200
