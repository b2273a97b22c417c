"""The board of control: what dispatch last said of advice, instructions and controlled lines, for readers.

A reader of the stream gets a part when it has changed and not each second: the instructions of an hour are many.
"""

from __future__ import annotations

from typing import TypeAlias

from dispatch.control_state import ControlState

PARTS = ("advice", "instructions", "control")
Seen: TypeAlias = tuple[int, int, int]  # the version of each part that a reader has
NOTHING_SEEN: Seen = (0, 0, 0)


class ControlBoard:
    """Holds the latest state; used from one event loop. `laws` is encoded JSON."""

    def __init__(self, laws: bytes) -> None:
        self.latest: ControlState | None = None
        self.versions: Seen = NOTHING_SEEN
        self._laws = laws

    def publish(self, state: ControlState) -> None:
        """Show a state; whatever comes last is right, for dispatch may have begun anew."""
        last = self.latest
        changed = [last is None or getattr(last, part) != getattr(state, part) for part in PARTS]
        self.latest = state
        advice, instructions, control = self.versions
        self.versions = (advice + changed[0], instructions + changed[1], control + changed[2])

    def document(self, part: str) -> bytes | None:
        """The JSON of one part; None before dispatch has said anything."""
        state = self.latest
        if state is None:
            return None
        rows = {"advice": b"advice", "instructions": b"instructions", "control": b"lines"}[part]
        laws = b'"laws":' + self._laws + b"," if part == "control" else b""
        head = f'{{"as_of":{state.as_of_s:.3f},'.encode()
        return head + laws + b'"' + rows + b'":' + bytes(getattr(state, part)) + b"}"

    def frame(self, seen: Seen) -> tuple[bytes, Seen]:
        """Server-sent events of the parts that are newer than what a reader has, and what it has then."""
        events = []
        for part, mine, newest in zip(PARTS, seen, self.versions, strict=True):
            document = self.document(part) if mine != newest else None
            if document is not None:
                events.append(b"event: " + part.encode() + b"\ndata: " + document + b"\n\n")
        return b"".join(events), self.versions
