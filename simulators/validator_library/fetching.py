"""Fetches over HTTP what validators decide by, at intervals and when told; one may serve all readers of a vehicle."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from simulators.validator_library.lists import TEXT_BYTES_MAX, Lists
from simulators.validator_library.rules import ProductRule, products_from_json
from simulators.validator_library.shelf import Shelf

TakeProducts = Callable[[Mapping[str, ProductRule]], None]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the lists are; `status_lists` are fetched from the start, others once a ticket has named them."""

    http_url: str
    status_lists: tuple[int, ...] = ()
    refresh_s: float = 20.0  # a revoked ticket is refused within a minute
    timeout_s: float = 10.0
    tls: ssl.SSLContext | None = None
    kept_in: Path | None = None
    """A folder in which what was fetched outlives the validator's own power; None: nothing does."""


class Fetching:
    """Keeps `lists` fresh while `run` runs. What cannot be fetched or taken stays as it was, and is counted."""

    def __init__(
        self,
        source: Source,
        lists: Lists,
        take_products: TakeProducts,
        clock: Callable[[], float],
        counters: Counter[str] | None = None,
    ) -> None:
        """`take_products` gets the tariff's products each time; `clock` is in Unix seconds."""
        self.counters: Counter[str] = Counter() if counters is None else counters
        self._source = source
        self._url = source.http_url.rstrip("/")
        self._lists = lists
        self._take_products = take_products
        self._clock = clock
        self._now = asyncio.Event()
        self._tags: dict[str, tuple[str, str]] = {}  # of what is held: the address it came from, and its entity tag
        self._shelf = None if source.kept_in is None else Shelf(source.kept_in)

    def restore(self) -> None:
        """Take back what an earlier start fetched, as old as it is; what no longer counts is left."""
        for name, data, at_s in self._shelf.items() if self._shelf is not None else ():
            try:
                self._take(name, data, at_s)
            except ValueError:
                self.counters["lists_refused"] += 1

    def wake(self) -> None:
        """Something is newer: fetch now rather than at the next interval."""
        self._now.set()

    async def run(self) -> None:
        """Fetch for ever."""
        timeout = aiohttp.ClientTimeout(total=self._source.timeout_s)
        connector = aiohttp.TCPConnector(ssl=self._source.tls if self._source.tls is not None else True)
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=2**16, connector=connector) as http:
            while True:
                self._now.clear()
                await self.refresh(http)
                try:
                    async with asyncio.timeout(self._source.refresh_s):
                        await self._now.wait()
                except TimeoutError:
                    pass

    async def refresh(self, http: aiohttp.ClientSession) -> None:
        """Fetch everything once."""
        lists, now_s = self._lists, self._clock()
        await self._fetch(http, "/.well-known/cose-keys", "keys", now_s)
        await self._fetch(http, "/api/v1/products", "products", now_s)
        for number in sorted({*self._source.status_lists, *lists.numbers}):
            await self._fetch(http, f"/status-lists/{number}", f"status-{number}", now_s)
        await self._fetch(http, f"/deny-list?after={lists.deny_sequence}", "deny", now_s)

    async def _fetch(self, http: aiohttp.ClientSession, path: str, name: str, now_s: float) -> None:
        """Fetch one list, unless the server says that it is what is held: then that is as good as new."""
        held_from, tag = self._tags.pop(name, ("", ""))
        asked = {"If-None-Match": tag} if held_from == path else {}
        try:
            async with http.get(self._url + path, headers=asked) as reply:
                reply.raise_for_status()
                data = None if reply.status == 304 and asked else await _read(reply)
                tag = reply.headers.get("ETag", tag if data is None else "")
            if data is None:
                self._confirm(name, now_s)
            else:
                self._take(name, data, now_s)
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.counters["fetch_failures"] += 1
            if asked:  # it is still held, whatever became of the question
                self._tags[name] = (path, tag)
        except ValueError:
            self.counters["lists_refused"] += 1
        else:
            if self._keep(name, data, now_s) and tag:
                self._tags[name] = (path, tag)

    def _keep(self, name: str, data: bytes | None, at_s: float) -> bool:
        """Keep what came, or (None) the age of what is kept; whether that could be done."""
        try:
            if self._shelf is not None and data is None:
                self._shelf.renew(name, at_s)
            elif self._shelf is not None and data is not None:
                self._shelf.put(name, self._lists.deny_list() if name == "deny" else data, at_s)
        except OSError:  # a full disk: they count until the power is cut, and are fetched whole again
            self.counters["lists_not_kept"] += 1
            return False
        return True

    def _confirm(self, name: str, at_s: float) -> None:
        """What is held under a name is what the server has; ValueError where that cannot be."""
        match name:
            case "keys":
                self._lists.confirm_keys(at_s)
            case "products":
                pass
            case "deny":
                self._lists.confirm_deny_list(at_s)
            case _:
                self._lists.confirm_status_list(int(name.removeprefix("status-")), at_s)

    def _take(self, name: str, data: bytes, at_s: float) -> None:
        """Take what came under a name at an instant; ValueError says why not."""
        match name:
            case "keys":
                self._lists.take_keys(data, at_s)
            case "products":
                self._take_products(products_from_json(data))
            case "deny":
                self._lists.take_deny_list(data, at_s)
            case _:
                self._lists.take_status_list(data.decode("ascii"), at_s)


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    """A reply's body, or a little more of it than any list may have."""
    data = await reply.content.read(TEXT_BYTES_MAX + 1)
    while len(data) <= TEXT_BYTES_MAX and not reply.content.at_eof():
        data += await reply.content.read(TEXT_BYTES_MAX + 1 - len(data))
    return data
