"""The life of a tap in a validator, as a table: made, sent, perhaps set aside, and over with its receipt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


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

    def happen(self, event: Event) -> None:
        """Go on to the state that follows; KeyError for what cannot happen to a tap that stands so."""
        self.state = NEXT_STATE[self.state, event]
