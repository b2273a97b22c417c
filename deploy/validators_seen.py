"""How validators are, for the console: how old their lists are, as they say, and whose clocks are wrong, as we found.

A validator says `lists` on its event topic every minute. The gateway hands that on to the web process, which keeps the
last word of each; who has fallen silent is as old as that word, and older with every minute.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from deploy.links import VALIDATORS, Links, Outgoing
from deploy.reported import Reported
from gateway.wire import ValidatorEvent
from sql import query
from ticketing.books import Books

REPORT = "lists"
OLD_S = 180.0
"""A refused ticket is to be known within 60 s, and a report is a minute old: beyond this something is amiss."""
FORGOTTEN_S = 86_400.0
KNOWN_MAX = 50_000
LISTED_MAX = 100
ASKED_EVERY_S = 15.0

_Age = Annotated[float, Meta(ge=0, le=1e9)] | None


class ListAges(msgspec.Struct, frozen=True):
    """Ages in seconds of a validator's keys, status lists (the oldest) and deny list; null: it has none."""

    keys: _Age = None
    status: _Age = None
    deny: _Age = None


class _Report(msgspec.Struct):
    ages_s: ListAges


class Word(msgspec.Struct, frozen=True, array_like=True):
    """A validator's last word of its lists, when we heard it (Unix seconds)."""

    key: str
    at_s: float
    ages: ListAges


class OldLists(msgspec.Struct, frozen=True):
    """A validator with a list that is old, or that it does not have; heard_at: when it last said so."""

    operator: str
    validator: str
    heard_at: float
    ages_s: ListAges


class WrongClock(msgspec.Struct, frozen=True):
    """A validator whose clock is behind ours by so much (below 0: ahead), and when it was heard last."""

    operator: str
    validator: str
    behind_s: float
    heard_at: float


class ValidatorsReply(msgspec.Struct, frozen=True):
    """GET /api/v1/validators. Of old lists and wrong clocks the worst 100 are listed.

    clock_taps, clock_unknown_taps: taps of the last 24 hours that are flagged so (GET /api/v1/flagged-taps).
    """

    as_of: float
    reporting: int
    oldest_s: ListAges
    old: int
    old_lists: list[OldLists]
    wrong: int
    wrong_clocks: list[WrongClock]
    clock_taps: int
    clock_unknown_taps: int


class Reports:
    """The gateway's seam: reports of lists go to the console, all others to the log."""

    def __init__(self, links: Links) -> None:
        self.outgoing = Outgoing(links, VALIDATORS, size=2_000)
        self._others = Reported()
        self._decode = msgspec.json.Decoder(_Report).decode
        self._encode = msgspec.msgpack.Encoder().encode

    def hear(self, event: ValidatorEvent) -> None:
        """Hand on one event; neither blocks nor raises."""
        if event.event == REPORT:
            try:
                ages = self._decode(event.detail).ages_s
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # not as ours are: it is a report like any other
            else:
                self.outgoing.put(self._encode(Word(event.validator_key, event.received_s, ages)))
                return
        self._others.hear(event)


class ValidatorsSeen:
    """What validators said last, and as an api object the operation that shows it."""

    def __init__(self, books: Books, clock: Callable[[], float] = time.time) -> None:
        self._books = books
        self._clock = clock
        self._words: OrderedDict[str, Word] = OrderedDict()
        self._reply: ValidatorsReply | None = None
        self._asked_s = float("-inf")
        self._door = asyncio.Lock()

    async def follow(self, links: Links) -> None:
        """Hear what the gateway hands on, from now on."""
        decode = msgspec.msgpack.Decoder(Word).decode
        await links.receive(VALIDATORS, lambda data: self.take(decode(data)))

    def take(self, word: Word) -> None:
        """A validator's newest word."""
        self._words[word.key] = word
        self._words.move_to_end(word.key)
        if len(self._words) > KNOWN_MAX:
            self._words.popitem(last=False)

    def routes(self) -> list[tuple[Any, ...]]:
        """The operation."""
        return [("GET", "/api/v1/validators", "activity:read", self.show)]

    async def show(self) -> ValidatorsReply:
        """Show whose lists are old and whose clocks are wrong, at most 15 seconds late."""
        async with self._door:
            now_s = self._clock()
            if self._reply is None or not 0 <= now_s - self._asked_s < ASKED_EVERY_S:
                self._reply, self._asked_s = await self._look(now_s), now_s
            return self._reply

    async def _look(self, now_s: float) -> ValidatorsReply:
        async with self._books.reading() as connection:
            wrong = await connection.fetch(query("clocks.wrong"), FORGOTTEN_S, LISTED_MAX)
            flagged = await connection.fetchrow(query("clocks.flagged"), now_s - FORGOTTEN_S)
        for key in [key for key, word in self._words.items() if now_s - word.at_s > FORGOTTEN_S]:
            del self._words[key]
        now = [(word, _aged(word, now_s)) for word in self._words.values()]
        old = sorted((one for one in now if _worst(one[1]) > OLD_S), key=lambda one: -_worst(one[1]))
        return ValidatorsReply(
            as_of=now_s,
            reporting=len(now),
            oldest_s=ListAges(*(max((_of(ages, name) for _, ages in now), default=None) for name in _NAMES)),
            old=len(old),
            old_lists=[OldLists(*_named(word.key), word.at_s, ages) for word, ages in old[:LISTED_MAX]],
            wrong=wrong[0]["of"] if wrong else 0,
            wrong_clocks=[WrongClock(row["operator"], row["device"], row["behind_s"], row["heard_s"]) for row in wrong],
            clock_taps=flagged["clock"],
            clock_unknown_taps=flagged["clock_unknown"],
        )


_NAMES = ListAges.__struct_fields__


def _aged(word: Word, now_s: float) -> ListAges:
    """The ages as they are now, if nothing was fetched since."""
    since_s = max(0.0, now_s - word.at_s)
    return ListAges(*(None if age is None else age + since_s for age in _ages(word.ages)))


def _ages(ages: ListAges) -> tuple[float | None, ...]:
    return ages.keys, ages.status, ages.deny


def _of(ages: ListAges, name: str) -> float:
    age: float | None = getattr(ages, name)
    return 0.0 if age is None else age


def _worst(ages: ListAges) -> float:
    """The oldest; what is not there is older than anything, but a status list, which few tickets may need."""
    missing = ages.keys is None or ages.deny is None
    return float("inf") if missing else max(_of(ages, name) for name in _NAMES)


def _named(key: str) -> tuple[str, str]:
    operator, _, validator = key.partition("/")
    return operator, validator
