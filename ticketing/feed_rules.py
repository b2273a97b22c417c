"""The rules of a GTFS feed's fares: what a leg needs, what a change costs, which legs are one (three of its files)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ticketing.city_schema import Name
from ticketing.fare_rules import LegRule
from ticketing.feed_places import known_areas, known_networks
from ticketing.feed_rows import FareFiles, Row, Table
from ticketing.legs import NONE, Words
from ticketing.transfer_rules import JoinRule, LimitFrom, Pays, TransferRule

JOIN_S_MAX = 3600
"""The longest change between legs that are one, seconds (half-open): nothing in taps says where a journey ends."""

# Proposed for the standard, and not in it: read as if they were not there, they would make wrong prices.
_PROPOSED = {
    "fare_leg_rules.txt": (
        "contains_area_id", "contains_exactly_area_set_id", "area_set_id", "from_area_set_id", "to_area_set_id",
        "min_distance", "max_distance", "distance_type", "service_id", "transfer_only",
    ),
    "fare_transfer_rules.txt": ("filter_fare_product_id", "spanning_limit", "fare_media_behavior"),
}  # fmt: skip


def leg_rules(feed: FareFiles, products: Collection[str]) -> tuple[LegRule, ...]:
    """The rows of fare_leg_rules.txt; TariffError names what is wrong."""
    table = feed["fare_leg_rules.txt"]
    _refuse_proposed(table, "fare_leg_rules.txt")
    networks, areas = known_networks(feed), known_areas(feed)
    rules = []
    first: dict[tuple[object, ...], tuple[Row, str]] = {}
    for row in table:
        product = _product(row, products, needed=True)
        _known(row, "network_id", networks, "networks.txt, nor is it a network_id of routes.txt")
        for field_ in ("from_area_id", "to_area_id"):
            _known(row, field_, areas, "areas.txt")
        for field_ in ("from_timeframe_group_id", "to_timeframe_group_id"):
            feed.refer(row, field_, "timeframes.txt", "timeframe_group_id", needed=True)
        rule = LegRule(
            product or "",
            row.get("leg_group_id"),
            word(row.get("network_id")),
            word(row.get("from_area_id")),
            word(row.get("to_area_id")),
            row.get("from_timeframe_group_id") or None,
            row.get("to_timeframe_group_id") or None,
            row.number("rule_priority", 0) if row.get("rule_priority") else 0,
        )
        key = (rule.networks, rule.from_areas, rule.to_areas, rule.from_timeframe, rule.to_timeframe, rule.product)
        before, group = first.setdefault(key, (row, rule.group))
        if group != rule.group:
            row.fail("leg_group_id", f"the same rule belongs to {group!r} already, line {before.line}: leave one out")
        if before is not row:
            row.fail("fare_product_id", f"the same rule is there twice, first in line {before.line}: leave one out")
        rules.append(rule)
    return tuple(rules)


def transfer_rules(feed: FareFiles, products: Collection[str]) -> tuple[TransferRule, ...]:
    """The rows of fare_transfer_rules.txt, those for the same two groups knowing each other."""
    table = feed["fare_transfer_rules.txt"]
    _refuse_proposed(table, "fare_transfer_rules.txt")
    feed.unique(
        "fare_transfer_rules.txt",
        "from_leg_group_id", "to_leg_group_id", "fare_product_id", "transfer_count", "duration_limit",
    )  # fmt: skip
    groups = frozenset(row.get("leg_group_id") for row in feed["fare_leg_rules.txt"]) - {""}
    ids: dict[tuple[str, str], list[str]] = {}
    for row in table:
        alike = ids.setdefault(_pair(row), [])
        alike.append(f"{_pair(row)[0] or '*'}>{_pair(row)[1] or '*'}" + (f" {len(alike) + 1}" if alike else ""))
    numbers = {pair: iter(alike) for pair, alike in ids.items()}
    return tuple(
        _transfer_rule(row, next(numbers[_pair(row)]), frozenset(ids[_pair(row)]), groups, products) for row in table
    )


def change_names(rules: Sequence[TransferRule], legs: Sequence[LegRule], names: Mapping[str, Name]) -> dict[str, Name]:
    """What receipts call changes that have no product of their own: the fares that they are between."""
    fares: dict[str, str] = {}
    for leg in legs:
        fares.setdefault(leg.group, names[leg.product].en if leg.product in names else leg.group)
    found = {}
    for rule in rules:
        if rule.product is None:
            ends = [fares.get(group, group) for groups in (rule.from_groups, rule.to_groups) for group in groups or "*"]
            found[rule.id] = Name(*[" – ".join(dict.fromkeys(ends))] * 2)
    return found


def join_rules(feed: FareFiles) -> tuple[JoinRule, ...]:
    """The rows of fare_leg_join_rules.txt; TariffError names what is wrong."""
    pairs = (("from_network_id", "to_network_id"), ("from_stop_id", "to_stop_id"))
    feed.unique("fare_leg_join_rules.txt", *pairs[0], *pairs[1])
    networks = known_networks(feed)
    rules = []
    for row in feed["fare_leg_join_rules.txt"]:
        for one, other in pairs:
            if bool(row.get(one)) != bool(row.get(other)):
                row.fail(one, f"give both {one} and {other}, or neither")
        for field_ in pairs[0]:
            _known(row, field_, networks, "networks.txt, nor is it a network_id of routes.txt")
        for field_ in pairs[1]:
            feed.refer(row, field_, "stops.txt", "stop_id")
        rules.append(
            JoinRule(
                row.get("from_network_id") or None,
                row.get("to_network_id") or None,
                word(row.get("from_stop_id")),
                word(row.get("to_stop_id")),
                JOIN_S_MAX,
                onward=True,
            )
        )
    return tuple(rules)


def word(text: str) -> Words:
    """A cell as the words that it names: one, or none."""
    return frozenset((text,)) if text else NONE


def _transfer_rule(row: Row, id_: str, alike: Words, groups: Words, products: Collection[str]) -> TransferRule:
    from_group, to_group = _pair(row)
    for field_ in ("from_leg_group_id", "to_leg_group_id"):
        _known(row, field_, groups, "fare_leg_rules.txt as a leg_group_id")
    limited = bool(row.get("duration_limit"))
    if not limited and row.get("duration_limit_type"):
        row.fail("duration_limit_type", "leave it empty where duration_limit is empty")
    behavior = row.get("fare_product_behavior")
    if behavior not in ("", "0"):
        row.fail("fare_product_behavior", f"of this proposed field only 0 is read, not {behavior!r}: leave it empty")
    return TransferRule(
        id=id_,
        from_groups=word(from_group),
        to_groups=word(to_group),
        limit_s=row.number("duration_limit", 1) if limited else None,
        limit_from=LimitFrom(row.one_of("duration_limit_type", "0123")) if limited else LimitFrom.DEPARTURE_TO_ARRIVAL,
        pays=Pays(row.one_of("fare_transfer_type", "012")),
        product=_product(row, products),
        count=_count(row),
        chained=from_group == to_group,
        between_others=bool(row.one_of("nonconsecutive_transfers_allowed", "01", "0")),
        same_product=behavior == "0",
        alike=alike,
    )


def _count(row: Row) -> int:
    """How often the rule may be applied in a row; -1: no limit."""
    from_group, to_group = _pair(row)
    if not row.get("transfer_count"):
        if from_group == to_group:
            row.fail("transfer_count", "it is required for transfers within one leg group: write -1 for no limit")
        return -1
    count = row.number("transfer_count", -1)
    if count == 0:
        row.fail("transfer_count", "write -1 for no limit, or 1 and more")
    if from_group != to_group:
        row.fail("transfer_count", "it is only for transfers within one leg group: leave it empty here")
    return count


def _pair(row: Row) -> tuple[str, str]:
    return row.get("from_leg_group_id"), row.get("to_leg_group_id")


def _product(row: Row, products: Collection[str], *, needed: bool = False) -> str | None:
    product = row.need("fare_product_id") if needed else row.get("fare_product_id")
    if product and product not in products:
        row.fail("fare_product_id", f"{product!r} is not in fare_products.txt: add it there, or correct it here")
    return product or None


def _known(row: Row, field_: str, known: Words | None, where: str) -> None:
    value = row.get(field_)
    if value and known is not None and value not in known:
        row.fail(field_, f"{value!r} is not in {where}: add it there, or correct it here")


def _refuse_proposed(table: Table, file: str) -> None:
    for row in table:
        for field_ in _PROPOSED[file]:
            if row.get(field_) not in ("", "0"):
                row.fail(field_, "it is no field of the reference, and the price depends on it: write this in a tariff")
