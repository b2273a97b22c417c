"""What a tap's token says before the database is asked: who it is, or which of the first verdicts refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec

from ticketing.card import CardKeys, CardTap, read_cards
from ticketing.credential import read_credential
from ticketing.errors import CredentialError
from ticketing.keyset import KeySet
from ticketing.masking import holds_card_number
from ticketing.proof import ProofLimits, stale
from ticketing.tariff import Tariff
from ticketing.verdict import JUDGED, Tap, Verdict, content_hash

OFFLINE_AGE_S_MAX = 30 * 86400
"""A tap kept longer than this by a validator is judged at the time of its arrival; so is one from the future."""
CLOCK_ERROR_S = 300.0
HISTORY_S_MIN = 30.0
"""A card's tap that comes so long after it was made is history: nobody stands at the validator any more, which has let
the rider in or not by itself, and later taps of the card may have come sooner. Validators wait a second for an answer,
and the clocks of devices that are looked after differ by less than this."""


@dataclass(frozen=True, slots=True)
class Readers:
    """All that reading a token needs: keys and the tariff of the moment; bank where bank cards are judged here."""

    keys: KeySet
    card_keys: tuple[CardKeys, ...]
    tariff: Tariff
    proof: ProofLimits = field(default_factory=ProofLimits)
    bank: bool = False


class Quote(NamedTuple):
    """What a card's tap costs after so many booked taps of that card; with one more booked, it costs something else.

    ticket_id: the ticket on the card that this ride is taken from, and no other; None: no ticket, though the card may
    hold some (a free transfer uses up no ride). The amount is paid from the purse beside it. taps_seen None: booked
    whatever the card has, to be rated later.
    """

    amount_minor: int
    taps_seen: int | None
    ticket_id: UUID | None = None


class Reading(msgspec.Struct, gc=False):
    """A tap and what its token turned out to be; preset is a verdict that needs no database.

    rating_due: what is booked now is rated again with the account's whole day. lat, lon and stop_id are the vehicle's
    where the tap has none of its own.
    """

    tap: Tap
    at_s: float
    content_hash: bytes
    preset: str | None = None
    reason: str | None = None
    ticket_id: UUID | None = None
    card_uid: bytes | None = None
    counter: int | None = None
    key_version: int | None = None
    quote: Quote | None = None
    rating_due: bool = False
    route_id: str | None = None
    direction_id: int | None = None
    lat: float | None = None
    lon: float | None = None
    stop_id: str | None = None

    @property
    def medium(self) -> object:
        """What taps of the same medium have in common within a batch; None for a token that is nobody's."""
        return self.ticket_id or self.card_uid

    @property
    def history(self) -> bool:
        """Whether the tap is told rather than asked: a card's counter must then be unspent, and need not rise."""
        return self.tap.offline is not None or self.at_s < self.tap.received_s


def judged_at_s(tap: Tap) -> float:
    """The instant at which a tap's validity is judged: ours, whatever the device's clock says, while it was online.

    What was decided offline, and a card's tap that comes late, is judged when it was taken, unless that time cannot be
    true. A ticket's late tap is not: nothing but our clock would tell it from one whose device lies to use it longer.
    """
    if tap.offline is None and (tap.medium != "card" or tap.received_s - tap.ts <= HISTORY_S_MIN):
        return tap.received_s
    believable = tap.received_s - OFFLINE_AGE_S_MAX <= tap.ts <= tap.received_s + CLOCK_ERROR_S
    return min(tap.ts, tap.received_s) if believable else tap.received_s


def read_tap(tap: Tap, readers: Readers) -> Reading:
    """The reading of one tap; never raises for anything a device can send."""
    return read_taps([tap], readers)[0]


def read_shown(medium: str, token: str, now_s: float, readers: Readers) -> Reading:
    """The reading of a medium that somebody looks up away from any validator: a tap of no device, under a new id."""
    tap = Tap(
        id=str(uuid4()),
        boot="",
        seq=0,
        ts=now_s,
        medium=medium,
        token=token,
        bank=None,
        vehicle=None,
        stop_id=None,
        lat=None,
        lon=None,
        offline=None,
        operator="",
        device="",
        received_s=now_s,
    )
    return read_tap(tap, readers)


def read_taps(taps: Sequence[Tap], readers: Readers) -> list[Reading]:
    """The readings of many, in order; cards are read together, which costs half."""
    readings: list[Reading] = []
    cards: list[Reading] = []
    for tap in taps:
        reading = Reading(tap, judged_at_s(tap), content_hash(tap))
        reading.stop_id = tap.stop_id
        readings.append(reading)
        if tap.offline is not None and tap.offline.verdict not in JUDGED:
            reading.preset, reading.reason = Verdict.MALFORMED, "offline_verdict"
        elif tap.medium == "card":
            cards.append(reading)
        else:
            _read_other(reading, readers)
    if cards:
        for reading, card in zip(
            cards, read_cards([reading.tap.token for reading in cards], readers.card_keys), strict=True
        ):
            if isinstance(card, CardTap):
                reading.card_uid, reading.counter, reading.key_version = (card.uid, card.counter, card.key_version)
            else:
                reading.preset, reading.reason = card.verdict, card.reason
    return readings


def _read_other(reading: Reading, readers: Readers) -> None:
    try:
        match reading.tap.medium:
            case "qr":
                _read_qr(reading, readers)
            case "bank":
                _read_bank(reading, readers.bank)
            case _:
                reading.preset, reading.reason = Verdict.MALFORMED, "medium"
    except CredentialError as error:
        reading.preset, reading.reason = error.verdict, error.reason


def _read_qr(reading: Reading, readers: Readers) -> None:
    credential = read_credential(reading.tap.token, readers.keys)
    claims = credential.claims
    # Named even when the proof is stale: the tap is stored under the ticket, never under what was scanned.
    reading.ticket_id = claims.ticket_id
    product = readers.tariff.find_product(claims.product)
    if stale(credential, reading.at_s, product is not None and product.proof, readers.proof):
        reading.preset = Verdict.STALE_PROOF
        reading.reason = "proof_missing" if credential.proof_s is None else "proof_too_old"


def _read_bank(reading: Reading, judged: bool) -> None:
    """Bank cards need somebody who charges them: without, there is no account, so the medium is unknown.

    The reader's own finding comes first: a card that failed its offline authentication is denied.
    """
    bank = reading.tap.bank
    if holds_card_number(reading.tap.token) or (bank and bank.par and holds_card_number(bank.par)):
        reading.preset, reading.reason = Verdict.MALFORMED, "card_number"
    elif not reading.tap.token or len(reading.tap.token) > 128:
        reading.preset, reading.reason = Verdict.MALFORMED, "bank_token"
    elif bank is not None and bank.oda == "failed":
        reading.preset, reading.reason = Verdict.DENIED, "offline_authentication_failed"
    elif not judged:
        reading.preset, reading.reason = Verdict.UNKNOWN, "no_account"
