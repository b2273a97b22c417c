"""`takt doctor`: what is wrong with this machine or instance, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from deploy.commands.options import AsJson, Config, DataDir, print_json

if TYPE_CHECKING:
    from deploy.doctor.patient import Finding

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to `takt`."""
    app.command("doctor", epilog="Example: takt doctor --data-dir takt-data")(doctor)


def doctor(
    *,
    data_dir: DataDir = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Examine the machine, the data folder and the running instance; exit status 1 if anything fails."""
    from deploy.config import read_settings
    from deploy.doctor.examination import examine

    findings = examine(read_settings(config, data_dir=data_dir))
    failed = sum(finding.state == "fail" for finding in findings)
    if as_json:
        shown = [{"check": f.check, "state": f.state, "detail": f.detail, "next_step": f.next_step} for f in findings]
        print_json({"ok": not failed, "findings": shown})
    else:
        _print(findings, failed)
    if failed:
        raise typer.Exit(1)


def _print(findings: list[Finding], failed: int) -> None:
    from rich.console import Console
    from rich.text import Text

    screen = Console(highlight=False)
    for finding in findings:
        line = Text(f"{finding.state:<5}", STYLES[finding.state])
        line.append(f"{finding.check:<12} ", "bold")
        line.append(finding.detail, "default")
        screen.print(line, soft_wrap=True)
        if finding.next_step:
            screen.print(Text(f"{'':<18}{finding.next_step}", "cyan"), soft_wrap=True)
    screen.print(f"{failed} of {len(findings)} findings need work." if failed else "Nothing is in the way.")
