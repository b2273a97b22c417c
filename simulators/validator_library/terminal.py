"""A validator as a state machine: asks the server, decides alone when it does not answer in time, and comes back.

    server   a tap is sent and its rider waits; no verdict within `fallback_s`, or `unavailable`: decided alone, and
             the mode is `alone`
    alone    a tap is decided at once, and sent all the same; the first verdict brings the mode back to `server`

Every tap that the shell is given to send must be on disk first: `Step.write` comes before `Step.send`. A tap that was
sent and then decided alone is kept until the server has answered to that too: refused there and let in here, it would
be a free ride that nobody knows of.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import assert_never

import msgspec
import numpy as np

from gateway.wire import Bank, Offline, TapBody
from simulators.validator_library.decision import Decision, Scan, decide, note
from simulators.validator_library.entries import Entry, MediumSeen, TapDecided, TapDone, TapMade
from simulators.validator_library.kept_taps import Answered, KeptTaps
from simulators.validator_library.lists import Lists
from simulators.validator_library.memory import Memory, Seen
from simulators.validator_library.pacing import Limits
from simulators.validator_library.rules import Rules
from simulators.validator_library.tap_states import Kept
from ticketing.verdict import JUDGED, Verdict


@dataclass(frozen=True, slots=True)
class Shown:
    """What the rider is shown: the server's verdict, or (alone) the validator's own."""

    tap_id: str
    verdict: str
    alone: bool
    reason: str | None = None


@dataclass(slots=True)
class Step:
    """What the shell does now, in this order: put `write` on disk, publish `send`, show `show`, report `aside`."""

    write: list[Entry] = field(default_factory=list)
    send: list[Kept] = field(default_factory=list)
    show: list[Shown] = field(default_factory=list)
    aside: list[Kept] = field(default_factory=list)


class Terminal:
    """One validator. Its taps and its memory are bounded; times are Unix seconds of its own clock."""

    def __init__(
        self,
        boot: str,
        place: str,
        rules: Rules,
        *,
        rng: np.random.Generator,
        lists: Lists | None = None,
        limits: Limits | None = None,
        fallback_s: float | None = 0.5,
        memory: Memory | None = None,
    ) -> None:
        """`place` is <operator>/<vehicle>; `boot` names this start; neither it nor the seed of `rng` comes again.

        Lists, rules and rng may be those of other terminals as well. With `fallback_s` None it never decides alone:
        its riders wait.
        """
        self.rules = rules
        self.lists = lists or Lists()
        self.memory = memory or Memory()
        self.taps = KeptTaps(boot, rng, limits)
        self.alone_since_s: float | None = None
        self._place = place
        self._fallback_s = fallback_s
        self._scans: dict[str, Scan] = {}  # of taps without a verdict, ours or the server's
        self._alone: set[str] = set()  # decided here and not judged there yet
        self._deadlines: list[tuple[float, str]] = []
        self._step = Step()

    def restore(self, entries: list[Entry]) -> int:
        """Take back what an earlier start left on disk (`disk.Disk.entries`); returns how many taps came back."""
        taps: dict[str, tuple[float, bytes]] = {}
        after: set[str] = set()  # decided after they were made, so that they may have been sent without it
        for entry in entries:
            match entry:
                case TapMade():
                    taps[entry.id] = (entry.at, entry.payload.encode())
                case TapDecided():
                    taps[entry.id] = (entry.at, entry.payload.encode())
                    after.add(entry.id)
                case TapDone():
                    taps.pop(entry.id, None)
                case MediumSeen():
                    self.memory.put(entry.medium, Seen(*entry.seen))
                case _:
                    assert_never(entry)
        untold: set[str] = set()
        for tap_id, (_, payload) in taps.items():
            offline = msgspec.json.decode(payload, type=TapBody).offline
            if offline is not None:
                self._alone.add(tap_id)
                if tap_id in after and offline.verdict == Verdict.ACCEPTED:
                    untold.add(tap_id)
        return self.taps.restore(taps.values(), untold)

    def tap(self, now_s: float, medium: str, token: str, bank: Bank | None = None) -> Kept | None:
        """Take a rider's tap; None when no more can be kept, so that nobody is let in whose ride would be forgotten."""
        vehicle = self._place.rpartition("/")[2]
        kept = self.taps.tap(now_s=now_s, medium=medium, token=token, vehicle=vehicle, bank=bank)
        if kept is None:
            return None
        self._scans[kept.tap_id] = Scan(medium, token, self._place, now_s, bank.oda if bank else "none")
        if self.alone_since_s is None:
            self._step.write.append(TapMade(kept.tap_id, kept.made_s, kept.payload.decode()))
            if self._fallback_s is not None:
                heapq.heappush(self._deadlines, (now_s + self._fallback_s, kept.tap_id))
        else:
            self._decide(kept.tap_id, TapMade)
        return kept

    def step(self, now_s: float, online: bool) -> Step:
        """Everything to do now; `online` is whether the shell has a connection."""
        while self._deadlines and self._deadlines[0][0] <= now_s:
            _, tap_id = heapq.heappop(self._deadlines)
            if tap_id in self._scans:
                self._go_alone(now_s)
                self._decide(tap_id, TapDecided)
        if online:
            send, aside = self.taps.pacing.due(now_s)
            self._step.send += send
            self._step.aside += aside
        step, self._step = self._step, Step()
        return step

    def next_s(self) -> float:
        """When `step` has something to do next (Unix seconds), minus infinity for now, infinity for never."""
        if self._step.write or self._step.show:
            return -math.inf
        deadline_s = self._deadlines[0][0] if self._deadlines else math.inf
        return min(deadline_s, self.taps.pacing.next_s())

    def on_verdict(self, payload: bytes, now_s: float) -> Answered:
        """A verdict of the server: its tap's receipt, unless it is `unavailable` or does not know our own decision."""
        answered = self.taps.on_verdict(payload, now_s)
        if answered.tap_id is None or answered.verdict is None or answered.duplicate:
            return answered
        tap_id = answered.tap_id
        if answered.verdict == Verdict.UNAVAILABLE:
            if tap_id in self._scans and self._fallback_s is not None:
                self._go_alone(now_s)
                self._decide(tap_id, TapDecided)
            return answered
        self.alone_since_s = None
        scan = self._scans.pop(tap_id, None)
        if scan is not None:
            self._step.show.append(Shown(tap_id, answered.verdict, alone=False))
            if answered.verdict in JUDGED:  # a later server may know others: receipts all the same
                # Remember what the server's word means here, as if it had been ours.
                decision = decide(scan, self.rules, self.lists, self.memory)
                self._note(Decision(Verdict(answered.verdict), None, decision.key, decision.counter), scan)
        self._forget(answered.tap_ids)
        return answered

    def on_receipt(self, payload: bytes) -> Answered:
        """A cumulative receipt of the server; where its verdict was lost, a rider who still waits gets our decision."""
        for kept in self.taps.covered(payload):
            if kept.tap_id in self._scans:
                self._decide(kept.tap_id, TapDecided)
        answered = self.taps.on_receipt(payload)
        self._forget(answered.tap_ids)
        return answered

    @property
    def unjudged(self) -> int:
        """How many taps were decided here whose decision the server has not receipted."""
        return len(self._alone)

    def _go_alone(self, now_s: float) -> None:
        if self.alone_since_s is None:
            self.alone_since_s = now_s

    def _decide(self, tap_id: str, entry: type[TapMade] | type[TapDecided]) -> None:
        """Decide a tap alone and write it down, as `TapMade` where the disk does not have it yet."""
        scan = self._scans.pop(tap_id)
        decision = decide(scan, self.rules, self.lists, self.memory)
        kept = self.taps.decide_alone(tap_id, Offline(decision.verdict.value, self.rules.version))
        if kept is None:
            return
        self._alone.add(tap_id)
        self._step.write.append(entry(kept.tap_id, kept.made_s, kept.payload.decode()))
        self._step.show.append(Shown(tap_id, decision.verdict.value, True, decision.reason))
        self._note(decision, scan)

    def _note(self, decision: Decision, scan: Scan) -> None:
        note(decision, scan, self.memory)
        if decision.key is not None:
            seen = self.memory.get(decision.key)
            self._step.write.append(MediumSeen(decision.key, (seen.uses, seen.place, seen.last_s, seen.counter)))

    def _forget(self, tap_ids: list[str]) -> None:
        for tap_id in tap_ids:
            self._scans.pop(tap_id, None)
            self._alone.discard(tap_id)
            self._step.write.append(TapDone(tap_id))
