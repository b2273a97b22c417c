"""Fares beside a second, literal reading of the reference: any rules, any journey, the same price."""

from __future__ import annotations

from itertools import pairwise, product
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.ticketing.small_feeds import cost, ride, small
from ticketing.legs import Leg

NETWORKS, AREAS = ("n1", "n2", "n3"), ("z1", "z2", "z3")
PRODUCTS = {"p1": 100, "p2": 230, "p3": 310, "free": 0, "less": -40}
STATIC = {
    "fare_products": "fare_product_id,amount,currency\n"
    + "".join(f"{name},{minor / 100:.2f},EUR\n" for name, minor in PRODUCTS.items()),
    "areas": "area_id\n" + "\n".join(AREAS) + "\n",
    "stop_areas": "area_id,stop_id\n" + "".join(f"{area},s{area}\n" for area in AREAS),
    "networks": "network_id\n" + "\n".join(NETWORKS) + "\n",
}


class Rule(NamedTuple):
    """A row of fare_leg_rules.txt."""

    network: str
    start: str
    end: str
    product: str
    priority: str


rules_of_legs = st.lists(
    st.builds(
        Rule,
        st.sampled_from(("", *NETWORKS)),
        st.sampled_from(("", *AREAS)),
        st.sampled_from(("", *AREAS)),
        st.sampled_from(("p1", "p2", "p3")),
        st.sampled_from(("", "0", "1", "2")),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda rule: rule[:4],
)


def leg_price(rules: list[Rule], network: str, start: str, end: str, *, ranked: bool) -> int | None:
    """Steps 2 to 5 of the reference, word by word."""
    if ranked:
        fitting = [
            rule
            for rule in rules
            if rule.network in ("", network) and rule.start in ("", start) and rule.end in ("", end)
        ]
        highest = max((int(rule.priority or 0) for rule in fitting), default=0)
        fitting = [rule for rule in fitting if int(rule.priority or 0) == highest]
    else:
        fitting = [rule for rule in rules if (rule.network, rule.start, rule.end) == (network, start, end)]
        if not fitting:
            listed = [{rule[column] for rule in rules} - {""} for column in range(3)]
            leg = (network, start, end)
            fitting = [
                rule
                for rule in rules
                if all(
                    rule[column] == leg[column] if rule[column] else leg[column] not in listed[column]
                    for column in range(3)
                )
            ]
    return min((PRODUCTS[rule.product] for rule in fitting), default=None)


@settings(deadline=None, max_examples=150)
@given(rules_of_legs, st.booleans())
def test_a_leg_costs_what_the_steps_of_the_reference_say(rules, ranked):
    head = "network_id,from_area_id,to_area_id,fare_product_id"
    rows = [",".join(rule if ranked else rule[:4]) for rule in rules]
    fares = small(**STATIC, fare_leg_rules="\n".join([head + (",rule_priority" if ranked else ""), *rows]) + "\n")
    for network in NETWORKS:
        for start in AREAS:
            for end in AREAS:
                leg = ride(fares, "08:00", way=f"s{start}>s{end}", network=network)
                assert cost(fares, leg) == leg_price(rules, network, start, end, ranked=ranked), (network, start, end)


class Change(NamedTuple):
    """A row of fare_transfer_rules.txt."""

    start: str
    end: str
    count: str
    limit: str
    counted: str
    kind: str
    product: str


@st.composite
def changes(draw: st.DrawFn) -> Change:
    start, end = draw(st.sampled_from(("", *NETWORKS))), draw(st.sampled_from(("", *NETWORKS)))
    count = draw(st.sampled_from(("-1", "1", "2"))) if start == end else ""
    limit = draw(st.sampled_from(("", "1200", "3600")))
    counted = draw(st.sampled_from("0123")) if limit else ""
    product = draw(st.sampled_from(("", "p1", "free", "less")))
    return Change(start, end, count, limit, counted, draw(st.sampled_from("012")), product)


def journey_price(rules: list[Change], legs: list[Leg], prices: dict[str, int]) -> int:
    """The table of fare_transfer_type, leg by leg; a run is what one pair of the same two groups has joined so far."""
    total = prices[str(legs[0].network)]
    run: tuple[tuple[str, str] | None, Leg, int] = (None, legs[0], 0)
    anew = True
    for before, leg in pairwise(legs):
        groups = (str(before.network), str(leg.network))
        listed = ({rule.start for rule in rules} - {""}, {rule.end for rule in rules} - {""})
        fitting = [rule for rule in rules if rule[:2] == groups] or [
            rule
            for rule in rules
            if all(rule[side] == groups[side] if rule[side] else groups[side] not in listed[side] for side in range(2))
        ]
        allowed = []
        for rule in fitting:
            pair = rule[:2]
            goes_on = pair == run[0] and pair[0] == pair[1]
            first, made = (run[1], run[2]) if goes_on else (before, 0)
            since = first.end_s if rule.counted in ("2", "3") else first.start_s
            until = leg.end_s if rule.counted in ("0", "3") else leg.start_s
            if rule.limit and until - since >= int(rule.limit):
                continue
            count = int(rule.count or -1)
            if count > 0 and made + 1 > count:
                continue
            extra = PRODUCTS.get(rule.product, 0)
            own = prices[groups[1]]
            adds = extra + (own if rule.kind == "1" else 0)
            if rule.kind == "2" and anew:
                adds -= prices[groups[0]]
            allowed.append((count if count > 0 else 1_000, adds, pair, first, made + 1))
        if allowed:
            _, adds, pair, first, made = min(allowed, key=lambda one: one[:2])
            total, run, anew = total + adds, (pair, first, made), False
        else:
            total, run, anew = total + prices[groups[1]], (None, leg, 0), True
    return total


@settings(deadline=None, max_examples=250)
@given(
    st.lists(
        changes(), min_size=1, max_size=6, unique_by=lambda one: (one.start, one.end, one.product, one.count, one.limit)
    ),
    st.lists(st.tuples(st.sampled_from(NETWORKS), st.integers(2, 30), st.integers(1, 25)), min_size=1, max_size=5),
)
def test_a_journey_costs_what_the_table_of_the_reference_says(rules, plan):
    fares = small(
        **STATIC,
        fare_leg_rules="leg_group_id,network_id,fare_product_id\nn1,n1,p1\nn2,n2,p2\nn3,n3,p3\n",
        fare_transfer_rules="from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,"
        "fare_transfer_type,fare_product_id\n" + "".join(",".join(rule) + "\n" for rule in rules),
    )
    legs, minute = [], 0
    for network, minutes, wait in plan:
        legs.append(ride(fares, f"{8 + minute // 60:02d}:{minute % 60:02d}", network=network, minutes=minutes))
        minute += minutes + wait
    prices = {"n1": 100, "n2": 230, "n3": 310}
    assert cost(fares, *legs) == journey_price(rules, legs, prices)


GROUPS = ("n1", "n2", "n3")
sold = st.lists(st.sampled_from(GROUPS), min_size=1, max_size=3, unique=True)


@st.composite
def plain_changes(draw: st.DrawFn) -> Change:
    start, end = draw(st.sampled_from(GROUPS)), draw(st.sampled_from(GROUPS))
    limit = draw(st.sampled_from(("", "2400")))
    count = draw(st.sampled_from(("-1", "1", "2"))) if start == end else ""
    kind, product = draw(st.sampled_from("01")), draw(st.sampled_from(("", "free", "p1")))
    return Change(start, end, count, limit, "1" if limit else "", kind, product)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(plain_changes(), min_size=1, max_size=5, unique_by=lambda one: one[:2]),
    st.fixed_dictionaries({"x": sold, "y": sold}),
    st.lists(st.sampled_from("xy"), min_size=1, max_size=5),
)
def test_of_several_products_for_each_leg_the_cheapest_choice_for_all_is_charged(rules, products, plan):
    prices = {"n1": 100, "n2": 230, "n3": 310}
    names = dict(zip(GROUPS, ("p1", "p2", "p3"), strict=True))
    rows = [f"{one},{network},{names[one]}" for network, mine in (products | {"z": GROUPS}).items() for one in mine]
    fares = small(
        fare_products=STATIC["fare_products"],
        fare_leg_rules="leg_group_id,network_id,fare_product_id\n" + "\n".join(rows) + "\n",
        fare_transfer_rules="from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,duration_limit_type,"
        "fare_transfer_type,fare_product_id\n" + "".join(",".join(rule) + "\n" for rule in rules),
    )
    legs = [ride(fares, f"08:{place * 12:02d}", network=network) for place, network in enumerate(plan)]
    chosen = product(*(products[network] for network in plan))
    best = min(
        journey_price(rules, [replace(leg, network=one) for leg, one in zip(legs, choice, strict=True)], prices)
        for choice in chosen
    )
    assert cost(fares, *legs) == best
