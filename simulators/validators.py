"""A validator's memory of its taps: nothing is forgotten before ticketing has given its receipt.

Each tap goes through the states of `NEXT_STATE`. It is sent, sent again with longer and longer pauses while no answer
comes or the answer is `unavailable`, and after its last try set aside: kept, reported, never deleted. Only a verdict
or the cumulative receipt of its boot ends its life. Memory is bounded: a full validator takes no more riders.

When a tap was sent and the validator then let its rider in by itself, ticketing must hear of that too. A refusal or a
receipt that comes first is about the tap without it; see `LetIn`.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
import numpy as np

from gateway.wire import Bank, Offline, TapBody, encode_tap


class State(Enum):
    """Where a tap stands."""

    IDLE = "idle"  # made, not sent yet
    SENT = "sent"  # waiting for an answer
    UNAVAILABLE = "unavailable"  # the answer was that nobody could judge it: to be tried again
    SET_ASIDE = "set_aside"  # tried often enough: kept for people to look at
    RECEIPTED = "receipted"  # stored by ticketing: may be deleted here


class Event(Enum):
    """What happens to a tap."""

    SEND = "send"
    VERDICT = "verdict"
    UNAVAILABLE = "unavailable"
    RECEIPT = "receipt"
    EXHAUSTED = "exhausted"
    PUT_BACK = "put_back"  # the answer knows nothing of a rider whom the validator let in: to be sent with that


class LetIn(Enum):
    """Whether ticketing may have stored a tap without knowing that the validator let its rider in by itself."""

    NO = "no"  # any verdict or receipt ends the tap
    UNTOLD = "untold"  # sent, decided since: the first refusal or receipt puts it back, once
    TELLING = "telling"  # put back: only a verdict that comes after it was sent with the decision ends it


NEXT_STATE: dict[tuple[State, Event], State] = {
    (State.IDLE, Event.SEND): State.SENT,
    (State.SENT, Event.SEND): State.SENT,
    (State.UNAVAILABLE, Event.SEND): State.SENT,
    (State.SENT, Event.UNAVAILABLE): State.UNAVAILABLE,
    (State.UNAVAILABLE, Event.UNAVAILABLE): State.UNAVAILABLE,
    (State.SET_ASIDE, Event.UNAVAILABLE): State.SET_ASIDE,
    (State.IDLE, Event.UNAVAILABLE): State.IDLE,
    (State.SENT, Event.PUT_BACK): State.IDLE,
    (State.UNAVAILABLE, Event.PUT_BACK): State.IDLE,
    (State.SET_ASIDE, Event.PUT_BACK): State.IDLE,
    (State.SENT, Event.EXHAUSTED): State.SET_ASIDE,
    (State.UNAVAILABLE, Event.EXHAUSTED): State.SET_ASIDE,
    # After a restart a tap is idle although it was sent before; the late answer to it counts all the same.
    (State.IDLE, Event.VERDICT): State.RECEIPTED,
    (State.SENT, Event.VERDICT): State.RECEIPTED,
    (State.UNAVAILABLE, Event.VERDICT): State.RECEIPTED,
    (State.SET_ASIDE, Event.VERDICT): State.RECEIPTED,
    (State.IDLE, Event.RECEIPT): State.RECEIPTED,
    (State.SENT, Event.RECEIPT): State.RECEIPTED,
    (State.UNAVAILABLE, Event.RECEIPT): State.RECEIPTED,
    (State.SET_ASIDE, Event.RECEIPT): State.RECEIPTED,
}


FIRST_TRIES = 3
"""A tap not answered after this many tries lets others go before it."""

ENDS_ALWAYS = ("accepted", "malformed")
"""Verdicts after which there is nothing to tell: the ride is paid, or nobody can read the tap in any form."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a validator waits, and how much it keeps."""

    first_pause_s: float = 3.0
    pause_s_max: float = 120.0
    tries_max: int = 20  # contract.md section 2
    kept_max: int = 5_000
    in_flight_max: int = 8  # of a thousand validators that come back: what a broker sends ahead is a few thousand


@dataclass(slots=True)
class Kept:
    """A tap that is not receipted yet."""

    tap_id: str
    boot: str
    seq: int
    made_s: float
    payload: bytes
    state: State = State.IDLE
    tries: int = 0
    last_sent_s: float = 0.0
    times_out_s: float = 0.0  # when it times out; a timer of another time was set before it was put back
    let_in: LetIn = LetIn.NO


@dataclass(frozen=True, slots=True)
class Answered:
    """What a message from ticketing meant: the taps it ended and, for a verdict, its name and the time it took.

    `put_back` are taps that it did not end, since it was given without knowing that their riders were let in.
    """

    tap_ids: list[str]
    tap_id: str | None = None  # the tap that a verdict is about
    verdict: str | None = None
    took_s: float | None = None
    duplicate: bool = False
    put_back: tuple[str, ...] = ()


@dataclass(slots=True)
class Validator:
    """One device's taps. `boot` names this start of the device; seq counts from 1 within it."""

    boot: str
    rng: np.random.Generator
    limits: Limits = field(default_factory=Limits)
    seq: int = 0
    refused_full: int = 0
    kept: dict[str, Kept] = field(default_factory=dict)
    _fresh: deque[str] = field(default_factory=deque)
    _ready: deque[str] = field(default_factory=deque)  # waiting for room in the window
    _timers: list[tuple[float, str]] = field(
        default_factory=list
    )  # a heap; those of taps that have ended are passed over
    _in_flight: set[str] = field(default_factory=set)  # sent, and not timed out yet
    _width: float = math.inf  # how many of the backlog may be in flight, as far as the limit lets them

    def tap(
        self,
        *,
        now_s: float,
        medium: str,
        token: str,
        vehicle: str | None,
        place_deg: tuple[float, float] | None = None,
        offline: Offline | None = None,
        bank: Bank | None = None,
    ) -> Kept | None:
        """Take a rider's tap (now_s in Unix seconds); None when there is no room to keep it."""
        if len(self.kept) >= self.limits.kept_max:
            self.refused_full += 1
            return None
        self.seq += 1
        body = TapBody(
            id=_uuid4(self.rng),
            boot=self.boot,
            seq=self.seq,
            ts=round(now_s, 3),
            medium=medium,  # type: ignore[arg-type]
            token=token,
            bank=bank,
            vehicle=vehicle,
            lat=place_deg[0] if place_deg else None,
            lon=place_deg[1] if place_deg else None,
            offline=offline,
        )
        kept = Kept(body.id, self.boot, self.seq, now_s, encode_tap(body))
        self.kept[body.id] = kept
        self._fresh.append(body.id)
        return kept

    def decide_alone(self, tap_id: str, offline: Offline) -> Kept | None:
        """Add the validator's own decision to a tap that nobody has answered; None where it is answered by now.

        It stays the same tap: id and content are what they were. Its verdict is that on the message that arrives first;
        a rider let in against it is noted as a conflict when the other one comes; so that one must come.
        """
        kept = self.kept.get(tap_id)
        if kept is not None:
            body = msgspec.json.decode(kept.payload, type=TapBody)
            kept.payload = encode_tap(msgspec.structs.replace(body, offline=offline))
            if offline.verdict == "accepted" and kept.tries > 0:
                kept.let_in = LetIn.UNTOLD
        return kept

    @property
    def window(self) -> int:
        """How many taps of the backlog may be in flight: half as many whenever one times out, down to one.

        Each answer lets it grow again. Otherwise a slow server would be sent what it has not come to yet twice, then
        three times, until it did nothing but recognise what it knows already.
        """
        return int(min(self._width, self.limits.in_flight_max))

    def next_s(self) -> float:
        """When something is due next (Unix seconds); minus infinity for now, infinity when nothing is."""
        if self._fresh or (self._ready and len(self._in_flight) < self.window):
            return -math.inf
        return self._timers[0][0] if self._timers else math.inf

    def due(self, now_s: float) -> tuple[list[Kept], list[Kept]]:
        """Taps to send now, counted as sent, and those set aside now.

        A rider who stands there goes before the backlog, and the backlog goes out a window at a time.
        """
        send: list[Kept] = []
        aside = self._time_out(now_s)
        while self._fresh:
            if (fresh := self.kept.get(self._fresh.popleft())) is not None:
                self._send(fresh, now_s, send)
        while self._ready and len(self._in_flight) < self.window:
            if (kept := self.kept.get(self._ready.popleft())) is not None:
                self._send(kept, now_s, send)
        return send, aside

    def on_verdict(self, payload: bytes, now_s: float) -> Answered:
        """An answer from ticketing: the tap's receipt, unless it is `unavailable` or the tap has more to tell."""
        answer = decode_down(payload)
        tap_id, verdict = answer.get("id"), answer.get("verdict")
        if not isinstance(tap_id, str) or not isinstance(verdict, str):
            return Answered([])
        kept = self.kept.get(tap_id)
        if kept is None:
            return Answered([], tap_id, verdict, duplicate=True)
        took_s = now_s - kept.last_sent_s if kept.last_sent_s else None
        if verdict == "unavailable":
            kept.state = NEXT_STATE[kept.state, Event.UNAVAILABLE]
            self._in_flight.discard(tap_id)
            return Answered([], tap_id, verdict, took_s)
        self._width = min(self._width, self.limits.in_flight_max) + 1.0 / self.window
        if verdict not in ENDS_ALWAYS and kept.let_in is LetIn.UNTOLD:
            # Even if it was sent again meanwhile: which of the two is answered, nobody can tell.
            self._put_back(kept)
            return Answered([], tap_id, verdict, took_s, put_back=(tap_id,))
        if verdict not in ENDS_ALWAYS and kept.let_in is LetIn.TELLING and kept.tries == 0:
            return Answered([], tap_id, verdict, took_s)  # it came twice, and the decision has not left yet
        self._end(kept, Event.VERDICT)
        return Answered([tap_id], tap_id, verdict, took_s)

    def on_receipt(self, payload: bytes) -> Answered:
        """A cumulative receipt: every tap of that boot up to that number is stored, though not what came later."""
        ended: list[str] = []
        put_back: list[str] = []
        for kept in self.covered(payload):
            if kept.let_in is LetIn.NO:
                self._end(kept, Event.RECEIPT)
                ended.append(kept.tap_id)
            elif kept.let_in is LetIn.UNTOLD:
                self._put_back(kept)
                put_back.append(kept.tap_id)
        return Answered(ended, put_back=tuple(put_back))

    def covered(self, payload: bytes) -> list[Kept]:
        """The taps that a cumulative receipt is about."""
        receipt = decode_down(payload)
        boot, through = receipt.get("boot"), receipt.get("seq_through")
        if not isinstance(boot, str) or not isinstance(through, int):
            return []
        return [
            kept
            for kept in self.kept.values()
            # What this start has not sent yet nobody can have stored, whatever a receipt says.
            if kept.boot == boot and kept.seq <= through and (kept.tries > 0 or kept.boot != self.boot)
        ]

    def restore(self, taps: Iterable[tuple[float, bytes]], untold: Collection[str] = ()) -> int:
        """Take back the taps that an earlier start left without a receipt: (time made, payload); returns how many.

        They keep their ids, boots and numbers, and get their tries anew. Those named in `untold` were decided
        `accepted` when they may have been sent without that already.
        """
        count = 0
        for made_s, payload in taps:
            body = msgspec.json.decode(payload, type=TapBody)
            let_in = LetIn.TELLING if body.id in untold else LetIn.NO
            self.kept[body.id] = Kept(body.id, body.boot, body.seq, made_s, payload, let_in=let_in)
            self._ready.append(body.id)
            count += 1
        return count

    def _time_out(self, now_s: float) -> list[Kept]:
        """Get taps that have timed out ready to be sent again, or set them aside; returns the latter.

        The first tries go before what was never sent: a slow server has those taps, and must not be given more.
        """
        aside: list[Kept] = []
        again: list[str] = []
        while self._timers and self._timers[0][0] <= now_s:
            at_s, tap_id = heapq.heappop(self._timers)
            kept = self.kept.get(tap_id)
            if kept is None or kept.times_out_s != at_s:
                continue
            if kept.tries >= self.limits.tries_max:
                kept.state = NEXT_STATE[kept.state, Event.EXHAUSTED]
                aside.append(kept)
            elif tap_id in self._in_flight and kept.tries <= FIRST_TRIES:
                again.append(tap_id)
            else:
                self._ready.append(tap_id)
            self._in_flight.discard(tap_id)
        if again:
            self._ready.extendleft(reversed(again))
            self._width = max(1.0, self.window / 2)
        return aside

    def _send(self, kept: Kept, now_s: float, send: list[Kept]) -> None:
        kept.state = NEXT_STATE[kept.state, Event.SEND]
        kept.tries += 1
        kept.last_sent_s = now_s
        kept.times_out_s = now_s + self._pause_s(kept.tries)
        heapq.heappush(self._timers, (kept.times_out_s, kept.tap_id))
        self._in_flight.add(kept.tap_id)
        send.append(kept)

    def _put_back(self, kept: Kept) -> None:
        """Let a tap begin anew with the validator's decision in it; this happens once in its life."""
        kept.state = NEXT_STATE[kept.state, Event.PUT_BACK]
        kept.let_in, kept.tries, kept.times_out_s = LetIn.TELLING, 0, 0.0
        self._in_flight.discard(kept.tap_id)
        if kept.tap_id not in self._ready:
            self._ready.append(kept.tap_id)

    def _end(self, kept: Kept, event: Event) -> None:
        kept.state = NEXT_STATE[kept.state, event]
        del self.kept[kept.tap_id]
        self._in_flight.discard(kept.tap_id)

    def _pause_s(self, tries: int) -> float:
        """Twice as long each time, up to a limit, and spread so that validators do not come back all at once."""
        pause_s = min(self.limits.first_pause_s * 2.0 ** min(tries - 1, 16), self.limits.pause_s_max)
        return pause_s * float(self.rng.uniform(0.8, 1.2))


def decode_down(payload: bytes) -> dict[str, Any]:
    """A message to a device; an empty dict when it is not a JSON object."""
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _uuid4(rng: np.random.Generator) -> str:
    """A random UUID (RFC 9562, version 4) from the generator given, so that a seed plays the same taps again."""
    raw = bytearray(rng.bytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
