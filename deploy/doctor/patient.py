"""Who is examined, and what is found: the settings, the instance where there is one, and where it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from deploy.data_folder import holds_other_things
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.runtime import Runtime

if TYPE_CHECKING:
    from deploy.config import Settings

State = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """One answer: `detail` says what is, `next_step` what to do, "" where there is nothing to do."""

    check: str
    state: State
    detail: str
    next_step: str = ""


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


def admit(settings: Settings) -> tuple[Patient, list[Finding]]:
    """Who is examined, and what is seen of the data folder at once.

    Raises:
        UserError: the data folder is a folder of something else.
    """
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
