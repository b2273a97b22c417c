"""Effects: what is expected of a hold, by itself and with those planned behind it, and the reason for it in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from dispatch.holding import LAWS
from dispatch.holding_plan import joint
from dispatch.situations import Case


class JointEffect(msgspec.Struct, frozen=True):
    """What is expected of a hold together with those that the line's plan has for the vehicles behind. Seconds.

    excess_wait_s: of riders who come to stops of the line's vehicles in sight, without any hold, and with the plan.
    riders_wait_saved_s: of all who will come to the stops ahead on this run together, on all those vehicles.
    """

    vehicles: int  # that are in sight, this one included
    held: int  # of those behind
    excess_wait_s: float
    excess_wait_after_s: float
    riders_wait_saved_s: float


class Effect(msgspec.Struct, frozen=True):
    """What is expected of a hold: headways to the vehicle ahead and behind, and riders' time. Seconds; null: unknown.

    riders_wait_saved_s: of all who will come to the stops ahead on this run together, against no hold at all, if the
    other vehicles go on as they are; `joint` if those behind are held as well. riders_held_s: of all on board together.
    """

    headway_s: float
    headway_after_s: float
    behind_s: float | None
    behind_after_s: float | None
    riders_wait_saved_s: float | None
    riders_held_s: float
    joint: JointEffect | None = None


def joint_of(case: Case, hold_s: float) -> JointEffect | None:
    """What a hold is expected to do together with those behind; None where nobody is known to come.

    Raises:
        RuntimeError: scipy gives up on the plan.
    """
    line = case.situation.line
    if line is None or case.behind_s is None:
        return None
    found = joint(line, hold_s)
    scheduled_s = case.situation.scheduled_headway_s / 2
    return JointEffect(
        found.vehicles,
        found.held,
        round(found.wait_s - scheduled_s, 1),
        round(found.wait_after_s - scheduled_s, 1),
        round(found.saved_s * case.halts_ahead),
    )


def helps(case: Case, hold_s: float) -> bool:
    """Whether riders at stops wait less for a hold than without it, those behind being held as is best either way."""
    line = case.situation.line
    if line is None or case.behind_s is None:
        return True  # what is not known may help
    return joint(line, hold_s).saved_s > joint(line, 0.0).saved_s


def effect_of(case: Case, hold_s: float) -> Effect:
    """What a hold is expected to do: if the other vehicles go on as they are, and if those behind are held in turn."""
    # One that has caught up with its leader, or passed it, has no headway, not less than none.
    ahead_s, behind_s = max(0.0, case.ahead_s), case.behind_s
    after_s = max(0.0, case.ahead_s + hold_s)
    behind_after_s = None if behind_s is None else max(0.0, behind_s - hold_s)
    saved_s = None
    if behind_s is not None and behind_after_s is not None and case.situation.line is not None:
        squares = ahead_s**2 + behind_s**2 - after_s**2 - behind_after_s**2
        saved_s = round(case.situation.line.riders_per_s * case.halts_ahead * squares / 2)
    rounded = (round(ahead_s), round(after_s))
    return Effect(
        *rounded,
        None if behind_s is None else round(behind_s),
        None if behind_after_s is None else round(behind_after_s),
        saved_s,
        round(case.on_board * hold_s),
        joint_of(case, hold_s),
    )


def reason_of(case: Case, effect: Effect, names: Callable[[int], str]) -> dict[str, str]:
    """Why a hold is asked for, in two languages; `names` gives a vehicle's id."""
    at, leader = case.situation, names(case.leader)
    ahead_s, planned_s = max(0, round(case.ahead_s)), round(at.scheduled_headway_s)
    uk = f"До машини {leader} попереду {ahead_s} с, за розкладом {planned_s} с"
    en = f"{ahead_s} s behind vehicle {leader}, {planned_s} s in the timetable"
    if not case.leader_has_left:
        uk += " (вона ще не відправилася, час прогнозований)"
        en += " (it has not left yet, the time is predicted)"
    if case.behind_s is None:
        uk += "; позаду нікого не видно"
        en += "; nobody is seen behind"
    else:
        uk += f"; наступна, {names(case.follower)}, за {max(0, round(case.behind_s))} с"
        en += f"; the next one, {names(case.follower)}, follows in {max(0, round(case.behind_s))} s"
    together = effect.joint
    if together is not None:
        before_s, after_s = round(together.excess_wait_s), round(together.excess_wait_after_s)
        if together.held:
            uk += f"; якщо потім затримати й тих, хто позаду ({together.held}),"
            en += f"; with those behind held in turn ({together.held}),"
        else:
            uk += ";"
            en += ";"
        uk += f" зайве очікування на лінії зміниться з {before_s} на {after_s} с"
        en += f" excess wait on the line goes from {before_s} to {after_s} s"
    return {"uk": uk + ".", "en": en + "."}


def known_of(case: Case, law: str, hold_s: float, names: Callable[[int], str]) -> dict[str, Any]:
    """Everything that was known when a hold was decided on, for the record; without what cannot be said in JSON."""
    return {
        "law": law,
        "law_s": round(LAWS[law](case.situation, case.gains), 1),
        "advised_s": hold_s,
        "situation": _plain(case.situation._asdict()),
        "gains": {name: getattr(case.gains, name) for name in case.gains.__dataclass_fields__},
        "leader": names(case.leader),
        "leader_has_left": case.leader_has_left,
        "follower": names(case.follower) if case.follower >= 0 else None,
        "ahead_s": round(case.ahead_s, 1),
        "behind_s": None if case.behind_s is None else round(case.behind_s, 1),
        "on_board": case.on_board,
        "on_board_told": case.on_board_told,
        "riders_counted": case.riders_counted,
        "halts_ahead": round(case.halts_ahead, 1),
        "effect": msgspec.to_builtins(effect_of(case, hold_s)),
    }


def _plain(value: Any) -> Any:
    """Numbers to a tenth, tuples as lists, named tuples by name, infinities as nothing."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 4) if value - value == 0 else None
    return value
