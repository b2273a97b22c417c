"""Worked examples of a tariff: rides in a short notation, and the amounts that they should cost.

Cases are JSON, as cities publish them and as a city writes down what its tariff must give:

    {"tests": [{"id": "forty", "medium": "leocard", "taps": ["08:00 bus A", "08:25 tram B"], "total": "17.00"}]}

How a ride is written down is in `ride_notation`; docs/tariff.md lists the keys of a case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, NamedTuple

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.days import clock_s
from ticketing.debits import PlannedDebit, plan_debits
from ticketing.errors import TariffError
from ticketing.money import currency_digits
from ticketing.rated import Account, DayRating, HeldPass
from ticketing.rating import rate_days
from ticketing.ride_notation import Notation
from ticketing.tariff import TRIPS

DAY = "2026-03-04"
"""The day of a case that names none: a Wednesday."""
RIDES_MAX = 2000
_MINOR_MAX = 10**15
_RIDES = ("taps", "touches", "trips", "rides")
_KEYS = frozenset(
    ("id", "note", "why", "source", "confidence", "medium", "category", "day", "network", "networks", "passes", "fare",
     "cap", "total", "charges", "totals", "debits", "buy", *_RIDES)
)  # fmt: skip

_SHAPES: dict[str, tuple[type, str]] = {
    "networks": (dict, 'words for networks, such as {"tube": "rail"}'),
    "passes": (list, 'a list such as [{"product": "month", "from": "2026-03-04 10:00"}]'),
    "charges": (list, 'a list such as ["8.00", "0.00"]'),
    "totals": (list, 'a list such as ["8.00", "0.00"]'),
    "debits": (list, 'a list such as [["18:00", "16.00"]]'),
    "buy": (int, "how many trips"),
}


class Outcome(NamedTuple):
    """One case: what it costs by ride (minor units) and in all, and how that differs from what is expected.

    unread says why a case could not be understood; then there is nothing else.
    """

    id: str
    charges: tuple[int, ...]
    total_minor: int
    differs: tuple[str, ...]
    ratings: tuple[DayRating, ...]
    debits: tuple[PlannedDebit, ...]
    tariff: CityTariff
    unread: str | None = None


def find_cases(document: object, city: str | None = None) -> list[Mapping[str, Any]]:
    """Every case of a document's lists `tests`, at whatever depth, of one city where it is named."""
    if city is not None:
        if not isinstance(document, dict) or city not in document:
            raise TariffError(f"{city!r} is not among the cities of the file")
        document = document[city]
    return list(_cases(document, ""))


def check_case(case: Mapping[str, Any], tariff: CityTariff) -> Outcome:
    """Rate a case and compare; one that cannot be understood says why."""
    name = str(case.get("id", "case"))
    try:
        return _check(case, name, _own(case, tariff))
    except KeyError as error:
        return Outcome(name, (), 0, (), (), (), tariff, f"it has no {error}")
    except (TypeError, ValueError, OverflowError, TariffError) as error:
        return Outcome(name, (), 0, (), (), (), tariff, str(error))


def _cases(value: object, name: str) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "tests" and isinstance(inner, list):
                for number, case in enumerate(inner, 1):
                    if isinstance(case, dict):
                        yield {"id": f"{name or 'case'} {number}"} | case
            else:
                yield from _cases(inner, str(key))


def _check(case: Mapping[str, Any], name: str, tariff: CityTariff) -> Outcome:
    unknown = [key for key in case if key not in _KEYS and not key.endswith(("_charges", "_total"))]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no key of a case: write one of {', '.join(sorted(_KEYS))}")
    for key, (kind, example) in _SHAPES.items():
        if key in case and not isinstance(case[key], kind):
            raise TypeError(f"{key}: write {example}, not {case[key]!r}")
    if "buy" in case:
        return _bought(case, name, tariff)
    rides = _rides(case)
    notation = Notation(tariff, str(case.get("day", DAY)), case.get("network"), case.get("networks", {}))
    taps = [tap for number, ride in enumerate(rides) for tap in notation.taps(ride, number)]
    account = Account(case.get("medium"), case.get("category"), tuple(_passes(case, tariff)))
    ratings = rate_days(taps, tariff, account)
    debits = _debits(ratings, tariff, account.media)
    by_ride = [0] * len(rides)
    networks: list[str | None] = [None] * len(rides)
    for rating in ratings:
        for line in rating.lines:
            number = int(line.tap_id.split("/")[0])
            by_ride[number] += line.charge_minor
            networks[number] = networks[number] or line.network
    total = sum(by_ride)
    differs = [*_compare(case, by_ride, networks, ratings, tariff), *_compare_debits(case, debits, tariff)]
    return Outcome(name, tuple(by_ride), total, tuple(differs), ratings, tuple(debits), tariff)


def _bought(case: Mapping[str, Any], name: str, tariff: CityTariff) -> Outcome:
    total = tariff.bulk_minor(int(case["buy"]))
    wanted = _minor(case["total"], tariff)
    differs = () if total == wanted else (_unlike("total", wanted, total, tariff),)
    return Outcome(name, (total,), total, differs, (), (), tariff)


def _rides(case: Mapping[str, Any]) -> list[str]:
    given = next((case[key] for key in _RIDES if key in case), None)
    if isinstance(given, int) and 0 <= given <= RIDES_MAX:
        given = [f"{8 + number // 2:02d}:{number % 2 * 30:02d}" for number in range(given)]
    if not isinstance(given, list) or not all(isinstance(ride, str) for ride in given) or len(given) > RIDES_MAX:
        raise ValueError('taps: write a list such as ["08:00 bus 12", "08:30-08:50 rail 1>2"], or how many rides')
    return given


def _own(case: Mapping[str, Any], tariff: CityTariff) -> CityTariff:
    """The tariff of a case that brings its own: one fare, and the most that a day costs."""
    if "fare" not in case:
        return tariff
    label = '{ uk = "Проїзд", en = "Ride" }'
    text = f"""
        version = 1
        currency = "{tariff.currency}"
        timezone = "{tariff.zone.key}"
        service_day_starts = "{tariff.day_start:%H:%M}"
        fare = [{{ id = "ride", name = {label}, price_minor = {_minor(case["fare"], tariff)} }}]
        """
    if "cap" in case:
        text += (
            f'cap = [{{ id = "cap", name = {label}, period = "day", amount_minor = {_minor(case["cap"], tariff)} }}]'
        )
    return parse_city_tariff(text, "the case's own fare")


def _passes(case: Mapping[str, Any], tariff: CityTariff) -> Iterator[HeldPass]:
    for number, held in enumerate(case.get("passes", ())):
        if not isinstance(held, dict):
            raise TypeError(f"passes: write {_SHAPES['passes'][1]}, not {held!r}")
        product = held["product"]
        one = (tariff.passes or {}).get(product)
        if one is None and product != TRIPS:
            raise ValueError(f"passes: {product!r} is no product of this tariff")
        from_s = datetime.fromisoformat(held["from"]).replace(tzinfo=tariff.zone).timestamp()
        until_s = tariff.pass_until_s(one, int(from_s)) if one is not None else from_s + 366 * 86_400
        rides = held.get("rides", one.rides if one is not None else None)
        yield HeldPass(f"pass {number}", product, from_s, until_s, rides)


def _debits(ratings: Sequence[DayRating], tariff: CityTariff, media: str | None) -> list[PlannedDebit]:
    debits: list[PlannedDebit] = []
    plan = None
    for rating in ratings:
        plan = plan_debits(rating, tariff, media, plan.waiting if plan is not None else ())
        debits += plan.debits
    return debits


def _compare(
    case: Mapping[str, Any],
    charges: Sequence[int],
    networks: Sequence[str | None],
    ratings: Sequence[DayRating],
    tariff: CityTariff,
) -> Iterator[str]:
    for key, wanted in case.items():
        network = key.removesuffix("_charges").removesuffix("_total") if "_" in key else None
        of = [charge for charge, on in zip(charges, networks, strict=True) if network is None or on == network]
        if key == "charges" or key.endswith("_charges"):
            minors = [_minor(one, tariff) for one in wanted]
            if minors != of:
                yield f"{key}: expected {_amounts(minors, tariff)}, got {_amounts(of, tariff)}"
        elif key == "total" or key.endswith("_total"):
            if _minor(wanted, tariff) != sum(of):
                yield _unlike(key, _minor(wanted, tariff), sum(of), tariff)
        elif key == "totals":
            minors = [_minor(one, tariff) for one in wanted]
            days = [rating.total_minor for rating in ratings]
            if minors != days:
                yield f"totals: expected {_amounts(minors, tariff)} by day, got {_amounts(days, tariff)}"


def _compare_debits(case: Mapping[str, Any], debits: Sequence[PlannedDebit], tariff: CityTariff) -> Iterator[str]:
    if "debits" not in case:
        return
    day = date.fromisoformat(str(case.get("day", DAY)))
    wanted = []
    for at, amount in case["debits"]:
        clock = time.fromisoformat(str(at).rstrip("+"))
        wanted.append((clock_s(day, clock, tariff.day_start, tariff.zone), _minor(amount, tariff)))
    got = [(int(debit.at_s), debit.minor) for debit in debits]
    if wanted != got:
        yield f"debits: expected {case['debits']}, got {[[_clock(at_s, tariff), minor] for at_s, minor in got]}"


def _clock(at_s: int, tariff: CityTariff) -> str:
    return f"{datetime.fromtimestamp(at_s, tariff.zone):%H:%M}"


def _minor(amount: object, tariff: CityTariff) -> int:
    if not isinstance(amount, str | int):
        raise TypeError(f'{amount!r}: write amounts as text, such as "7.50"')
    try:
        minor = Decimal(amount).scaleb(currency_digits(tariff.currency))
    except ArithmeticError:  # no number at all, or one beyond all numbers
        raise ValueError(f"{amount!r} is no amount") from None
    if not minor.is_finite() or abs(minor) > _MINOR_MAX:
        raise ValueError(f"{str(amount)[:40]} {tariff.currency} is no amount of money")
    if minor != minor.to_integral_value():
        raise ValueError(f"{amount} {tariff.currency} is no amount of {currency_digits(tariff.currency)} decimals")
    return int(minor)


def _amounts(minors: Sequence[int], tariff: CityTariff) -> str:
    return f"[{', '.join(_amount(minor, tariff) for minor in minors)}]"


def _amount(minor: int, tariff: CityTariff) -> str:
    return str(Decimal(minor).scaleb(-currency_digits(tariff.currency)))


def _unlike(key: str, wanted: int, got: int, tariff: CityTariff) -> str:
    return f"{key}: expected {_amount(wanted, tariff)}, got {_amount(got, tariff)}"
