"""What others take from the controller: what readers see of it, and what must outlive its process."""

from __future__ import annotations

import msgspec

from dispatch.advice import Advice, AdviceDesk
from dispatch.calls import Hold
from dispatch.control import ControlTable, LineControl
from dispatch.history_rows import Decision
from dispatch.instructions import Instruction, Instructions, InstructionsMemory
from dispatch.network import Network
from dispatch.situations import Visit

ROWS_MAX = 1000
_ENCODE = msgspec.json.Encoder().encode


class ControlState(msgspec.Struct, frozen=True):
    """What readers see: three JSON lists, each encoded when it last changed."""

    as_of_s: float
    advice: bytes = b"[]"
    instructions: bytes = b"[]"
    control: bytes = b"[]"


class ControlMemory(msgspec.Struct):
    """A controller as it stood, for a restart on the same network; vehicles are their rows."""

    instructions: InstructionsMemory
    lines: list[LineControl]
    open: list[tuple[Visit, Advice]]
    closed: list[Advice]
    decided: list[tuple[Visit, float]]
    holds: list[tuple[int, Hold]]
    online: list[tuple[str, bool]]
    following: list[tuple[str, Decision]]
    counts: dict[str, int]


class Encoder:
    """Makes a `ControlState`, and encodes again only what has changed since it was last asked."""

    def __init__(self) -> None:
        self._versions = (-1, -1, -1)

    def state(
        self,
        last: ControlState,
        parts: tuple[AdviceDesk, Instructions, ControlTable],
        network: Network | None,
        now_s: float,
    ) -> ControlState:
        """What readers see now; without a network nothing is said of lines."""
        desk, instructions, table = parts
        versions = (desk.version, instructions.version, table.version)
        before, self._versions = self._versions, versions
        changed = [new != old for new, old in zip(versions, before, strict=True)]
        listed: list[Instruction] = instructions.rows() if changed[1] else []
        return ControlState(
            now_s,
            _ENCODE(desk.rows()[:ROWS_MAX]) if changed[0] else last.advice,
            _ENCODE(listed[:ROWS_MAX]) if changed[1] else last.instructions,
            _ENCODE(table.rows(network)) if changed[2] and network is not None else last.control,
        )
