"""What the judge of taps asks of others (prices, verdicts on bank cards, where vehicles were) and whom it tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ticketing.reading import Quote, Reading
from ticketing.verdict import Tap

Boardings = Callable[[list[tuple[str, float, int]]], None]
"""Called with (operator/vehicle, Unix seconds, riders) for what was accepted on vehicles."""


class Row(NamedTuple):
    """What the database says to one tap; riders is how many boarded by it, 0 where it was answered before.

    verdict is None only between Store and Judge: the tap was given back, and reason says why.
    """

    verdict: str | None
    reason: str | None
    until_s: float | None
    charged_minor: int | None
    currency: str | None
    conflict: bool
    riders: int = 1


class Pricing(Protocol):
    """What city cards' taps cost, where the taps before them decide."""

    @property
    def flat(self) -> bool:
        """Whether the taps before never decide: then nothing is asked."""

    async def quotes(self, readings: Sequence[Reading]) -> list[Quote | None]:
        """A price for each of these taps of city cards, in order; None: the purse's fare, whatever came before.

        The taps are genuine messages, judged next. Of those taken online there is one of a card: when its taps_seen is
        no longer the card's number of booked taps (card.taps), it is quoted again. Of those decided offline there may
        be several: each is priced by its own time, with taps_seen None. rating_due is set on those whose day has to be
        rated.
        """


class BankJudge(Protocol):
    """Judges what readers of bank cards send."""

    @property
    def statement(self) -> str:
        """Judges and books in one round trip. Its first parameters are `arguments`, the last four what is answered.

        Its rows are those of query taps.judge: one for each tap, stored in table tap by then, and one for each boot. A
        tap that is stored already gets the answer it had: with other content `malformed`, reason id_reused.
        """

    def arguments(self, readings: Sequence[Reading]) -> tuple[object, ...]:
        """The batch and the terms; no preset verdict stands against any of the taps."""


class Place(NamedTuple):
    """Where a tap was made: degrees, and where known the trip's line and the stop that it reached last."""

    lat: float | None
    lon: float | None
    route_id: str | None
    direction_id: int | None
    stop_id: str | None = None


class Whereabouts(Protocol):
    """Where vehicles were."""

    async def places(self, taps: Sequence[Tap]) -> list[Place | None]:
        """Where each of these taps was made, in order; None where nobody knows. Called before every batch: be quick."""


@dataclass(frozen=True, slots=True)
class Seams:
    """Who is asked and told; None where nobody is: the purse's fare, no bank cards, taps where they say they are."""

    pricing: Pricing | None = None
    bank: BankJudge | None = None
    whereabouts: Whereabouts | None = None
    on_boardings: Boardings | None = None


ALONE = Seams()
