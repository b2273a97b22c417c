"""What the instance works with: a feed that was read, a tariff that can be used, and pages that are built."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from deploy import tariffs
from deploy.doctor.patient import Finding, Patient
from deploy.errors import UserError


def check_console(_: Patient) -> list[Finding]:
    """The dispatcher console is built."""
    if not _is_built("dispatch", "console"):
        return [Finding("console", "warn", "is not built: there is an API and no page", "make console")]
    return [Finding("console", "ok", "built")]


def check_ticket_page(_: Patient) -> list[Finding]:
    """The passenger's page is built."""
    if not _is_built("ticketing", "wallet"):
        return [Finding("ticket page", "warn", "is not built: passengers cannot buy on /ticket", "make wallet")]
    return [Finding("ticket page", "ok", "built")]


def check_tariff(patient: Patient) -> list[Finding]:
    """The tariff in its file is one that the next start would take."""
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


def _is_built(package: str, page: str) -> bool:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return False
    return (Path(spec.origin).parent / page / "dist" / "index.html").is_file()
