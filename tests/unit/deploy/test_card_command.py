"""`takt card` as a desk types it: keys that are shown once are never lost, and typing errors are one sentence."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from deploy.commands import card, shift, ticket
from deploy.errors import UserError

APP = typer.Typer(rich_markup_mode=None)
card.register(APP)
shift.register(APP)
ticket.register(APP)
UID = "04DE5F1EACC040"
OPENED = {"id": 1}


class Asked:
    """An instance that notes what it is asked and refuses every top-up."""

    posts: list[tuple[str, Any]]

    def __init__(self, *_: Any) -> None:
        Asked.posts = []

    def post(self, path: str, body: Any, *_: Any) -> Any:
        Asked.posts.append((path, body))
        if path.endswith("/top-up"):
            raise UserError("Amount out of range")
        return {
            "cards": [
                {"uid": uid.lower(), "key_version": 1, "meta_read_key": "aa" * 16, "file_read_key": "bb" * 16}
                for uid in body["uids"]
            ]
        }

    once = post


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.client.Client", Asked)
    Asked.posts = []


@pytest.mark.parametrize("as_json", [False, True])
def test_the_keys_are_shown_although_the_top_up_is_refused(as_json: bool) -> None:
    told = CliRunner().invoke(APP, ["card", "enrol", UID, "--top-up", "100", *(["--json"] if as_json else [])])
    assert "bb" * 16 in told.stdout
    assert str(told.exception) == f"enrolled, and topped up 0 of 1, not card {UID.lower()}: Amount out of range"


@pytest.mark.parametrize(
    ("uids", "said"),
    [
        (["04de5f"], "'04de5f' is no UID: write 7 bytes as 14 hex digits"),
        ([UID, UID.lower()], f"card {UID.lower()} stands there twice: none was enrolled"),
    ],
)
def test_a_wrong_uid_is_told_before_anything_is_asked(uids: list[str], said: str) -> None:
    told = CliRunner().invoke(APP, ["card", "enrol", *uids])
    assert str(told.exception) == said
    assert Asked.posts == []


@pytest.mark.parametrize(
    "words",
    ["shift open --float", "shift close --counted", f"card top-up {UID}", f"card enrol {UID} --top-up"],
)
@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("500.00", "500.00 is not in minor units (kopiyky, cents): write 50000"),
        ("500,00", "500,00 is not in minor units (kopiyky, cents): write 50000"),
        ("5e4", "'5e4' is no amount in minor units"),
        ("50_000", "'50_000' is no amount in minor units"),
    ],
)
def test_an_amount_with_a_decimal_point_is_never_taken_for_a_hundredth_of_it(
    words: str, amount: str, said: str
) -> None:
    told = CliRunner().invoke(APP, [*words.split(), amount])
    assert told.exit_code == 2
    assert said in told.stderr
    assert Asked.posts == []


def test_a_shift_opens_without_a_float(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asked, "post", lambda _self, path, body: Asked.posts.append((path, body)) or OPENED)
    told = CliRunner().invoke(APP, ["shift", "open", "--json"])
    assert (told.exit_code, Asked.posts) == (0, [("/api/v1/shifts", {"float_minor": 0})])


def test_a_top_up_of_nothing_is_refused() -> None:
    told = CliRunner().invoke(APP, ["card", "top-up", UID, "0"])
    assert (told.exit_code, Asked.posts) == (2, [])
    assert "it must be more than nothing" in told.stderr


def test_a_lost_card_is_replaced_in_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asked, "once", lambda _self, path, body: Asked.posts.append((path, body)) or OPENED)
    told = CliRunner().invoke(APP, ["card", "replace", UID, "04112233445566", "--reason", "lost", "--json"])
    asked = (f"/api/v1/cards/{UID}/replace", {"new_uid": "04112233445566", "reason": "lost"})
    assert (told.exit_code, Asked.posts) == (0, [asked])


def test_a_new_card_that_is_none_is_told_before_anything_is_asked() -> None:
    for words in (f"card replace {UID} 0411 --reason lost", "ticket issue month --card 0411"):
        told = CliRunner().invoke(APP, words.split())
        assert str(told.exception) == "'0411' is no UID: write 7 bytes as 14 hex digits"
        assert Asked.posts == []
