"""A validator's memory of its taps: nothing is forgotten before ticketing has given its receipt.

Each tap goes through the states of `tap_states`. It is sent, sent again with longer and longer pauses while no answer
comes or the answer is `unavailable`, and after its last try set aside: kept, reported, never deleted. Only a verdict
or the cumulative receipt of its boot ends its life. Memory is bounded: a full validator takes no more riders.

When a tap was sent and the validator then let its rider in by itself, ticketing must hear of that too. A refusal or a
receipt that comes first is about the tap without it; see `LetIn`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from gateway.wire import Bank, Offline, TapBody, encode_tap
from simulators.validator_library.answers import read_receipt, read_verdict
from simulators.validator_library.pacing import Limits, Pacing
from simulators.validator_library.tap_states import Event, Kept, LetIn

ENDS_ALWAYS = ("accepted", "malformed")
"""Verdicts after which there is nothing to tell: the ride is paid, or nobody can read the tap in any form."""


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


class KeptTaps:
    """One device's taps without a receipt. `boot` names this start of the device; seq counts from 1 within it."""

    def __init__(self, boot: str, rng: np.random.Generator, limits: Limits | None = None) -> None:
        self.boot = boot
        self.limits = limits or Limits()
        self.seq = 0
        self.refused_full = 0
        self.kept: dict[str, Kept] = {}
        self.pacing = Pacing(self.kept, rng, self.limits)
        self._rng = rng

    def tap(
        self, *, now_s: float, medium: str, token: str, vehicle: str | None, bank: Bank | None = None
    ) -> Kept | None:
        """Take a rider's tap (now_s in Unix seconds); None when there is no room to keep it."""
        if len(self.kept) >= self.limits.kept_max:
            self.refused_full += 1
            return None
        self.seq += 1
        body = TapBody(
            id=_uuid4(self._rng),
            boot=self.boot,
            seq=self.seq,
            ts=round(now_s, 3),
            medium=medium,  # type: ignore[arg-type]
            token=token,
            bank=bank,
            vehicle=vehicle,
        )
        kept = Kept(body.id, self.boot, self.seq, now_s, encode_tap(body))
        self.kept[body.id] = kept
        self.pacing.add_fresh(body.id)
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

    def on_verdict(self, payload: bytes, now_s: float) -> Answered:
        """An answer from ticketing: the tap's receipt, unless it is `unavailable` or the tap has more to tell."""
        judged = read_verdict(payload)
        if judged is None:
            return Answered([])
        tap_id, verdict = judged
        kept = self.kept.get(tap_id)
        if kept is None:
            return Answered([], tap_id, verdict, duplicate=True)
        took_s = now_s - kept.last_sent_s if kept.last_sent_s else None
        if verdict == "unavailable":
            kept.happen(Event.UNAVAILABLE)
            self.pacing.land(tap_id)
            return Answered([], tap_id, verdict, took_s)
        self.pacing.on_answer()
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
        receipt = read_receipt(payload)
        if receipt is None:
            return []
        return [
            kept
            for kept in self.kept.values()
            # What this start has not sent yet nobody can have stored, whatever a receipt says.
            if kept.boot == receipt.boot
            and kept.seq <= receipt.seq_through
            and (kept.tries > 0 or kept.boot != self.boot)
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
            self.pacing.add_backlog(body.id)
            count += 1
        return count

    def _put_back(self, kept: Kept) -> None:
        """Let a tap begin anew with the validator's decision in it; this happens once in its life."""
        kept.happen(Event.PUT_BACK)
        kept.let_in, kept.tries, kept.times_out_s = LetIn.TELLING, 0, 0.0
        self.pacing.begin_anew(kept.tap_id)

    def _end(self, kept: Kept, event: Event) -> None:
        kept.happen(event)
        del self.kept[kept.tap_id]
        self.pacing.land(kept.tap_id)


def _uuid4(rng: np.random.Generator) -> str:
    """A random UUID (RFC 9562, version 4) from the generator given, so that a seed plays the same taps again."""
    raw = bytearray(rng.bytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
