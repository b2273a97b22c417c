"""`takt shift` as a cashier reads it."""

import typer
from typer.testing import CliRunner

from deploy.commands import shift

APP = typer.Typer()
shift.register(APP)


def test_a_closed_shift_tells_its_difference_once(monkeypatch):
    class Answering:
        def __init__(self, *_):
            pass

        def in_city(self, at_s):
            return f"at {at_s:.0f}"

        def get(self, _):
            lines = [
                {"kind": "difference", "count": 1, "cash_minor": -10_000},
                {"kind": "sale", "count": 1, "cash_minor": 70_000},
            ]
            return {
                "id": 2, "subject": "command-line", "opened_at": 1.0, "closed_at": 2.0, "currency": "UAH",
                "float_minor": 0, "lines": lines, "expected_minor": 70_000, "counted_minor": 60_000,
                "difference_minor": -10_000,
            }  # fmt: skip

    monkeypatch.setattr("deploy.client.Client", Answering)
    told = CliRunner().invoke(APP, ["shift", "report", "2"]).stdout.splitlines()
    assert [line.split()[0] for line in told[1:]] == ["float", "sale", "by", "counted", "difference"]
    assert told[0] == "shift 2 of command-line, at 1 to at 2"
    assert told[-1].endswith("-100.00 UAH")
