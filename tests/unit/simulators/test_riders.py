"""What riders hold to readers, and how many of them there are."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from simulators.bank_riders import make_bank_cards
from simulators.riders import CityCard, Riders, RiderSettings, Ticket, Trick
from simulators.vehicles import Service
from ticketing.card import CardKeys, Diversifier, read_card
from ticketing.errors import CredentialError

META, MASTER = bytes(range(16)), bytes(range(16, 32))
VERSION = CardKeys(1, META, MASTER)  # as ticketing holds it: diversified


def cards(count: int) -> list[CityCard]:
    uids = [b"\x04" + number.to_bytes(6) for number in range(count)]
    return [CityCard(uid, META, Diversifier(MASTER).key(uid)) for uid in uids]


def tickets(count: int) -> list[Ticket]:
    return [Ticket(f"t{n}", f"TOKEN{n}", f"eyJ.{n:040d}.{'A' * 86}") for n in range(count)]


def service(vehicle: int, at_s: float, boardings: int) -> Service:
    one = np.array([vehicle])
    return Service(one, one, np.array([at_s]), np.array([boardings]), np.array([10.0]))


def crowd(settings: RiderSettings | None = None, seed: int = 1) -> Riders:
    riders = Riders(settings or RiderSettings(), np.random.default_rng(seed))
    riders.enrol(cards(50))
    riders.passes.extend(tickets(10))
    return riders


def taps_in(riders: Riders, seconds: int, boardings: int = 20) -> list[tuple[str, str, Trick]]:
    taps = []
    for at_s in range(seconds):
        riders.board([service(3, float(at_s), boardings)], {3}, float(at_s))
        if len(riders.singles) < 40:
            riders.singles.extend(tickets(20))
        taps += [(tap.medium, tap.token, tap.trick) for tap in riders.due(float(at_s))]
    return taps


@pytest.mark.parametrize("rate", [2.0, 10.0, 100.0])
def test_the_rate_is_the_setting_however_many_board(rate: float) -> None:
    riders = crowd(RiderSettings(taps_per_s=rate))
    taps_in(riders, 60)

    assert len(taps_in(riders, 300)) / 300 == pytest.approx(rate, rel=0.2)


def test_only_vehicles_with_a_reader_have_taps() -> None:
    riders = crowd()
    for at_s in range(100):
        riders.board([service(3, float(at_s), 20)], {4}, float(at_s))

    assert riders.due(1_000.0) == []


def test_a_cards_message_is_one_that_ticketing_takes_and_its_counter_rises() -> None:
    riders = crowd(RiderSettings(card=1.0, single=0, ride_pass=0, used=0, revoked=0, expired=0, forged=0, replayed=0))
    counters: dict[bytes, int] = {}
    for medium, token, _ in taps_in(riders, 100):
        assert medium == "card"
        tap = read_card(token, [VERSION])
        assert tap.counter > counters.get(tap.uid, 0)
        counters[tap.uid] = tap.counter
    assert len(counters) == 50


def test_a_tenth_tap_bank_cards_with_what_their_reader_tells() -> None:
    riders = crowd(RiderSettings(taps_per_s=20.0))
    riders.bank_cards = make_bank_cards(b"key", 40)
    known = {card.token: card.bank for card in riders.bank_cards}
    taps = []
    for at_s in range(400):
        riders.board([service(3, float(at_s), 20)], {3}, float(at_s))
        riders.singles.extend(tickets(10))
        taps += riders.due(float(at_s))

    banks = [tap for tap in taps if tap.medium == "bank"]
    assert len(banks) / len(taps) == pytest.approx(0.1, rel=0.2)
    assert {tap.token: tap.bank for tap in banks} == known, "everybody rides, each with his own card"
    assert {tap.bank for tap in taps if tap.medium != "bank"} == {None}


def test_without_bank_cards_those_riders_take_another() -> None:
    riders = crowd(RiderSettings(card=0, bank=1.0, single=0, ride_pass=0, used=0, revoked=0, expired=0, forged=0))
    assert {medium for medium, _, _ in taps_in(riders, 20)} == {"card"}


def test_a_single_ticket_is_shown_once_and_tried_again_only_as_a_trick() -> None:
    riders = crowd(RiderSettings(card=0, single=0.8, ride_pass=0, used=0.2, revoked=0, expired=0, forged=0, replayed=0))
    riders.cards.clear()
    riders.passes.clear()
    riders.singles.extend(tickets(500))
    seen: set[str] = set()
    tricks: Counter[Trick] = Counter()
    for at_s in range(60):
        riders.board([service(3, float(at_s), 20)], {3}, float(at_s))
        for tap in riders.due(float(at_s)):
            number = (
                tap.token.removeprefix("TOKEN") if tap.token.startswith("TOKEN") else str(int(tap.token.split(".")[1]))
            )
            tricks[tap.trick] += 1
            assert (number in seen) == (tap.trick is Trick.USED)
            seen.add(number)
    assert tricks[Trick.USED] > 10


def test_forged_and_replayed_messages_are_never_genuine_new_ones() -> None:
    riders = crowd(
        RiderSettings(card=0.5, single=0, ride_pass=0, used=0, revoked=0, expired=0, forged=0.3, replayed=0.2)
    )
    genuine: set[str] = set()
    tricks: Counter[Trick] = Counter()
    for medium, token, trick in taps_in(riders, 120):
        tricks[trick] += 1
        if trick is Trick.REPLAYED:
            assert token in genuine
        elif trick is Trick.NONE:
            genuine.add(token)
        elif medium == "card":
            with pytest.raises(CredentialError):
                read_card(token, [VERSION])
    assert tricks[Trick.FORGED] > 50
    assert tricks[Trick.REPLAYED] > 50


def test_without_tickets_and_cards_nobody_taps_and_it_is_counted() -> None:
    riders = Riders(RiderSettings(forged=0.0), np.random.default_rng(1))

    assert taps_in(riders, 0) == []
    for at_s in range(30):
        riders.board([service(3, float(at_s), 20)], {3}, float(at_s))
    assert riders.due(1_000.0) == []
    assert riders.empty_handed > 10


def test_a_crowd_beyond_all_bounds_is_turned_away() -> None:
    riders = crowd(RiderSettings(taps_per_s=1e6))
    for at_s in range(5):
        riders.board([service(3, float(at_s), 20)], {3}, float(at_s))

    assert len(riders.due(1e9)) == 5_000
    assert riders.turned_away > 0


def test_the_same_seed_brings_the_same_riders() -> None:
    assert taps_in(crowd(seed=3), 60) == taps_in(crowd(seed=3), 60)
    assert taps_in(crowd(seed=3), 60) != taps_in(crowd(seed=4), 60)
