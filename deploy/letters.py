"""A fleet's dead letters as its maker reads them: newest first, each with its reason in words and a safe excerpt.

Card numbers are masked before a letter is stored, and again here; what opens a gate (a tap's token) is left out too,
and no character of a payload reaches a terminal that could do anything there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gateway.reason_words import where, words_of
from gateway.refusal import Reason, detail_and_size, mask, mask_text
from sql import query

EXCERPT_BYTES = 240
BEFORE_BYTES = 120  # of the place that is named
NEWEST = (1 << 63) - 1

# The value of a field that is as good as a ticket or a card, in JSON as it should be and nearly so.
_SECRET = re.compile(
    rb"""(["']?(?:token|par|password|secret)["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*|'(?:[^'\\]|\\.)*|[^\s,}"']+)""", re.I
)
_OPEN = re.compile(rb"[^\"']")
_BYTE = re.compile(r"byte (\d+)")


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that could not be taken; received_at in Unix seconds, size_bytes of the payload as it came."""

    id: int
    received_at: float
    kind: Literal["vehicle", "validator"]
    operator: str
    device: str
    topic: str
    reason: str
    what: str
    where: str
    detail: str
    next_step: str
    size_bytes: int
    excerpt: str


class Page(msgspec.Struct, frozen=True):
    """Letters, newest first; `next` is the cursor of those before them, None where there are none.

    not_stored: how many more were counted and not stored, from the day (UTC) of `since` on, of vehicles and validators.
    """

    letters: list[Letter]
    not_stored: int
    next: int | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose letters, and which: of one device or of all the operator's, since a time, before a cursor."""

    operator: str
    device: str | None = None
    kind: Literal["vehicle", "validator"] | None = None
    since_s: float = 0.0
    before: int = NEWEST
    limit: int = 50


async def read_letters(connection: Any, wanted: Wanted) -> Page:
    """One page of letters; `connection` is a connection or a pool."""
    validators = None if wanted.kind is None else wanted.kind == "validator"
    rows = await connection.fetch(
        query("letters.of_operator"),
        wanted.operator,
        wanted.device,
        validators,
        wanted.since_s,
        wanted.before,
        wanted.limit + 1,
    )
    unstored = await connection.fetchval(query("letters.unstored"), wanted.operator, wanted.device, wanted.since_s)
    letters = [letter_of(row) for row in rows[: wanted.limit]]
    return Page(letters, unstored, letters[-1].id if len(rows) > wanted.limit else None)


def letter_of(row: Any) -> Letter:
    """A row of the table, in words."""
    reason, words = row["reason"], words_of(row["reason"])
    detail, size = detail_and_size(row["detail"], row["payload"])
    place = where(detail)
    return Letter(
        id=row["id"],
        received_at=row["received_at"],
        kind="validator" if row["topic"].startswith("validator/") else "vehicle",
        operator=row["operator"],
        device=row["device"],
        topic=harmless(mask_text(row["topic"])),
        reason=reason,
        what=words.what,
        where=harmless(place),
        # What ticketing failed with speaks of our insides: it is for who runs Takt, and in the log.
        detail="" if reason == Reason.NOT_JUDGED else harmless(mask_text(detail)),
        next_step=words.next_step,
        size_bytes=size,
        excerpt=excerpt(row["payload"], place),
    )


def excerpt(payload: bytes, place: str = "") -> str:
    """Some of a payload around the byte that `place` names, else its beginning: text, or the bytes of what is none."""
    masked = mask(_SECRET.sub(lambda found: found[1] + _OPEN.sub(b"*", found[2]), payload))
    named = _BYTE.fullmatch(place)
    begins = max(0, min(int(named[1]) - BEFORE_BYTES, len(masked) - EXCERPT_BYTES)) if named else 0
    part = masked[begins : begins + EXCERPT_BYTES]
    text = part.decode("utf-8", "replace")
    if sum(not sign.isprintable() or sign == "\ufffd" for sign in text) > len(text) // 8:
        shown = "bytes " + part[:64].hex(" ")
        ends = begins + 64
    else:
        shown, ends = harmless(text), begins + EXCERPT_BYTES
    return f"{'…' if begins else ''}{shown}{'…' if ends < len(masked) else ''}"


def harmless(text: str) -> str:
    """The text with a dot for whatever is no sign that one can see: a terminal does what some of them say."""
    return "".join(sign if sign.isprintable() else "·" for sign in text)
