"""Which Takt this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def takt_version() -> str:
    """The version of this installation; "0" where it runs without one."""
    try:
        return version("takt")
    except PackageNotFoundError:
        return "0"
