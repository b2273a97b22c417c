"""What a validator must know of the tariff to decide alone: products, networks, windows, and how much risk to take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ticketing.card import CardKeys
from ticketing.proof import ProofLimits

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class ProductRule:
    """A product: rides (None for a pass), passback in seconds on one vehicle, whether a device's proof is needed."""

    rides: int | None
    passback_s: float
    proof: bool


@dataclass(frozen=True, slots=True)
class Profile:
    """How much an operator lets its validators decide.

    Card keys are secrets: a reader without a safe place for them has none and takes cards on trust, or not at all.
    """

    card_keys: tuple[CardKeys, ...] = ()
    cards_on_trust: bool = False  # take a card whose message cannot be checked here; the server judges it later
    bank_alone: bool = False  # take a bank card that passed its reader's own authentication
    unlisted_products: bool = False  # take genuine tickets of products that are not in the rules
    proof: ProofLimits = field(default_factory=ProofLimits)


@dataclass(frozen=True, slots=True)
class Rules:
    """Products by id and the networks served here, under a version that every decision names."""

    version: int
    products: Mapping[str, ProductRule]
    networks: frozenset[str] = frozenset()
    profile: Profile = field(default_factory=Profile)

    def serves(self, networks: tuple[str, ...]) -> bool:
        """Whether a ticket of these networks is good here."""
        return EVERYWHERE in networks or not self.networks.isdisjoint(networks)


class _Offer(msgspec.Struct):
    id: str
    rides: int | None
    passback_minutes: float
    proof: bool


class _Offers(msgspec.Struct):
    products: list[_Offer]
    former: list[_Offer] = []


def products_from_json(data: bytes) -> dict[str, ProductRule]:
    """The products of GET /api/v1/products, also those sold no more: their tickets are good until they end.

    ValueError says what is wrong with the document.
    """
    try:
        offers = msgspec.json.decode(data, type=_Offers)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"no list of products: {error}") from None
    return {
        offer.id: ProductRule(offer.rides, 60.0 * offer.passback_minutes, offer.proof)
        for offer in (*offers.former, *offers.products)
    }
