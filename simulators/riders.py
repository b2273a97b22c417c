"""Who taps where vehicles open their doors, and with what: cards of the city or a bank, tickets, now and then a trick.

How many riders there are follows from the vehicles' own boardings, scaled so that all together come to a rate that a
setting gives. What they hold is kept here: cards whose counters only rise, tickets not used yet, tickets used up.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from gateway.wire import Bank
from simulators.bank_riders import BankCard
from simulators.vehicles import Service
from ticketing.card import CardKeys, sun_message

USED_KEPT_MAX = 200
WAITING_MAX = 5_000  # riders on their way to a reader; more are turned away and counted
COUNTER_MAX = 0xFFFFFF
RATE_MEMORY_S = 60.0


class Trick(Enum):
    """What makes a rider's tap one that must be refused, or nothing."""

    NONE = "none"
    USED = "used"  # a single ticket that has had its ride
    REVOKED = "revoked"
    EXPIRED = "expired"
    FORGED = "forged"
    REPLAYED = "replayed"  # a recorded message of a card


Held = tuple[str, str, Trick] | tuple[str, str, Trick, Bank]  # medium, token, trick, and what a bank's reader tells


@dataclass(frozen=True, slots=True)
class RiderSettings:
    """How many tap and what with; shares are weights of what a rider pulls out."""

    taps_per_s: float = 10.0  # of the whole fleet
    card: float = 0.52
    bank: float = 0.10
    single: float = 0.22
    ride_pass: float = 0.12
    used: float = 0.015
    revoked: float = 0.005
    expired: float = 0.005
    forged: float = 0.01
    replayed: float = 0.005
    jwt_share: float = 0.15  # of tickets shown as a JWT instead of base45
    to_reader_s_mean: float = 6.0


@dataclass(frozen=True, slots=True)
class CityCard:
    """One city card as it was enrolled: its UID (7 bytes) and its keys, the file-read key being its own."""

    uid: bytes
    meta_read: bytes
    file_read: bytes
    version: int = 1
    counter: int = 0  # the last one that was read anywhere


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as it was sold: its id and both of its forms."""

    ticket_id: str
    token: str
    jwt: str


@dataclass(frozen=True, slots=True)
class RiderTap:
    """What a rider holds to a reader: when, on which vehicle (row of the fleet), and what for."""

    at_s: float
    vehicle: int
    medium: str
    token: str
    trick: Trick
    bank: Bank | None = None  # what the reader tells of a bank card


@dataclass(slots=True)
class Card:
    """A card in somebody's pocket."""

    keys: CardKeys
    uid: bytes
    counter: int
    last_message: str = ""


@dataclass(slots=True)
class Riders:
    """Everybody who rides, with what they hold."""

    settings: RiderSettings
    rng: np.random.Generator
    cards: deque[Card] = field(default_factory=deque)
    bank_cards: Sequence[BankCard] = ()
    singles: deque[Ticket] = field(default_factory=deque)
    passes: deque[Ticket] = field(default_factory=deque)
    used: deque[Ticket] = field(default_factory=lambda: deque(maxlen=USED_KEPT_MAX))
    revoked: deque[Ticket] = field(default_factory=lambda: deque(maxlen=USED_KEPT_MAX))
    expired: deque[Ticket] = field(default_factory=lambda: deque(maxlen=USED_KEPT_MAX))
    turned_away: int = 0
    empty_handed: int = 0  # nobody holds anything: no cards enrolled, no tickets sold
    boardings_per_s: float = 0.0
    _last_s: float | None = None
    _seen_s: float = 0.0
    _waiting: list[tuple[float, int, RiderTap]] = field(default_factory=list)
    _count: int = 0

    def enrol(self, cards: Sequence[CityCard]) -> None:
        """Hand out city cards."""
        for card in cards:
            keys = CardKeys(card.version, card.meta_read, card.file_read, diversified=False)
            self.cards.append(Card(keys, card.uid, card.counter))

    def board(self, services: Sequence[Service], equipped: frozenset[int] | set[int], now_s: float) -> None:
        """Riders get into vehicles; those in vehicles with a reader (`equipped`, rows of the fleet) will tap."""
        boarding = [
            (v, at_s, n)
            for service in services
            for v, at_s, n in zip(
                service.vehicle.tolist(), service.at_s.tolist(), service.boardings.tolist(), strict=True
            )
            if n and v in equipped
        ]
        share = self._share(sum(n for _, _, n in boarding), now_s)
        for v, at_s, n in boarding:
            for _ in range(int(self.rng.poisson(n * share))):
                if len(self._waiting) >= WAITING_MAX:
                    self.turned_away += 1
                    continue
                self._later(v, max(at_s, now_s - 1.0) + float(self.rng.exponential(self.settings.to_reader_s_mean)))

    def due(self, now_s: float) -> list[RiderTap]:
        """Taps that are made now."""
        taps = []
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, planned = heapq.heappop(self._waiting)
            found = self._pull_out()
            if found is None:
                self.empty_handed += 1
            else:
                taps.append(RiderTap(now_s, planned.vehicle, *found))
        return taps

    def _later(self, vehicle: int, at_s: float) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (at_s, self._count, RiderTap(at_s, vehicle, "", "", Trick.NONE)))

    def _share(self, boardings: int, now_s: float) -> float:
        """How many taps stand for one boarding, so that the rate comes out: by the boardings of the last minute."""
        if self._last_s is None:
            self._last_s = now_s
            self.boardings_per_s = float(boardings)
            return 0.0
        elapsed_s = max(now_s - self._last_s, 1e-3)
        self._last_s = now_s
        # In the first minute the average is over what there was, not over a minute that began with nothing.
        kept = np.exp(-elapsed_s / RATE_MEMORY_S)
        self._seen_s += elapsed_s
        weight = 1.0 - kept
        fresh = boardings / elapsed_s
        if self._seen_s < RATE_MEMORY_S:
            weight = elapsed_s / self._seen_s
        self.boardings_per_s += weight * (fresh - self.boardings_per_s)
        return self.settings.taps_per_s / max(self.boardings_per_s, 0.05)

    def _pull_out(self) -> Held | None:
        """What one rider holds to the reader; a card or any ticket where the first thought is not to be had."""
        settings = self.settings
        ways: tuple[tuple[float, Callable[[], Held | None]], ...] = (
            (settings.card, self._card),
            (settings.bank, self._bank),
            (settings.single, self._single),
            (settings.ride_pass, self._pass),
            (settings.used, self._used),
            (settings.revoked, self._revoked),
            (settings.expired, self._expired),
            (settings.forged, self._forged),
            (settings.replayed, self._replayed),
        )
        draw = float(self.rng.random()) * sum(weight for weight, _ in ways)
        for weight, way in ways:
            draw -= weight
            if draw < 0:
                found = way()
                break
        else:
            found = None
        return found or self._card() or self._single() or self._pass()

    def _card(self) -> tuple[str, str, Trick] | None:
        if not self.cards:
            return None
        card = self.cards.popleft()
        # To the back, but not the very end: nobody's card comes round like clockwork.
        self.cards.insert(max(len(self.cards) - int(self.rng.integers(len(self.cards) // 4 + 1)), 0), card)
        if card.counter >= COUNTER_MAX:
            return None
        card.counter += 1
        card.last_message = sun_message(card.keys, card.uid, card.counter, self.rng.bytes(5))
        return "card", card.last_message, Trick.NONE

    def _bank(self) -> Held | None:
        if not self.bank_cards:
            return None
        card = self.bank_cards[int(self.rng.integers(len(self.bank_cards)))]
        return "bank", card.token, Trick.NONE, card.bank

    def _show(self, ticket: Ticket) -> str:
        return ticket.jwt if ticket.jwt and self.rng.random() < self.settings.jwt_share else ticket.token

    def _single(self) -> tuple[str, str, Trick] | None:
        if not self.singles:
            return None
        ticket = self.singles.popleft()
        self.used.append(ticket)
        return "qr", self._show(ticket), Trick.NONE

    def _pass(self) -> tuple[str, str, Trick] | None:
        if not self.passes:
            return None
        self.passes.rotate(-1)
        return "qr", self._show(self.passes[-1]), Trick.NONE

    def _used(self) -> tuple[str, str, Trick] | None:
        # The newest may still be on its way to be judged for the first time.
        if len(self.used) < 20:
            return None
        return "qr", self._show(self.used[int(self.rng.integers(len(self.used) - 10))]), Trick.USED

    def _revoked(self) -> tuple[str, str, Trick] | None:
        return self._any(self.revoked, Trick.REVOKED)

    def _expired(self) -> tuple[str, str, Trick] | None:
        return self._any(self.expired, Trick.EXPIRED)

    def _any(self, tickets: deque[Ticket], trick: Trick) -> tuple[str, str, Trick] | None:
        if not tickets:
            return None
        return "qr", self._show(tickets[int(self.rng.integers(len(tickets)))]), trick

    def _forged(self) -> tuple[str, str, Trick] | None:
        """A real ticket with one character of its signature changed, or a card message with a MAC made up."""
        pool = self.singles or self.passes or self.used
        if not pool or self.rng.random() < 0.5:
            return "card", f"p={self.rng.bytes(16).hex().upper()}&c={self.rng.bytes(8).hex().upper()}", Trick.FORGED
        jwt = pool[int(self.rng.integers(len(pool)))].jwt
        if not jwt:
            return None
        at = len(jwt) - 10  # inside the signature, away from the last character, whose low bits mean nothing
        other = "A" if jwt[at] != "A" else "B"
        return "qr", f"{jwt[:at]}{other}{jwt[at + 1 :]}", Trick.FORGED

    def _replayed(self) -> tuple[str, str, Trick] | None:
        for card in list(self.cards)[: len(self.cards) // 2]:
            if card.last_message:
                return "card", card.last_message, Trick.REPLAYED
        return None
