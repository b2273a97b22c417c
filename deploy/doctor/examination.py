"""The examination: every question in its order, and one that cannot be answered keeps no other from being asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.doctor.books import check_books
from deploy.doctor.contents import check_console, check_feed, check_tariff, check_ticket_page
from deploy.doctor.database import check_postgres
from deploy.doctor.doors import check_broker, check_http
from deploy.doctor.machine import check_clock, check_disk, check_ports, check_python
from deploy.doctor.patient import Finding, admit
from deploy.doctor.secrets import check_keys, check_rights
from deploy.errors import UserError

if TYPE_CHECKING:
    from deploy.config import Settings

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


def examine(settings: Settings) -> list[Finding]:
    """Ask every question; one that fails by itself is a finding too and keeps no other from being asked.

    Raises:
        UserError: the data folder is a folder of something else.
    """
    patient, found = admit(settings)
    for check in CHECKS:
        try:
            found += check(patient)
        except UserError as error:
            found.append(Finding(check.__name__.removeprefix("check_"), "fail", str(error)))
        except Exception as error:  # a doctor who faints is no help
            name = check.__name__.removeprefix("check_")
            found.append(Finding(name, "fail", f"cannot be checked: {error!r}", "report this with the text above"))
    return found
