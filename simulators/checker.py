"""Compares the validators' own record with what the database holds: nothing lost, nothing twice, nothing made up.

Invariants of ticketing under faults: I1, every tap with a receipt is stored exactly once; I2, no validator deletes a
tap without a receipt. And none forgets, before ticketing knows it, that it let a refused rider in. A tap without a
receipt may be stored or not: it is still with its validator and comes again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from simulators.journal import Entry

LOST = "lost"  # I1: receipted, and not stored
TWICE = "twice"  # I1: stored more than once
DELETED = "deleted_without_receipt"  # I2
OTHER_VERDICT = "other_verdict"  # the validator was told something else than what is stored
UNKNOWN = "unknown_tap"  # stored from one of these validators, and none of them made it
UNTOLD = "let_in_untold"  # refused, let in by the validator alone, forgotten there, and no conflict: a free ride
REPEATED = "repeated_number"  # two taps of one boot have one number: a cumulative receipt would end the wrong one


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be."""

    kind: str
    tap_id: str
    validator: str
    detail: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found, and how much was compared."""

    taps: int
    receipted: int
    stored: int
    waiting: int  # neither receipted nor stored: still to come
    set_aside: int
    findings: list[Finding]


def compare(journal: Iterable[Entry], stored: Iterable[Mapping[str, Any]]) -> Comparison:
    """Compare a journal's entries with the stored taps.

    `stored` are rows of the database with `id` and `verdict`, and `device` (the validator's id) and `operator` where
    taps are to be told from those of other validators: an id is a device's own. With `conflict` and `medium` among
    them, what validators let in alone is looked at too; a bank card's taps are never conflicts.
    """
    taps: dict[str, Entry] = {}
    verdicts: dict[str, str] = {}
    deleted: dict[str, str] = {}
    aside: set[str] = set()
    let_in: set[str] = set()
    for entry in journal:
        tap_id = str(entry["id"])
        if entry["what"] == "tap":
            taps[tap_id] = entry
        elif entry["what"] == "answered" and entry["verdict"] != "unavailable":
            verdicts[tap_id] = str(entry["verdict"])
        elif entry["what"] == "deleted":
            deleted[tap_id] = str(entry["by"])
        elif entry["what"] == "set_aside":
            aside.add(tap_id)
        elif entry["what"] == "alone" and entry["verdict"] == "accepted":
            let_in.add(tap_id)
    receipted = set(verdicts) | {tap_id for tap_id, by in deleted.items() if by == "receipt"}
    ours = [row for row in stored if _is_of(row.get("device"), taps.get(str(row["id"])))]
    rows = [(str(row["id"]), str(row["verdict"]), row.get("device")) for row in ours]
    count: Counter[str] = Counter()
    named = Counter((str(row["id"]), row.get("device"), row.get("operator")) for row in ours)
    for (tap_id, _, _), number in named.items():
        count[tap_id] = max(count[tap_id], number)
    findings = [*_lost_or_twice(taps, receipted, count), *_wrongly_deleted(taps, deleted, verdicts)]
    findings += _other_rows(taps, verdicts, rows)
    findings += _untold(taps, let_in & deleted.keys(), ours)
    findings += _repeated(taps)
    waiting = sum(1 for tap_id in taps if tap_id not in receipted and not count[tap_id])
    return Comparison(len(taps), len(receipted), len(rows), waiting, len(aside - receipted), findings)


def _is_of(device: str | None, tap: Entry | None) -> bool:
    """Whether a stored row is of the validator that made the tap; another's of the same id is another tap."""
    return tap is None or device is None or device == tap["validator"]


def _validator(taps: Mapping[str, Entry], tap_id: str) -> str:
    return str(taps[tap_id]["validator"]) if tap_id in taps else "?"


def _lost_or_twice(taps: Mapping[str, Entry], receipted: set[str], count: Counter[str]) -> list[Finding]:
    findings = [
        Finding(LOST, tap_id, _validator(taps, tap_id), "has a receipt and is not in the database")
        for tap_id in sorted(receipted)
        if not count[tap_id]
    ]
    findings += [
        Finding(TWICE, tap_id, _validator(taps, tap_id), f"is in the database {n} times")
        for tap_id, n in sorted(count.items())
        if n > 1
    ]
    return findings


def _wrongly_deleted(
    taps: Mapping[str, Entry], deleted: Mapping[str, str], verdicts: Mapping[str, str]
) -> list[Finding]:
    return [
        Finding(DELETED, tap_id, _validator(taps, tap_id), f"was deleted by {by!r} without a receipt")
        for tap_id, by in sorted(deleted.items())
        if by != "receipt" and tap_id not in verdicts
    ]


def _other_rows(
    taps: Mapping[str, Entry], verdicts: Mapping[str, str], rows: list[tuple[str, str, Any]]
) -> list[Finding]:
    ours = {str(entry["validator"]) for entry in taps.values()}
    findings = []
    for tap_id, verdict, device in rows:
        if tap_id in verdicts and verdicts[tap_id] != verdict:
            detail = f"the validator was told {verdicts[tap_id]!r}, {verdict!r} is stored"
            findings.append(Finding(OTHER_VERDICT, tap_id, _validator(taps, tap_id), detail))
        if tap_id not in taps and device in ours:
            findings.append(Finding(UNKNOWN, tap_id, str(device), "is stored, and its validator never made it"))
    return findings


def _untold(taps: Mapping[str, Entry], let_in: Set[str], rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Rides that a validator gave away: it let the rider in, was told a refusal, and kept the two apart."""
    return [
        Finding(UNTOLD, tap_id, _validator(taps, tap_id), f"{row['verdict']!r} is stored, and its rider was let in")
        for row in rows
        if (tap_id := str(row["id"])) in let_in
        and row["verdict"] not in ("accepted", "malformed")
        and not row.get("conflict", True)
        and row.get("medium") != "bank"
    ]


def _repeated(taps: Mapping[str, Entry]) -> list[Finding]:
    first: dict[tuple[str, str, int], str] = {}
    findings = []
    for tap_id, entry in taps.items():
        key = (str(entry["validator"]), str(entry["boot"]), int(entry["seq"]))
        if (other := first.setdefault(key, tap_id)) != tap_id:
            findings.append(Finding(REPEATED, tap_id, key[0], f"has number {key[2]} of boot {key[1]}, as {other} has"))
    return findings
