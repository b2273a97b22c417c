"""Judges what readers of bank cards send: whose card it is, whether it may ride now; what it costs comes later.

A token is a medium; media share an account by their PAR, which is the card behind a phone and its plastic. A new
account is verified at the acquirer meanwhile and rides a little before that is answered, where its reader found it
genuine (first-ride risk). docs/bank-cards.md has the rules, the migrations 0008_payments and 0016_bank_elsewhere the
statements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sql import query
from ticketing.masking import mask_text
from ticketing.payment import in_letters, medium_key, par_key
from ticketing.reading import Reading


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """How far a card is trusted; amounts in minor units. Who comes faster than elsewhere_kmh is only flagged."""

    unpaid_minor_max: int = 20_000
    taps_per_hour_max: int = 30
    unverified_rides_max: int = 1
    elsewhere_kmh: float = 120.0


class BankCards:
    """What judges bank cards, see ticketing.seams.BankJudge.

    fare_minor is what an unrated ride is taken to cost, for the limit of what is unpaid.
    """

    statement = query("bank.judge")

    def __init__(self, fare_minor: int, passback_minutes: int, limits: RiskLimits | None = None) -> None:
        self._limits = limits or RiskLimits()
        self.use_purse(fare_minor, passback_minutes)

    def use_purse(self, fare_minor: int, passback_minutes: int) -> None:
        """Judge by these from now on: the tariff has changed."""
        limits = self._limits
        self._terms = (
            fare_minor,
            timedelta(minutes=passback_minutes),
            limits.unpaid_minor_max,
            limits.taps_per_hour_max,
            limits.unverified_rides_max,
            limits.elsewhere_kmh,
        )

    def arguments(self, readings: Sequence[Reading]) -> tuple[object, ...]:
        """The batch and the terms on which it is judged."""
        return ([_given(ord_, reading) for ord_, reading in enumerate(readings)], *self._terms)


def _given(ord_: int, reading: Reading) -> tuple[object, ...]:
    """A tap as the database's type bank_tap_given."""
    tap, offline = reading.tap, reading.tap.offline
    return (
        ord_,
        tap.operator,
        tap.device,
        tap.id,
        mask_text(tap.boot),
        tap.seq,
        tap.ts,
        tap.received_s,
        reading.at_s,
        medium_key(tap.token),
        in_letters(tap.token),
        par_key(tap.bank.par) if tap.bank else None,
        tap.bank.oda if tap.bank else "none",
        tap.vehicle and mask_text(tap.vehicle),
        reading.stop_id and mask_text(reading.stop_id),
        reading.lat,
        reading.lon,
        reading.route_id,
        reading.direction_id,
        offline.verdict if offline else None,
        offline.rules_version if offline else None,
        reading.content_hash,
    )
