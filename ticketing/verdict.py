"""What a validator asks (a tap), what it is told (an answer), and every verdict in the order in which they win."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta


class Verdict(StrEnum):
    """Why a tap is accepted or refused, highest precedence first: of the rules that apply, the earliest wins.

    Two bugs of real systems come from another order: "used up" checked before "revoked" lets revoked tickets
    pass, and a proof checked before the signature proves nothing. The database's enum has the same order.
    """

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    STALE_PROOF = "stale_proof"
    REPLAYED = "replayed"
    UNKNOWN = "unknown"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    DENIED = "denied"
    WRONG_SERVICE = "wrong_service"
    USED_UP = "used_up"
    PASSBACK = "passback"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    ACCEPTED = "accepted"
    UNAVAILABLE = "unavailable"


JUDGED = tuple(verdict for verdict in Verdict if verdict is not Verdict.UNAVAILABLE)
"""The verdicts that are stored; `unavailable` is not one: nothing was decided, so the tap is sent again."""


class Say(msgspec.Struct, frozen=True):
    """What the validator's display says, in Ukrainian and English."""

    uk: str
    en: str


SAY: dict[Verdict, Say] = {
    Verdict.MALFORMED: Say("Код не читається", "Unreadable code"),
    Verdict.UNKNOWN_KEY: Say("Квиток іншого перевізника", "Ticket of an unknown issuer"),
    Verdict.BAD_SIGNATURE: Say("Квиток підроблено", "Not a genuine ticket"),
    Verdict.STALE_PROOF: Say("Відкрийте код на своєму телефоні", "Open the code on your own phone"),
    Verdict.REPLAYED: Say("Прикладіть картку ще раз", "Tap the card again"),
    Verdict.UNKNOWN: Say("Квиток невідомий", "Unknown ticket"),
    Verdict.NOT_YET_VALID: Say("Квиток ще не діє", "Not valid yet"),
    Verdict.EXPIRED: Say("Строк дії минув", "Expired"),
    Verdict.REVOKED: Say("Квиток скасовано", "Ticket cancelled"),
    Verdict.SUSPENDED: Say("Квиток призупинено", "Ticket suspended"),
    Verdict.DENIED: Say("Заблоковано", "Blocked"),
    Verdict.WRONG_SERVICE: Say("Не діє на цьому маршруті", "Not valid on this service"),
    Verdict.USED_UP: Say("Квиток уже використано", "Already used"),
    Verdict.PASSBACK: Say("Щойно використано тут", "Just used here"),
    Verdict.INSUFFICIENT_FUNDS: Say("Недостатньо коштів", "Not enough money"),
    Verdict.ACCEPTED: Say("Гаразд", "Accepted"),
    Verdict.UNAVAILABLE: Say("Спробуйте ще раз", "Try again"),
}


DENIED_FOR: dict[str, Say] = {
    "debt": Say("Поїздку не оплачено банком", "An earlier ride is unpaid"),
    "verification_declined": Say("Банк відхилив картку", "Declined by the bank"),
    "not_verified": Say("Прикладіть ще раз за мить", "Tap again in a moment"),
    "awaits_verification": Say("Прикладіть ще раз за мить", "Tap again in a moment"),
    "unpaid_limit": Say("Забагато неоплачених поїздок", "Too many rides not paid yet"),
    "too_many_taps": Say("Забагато поїздок за годину", "Too many rides in an hour"),
    "offline_authentication_failed": Say("Картка не справжня", "Not a genuine card"),
}
"""What riders are told whose bank card is denied for another reason than the deny list: some need only wait."""


def say_of(verdict: Verdict, reason: str | None) -> Say:
    """What the display says to a verdict and its reason."""
    if verdict is Verdict.DENIED and reason in DENIED_FOR:
        return DENIED_FOR[reason]
    return SAY[verdict]


class Bank(msgspec.Struct, frozen=True):
    """What a certified reader says about a bank card beside its token."""

    par: str | None = None
    oda: str = "none"


class Offline(msgspec.Struct, frozen=True):
    """What the validator decided by itself, and under which version of its rules."""

    verdict: Annotated[str, Meta(min_length=1, max_length=32)]
    rules_version: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None


class Tap(msgspec.Struct, frozen=True, gc=False):
    """One medium at one validator, as gateway or web hand it in.

    ts is the device's clock, received_s ours (both Unix seconds); (operator, device, id) names the tap for good.
    """

    id: str
    boot: str
    seq: int
    ts: float
    medium: str
    token: str
    bank: Bank | None
    vehicle: str | None
    stop_id: str | None
    lat: float | None
    lon: float | None
    offline: Offline | None
    operator: str
    device: str
    received_s: float
    raw: bytes = b""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a tap is told; seq_through is the cumulative receipt of its boot, None where none can be given."""

    id: str
    verdict: Verdict
    retry: bool
    until_ts: float | None
    charged_minor: int | None
    currency: str | None
    say: Say
    reason: str | None = None
    seq_through: int | None = None


def unavailable(tap_id: str, reason: str) -> Answer:
    """Nothing was decided and nothing stored: the only answer that asks the validator to try again."""
    return Answer(tap_id, Verdict.UNAVAILABLE, True, None, None, None, SAY[Verdict.UNAVAILABLE], reason)


def content_hash(tap: Tap) -> bytes:
    """SHA-256 over what the device said, so that a retry is told apart from another tap under the same id.

    `offline` is left out: a validator that got no answer decides by itself and sends the same tap again with its
    decision. Fields rather than bytes, so that MQTT and HTTP agree on what is the same.
    """
    bank = (tap.bank.par, tap.bank.oda) if tap.bank else None
    said = (tap.boot, tap.seq, tap.ts, tap.medium, tap.token, bank, tap.vehicle, tap.stop_id, tap.lat, tap.lon)
    return hashlib.sha256(msgspec.msgpack.encode(said)).digest()
