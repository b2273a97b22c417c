"""The rules of judging once more, slow and plain: one tap after the other, in Python, as the contract words them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from uuid import UUID

from ticketing.reading import Reading
from ticketing.verdict import Verdict

FARE, PASSBACK_S, KMH = 800, 300.0, 120.0
ORDER = [verdict.value for verdict in Verdict]


@dataclass
class Medium:
    """What a ticket and a card have in common."""

    status: str = "valid"
    denied: bool = False
    last_s: float | None = None
    last_place: str | None = None
    last_at: tuple[float, float] | None = None
    last_tap: UUID | None = None


@dataclass
class Ticket(Medium):
    valid_from_s: float = 0.0
    valid_until_s: float = 1e12
    allowed: int | None = None
    uses: int = 0
    passback_s: float = 0.0
    riders: int = 1

    def says(self, at_s: float, place: str) -> str:
        """What the ticket alone says to a use."""
        if at_s < self.valid_from_s:
            return "not_yet_valid"
        if at_s >= self.valid_until_s:
            return "expired"
        if self.status != "valid":
            return self.status
        if self.allowed is not None and self.uses >= self.allowed:
            return "used_up"
        again = (
            self.last_place == place and self.last_s is not None and self.last_s <= at_s < self.last_s + self.passback_s
        )
        return "passback" if again else "accepted"


@dataclass
class Card(Medium):
    key_version: int = 1
    counter: int = -1
    balance: int = 0
    taps: int = 0
    used: set[int] = field(default_factory=set)
    tickets: list[Ticket] = field(default_factory=list)


@dataclass
class Said:
    """What is to be answered and stored."""

    verdict: str
    charged: int | None = None
    conflict: bool = False
    riders: int = 0
    elsewhere: bool = False
    late: bool = False


class Reference:
    """All media, and what was said to every tap: by (device, id) the content and the answer."""

    def __init__(self, cards: dict[bytes, Card], tickets: dict[UUID, Ticket]) -> None:
        self.cards = cards
        self.tickets = tickets
        self.known: dict[tuple[str, str], tuple[bytes, str | None, Said]] = {}

    def judge(self, reading: Reading) -> Said | None:
        """The answer to one tap, booked; None: its quote is stale and nothing was done."""
        tap = reading.tap
        offline = tap.offline.verdict if tap.offline else None
        key = (tap.device, tap.id)
        card = self.cards.get(reading.card_uid or b"")
        if card is not None and reading.quote is not None and reading.quote.taps_seen != card.taps:
            return None
        if key in self.known:
            content, decided, said = self.known[key]
            same = content == reading.content_hash and (decided is None or offline is None or decided == offline)
            return Said(said.verdict, said.charged, said.conflict) if same else Said("malformed")
        said = self._card(reading, offline) if reading.card_uid is not None else self._ticket(reading, offline)
        said.conflict = offline == "accepted" and said.verdict != "accepted"
        said.late = reading.history and offline is None
        self.known[key] = reading.content_hash, offline, said
        return said

    def _ticket(self, reading: Reading, offline: str | None) -> Said:
        ticket = self.tickets.get(reading.ticket_id or UUID(int=0))
        place = f"{reading.tap.operator}/{reading.tap.vehicle}"
        if ticket is None:
            return Said(_refused(offline) or "unknown")
        says = [ticket.says(reading.at_s, place), "denied" if ticket.denied else "accepted"]
        said = Said(_refused(offline) or min(says, key=ORDER.index), elsewhere=_far(ticket, reading))
        if said.verdict == "accepted":
            said.charged, said.riders = 0, ticket.riders
            ticket.uses += 1
            _used(ticket, reading, place)
        ticket.denied |= offline == "accepted" and said.verdict in ("revoked", "suspended", "used_up")
        return said

    def _card(self, reading: Reading, offline: str | None) -> Said:
        card = self.cards.get(reading.card_uid or b"")
        place = f"{reading.tap.operator}/{reading.tap.vehicle}"
        if card is None:
            return Said(_refused(offline) or "unknown")
        elsewhere = _far(card, reading)
        if card.key_version != reading.key_version:
            return Said(_refused(offline) or "bad_signature", elsewhere=elsewhere)
        counter = reading.counter or 0
        if counter in card.used or (not reading.history and counter <= card.counter):
            return Said("replayed", elsewhere=elsewhere)
        price, ticket, says = self._pays(card, reading, place)
        against = [card.status if card.status != "valid" else "accepted", "denied" if card.denied else "accepted", says]
        said = Said(_refused(offline) or min(against, key=ORDER.index), elsewhere=elsewhere)
        card.used.add(counter)
        card.counter = max(card.counter, counter)
        if said.verdict == "accepted":
            said.charged, said.riders = price, ticket.riders if ticket else 1
            card.balance -= price
            card.taps += 1
            if ticket is not None:
                ticket.uses += 1
                _used(ticket, reading, place)
            _used(card, reading, place)
        card.denied |= offline == "accepted" and said.verdict in ("revoked", "suspended", "used_up")
        return said

    def _pays(self, card: Card, reading: Reading, place: str) -> tuple[int, Ticket | None, str]:
        """What the ride costs the purse, the ticket that it is taken from, and what purse and tickets say."""
        at_s, quote = reading.at_s, reading.quote
        best: tuple[str, Ticket | None] = ("", None)
        if quote is None and card.tickets:
            best = max(
                ((ticket.says(at_s, place), ticket) for ticket in card.tickets),
                key=lambda one: (ORDER.index(one[0]), -(one[1].allowed or 0), -one[1].valid_until_s),
            )
        if best[0] in ("accepted", "passback"):
            return 0, best[1], best[0]
        price = FARE if quote is None else quote.amount_minor
        if card.last_place == place and card.last_s is not None and card.last_s <= at_s < card.last_s + PASSBACK_S:
            return price, None, "passback"
        if card.balance >= price:
            return price, None, "accepted"
        return price, None, best[0] or "insufficient_funds"


def _refused(offline: str | None) -> str | None:
    """A validator's own refusal stands."""
    return None if offline in (None, "accepted") else offline


def _used(medium: Medium, reading: Reading, place: str) -> None:
    if medium.last_s is None or reading.at_s >= medium.last_s:
        medium.last_s, medium.last_place = reading.at_s, place
        medium.last_at = _where(reading)


def _where(reading: Reading) -> tuple[float, float] | None:
    """Where the tap was made; devices without a fix say 0, 0."""
    lat, lon = reading.tap.lat, reading.tap.lon
    return None if lat is None or lon is None or (lat, lon) == (0, 0) else (lat, lon)


def _far(medium: Medium, reading: Reading) -> bool:
    here, there = _where(reading), medium.last_at
    if here is None or there is None or medium.last_s is None:
        return False
    east = (here[1] - there[1]) * math.cos(math.radians((here[0] + there[0]) / 2))
    km = 111.195 * math.hypot(here[0] - there[0], east)
    return km > max(2.0, KMH * abs(reading.at_s - medium.last_s) / 3600)
