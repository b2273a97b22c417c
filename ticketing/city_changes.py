"""The changes of a city's own file: its transfers and joins, checked, as the rules that join rides."""

from __future__ import annotations

from collections.abc import Collection

from ticketing.city_checks import Checks
from ticketing.city_prices import Join, Transfer
from ticketing.transfer_rules import JoinRule, LimitFrom, Pays, TransferRule

_PAYS = {"extra": Pays.A_AB, "difference": Pays.DIFFERENCE, "discount": Pays.A_AB_B, "total": Pays.TOTAL,
         "percent": Pays.PERCENT}  # fmt: skip
_COUNTED_FROM = ("boarding", "exit", "last_boarding", "last_exit", "group")
_COUNTED_TO = ("boarding", "exit")
_LIMIT_FROM = {
    ("boarding", "boarding"): LimitFrom.DEPARTURE_TO_DEPARTURE,
    ("boarding", "exit"): LimitFrom.DEPARTURE_TO_ARRIVAL,
    ("exit", "boarding"): LimitFrom.ARRIVAL_TO_DEPARTURE,
    ("exit", "exit"): LimitFrom.ARRIVAL_TO_ARRIVAL,
}


def transfer_rule(checks: Checks, transfer: Transfer, groups: Collection[str]) -> TransferRule:
    """A transfer as a rule, whose product has its id; groups are those of all fares."""
    where = f"transfer {transfer.id!r}"
    _check_time(checks, transfer, where)
    _check_changes(checks, transfer, where)
    _check_price(checks, transfer, where)
    to_groups = transfer.groups if transfer.to_groups is None else transfer.to_groups
    checks.known(where, "groups", (*transfer.groups, *to_groups), groups)
    checks.known(where, "begins", transfer.begins, groups)
    counted_from = "exit" if transfer.counted_from.endswith("exit") else "boarding"
    return TransferRule(
        id=transfer.id,
        from_groups=frozenset(transfer.groups),
        to_groups=frozenset(to_groups),
        limit_s=_seconds(transfer.minutes),
        limit_from=_LIMIT_FROM[counted_from, transfer.counted_to],
        pays=_PAYS[transfer.pays],
        product=transfer.id,
        count=transfer.changes_max,
        chained=not transfer.counted_from.startswith("last_"),
        between_others=transfer.between_others,
        return_trips=transfer.return_trips is not False,
        back_only=transfer.return_trips == "only",
        same_route=transfer.same_route,
        once_on=frozenset(transfer.once_on),
        round_up_s=transfer.from_full_minutes * 60,
        optional=True,
        until_s=None if transfer.until is None else checks.seconds(transfer.until, f"{where}.until") % 86_400,
        total_s=_seconds(transfer.total_minutes),
        count_from=transfer.changes_from,
        hours=transfer.hours,
        percent=100 if transfer.percent is None else transfer.percent,
        from_group=transfer.counted_from == "group",
        begins=frozenset(transfer.begins),
        count_to=transfer.changes_to,
    )


def _check_time(checks: Checks, transfer: Transfer, where: str) -> None:
    """How long it allows a change, and from when on."""
    checks.scope(where, transfer)
    if (transfer.minutes is None) == (transfer.until is None):
        checks.fail(where, "minutes", "give it, or until; not both")
    checks.number(where, "minutes", transfer.minutes, 1, 1440)
    checks.number(where, "total_minutes", transfer.total_minutes, 1, 1440)
    checks.number(where, "from_full_minutes", transfer.from_full_minutes, 0, 60)
    checks.one_of(where, "counted_from", transfer.counted_from, _COUNTED_FROM)
    if transfer.counted_from == "group" and not transfer.groups:
        checks.fail(where, "counted_from", "name the groups whose first ride it is counted from")
    checks.one_of(where, "counted_to", transfer.counted_to, _COUNTED_TO)


def _check_changes(checks: Checks, transfer: Transfer, where: str) -> None:
    """Which changes of a journey it is for, and how many."""
    checks.number(where, "changes_from", transfer.changes_from, 1, 100)
    checks.number(where, "changes_to", transfer.changes_to, transfer.changes_from, 100)
    if transfer.changes_max == 0 or transfer.changes_max < -1:
        checks.fail(where, "changes_max", "write -1 for no limit, or 1 and more")


def _check_price(checks: Checks, transfer: Transfer, where: str) -> None:
    checks.price(where, transfer.price_minor)
    checks.one_of(where, "pays", transfer.pays, tuple(_PAYS))
    checks.number(where, "percent", transfer.percent, 0, 100)
    if (transfer.percent is not None) != (transfer.pays == "percent"):
        checks.fail(where, "percent", 'give it with pays = "percent", and only there')


def join_rule(checks: Checks, join: Join, number: int) -> JoinRule:
    """A join as a rule; number is its place among the joins of the file."""
    where = f"join {number}"
    checks.known(where, "networks", join.networks, checks.networks)
    if bool(join.from_stops) != bool(join.to_stops):
        checks.fail(where, "from_stops", "give both from_stops and to_stops, or neither")
    checks.number(where, "minutes", join.minutes, 1, 1440)
    if join.anywhere and (join.from_stops or join.minutes is None):
        checks.fail(where, "anywhere", "give it with minutes, and without stops")
    checks.known(where, "once_on", join.once_on, checks.networks)
    checks.known(where, "hours", (join.hours,) if join.hours is not None else (), checks.hours)
    checks.number(where, "rides_max", join.rides_max, 2, 100)
    checks.number(where, "zones_min", join.zones_min, 1, 1000)
    checks.number(where, "total_minutes", join.total_minutes, 1, 1440)
    return JoinRule(
        from_stops=frozenset(join.from_stops),
        to_stops=frozenset(join.to_stops),
        within_s=_seconds(join.minutes),
        anywhere=join.anywhere,
        rides_max=join.rides_max,
        total_s=_seconds(join.total_minutes),
        same_route=join.same_route,
        once_on=frozenset(join.once_on),
        hours=join.hours,
        zones_min=join.zones_min,
        networks=frozenset(join.networks),
        optional=True,
    )


def _seconds(minutes: int | None) -> int | None:
    return None if minutes is None else minutes * 60
