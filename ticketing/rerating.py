"""What of an account has to be rated anew: days whose taps changed, and later ones that depend on them.

Pure: the database's rows come in as a `Holder`, its changes go out as `Rerated`; sql and locks are ticketing.accounts'
matter. Every tap's price is the line of its day's rating, whatever was taken for it before, so
that what is posted is always the rating less what was taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import msgspec

from ticketing.city_schema import EVERYWHERE
from ticketing.city_tariff import CityTariff
from ticketing.days import service_day
from ticketing.journeys import FareTap, by_service_day, list_rides
from ticketing.rated import Account, Carried, DayRating, Former, HeldPass, after_day, named
from ticketing.rating import rate_day
from ticketing.tariff_file import media_of

STORED_S = 1e-6
"""Instants are stored to the microsecond: one that has come by the database's rounding has come here as well."""


class Edition(NamedTuple):
    """A tariff as it was when it came into use, under the number that the database knows it by; before: until then."""

    id: int
    tariff: CityTariff
    used_from_s: float
    before: Edition | None = None

    def at(self, first_s: float) -> Edition:
        """This one, unless it was not in use yet when a day's first ride was made: a day is rated by one tariff."""
        edition = self
        while first_s < edition.used_from_s and edition.before is not None:
            edition = edition.before
        return edition


class DueTap(NamedTuple):
    """A tap that no rating holds yet: paid_minor was taken for it, and a ride of ticket_id where there is one."""

    tap: FareTap
    paid_minor: int
    ticket_id: str | None = None
    key: tuple[str, str, str] = ("", "", "")  # operator, device, id: its name in the database


class StoredDay(NamedTuple):
    """A day as it was rated last: the taps that it was rated from, and by which edition."""

    day: date
    version: int
    edition_id: int
    rating: DayRating
    taps: tuple[FareTap, ...]
    again_at_s: float | None = None


class HeldTicket(NamedTuple):
    """A ticket on a card, valid in [from_s, until_s); uses_allowed None: a pass.

    usable: the judge lets somebody in by it now. One that was taken back covers what was ridden before all the same.
    """

    id: str
    product: str
    from_s: float
    until_s: float
    uses: int
    uses_allowed: int | None
    networks: tuple[str, ...]
    usable: bool = True


class Holder(NamedTuple):
    """An account as the database tells it: days rated before (in order) and what is due. media: card or bank.

    former: the holder's categories before this one. handed_on: what the card left whose place this one took. replaced:
    another card took this one's place.
    """

    account: str
    media: str | None
    category: str | None
    days: tuple[StoredDay, ...]
    due: tuple[DueTap, ...]
    tickets: tuple[HeldTicket, ...] = ()
    former: tuple[Former, ...] = ()
    handed_on: Carried = Carried()
    replaced: bool = False


class Rerated(NamedTuple):
    """A day's new rating; before is what it replaces. again_at_s: somebody is inside, it costs more from then on."""

    day: date
    version: int
    edition_id: int
    rating: DayRating
    taps: tuple[FareTap, ...]
    again_at_s: float | None
    before: StoredDay | None


EditionOf = Callable[[date, int | None], Edition]
"""The tariff of a day: the edition that rated it before, else the one in use then."""


def rerate(holder: Holder, edition_of: EditionOf, as_of_s: float) -> list[Rerated]:
    """The days that have to be rated anew, in order, as of an instant; nothing where no rating changes."""
    stored = {one.day: one for one in holder.days}
    taps = _taps_by_day(holder, edition_of)
    changed = [day for day in sorted(set(taps) | set(stored)) if _is_changed(day, taps, stored, as_of_s)]
    if not changed:
        return []
    account = opening(holder, stored, changed[0])
    last_changed = changed[-1]
    done: list[Rerated] = []
    for day in sorted({day for day in (*taps, *stored) if day >= changed[0]}):
        before = stored.get(day)
        edition = edition_of(day, before.edition_id if before else None)
        edition = edition.at(min((tap.at_s for tap in taps.get(day, ())), default=edition.used_from_s))
        account = msgspec.structs.replace(account, media=_medium(holder, edition.tariff))
        made = _rated(day, taps.get(day, ()), edition, account, as_of_s, before)
        account = after_day(account, made.rating)
        done.append(made)
        if day >= last_changed and before is not None and made.rating.carried == before.rating.carried:
            later = [one for one in stored.values() if one.day > day]
            if account.passes == _passes(holder, later):
                break  # what comes later finds everything as it was
    return [one for one in done if one.before is None or _differs(one, one.before)]


def _medium(holder: Holder, tariff: CityTariff) -> str | None:
    """What the account pays with, as an edition names it: another feed's fares may call city cards by another id."""
    if any(holder.media in table.media for table in tariff.tables):
        return holder.media
    return media_of(tariff, "card" if holder.account.startswith("card:") else "bank")


def opening(holder: Holder, stored: Mapping[date, StoredDay], day: date) -> Account:
    """The account as a day finds it: what the day before handed on, and the rides that its tickets still held."""
    earlier = [one for one in stored if one < day]
    carried = stored[max(earlier)].rating.carried if earlier else holder.handed_on
    passes = _passes(holder, [one for one in stored.values() if one.day >= day])
    return Account(holder.media, holder.category, passes, carried, holder.former, holder.replaced)


def _passes(holder: Holder, later: Sequence[StoredDay]) -> tuple[HeldPass, ...]:
    """The tickets as they stood before these days and before all that is due."""
    passes = []
    for ticket in holder.tickets:
        left = None
        if ticket.uses_allowed is not None:
            since = sum(one.rating.rides_used.get(ticket.id, 0) for one in later)
            since += sum(due.ticket_id == ticket.id for due in holder.due)
            left = max(0, ticket.uses_allowed - ticket.uses + since)
        networks = tuple(network for network in ticket.networks if network != EVERYWHERE)
        passes.append(HeldPass(ticket.id, ticket.product, ticket.from_s, ticket.until_s, left, networks))
    return tuple(passes)


def owed(holder: Holder, rerated: Sequence[Rerated]) -> list[tuple[Rerated, str, int]]:
    """What is to be posted: by tap, what the new ratings ask less what was taken; taps without change are left out."""
    taken: dict[str, int] = {due.tap.id: due.paid_minor for due in holder.due}
    for one in rerated:
        if one.before is not None:
            taken.update((line.tap_id, line.charge_minor) for line in one.before.rating.lines)
    found = []
    for one in rerated:
        for line in one.rating.lines:
            difference = line.charge_minor - taken.get(line.tap_id, 0)
            if difference:
                found.append((one, line.tap_id, difference))
    return found


def ticket_uses(holder: Holder, rerated: Sequence[Rerated]) -> dict[str, int]:
    """By how much the uses of counted tickets change: what the ratings take now less what was taken for these taps."""
    counted = {ticket.id for ticket in holder.tickets if ticket.uses_allowed is not None}
    change = dict.fromkeys(counted, 0)
    new_taps = {tap.id for one in rerated for tap in one.taps}
    for due in holder.due:
        if due.ticket_id in counted and due.tap.id in new_taps:
            change[due.ticket_id] -= 1
    for one in rerated:
        for sign, rating in ((1, one.rating), (-1, one.before.rating if one.before else None)):
            for ticket_id, rides in (rating.rides_used if rating else {}).items():
                if ticket_id in counted:
                    change[ticket_id] += sign * rides
    return {ticket_id: uses for ticket_id, uses in change.items() if uses}


def price_of(holder: Holder, tap: FareTap, edition_of: EditionOf) -> tuple[int, str | None]:
    """What one more tap costs on top of the account's day, and the ticket that its ride is taken from.

    The account needs to be known from the day before the tap's on; what is due of earlier days is left to be rated
    with them. A tap that comes late may be entitled to a ride that a later one has used, or to a ticket that was taken
    back since: it is let in without, and the rating puts that right.
    """
    minor, held = _line_of(holder, tap, edition_of)
    if held is None or any(one.id == held and _lets_in(one) for one in holder.tickets):
        return minor, held
    return _line_of(holder._replace(tickets=tuple(filter(_lets_in, holder.tickets))), tap, edition_of)


def _lets_in(ticket: HeldTicket) -> bool:
    return ticket.usable and (ticket.uses_allowed is None or ticket.uses < ticket.uses_allowed)


def _line_of(holder: Holder, tap: FareTap, edition_of: EditionOf) -> tuple[int, str | None]:
    more = holder._replace(due=(*holder.due, DueTap(tap, 0)))
    for one in rerate(more, edition_of, tap.at_s):
        for line in one.rating.lines:
            if line.tap_id == tap.id:
                held = next((step.held for step in line.explanation if step.held is not None and not step.rider), None)
                return line.charge_minor, held
    return 0, None


def apart(taps: Iterable[DueTap], known: Iterable[FareTap]) -> list[DueTap]:
    """Due taps with ids that no other has: ids are the devices' own, and two devices may have made the same."""
    seen = {tap.id for tap in known}
    found = []
    for due in taps:
        one = due
        if due.tap.id in seen:
            operator, device, _ = due.key
            one = due._replace(tap=msgspec.structs.replace(due.tap, id=f"{due.tap.id}@{operator}/{device}"))
        seen.add(one.tap.id)
        found.append(one)
    return found


def _taps_by_day(holder: Holder, edition_of: EditionOf) -> dict[date, tuple[FareTap, ...]]:
    """All taps that matter by service day: an exit belongs to the day of its entry, wherever it was filed before."""
    tariff = edition_of(_newest(holder), None).tariff
    taps = [tap for one in holder.days for tap in one.taps] + [due.tap for due in holder.due]
    if tariff.exits:
        return by_service_day(taps, tariff)
    days: dict[date, list[FareTap]] = {one.day: list(one.taps) for one in holder.days}
    for due in holder.due:
        day = service_day(due.tap.at_s, tariff.day_start, tariff.zone)
        days.setdefault(day, []).append(due.tap)
    return {day: tuple(days[day]) for day in days}


def _newest(holder: Holder) -> date:
    days = [one.day for one in holder.days] + [datetime.fromtimestamp(due.tap.at_s, UTC).date() for due in holder.due]
    return max(days, default=date.min)


def _is_changed(
    day: date, taps: Mapping[date, tuple[FareTap, ...]], stored: Mapping[date, StoredDay], as_of_s: float
) -> bool:
    before = stored.get(day)
    if before is None:
        return True
    waited = before.again_at_s is not None and before.again_at_s <= as_of_s + STORED_S
    return waited or {tap.id for tap in before.taps} != {tap.id for tap in taps.get(day, ())}


def _rated(
    day: date,
    taps: tuple[FareTap, ...],
    edition: Edition,
    account: Account,
    as_of_s: float,
    before: StoredDay | None,
) -> Rerated:
    tariff = edition.tariff
    rating = named(rate_day(taps, tariff, account, day=day, as_of_s=as_of_s), tariff)
    again_at_s = _again_at_s(rating, taps, tariff, as_of_s) if tariff.exits else None
    version = before.version + 1 if before else 1
    return Rerated(day, version, edition.id, rating, taps, again_at_s, before)


def _again_at_s(rating: DayRating, taps: tuple[FareTap, ...], tariff: CityTariff, as_of_s: float) -> float | None:
    if not any(step.kind == "entered" for line in rating.lines for step in line.explanation):
        return None
    days = by_service_day(taps, tariff)
    rides = [ride for ordered in days.values() for ride in list_rides(ordered, tariff, as_of_s)]
    ends = [
        ride.leg.start_s + tariff.exits[ride.leg.network or ""].max_minutes * 60
        for ride in rides
        if ride.kind == "open"
    ]
    return min(ends, default=None)


def _differs(one: Rerated, before: StoredDay) -> bool:
    return one.rating != before.rating or one.again_at_s != before.again_at_s
