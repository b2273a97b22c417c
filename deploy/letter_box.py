"""The gateway's seams to the tables of dead letters: those that are kept, and the count of those that are not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from deploy import mapping
from gateway.refusal import DeadLetter


class LetterBox(NamedTuple):
    """Where the gateway's dead letters go, and the number of those that go nowhere."""

    keep: Callable[[list[DeadLetter]], Awaitable[None]]
    tally: Callable[[dict[str, int]], Awaitable[None]]


def dead_letter_box(store: Any, quota: int) -> Callable[[list[DeadLetter]], Awaitable[None]]:
    """The gateway's seam to the table of dead letters."""

    async def keep(letters: list[DeadLetter]) -> None:
        from ticketing.store import DeadLetter as Row

        await store.store_dead_letters(
            [Row(*row) for row in zip(*mapping.dead_letter_columns(letters), strict=True)], quota
        )

    return keep


def letters_tally(store: Any) -> Callable[[dict[str, int]], Awaitable[None]]:
    """The gateway's seam to the count of letters that were not stored: by operator, device and day."""

    async def count(unstored: dict[str, int]) -> None:
        from sql import query

        names = [device.partition("/") for device in unstored]
        columns = ([name[0] for name in names], [name[2] for name in names], list(unstored.values()))
        async with store.connection() as connection:
            await connection.execute(query("letters.count_unstored"), *columns)

    return count
