"""From an advice that somebody follows to the instruction that a driver gets."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import msgspec

from dispatch.advice import Advice, text_for_driver
from dispatch.instructions import Instruction
from dispatch.watched import EngineLike

AUTOMATIC = "automatic"  # who acts on a line that runs by itself
MARGIN_S = 30.0  # a vehicle may come later than predicted; its hold is not cut short for that


def instruct(advice: Advice, hold_s: float, leaves_s: int, by: str, made: tuple[str, float, str]) -> Instruction:
    """What a vehicle is told that is to leave at `leaves_s`; `made`: its id, when it is made, and the time zone."""
    new_id, now_s, timezone = made
    clock = dt.datetime.fromtimestamp(leaves_s, ZoneInfo(timezone)).strftime("%H:%M:%S")
    return Instruction(
        id=new_id,
        operator_id=advice.operator_id,
        vehicle_id=advice.vehicle_id,
        route_id=advice.route_id,
        direction_id=advice.direction_id,
        kind=advice.kind,
        text=text_for_driver(advice, hold_s, clock),
        hold_s=hold_s,
        stop_id=advice.stop_id,
        until_ts=leaves_s + MARGIN_S,
        state="sent",
        created_at=now_s,
        by=by,
        depart_at=float(leaves_s) if advice.kind == "depart" else None,
        advice_id=advice.id,
        law=advice.law,
        automatic=by == AUTOMATIC,
        trip_id=advice.trip_id,
    )


def placed(instruction: Instruction, engine: EngineLike | None) -> Instruction:
    """The instruction with the route that its vehicle drives now."""
    row = engine.fleet.index.get(instruction.key) if engine is not None else None
    if engine is None or row is None or int(engine.fleet.trip[row]) < 0:
        return instruction
    network, pattern = engine.network, int(engine.fleet.pattern[row])
    return msgspec.structs.replace(
        instruction,
        route_id=network.route_id[int(network.pattern_route[pattern])],
        direction_id=int(network.pattern_direction[pattern]),
        trip_id=network.trip_id[int(engine.fleet.trip[row])],
    )
