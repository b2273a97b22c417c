"""Whether a feed's fares and a city's own file go together in use: rides must not come out free because they do not."""

from __future__ import annotations

from ticketing.city_schema import EVERYWHERE, MEDIA_TYPES
from ticketing.city_tariff import CityTariff
from ticketing.errors import TariffError
from ticketing.legs import Rider
from ticketing.tariff_file import media_of


def check_beside(tariff: CityTariff, file: str) -> None:
    """Refuse a file beside which taps would find no price in the feed though there is one.

    Raises TariffError, which says what to write in `file`.
    """
    if len(tariff.tables) < 2:
        return
    own, feed = tariff.tables
    for kind in ("card", "bank") if not own.leg_rules else ():
        medium = media_of(tariff, kind)
        theirs = [one for one, number in feed.media.items() if number == MEDIA_TYPES[kind]]
        if medium not in theirs and theirs:
            raise TariffError(
                f"{file}: media {medium!r}: the feed's fares are for {theirs[0]!r}, of its type, and none for this:"
                " leave the entry out, or give it the feed's id"
            )
        payer = Rider(None, medium)
        meant = medium in own.media or (kind == "card" and medium is not None)  # a feed may list what others take
        if meant and all(feed.price(rule.product, payer) is None for rule in feed.leg_rules):
            raise TariffError(
                f"{file}: media {medium!r}: the feed has no fare for it, so that every ride by it would be free:"
                " add it to fare_products.txt, write fares for it here, or leave it out"
            )
    network = _priced_by_end(tariff)
    if network is not None:
        where, entry = f"network {network!r}", f'[[network]] id = "{network}"'
        if not network:
            where, entry = "rides of no network", f'[[network]] with operators = ["{EVERYWHERE}"]'
        raise TariffError(
            f"{file}: {where}: all fares of the feed ask where a ride ends (fare_leg_rules.txt, to_area_id), and nobody"
            f" taps out there, so that every ride would be free: add {entry} and its exit"
        )


def _priced_by_end(tariff: CityTariff) -> str | None:
    """A network with fares of which each asks where a ride ends, though riders do not tap out; "" is no network."""
    rules = [rule for table in tariff.tables for rule in table.leg_rules]
    named = {network for rule in rules for network in rule.networks}
    nowhere = set() if EVERYWHERE in tariff.network_by_operator else {""}
    for network in sorted((named | nowhere) - tariff.exits.keys()):
        mine = [rule for rule in rules if not rule.networks or network in rule.networks]
        if mine and all(rule.to_areas for rule in mine):
            return network
    return None
