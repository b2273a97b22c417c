"""What goes down to devices: verdicts and receipts at once or never, instructions and lists once there is a connection.

A verdict or receipt that cannot be sent now is dropped and counted: its tap comes again and gets the stored answer.
Instructions and lists wait in a bounded queue while the broker is away; an instruction out of date is dropped.
Whoever sent an instruction learns what became of it: the broker has confirmed it (its PUBACK), or it will not be sent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import msgspec

from gateway import topics, wire


class Publisher(Protocol):
    """The connection that carries messages down."""

    def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 0,
        retain: bool = False,
        on_ack: Callable[[], None] | None = None,
    ) -> bool:
        """False where the message could not be taken; `on_ack` is called when the broker has confirmed it."""
        ...


def tell_nobody(_instruction_id: str, _confirmed: bool) -> None:
    """Instructions are counted; whoever wants to know what becomes of each passes a function."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    payload: bytes
    retain: bool
    until_s: float | None
    instruction_id: str | None = None


@dataclass(slots=True)
class Outbox:
    """Encodes and publishes; `clock` is Unix seconds. `on_instruction` hears an id, and whether it is confirmed."""

    publisher: Publisher
    queued_max: int
    counts: Counter[str]
    clock: Callable[[], float]
    on_instruction: Callable[[str, bool], None] = tell_nobody
    _waiting: deque[_Waiting] = field(default_factory=deque)

    def verdict(self, operator: str, device: str, answer: wire.Answer) -> None:
        """Answer one tap."""
        sent = self.publisher.publish(topics.verdict(operator, device), wire.encode_verdict(answer))
        self.counts["verdicts_sent" if sent else "verdicts_unsent"] += 1

    def receipt(self, operator: str, device: str, boot: str, seq_through: int) -> None:
        """Tell a validator up to where it may delete."""
        sent = self.publisher.publish(topics.receipt(operator, device), wire.encode_receipt(boot, seq_through))
        self.counts["receipts_sent" if sent else "receipts_unsent"] += 1

    def instruct(self, vehicle_key: str, instruction: wire.Instruction) -> bool:
        """Send or queue an instruction, QoS 1; False where the queue is full or the key is malformed."""
        operator, _, vehicle = vehicle_key.partition("/")
        taken = topics.is_id(operator) and topics.is_id(vehicle)
        if taken:
            topic, payload = topics.instruction(operator, vehicle), wire.encode_instruction(instruction)
            taken = self._enqueue(_Waiting(topic, payload, False, instruction.until_ts, instruction.id))
        if not taken:
            self.on_instruction(instruction.id, False)
        return taken

    def lists(self, operator: str, lists: dict[str, Any]) -> bool:
        """Send or queue the versions and addresses of an operator's lists, retained, QoS 1."""
        return self._enqueue(_Waiting(topics.lists(operator), msgspec.json.encode(lists), True, None))

    def drain(self) -> None:
        """Send what waits, as far as the connection takes it."""
        while self._waiting:
            first = self._waiting[0]
            if first.until_s is not None and first.until_s < self.clock():
                self.counts["instructions_expired"] += 1
                if first.instruction_id is not None:
                    self.on_instruction(first.instruction_id, False)
            elif not self._publish(first):
                return
            else:
                self.counts["lists_sent" if first.retain else "instructions_sent"] += 1
            self._waiting.popleft()

    def _publish(self, message: _Waiting) -> bool:
        on_ack: Callable[[], None] | None = None
        if message.instruction_id is not None:
            on_ack = partial(self.on_instruction, message.instruction_id, True)
        return self.publisher.publish(message.topic, message.payload, 1, message.retain, on_ack)

    def _enqueue(self, message: _Waiting) -> bool:
        if len(self._waiting) >= self.queued_max:
            self.counts["outbox_full"] += 1
            return False
        self._waiting.append(message)
        self.drain()
        return True
