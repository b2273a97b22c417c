"""Taps on their way to judgement: batches to ticketing, then the verdict down, then the acknowledgement, in that order.

Riders who wait at a validator, what validators decided alone and upload now, and what cannot be read have a lane each,
so that nobody waits for a backlog or a poisonous device. Two batches of riders' taps and one of each other lane are
under way at a time; what arrives meanwhile is the next one, so batches grow with the load by themselves. A device has
taps of a lane in one batch only, so they keep their order.
A batch that fails is tried again in halves: an outage fails whatever is tried and is waited out, while a tap that fails
alone as others pass is a poison, ends as a dead letter and is never answered (its validator keeps it and reports it).
A tap answered `unavailable` is told so once and stays here to be tried again, unacknowledged until it is judged.
Taps in hand are judged even when their connection ends meanwhile: the broker sends them again, but NATS only after its
`ack_wait`, and a tap judged twice gets the stored answer. Validators that try again must not make an overload grow:
what comes again while the same bytes are in hand is acknowledged at once, since the first of them is not, and what
comes again after it was judged gets its answer from a bounded memory, without a look at token or database.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from gateway import topics, wire
from gateway.answered import Answered, digest
from gateway.config import GatewaySettings
from gateway.intake import BAD_TOPIC
from gateway.letters import Letters
from gateway.message import Message, size_of
from gateway.outbox import Outbox
from gateway.receipts import Receipts
from gateway.refusal import DeadLetter, Reason, Refusal

Validate = Callable[[list[wire.Tap]], Awaitable[list[wire.Answer]]]

UNAVAILABLE = "unavailable"


class Acknowledger(Protocol):
    """The connection on which the taps came."""

    def ack(self, mid: int, generation: int) -> bool: ...  # noqa: D102
    def pause(self) -> None: ...  # noqa: D102
    def resume(self) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Pending:
    """A message that waits for its acknowledgement, with what was made of it."""

    delivery: tuple[int, int]  # message id and generation
    key: bytes  # what this message is remembered by
    topic: str
    payload: bytes
    size: int  # of the payload as it came
    operator: str
    device: str
    tap: wire.Tap | Refusal
    tries: int = 0  # answered `unavailable`
    tries_alone: int = 0  # failed as the only tap of a batch
    passed_before: int = 0  # batches that had passed when it first failed alone
    letter: DeadLetter | None = None
    counted: bool = False  # as a dead letter, stored or not


LATE_MAX = 8
"""A batch of what was decided offline is no larger: a rider who comes next shares the machine with no more."""
ANSWERS_A_TURN = 16
"""So many are sent, in about a millisecond, before others have a turn of the loop."""
LATE_ANSWERS_A_TURN = 4
"""So many of late taps."""
RIDERS_S = 10.0
"""So long after a rider's tap a backlog gives way."""
LATE_PAUSE_S = 0.001
"""Then it sleeps so long between its pieces: broker and database need not wait for the end of this process's slice. An
event loop that counts in milliseconds takes half of it for none."""
LATE_RESTS = 1.0
"""And after each batch it rests so many times as long as that took, pauses and all."""


class Lane:
    """Taps that wait; those of one device are taken in their order, and never by two batches at once."""

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.filled = asyncio.Event()
        self._waiting: deque[Pending] = deque()
        self._busy: set[str] = set()  # topics, each of one device

    def __len__(self) -> int:
        return len(self._waiting)

    def append(self, pending: Pending) -> None:
        """To the end."""
        self._waiting.append(pending)
        self.filled.set()

    def put_back(self, batch: list[Pending]) -> None:
        """To the front, in the order in which they were taken."""
        self._waiting.extendleft(reversed(batch))
        self.filled.set()

    def take(self, size: int) -> list[Pending]:
        """The next batch, at most so many; empty where only devices wait that another batch has in hand."""
        batch: list[Pending] = []
        passed_over: list[Pending] = []
        size = min(size, self.size_max)
        while self._waiting and len(batch) < size:
            pending = self._waiting.popleft()
            (passed_over if pending.topic in self._busy else batch).append(pending)
        self._waiting.extendleft(reversed(passed_over))
        self._busy.update(pending.topic for pending in batch)
        return batch

    def done(self, batch: list[Pending]) -> None:
        """The devices of a batch may have their next turn."""
        self._busy.difference_update([pending.topic for pending in batch])
        if self._waiting:
            self.filled.set()


class TapIntake:
    """The tap session's inbox."""

    def __init__(
        self,
        settings: GatewaySettings,
        validate: Validate,
        *,
        outbox: Outbox,
        letters: Letters,
        counts: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self.receipts = Receipts(settings.receipt_every_s, settings.receipt_repeats, settings.receipts_max, counts)
        self.failing_since_s: float | None = None
        self.failing_with = ""
        self._settings = settings
        self._validate = validate
        self._outbox = outbox
        self._letters = letters
        self._counts = counts
        self._clock = clock
        self._acknowledger: Acknowledger | None = None
        self._live = Lane(settings.taps_batch_max)
        self._late = Lane(LATE_MAX)
        self._unreadable = Lane(settings.taps_batch_max)
        self._rider_s = -math.inf  # when a tap of a rider who waits came last
        self._in_hand: dict[bytes, Pending] = {}  # by key: queued, under way, or waiting to be tried again
        self._answered = Answered(settings.answers_kept_max)
        self._window = settings.taps_batch_max
        self._passed = 0
        self._failures = 0  # in a row, of single taps
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._in_hand)

    def attach(self, acknowledger: Acknowledger) -> None:
        """Name the connection whose messages will be received."""
        self._acknowledger = acknowledger

    def receive(self, message: Message, generation: int) -> None:
        """Take one message of a tap topic; reading stops while too many are held."""
        topic, payload = message.topic, bytes(message.payload)
        self._counts["taps_received"] += 1
        delivery = (message.mid, generation)
        size = size_of(message)
        key = digest(topic, payload, size)
        if self._known(key, delivery):
            return
        address = topics.parse(topic)
        answer = self._answered.get(key)
        if answer is not None and address is not None:
            self._counts["taps_answered_again"] += 1
            self._outbox.verdict(address.operator, address.device, answer)
            self._acknowledge(delivery)
            return
        if address is None:
            pending = Pending(delivery, key, topic, payload, size, "", "", BAD_TOPIC)
        else:
            tap = wire.decode_tap(payload, address.operator, address.device, self._clock())
            pending = Pending(delivery, key, topic, payload, size, address.operator, address.device, tap)
        if size > wire.TAP_BYTES_MAX:
            self._count_letter(pending)
            pending.payload = b""  # the letter has what is kept of it: thousands like this one may wait for their store
        self._in_hand[key] = pending
        lane = self._lane_of(pending)
        if lane is self._live:
            self._rider_s = asyncio.get_running_loop().time()
        lane.append(pending)
        if len(self._in_hand) >= self._settings.taps_queued_max and self._acknowledger is not None:
            self._acknowledger.pause()

    def _known(self, key: bytes, delivery: tuple[int, int]) -> bool:
        """Whether the same bytes of the same device are in hand."""
        held = self._in_hand.get(key)
        if held is None:
            return False
        self._counts["taps_received_again"] += 1
        if held.delivery[1] != delivery[1] or held.delivery[0] == delivery[0]:
            # The broker's own repeat; ids of an ended connection are good for nothing.
            held.delivery = delivery
        else:
            self._acknowledge(delivery)  # another message: the broker still keeps the one that is in hand
        return True

    async def run(self) -> None:
        """Judge what is queued, for ever."""
        lanes = (self._live, self._live, self._late, self._unreadable)
        await asyncio.gather(*(self._work(lane) for lane in lanes))

    async def _work(self, lane: Lane) -> None:
        loop = asyncio.get_running_loop()
        treat = self._bury if lane is self._unreadable else self._judge
        while True:
            await lane.filled.wait()
            lane.filled.clear()
            while not self._closing and (batch := lane.take(self._window)):
                self._at_work += 1
                self._idle.clear()
                begun_s = loop.time()
                try:
                    wait_s = await treat(batch)
                finally:
                    lane.done(batch)
                    self._at_work -= 1
                    if not self._at_work:
                        self._idle.set()
                if lane is self._late and self._riders_about():
                    wait_s = max(wait_s, min(LATE_RESTS * (loop.time() - begun_s), self._settings.retry_s_max))
                if wait_s:
                    await asyncio.sleep(wait_s)

    def _riders_about(self) -> bool:
        return asyncio.get_running_loop().time() - self._rider_s < RIDERS_S

    def _lane_of(self, pending: Pending) -> Lane:
        if isinstance(pending.tap, Refusal):
            return self._unreadable
        return self._live if pending.tap.offline is None else self._late

    async def send_receipts(self) -> None:
        """Send the cumulative receipts that are due, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._settings.receipt_every_s)
            for number, due in enumerate(self.receipts.pop_due(loop.time()), start=1):
                self._outbox.receipt(*due)
                if number % ANSWERS_A_TURN == 0:
                    await asyncio.sleep(LATE_PAUSE_S)  # nobody waits for a receipt, and hundreds may be due at once

    async def drain(self, timeout_s: float) -> None:
        """Take no further batch and wait for the one under way."""
        self._closing = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            self._counts["drains_cut_short"] += 1

    async def _judge(self, batch: list[Pending]) -> float:
        """Judge one batch; the seconds to wait before the next."""
        taps = [pending.tap for pending in batch if not isinstance(pending.tap, Refusal)]
        try:
            async with asyncio.timeout(self._settings.validate_timeout_s):
                answers = await self._validate(taps)
            if len(answers) != len(taps):
                raise ValueError(f"{len(answers)} answers to {len(taps)} taps")  # noqa: TRY301
        except Exception as error:  # whatever it is, nothing was answered: the taps are kept
            return await self._failed(batch, error)
        self._passed += 1
        self._failures = 0
        self.failing_since_s = None
        self._window = min(2 * self._window, self._settings.taps_batch_max)
        self._counts["tap_batches"] += 1
        late = self._lane_of(batch[0]) is self._late
        turn = LATE_ANSWERS_A_TURN if late else ANSWERS_A_TURN
        pause_s = LATE_PAUSE_S if late and self._riders_about() else 0.0
        for number, (pending, tap, answer) in enumerate(zip(batch, taps, answers, strict=True), start=1):
            self._answer(pending, tap, answer)
            if number % turn == 0:
                await asyncio.sleep(pause_s)
        return 0.0

    def _answer(self, pending: Pending, tap: wire.Tap, answer: wire.Answer) -> None:
        self._counts[f"taps_answered.{answer.verdict}"] += 1
        if answer.verdict == UNAVAILABLE:
            if pending.tries == 0:
                self._outbox.verdict(tap.operator, tap.device, answer)
            self._later(pending)
            return
        self._outbox.verdict(tap.operator, tap.device, answer)
        if answer.seq_through is not None:
            now_s = asyncio.get_running_loop().time()
            self.receipts.note(tap.operator, tap.device, tap.boot, answer.seq_through, now_s)
        self._answered.put(pending.key, answer)
        self._done(pending)

    async def _failed(self, batch: list[Pending], error: Exception) -> float:
        """Nothing of this batch was judged: put it back, smaller; the seconds to wait before the next try."""
        self._counts["validate_failures"] += 1
        self.failing_since_s = self.failing_since_s or self._clock()
        self.failing_with = f"{type(error).__name__}: {error}"[:200]
        if len(batch) > 1:
            self._window = max(1, len(batch) // 2)
            self._lane_of(batch[0]).put_back(batch)
            return 0.0
        (alone,) = batch
        if alone.tries_alone == 0:
            alone.passed_before = self._passed
        alone.tries_alone += 1
        poison = self._passed > alone.passed_before and alone.tries_alone >= self._settings.tries_alone_max
        if poison:
            alone.tap = Refusal(Reason.NOT_JUDGED, self.failing_with)
            self.failing_since_s = None
        self._put_back(alone)
        self._failures += 1
        return min(self._settings.retry_s_max, self._settings.retry_s_min * 2.0 ** min(self._failures - 1, 16))

    async def _bury(self, batch: list[Pending]) -> float:
        """Store dead letters first, then answer those that can be answered, then acknowledge; the seconds to wait."""
        for pending in batch:
            self._count_letter(pending)
        try:
            await self._letters.store([pending.letter for pending in batch if pending.letter is not None])
        except Exception:  # whatever it is, they are kept
            self._counts["dead_letter_store_failures"] += 1
            for pending in batch:
                self._put_back(pending)
            return self._settings.retry_s_max
        for number, pending in enumerate(batch, start=1):
            refusal = _refusal(pending)
            head = None if refusal.reason is Reason.NOT_JUDGED else wire.tap_head(pending.payload)
            if head is not None and pending.device:
                self._counts["taps_answered.malformed"] += 1
                self._outbox.verdict(pending.operator, pending.device, wire.malformed(head.id, refusal))
            self._done(pending)
            if number % ANSWERS_A_TURN == 0:
                await asyncio.sleep(0)
        return 0.0

    def _count_letter(self, pending: Pending) -> None:
        """Count a refused message, once, and make the letter that is kept of it."""
        if not pending.counted:
            device = f"{pending.operator}/{pending.device}" if pending.device else ""
            pending.counted = True
            pending.letter = self._letters.judge(
                device, pending.topic, pending.payload, _refusal(pending), self._clock(), pending.size
            )

    def _later(self, pending: Pending) -> None:
        """Try again after a while that doubles."""
        wait_s = min(self._settings.retry_s_max, self._settings.retry_s_min * 2.0 ** min(pending.tries, 16))
        pending.tries += 1
        asyncio.get_running_loop().call_later(wait_s, self._put_back, pending)

    def _put_back(self, pending: Pending) -> None:
        self._lane_of(pending).append(pending)

    def _done(self, pending: Pending) -> None:
        self._acknowledge(pending.delivery)
        del self._in_hand[pending.key]
        if self._acknowledger is not None and len(self._in_hand) <= self._settings.taps_queued_max // 2:
            self._acknowledger.resume()

    def _acknowledge(self, delivery: tuple[int, int]) -> None:
        if self._acknowledger is not None:
            self._acknowledger.ack(*delivery)


def _refusal(pending: Pending) -> Refusal:
    if not isinstance(pending.tap, Refusal):
        raise TypeError("only a refused tap is buried")
    return pending.tap
