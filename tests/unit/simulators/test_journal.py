"""The validators' own record and what a checker finds in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulators.checker import DELETED, LOST, OTHER_VERDICT, REPEATED, TWICE, UNKNOWN, UNTOLD, compare
from simulators.journal import Journal, read_journal


def tap(tap_id: str, seq: int, validator: str = "v1") -> dict[str, Any]:
    return {"at": 1.0, "validator": validator, "what": "tap", "id": tap_id, "boot": "a", "seq": seq, "payload": "{}"}


def answered(tap_id: str, verdict: str = "accepted") -> dict[str, Any]:
    return {"at": 2.0, "validator": "v1", "what": "answered", "id": tap_id, "verdict": verdict}


def deleted(tap_id: str, by: str = "verdict") -> dict[str, Any]:
    return {"at": 2.0, "validator": "v1", "what": "deleted", "id": tap_id, "by": by}


def row(tap_id: str, verdict: str = "accepted", device: str = "v1") -> dict[str, Any]:
    return {"id": tap_id, "verdict": verdict, "device": device}


def kinds(journal: list[dict[str, Any]], stored: list[dict[str, Any]]) -> list[str]:
    return [finding.kind for finding in compare(journal, stored).findings]


def test_a_good_day_finds_nothing() -> None:
    journal = [tap("A", 1), answered("A"), deleted("A"), tap("B", 2), deleted("B", "receipt"), tap("C", 3)]

    comparison = compare(journal, [row("A"), row("B", "used_up")])

    assert comparison.findings == []
    assert (comparison.taps, comparison.receipted, comparison.stored, comparison.waiting) == (3, 2, 2, 1)


def test_a_tap_with_a_receipt_that_is_not_stored_is_lost() -> None:
    assert kinds([tap("A", 1), answered("A"), deleted("A")], []) == [LOST]
    assert kinds([tap("A", 1), deleted("A", "receipt")], []) == [LOST]


def test_a_tap_stored_twice_is_found() -> None:
    assert kinds([tap("A", 1), answered("A")], [row("A"), row("A")]) == [TWICE]


def test_the_same_id_from_another_validator_is_another_tap() -> None:
    assert kinds([tap("A", 1), answered("A")], [row("A"), row("A", "used_up", "v2")]) == []
    assert kinds([tap("A", 1), answered("A")], [row("A", "used_up", "v2")]) == [LOST]
    assert kinds([], [row("A"), row("A", "used_up", "v2")]) == []


def test_a_tap_deleted_without_a_receipt_is_found() -> None:
    assert kinds([tap("A", 1), deleted("A", "puback")], [row("A")]) == [DELETED]
    assert kinds([tap("A", 1), answered("A", "unavailable"), deleted("A")], [row("A")]) == [DELETED]


def test_a_verdict_that_differs_from_the_stored_one_is_found() -> None:
    assert kinds([tap("A", 1), answered("A"), deleted("A")], [row("A", "used_up")]) == [OTHER_VERDICT]


def test_a_stored_tap_that_nobody_made_is_found_unless_another_validator_did() -> None:
    assert kinds([tap("A", 1)], [row("Z")]) == [UNKNOWN]
    assert kinds([tap("A", 1)], [row("Z", device="another")]) == []


def test_a_number_given_twice_is_found() -> None:
    assert kinds([tap("A", 1), tap("B", 1)], []) == [REPEATED]
    assert kinds([tap("A", 1), tap("A", 1), tap("B", 2), tap("C", 1, "v2")], []) == []


def test_a_rider_let_in_against_a_refusal_that_ticketing_never_hears_of_is_found() -> None:
    alone = {"at": 1.5, "validator": "v1", "what": "alone", "id": "A", "verdict": "accepted"}
    refused = row("A", "used_up") | {"conflict": False, "medium": "qr"}
    ended = [tap("A", 1), alone, answered("A", "used_up"), deleted("A")]
    assert kinds(ended, [refused]) == [UNTOLD]
    assert kinds(ended[:3], [refused]) == []  # put back, and on its way
    assert kinds(ended, [refused | {"conflict": True}]) == []
    assert kinds(ended, [refused | {"medium": "bank"}]) == []
    assert kinds([tap("A", 1), alone, deleted("A", "receipt")], [row("A") | {"conflict": False}]) == []
    shut = [tap("A", 1), alone | {"verdict": "used_up"}, answered("A", "used_up"), deleted("A")]
    assert kinds(shut, [refused]) == []


def test_a_stored_tap_whose_receipt_was_lost_is_no_fault() -> None:
    assert kinds([tap("A", 1)], [row("A")]) == []


def test_a_journal_outlives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path) as journal:
        journal.add(1.0, "v1", "tap", id="A", boot="a", seq=1, payload="first")
        journal.add(1.0, "v1", "tap", id="B", boot="a", seq=2, payload="second")
        journal.add(2.0, "v1", "deleted", id="A", by="verdict")
    with path.open("ab") as file:
        file.write(b'{"at": 3.0, "validator": "v1", "what": "del')
    with Journal(path) as journal:
        journal.add(4.0, "v2", "tap", id="C", boot="b", seq=1, payload="third")

    with Journal(path) as journal:
        kept = journal.leftover()

    assert kept == {"v1": [(1.0, b"second")], "v2": [(4.0, b"third")]}
    assert path.stat().st_mode & 0o077 == 0


def test_a_full_file_is_put_aside_and_open_taps_are_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, bytes_max=1_000) as journal:
        for number in range(50):
            journal.add(1.0, "v1", "tap", id=f"T{number}", boot="a", seq=number + 1, payload="x" * 50)
            if number != 3:
                journal.add(1.0, "v1", "deleted", id=f"T{number}", by="verdict")
            journal.flush()
        assert journal.turned > 2
        assert journal.leftover() == {"v1": [(1.0, b"x" * 50)]}

    assert path.stat().st_size < 1_500
    assert (tmp_path / "journal.jsonl.1").stat().st_size < 1_500
    with path.open("rb") as file:
        assert "T3" in {entry["id"] for entry in read_journal(file)}
    with Journal(path) as journal:
        assert journal.leftover() == {"v1": [(1.0, b"x" * 50)]}


def test_without_a_path_nothing_is_written() -> None:
    with Journal(None) as journal:
        journal.add(1.0, "v1", "tap", id="A")
        journal.flush()
    assert journal.entries == 1
