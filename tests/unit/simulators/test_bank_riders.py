"""Bank cards in riders' pockets: always the same for a key, and nothing in them that looks like a card's number."""

from __future__ import annotations

from collections import Counter

import msgspec

from gateway.wire import Bank
from simulators.bank_riders import UNFUNDED, make_bank_cards
from ticketing.masking import holds_card_number
from ticketing.payment import bad_token

CARDS = make_bank_cards(b"key", 2_000)


def test_a_key_makes_the_same_cards_again_and_another_key_others() -> None:
    assert make_bank_cards(b"key", 2_000) == CARDS
    assert not {card.token for card in CARDS} & {card.token for card in make_bank_cards(b"other", 2_000)}
    assert make_bank_cards(b"key", 0) == []


def test_every_token_is_one_of_its_own_that_ticketing_takes() -> None:
    assert len({card.token for card in CARDS}) == len(CARDS)
    assert {bad_token(card.token) for card in CARDS} == {None}


def test_a_telephone_shares_the_par_of_its_card() -> None:
    people = Counter(Counter(card.par for card in CARDS if card.par).values())
    assert set(people) == {1, 2}
    assert 0.25 < people[2] / 2_000 < 0.35
    for card in CARDS:
        if card.par is not None:
            assert (len(card.par), holds_card_number(card.par)) == (29, False)


def test_shares_are_as_asked_for() -> None:
    plastic = make_bank_cards(b"key", 4_000, with_phone=0.0, unfunded=0.25)
    assert len(plastic) == 4_000
    assert 0.22 < sum(card.token.startswith(UNFUNDED) for card in plastic) / 4_000 < 0.28
    assert 0.55 < sum(card.par is not None for card in plastic) / 4_000 < 0.65


def test_what_a_reader_tells_is_what_the_wire_takes() -> None:
    for card in CARDS[:50]:
        assert msgspec.json.decode(msgspec.json.encode(card.bank), type=Bank) == card.bank
