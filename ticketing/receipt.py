"""A rated day in words: which rule, which fact, which amount, in Ukrainian and English."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from babel.dates import format_date, format_time
from babel.numbers import format_currency

from ticketing.city_schema import Name
from ticketing.city_tariff import CityTariff
from ticketing.debits import PlannedDebit
from ticketing.money import currency_digits
from ticketing.rated import DayRating, Line, Step

Language = Literal["uk", "en"]
_LOCALE = {"uk": "uk_UA", "en": "en_GB"}

# {name} of the rule, {limit} {spent} {amount} money, {since} {until} clock times, {number} {percent}, {other} a name.
_TEXT: dict[Language, dict[str, str]] = {
    "uk": {
        "fare": "Проїзд «{name}»",
        "concession": "Пільга: сплачуєте {percent} % ціни",
        "concession_own": "Пільгова ціна",
        "transfer": "Пересадка «{name}»: перша поїздка о {since}, діє до {until}",
        "transfer_open": "Пересадка «{name}»: перша поїздка о {since}",
        "transfer_since": "Пересадка «{name}»: час від {since} до {until}",
        "discount": "Знижка «{name}»: сплачуєте {percent} %",
        "regrouped": "Частина ціни попередніх поїздок: разом так дешевше",
        "later_transfer": "Знижка: поїздка стала частиною дешевшої подорожі",
        "pass": "Проїзний «{name}»",
        "pass_counted": "Проїзний «{name}»: лишилося поїздок: {number}",
        "trip": "Поїздка, куплена наперед: лишилося {number}",
        "extension": "Доплата «{name}» за частину поїздки, якої проїзний не охоплює",
        "cap": "Межа «{name}»: не більше {limit}, перед цією поїздкою сплачено {spent}",
        "cap_part": "Межа «{name}»: понад {limit} сплачуєте {percent} %, перед цією поїздкою сплачено {spent}",
        "after_rides": "«{name}»: платних поїздок досі: {number}, тепер сплачуєте {percent} %",
        "after_rides_price": "«{name}»: платних поїздок досі: {number}, тепер сплачуєте {limit}",
        "first_rides": "«{name}»: сплачуєте {percent} %, таких поїздок лишилося: {number}",
        "first_rides_price": "«{name}»: сплачуєте {limit}, таких поїздок лишилося: {number}",
        "combination": "Вигідніше разом: межа «{name}» ({limit})",
        "combination_with": "Вигідніше разом: межа «{name}» ({limit}) і доплата «{other}»",
        "surcharge": "Надбавка «{name}»",
        "entered": "Вхід: оплата після виходу",
        "continued": "Подорож триває: без доплати",
        "so_far": "Подорож досі: «{name}»",
        "paid_before": "Уже сплачено за цю подорож",
        "no_exit": "Немає вчасної відмітки про вихід: ціна без неї",
        "no_entry": "Немає відмітки про вхід, або поїздка була довшою за {number} хв: ціна без неї",
        "same_stop": "Вхід і вихід на тій самій станції: безкоштовно",
        "unknown_fare": "Тариф не знає ціни цієї поїздки: її не стягнуто",
        "companion": "Супутник {rider}: {text}",
        "holder": "{text}",
        "total": "Разом",
        "charged": "Списано: {amount}",
        "to_charge": "Ще буде списано: {amount}",
        "owed": "Заборгованість: {amount}",
        "to_give_back": "Буде повернуто: {amount}",
        "no_rides": "Поїздок цього дня немає",
        "free": "безкоштовно",
        "pair": "{amount} списано після другої поїздки о {since}",
        "odd": "{amount} за непарну поїздку: списання після {since}",
        "day": "{amount} за весь день одним списанням, {date} о {since}",
        "each": "{amount} списано о {since}",
        "correction": "{amount}: виправлення після перерахунку дня",
    },
    "en": {
        "fare": "Fare “{name}”",
        "concession": "Concession: you pay {percent}% of the price",
        "concession_own": "Concession price",
        "transfer": "Transfer “{name}”: the first ride was at {since}, it lasts until {until}",
        "transfer_open": "Transfer “{name}”: the first ride was at {since}",
        "transfer_since": "Transfer “{name}”: the time is from {since} until {until}",
        "discount": "Discount “{name}”: you pay {percent}%",
        "regrouped": "A part of the price of the rides before: cheaper together this way",
        "later_transfer": "Reduction: the ride became part of a cheaper journey",
        "pass": "Pass “{name}”",
        "pass_counted": "Pass “{name}”: rides left: {number}",
        "trip": "A trip bought ahead: {number} left",
        "extension": "Extension “{name}” for the part of the ride beyond the pass",
        "cap": "Cap “{name}”: no more than {limit}, {spent} had been paid before this ride",
        "cap_part": "Cap “{name}”: beyond {limit} you pay {percent}%, {spent} had been paid before this ride",
        "after_rides": "“{name}”: paid rides so far: {number}, now you pay {percent}%",
        "after_rides_price": "“{name}”: paid rides so far: {number}, now you pay {limit}",
        "first_rides": "“{name}”: you pay {percent}%, such rides left: {number}",
        "first_rides_price": "“{name}”: you pay {limit}, such rides left: {number}",
        "combination": "Cheaper together: cap “{name}” ({limit})",
        "combination_with": "Cheaper together: cap “{name}” ({limit}) and extension “{other}”",
        "surcharge": "Surcharge “{name}”",
        "entered": "Tapped in: charged after tapping out",
        "continued": "The journey goes on: nothing to add",
        "so_far": "The journey so far: “{name}”",
        "paid_before": "Paid before on this journey",
        "no_exit": "No tap out in time: the fare without one",
        "no_entry": "No tap in, or the journey took longer than {number} minutes: the fare without one",
        "same_stop": "In and out at the same station: free",
        "unknown_fare": "The tariff has no price for this ride: nothing was charged",
        "companion": "Companion {rider}: {text}",
        "holder": "{text}",
        "total": "Total",
        "charged": "Charged: {amount}",
        "to_charge": "Still to be charged: {amount}",
        "owed": "Owed: {amount}",
        "to_give_back": "To be given back: {amount}",
        "no_rides": "No rides on this day",
        "free": "free",
        "pair": "{amount} debited after the second trip at {since}",
        "odd": "{amount} for the odd trip: debited after {since}",
        "day": "{amount} for the whole day in one debit, {date} at {since}",
        "each": "{amount} debited at {since}",
        "correction": "{amount}: corrected after the day was calculated anew",
    },
}


@dataclass(frozen=True, slots=True)
class Paid:
    """How a day of total_minor stands: what of it was charged, and what is owed since it could not be (minor units)."""

    total_minor: int
    charged_minor: int
    owed_minor: int = 0

    @property
    def to_charge_minor(self) -> int:
        """What nobody has been asked for yet, or has not answered."""
        return max(0, self.total_minor - self.charged_minor - self.owed_minor)

    @property
    def to_give_back_minor(self) -> int:
        """What was charged and is more than the day costs by now."""
        return max(0, self.charged_minor + self.owed_minor - self.total_minor)


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule in words, and what it did to the amount ("" where it did nothing)."""

    text: str
    amount: str


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """One tap: when by the city's clock, on what, why, and for how much."""

    time: str
    place: str
    reasons: tuple[Reason, ...]
    amount: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A day's receipt in one language; no_rides: what stands in the place of lines where there are none.

    paid: what of the total was charged, is still to be charged, is owed, as far as there is any.
    """

    title: str
    lines: tuple[ReceiptLine, ...]
    total: str
    debits: tuple[str, ...] = ()
    no_rides: str = ""
    paid: tuple[str, ...] = ()

    def text(self) -> str:
        """The receipt as plain lines, for a page, a letter or a terminal."""
        rows = [self.title, ""]
        if not self.lines:
            rows.append(self.no_rides)
        for line in self.lines:
            rows.append("  ".join(part for part in (line.time, line.place, line.amount) if part))
            rows.extend(
                f"       {reason.text}{f': {reason.amount}' if reason.amount else ''}" for reason in line.reasons
            )
        return "\n".join([*rows, "", self.total, *self.paid, *self.debits])


def receipt(
    rating: DayRating,
    tariff: CityTariff,
    language: Language,
    debits: Sequence[PlannedDebit] = (),
    paid: Paid | None = None,
) -> Receipt:
    """The receipt of a rated day; tariff is the version that rated it, debits what is taken from a bank card for it.

    paid None: nobody pays for these rides, they are tried out.
    """
    day = date.fromisoformat(rating.day) if rating.day else None
    when = format_date(day, "full", locale=_LOCALE[language]) if day else ""
    title = ", ".join(part for part in (_in(language, tariff.city.uk, tariff.city.en), when) if part)
    total = f"{_TEXT[language]['total']}: {money(rating.total_minor, rating.currency, language)}"
    return Receipt(
        title,
        tuple(_line(line, rating, tariff, language) for line in rating.lines),
        total,
        tuple(_debit(debit, tariff, rating.currency, language) for debit in debits),
        _TEXT[language]["no_rides"],
        explain_paid(paid, rating.currency, language) if paid is not None else (),
    )


def explain_paid(paid: Paid, currency: str, language: Language) -> tuple[str, ...]:
    """How a day stands in words: nothing of a day that cost nothing, and no word of what there is none of."""
    amounts = {
        "charged": paid.charged_minor,
        "to_charge": paid.to_charge_minor,
        "owed": paid.owed_minor,
        "to_give_back": paid.to_give_back_minor,
    }
    told = {word: minor for word, minor in amounts.items() if minor or (word == "charged" and paid.total_minor)}
    return tuple(_TEXT[language][word].format(amount=money(minor, currency, language)) for word, minor in told.items())


def explain_step(step: Step, tariff: CityTariff, language: Language, names: Mapping[str, Name] | None = None) -> str:
    """One rule in words; names are those of the time when it was at work, else the tariff's."""
    texts = _TEXT[language]
    facts = {
        "name": _name(step.rule, names or {}, tariff, language),
        "other": _name(step.other or "", names or {}, tariff, language),
        "limit": money(step.limit_minor or 0, tariff.currency, language),
        "spent": money(step.spent_minor or 0, tariff.currency, language),
        "since": _clock(step.since_s, tariff, language),
        "until": _clock(step.until_s, tariff, language),
        "number": "" if step.number is None else step.number,
        "percent": "" if step.percent is None else step.percent,
    }
    text = texts[_which(step)].format(**facts)
    return texts["companion"].format(rider=step.rider, text=text) if step.rider else text


def money(minor: int, currency: str, language: Language) -> str:
    """An amount as the language writes it: 8,00 ₴ or £0.30."""
    amount = Decimal(minor).scaleb(-currency_digits(currency))
    text: str = format_currency(amount, currency, locale=_LOCALE[language])
    # A currency that the language has no sign for stands before the number as its code, and apart from it.
    return re.sub(rf"{currency}(?=\d)", f"{currency}\u00a0", text)


def _which(step: Step) -> str:
    """The sentence of a step: its kind's own, or the one for the facts that it has."""
    if step.kind == "transfer" and step.until_s is not None:
        return "transfer_since" if step.tap is None else "transfer"
    others = {
        "transfer": ("transfer_open", True),
        "concession": ("concession_own", step.percent is None),
        "after_rides": ("after_rides_price", step.percent is None),
        "first_rides": ("first_rides_price", step.percent is None),
        "cap": ("cap_part", bool(step.percent)),
        "pass": ("pass_counted", step.number is not None),
        "combination": ("combination_with", step.other is not None),
    }
    other, fits = others.get(step.kind, ("", False))
    return other if fits else step.kind


def _line(line: Line, rating: DayRating, tariff: CityTariff, language: Language) -> ReceiptLine:
    currency = rating.currency
    network = rating.names.get(f"network {line.network}") or tariff.network_names.get(line.network or "")
    place = " ".join(part for part in (_in(language, network.uk, network.en) if network else "", line.route_id) if part)
    reasons = tuple(
        Reason(
            explain_step(step, tariff, language, rating.names),
            money(step.amount_minor, currency, language) if step.amount_minor else "",
        )
        for step in line.explanation
    )
    amount = money(line.charge_minor, currency, language) if line.charge_minor else _TEXT[language]["free"]
    if all(step.kind == "entered" for step in line.explanation):
        amount = ""  # not free: charged by a tap that follows
    return ReceiptLine(_clock(line.at_s, tariff, language), place, reasons, amount)


def explain_debit(debit: PlannedDebit, tariff: CityTariff, language: Language) -> str:
    """One debit of a bank card in words."""
    return _debit(debit, tariff, tariff.currency, language)


def _debit(debit: PlannedDebit, tariff: CityTariff, currency: str, language: Language) -> str:
    at = datetime.fromtimestamp(debit.at_s, tariff.zone)
    return _TEXT[language][debit.reason].format(
        amount=money(debit.minor, currency, language),
        since=_clock(debit.at_s, tariff, language),
        date=format_date(at.date(), "medium", locale=_LOCALE[language]),
    )


def _name(rule: str, names: Mapping[str, Name], tariff: CityTariff, language: Language) -> str:
    name = names.get(rule) or tariff.names.get(rule)
    return _in(language, name.uk, name.en) if name else rule


def _in(language: Language, uk: str, en: str) -> str:
    return uk if language == "uk" else en


def _clock(at_s: float | None, tariff: CityTariff, language: Language) -> str:
    if at_s is None:
        return ""
    return format_time(datetime.fromtimestamp(at_s, tariff.zone), "HH:mm", locale=_LOCALE[language])
