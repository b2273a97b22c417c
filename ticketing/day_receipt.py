"""A day's receipt as one document: each tap with its reasons as facts and in words, and what a bank card is debited."""

from __future__ import annotations

from msgspec import Struct

from ticketing.city_schema import Name
from ticketing.city_tariff import CityTariff
from ticketing.debits import PlannedDebit
from ticketing.rated import DayRating, Line, Step
from ticketing.receipt import Paid, ReceiptLine, explain_debit, explain_step, receipt


class Reason(Struct, frozen=True):
    """One rule at work: the facts it used (Unix seconds, minor units), what it did to the amount, and both in words."""

    kind: str
    rule: str
    amount_minor: int
    since: float | None
    until: float | None
    limit_minor: int | None
    spent_minor: int | None
    number: int | None
    percent: int | None
    text: Name


class ReceiptTap(Struct, frozen=True):
    """One tap: when, on what, what it costs and why; time by the city's clock."""

    tap_id: str
    at: float
    time: str
    place: Name
    network: str | None
    route_id: str | None
    stop_id: str | None
    charge_minor: int
    amount: Name
    reasons: list[Reason]


class Debit(Struct, frozen=True):
    """What is taken from a bank card, at `at` at the earliest."""

    at: float
    amount_minor: int
    tap_ids: list[str]
    reason: str
    text: Name


class DayReceipt(Struct, frozen=True):
    """An account's service day, text all of it in words.

    receipt_id opens it without a login; null where nothing was rated since every ride had the tariff's one price.
    charged_minor was charged, to_charge_minor is still to be, and owed_minor could not be (the bank declined, the purse
    was empty); to_give_back_minor was charged too much, since the day has become cheaper.
    """

    account: str
    date: str
    receipt_id: str | None
    version: int
    tariff_version: int
    currency: str
    total_minor: int
    total: Name
    charged_minor: int
    to_charge_minor: int
    owed_minor: int
    to_give_back_minor: int
    paid: list[Name]
    taps: list[ReceiptTap]
    debits: list[Debit]
    text: Name


def day_receipt(
    account: str,
    rating: DayRating,
    tariff: CityTariff,
    paid: Paid,
    *,
    receipt_id: str | None = None,
    version: int = 0,
    debits: tuple[PlannedDebit, ...] = (),
) -> DayReceipt:
    """The receipt of a rated day; tariff is the version that rated it, version how often it was rated."""
    uk, en = receipt(rating, tariff, "uk", debits, paid), receipt(rating, tariff, "en", debits, paid)
    return DayReceipt(
        account=account,
        date=rating.day,
        receipt_id=receipt_id,
        version=version,
        tariff_version=rating.tariff_version,
        currency=rating.currency,
        total_minor=rating.total_minor,
        total=Name(uk.total, en.total),
        charged_minor=paid.charged_minor,
        to_charge_minor=paid.to_charge_minor,
        owed_minor=paid.owed_minor,
        to_give_back_minor=paid.to_give_back_minor,
        paid=[Name(*words) for words in zip(uk.paid, en.paid, strict=True)],
        taps=[_tap(*lines, tariff, rating) for lines in zip(rating.lines, uk.lines, en.lines, strict=True)],
        debits=[_debit(debit, tariff) for debit in debits],
        text=Name(uk.text(), en.text()),
    )


def _tap(line: Line, uk: ReceiptLine, en: ReceiptLine, tariff: CityTariff, rating: DayRating) -> ReceiptTap:
    return ReceiptTap(
        tap_id=line.tap_id,
        at=line.at_s,
        time=uk.time,
        place=Name(uk.place, en.place),
        network=line.network,
        route_id=line.route_id,
        stop_id=line.stop_id,
        charge_minor=line.charge_minor,
        amount=Name(uk.amount, en.amount),
        reasons=[_reason(step, tariff, rating) for step in line.explanation],
    )


def _reason(step: Step, tariff: CityTariff, rating: DayRating) -> Reason:
    return Reason(
        kind=step.kind,
        rule=step.rule,
        amount_minor=step.amount_minor,
        since=step.since_s,
        until=step.until_s,
        limit_minor=step.limit_minor,
        spent_minor=step.spent_minor,
        number=step.number,
        percent=step.percent,
        text=Name(explain_step(step, tariff, "uk", rating.names), explain_step(step, tariff, "en", rating.names)),
    )


def _debit(debit: PlannedDebit, tariff: CityTariff) -> Debit:
    return Debit(
        at=debit.at_s,
        amount_minor=debit.minor,
        tap_ids=list(debit.tap_ids),
        reason=debit.reason,
        text=Name(explain_debit(debit, tariff, "uk"), explain_debit(debit, tariff, "en")),
    )
