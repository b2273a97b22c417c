"""What a request says of a city card, looked at first: its UID, and whether it is still in use."""

from __future__ import annotations

from typing import Any

from sql import query
from ticketing.card import parse_uid
from ticketing.errors import Problem


def parse_card_uid(text: str) -> bytes:
    """The 7 bytes of a card's UID; Problem 422 for anything else."""
    try:
        return parse_uid(text)
    except ValueError as error:
        raise Problem(422, "No card UID", str(error)) from None


async def is_replaced(connection: Any, uid: bytes) -> bool:
    """Whether a card has given way to another one."""
    return bool(await connection.fetchval(query("replacing.is_replaced"), uid))


async def check_in_use(connection: Any, uid: bytes) -> None:
    """Problem 409 for a card that has given way to another: nothing is put on it or taken off it any more."""
    if await is_replaced(connection, uid):
        raise Problem(409, "Card replaced", f"card {uid.hex()} was replaced by another one and is over")
