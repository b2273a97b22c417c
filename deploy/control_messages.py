"""Control across processes: dispatch advises, the gateway sends, the web server shows and acts.

One subject carries a dispatcher's acts to the engine's process and their answers back, one what readers see, one what
becomes of instructions at the broker. Instructions themselves go down on the subject that they always had.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from deploy.links import Links, Outgoing
from deploy.retold import Lately, Remembered
from dispatch.advice import Advice
from dispatch.control import LineControl
from dispatch.control_state import ControlState
from dispatch.control_stops import StopList
from dispatch.instructions import Instruction
from dispatch.ridership import Tap

CONTROL = "takt.control"
CONTROL_STATE = "takt.control.state"
PROGRESS = "takt.instructions.progress"
TOLD_MAX = 10_000


class Apply(msgspec.Struct, tag="apply", array_like=True):
    """Send what is advised, or another hold."""

    advice_id: str
    hold_s: float | None
    by: str


class Decline(msgspec.Struct, tag="decline", array_like=True):
    """An advice is not followed."""

    advice_id: str
    by: str
    reason: str | None


class SetMode(msgspec.Struct, tag="mode", array_like=True):
    """Switch a line."""

    route_id: str
    mode: Literal["off", "advise", "automatic"]
    law: str | None
    by: str


class Note(msgspec.Struct, tag="note", array_like=True):
    """An instruction is about to be sent by hand."""

    instruction: Instruction


class Stops(msgspec.Struct, tag="stops", array_like=True):
    """Where may a route's vehicles be held?"""

    route_id: str


class SetStops(msgspec.Struct, tag="set_stops", array_like=True):
    """List a route's own control stops."""

    route_id: str
    stop_ids: list[str] | None
    by: str


Question: TypeAlias = Apply | Decline | SetMode | Note | Stops | SetStops
encode = msgspec.msgpack.Encoder().encode
decode_question: Callable[[bytes], Question] = msgspec.msgpack.Decoder(Question).decode
decode_advice: Callable[[bytes], Advice | str] = msgspec.msgpack.Decoder(Advice | str).decode
decode_line: Callable[[bytes], LineControl | str] = msgspec.msgpack.Decoder(LineControl | str).decode
decode_stops: Callable[[bytes], StopList | str] = msgspec.msgpack.Decoder(StopList | str).decode
decode_state: Callable[[bytes], ControlState] = msgspec.msgpack.Decoder(ControlState).decode
decode_taps: Callable[[bytes], list[Tap]] = msgspec.msgpack.Decoder(list[Tap]).decode
decode_progress: Callable[[bytes], tuple[str, bool]] = msgspec.msgpack.Decoder(tuple[str, bool]).decode
"""What `tell_progress` has sent: which instruction, and whether it was confirmed."""


def tell_progress(links: Links, lately: Lately) -> tuple[Outgoing, Callable[[str, bool], None]]:
    """What tells dispatch what becomes of instructions: a queue to be run, and the gateway's seam that fills it."""
    outgoing = Remembered(links, PROGRESS, TOLD_MAX, lately)
    return outgoing, lambda instruction_id, confirmed: outgoing.put(encode((instruction_id, confirmed)))
