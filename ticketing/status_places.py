"""Places in the status lists: each ticket gets one at random, so that its index tells nothing of when it was sold."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from sql import query
from ticketing.errors import Problem

LIST_SIZE = 1 << 20
"""Indices of one status list; half of them are given out, so that a free one is found soon."""
TRIES_MAX = 40


async def take_place(connection: Any, insert: Callable[[int, int], Awaitable[Any]]) -> tuple[int, int]:
    """The place (list, index) at which `insert` has put a ticket; it gives nothing where a place is taken.

    Problem 503 where no free place was found.
    """
    number = 1 + await connection.fetchval(query("tickets.next_slot")) // (LIST_SIZE // 2)
    for _ in range(TRIES_MAX):
        index = secrets.randbelow(LIST_SIZE)
        if await insert(number, index):
            return number, index
    raise Problem(503, "Status list crowded", "no free place was found in the status list: try again")
