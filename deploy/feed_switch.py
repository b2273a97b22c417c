"""Going over to another version of the feed: what every part is told, and how each takes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from deploy.links import FEED_SWITCH, FEED_SWITCHED, Links
from dispatch.network import Network
from dispatch.network_file import NetworkFileError, load_network


class SwitchOrder(msgspec.Struct, frozen=True):
    """What every part is told at the time: the file of the network to go over to."""

    path: str


class SwitchReply(msgspec.Struct, frozen=True):
    """What dispatch answers: how many vehicles kept their trip, or why the network cannot be used."""

    kept: int = 0
    refused: str | None = None


def load_ordered(path: str, shift_s: float) -> Network:
    """The network of a switch order.

    Raises:
        NetworkFileError: the file is none.
        OSError: it cannot be read.
    """
    return dataclasses.replace(load_network(Path(path)), shift_s=shift_s)


async def hear_switches(links: Links, follow: Callable[[Network], None]) -> None:
    """Tell a part in a process of its own when the instance has gone over to another version."""

    def take(data: bytes) -> None:
        follow(load_network(Path(msgspec.msgpack.decode(data, type=SwitchOrder).path)))

    await links.receive(FEED_SWITCHED, take)


async def serve_switch(links: Links, switch: Callable[[str], Awaitable[int]]) -> None:
    """Answer orders in the process that has the engine; `switch` raises ValueError for what cannot be used."""

    async def answer(question: bytes) -> bytes:
        order = msgspec.msgpack.decode(question, type=SwitchOrder)
        try:
            reply = SwitchReply(await switch(order.path))
        except (ValueError, OSError, NetworkFileError) as error:
            reply = SwitchReply(refused=str(error))
        return msgspec.msgpack.encode(reply)

    await links.serve(FEED_SWITCH, answer)
