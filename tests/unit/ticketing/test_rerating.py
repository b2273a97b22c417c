"""Whatever the order in which taps come in, the days end as if all had come in time, and postings add up to that."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketing.city_file import parse_city_tariff
from ticketing.city_tariff import CityTariff
from ticketing.days import clock_s
from ticketing.editions import Editions
from ticketing.journeys import FareTap
from ticketing.rated import Account, DayRating, HeldPass
from ticketing.rating import rate_days
from ticketing.rerating import (
    DueTap,
    Edition,
    HeldTicket,
    Holder,
    StoredDay,
    apart,
    owed,
    price_of,
    rerate,
    ticket_uses,
)
from ticketing.tariff_file import Sold

TARIFFS = Path(__file__).parents[3] / "ticketing" / "tariffs"
NAME = 'name = { uk = "Н", en = "N" }\n'
WEEKLY = parse_city_tariff(
    f"""
version = 1
city = {{ uk = "М", en = "C" }}
currency = "UAH"
timezone = "Europe/Kyiv"
service_day_starts = "04:30"
[[fare]]
id = "ride"
{NAME}price_minor = 800
[[transfer]]
id = "forty"
{NAME}minutes = 40
[[cap]]
id = "day"
{NAME}period = "day"
amount_minor = 2000
[[cap]]
id = "week"
{NAME}period = "week"
amount_minor = 5000
[[product]]
id = "four"
{NAME}price_minor = 2500
rides = 4
valid = {{ days = 90 }}
""",
    "weekly.toml",
)
MONDAY = date(2026, 3, 2)
FIRST_S = clock_s(MONDAY, WEEKLY.day_start, WEEKLY.day_start, WEEKLY.zone)
FOUR = HeldTicket("four-1", "four", FIRST_S, FIRST_S + 90 * 86_400, 0, 4, ("*",))


class Books:
    """An account as the database would hold it, rated whenever somebody looks."""

    def __init__(self, tariff: CityTariff, ticket: HeldTicket | None = None) -> None:
        self.edition = Edition(1, tariff, 0.0)
        self.days: dict[date, StoredDay] = {}
        self.due: list[DueTap] = []
        self.paid: dict[str, int] = {}
        self.ticket = ticket

    def edition_of(self, day: date, edition_id: int | None) -> Edition:
        return self.edition

    def holder(self) -> Holder:
        days = tuple(self.days[day] for day in sorted(self.days))
        tickets = (self.ticket,) if self.ticket else ()
        return Holder("card:1", None, None, days, tuple(self.due), tickets)

    def tap(self, at_s: float, *, quoted: bool) -> None:
        """A tap comes in; quoted: for the price of the moment, else for the purse's fare."""
        tap = FareTap(f"{at_s:.0f}", at_s)
        minor, held = price_of(self.holder(), tap, self.edition_of) if quoted else (800, None)
        if held is not None and self.ticket is not None:
            self.ticket = self.ticket._replace(uses=self.ticket.uses + 1)
        self.paid[tap.id] = minor
        self.due.append(DueTap(tap, minor, held))

    def settle(self, as_of_s: float) -> None:
        holder = self.holder()
        rerated = rerate(holder, self.edition_of, as_of_s)
        for _, tap_id, minor in owed(holder, rerated):
            self.paid[tap_id] = self.paid.get(tap_id, 0) + minor
        change = ticket_uses(holder, rerated)
        if self.ticket is not None:
            self.ticket = self.ticket._replace(uses=self.ticket.uses + change.get(self.ticket.id, 0))
            assert 0 <= self.ticket.uses <= (self.ticket.uses_allowed or 99)
        for one in rerated:
            assert one.version == (self.days[one.day].version + 1 if one.day in self.days else 1)
            self.days[one.day] = StoredDay(one.day, one.version, one.edition_id, one.rating, one.taps, one.again_at_s)
        self.due = []

    def charges(self) -> dict[str, int]:
        return {line.tap_id: line.charge_minor for day in self.days.values() for line in day.rating.lines}


def at_once(tariff: CityTariff, ticket: HeldTicket | None, ridden: list[float]) -> tuple[DayRating, ...]:
    held = (
        (HeldPass(ticket.id, ticket.product, ticket.from_s, ticket.until_s, ticket.uses_allowed, ()),) if ticket else ()
    )
    return rate_days([FareTap(f"{at_s:.0f}", at_s) for at_s in ridden], tariff, Account(passes=held))


minutes = st.integers(0, 10 * 24 * 60 // 15).map(lambda quarter: float(FIRST_S + quarter * 900))
arrivals = st.lists(st.tuples(minutes, st.booleans(), st.booleans()), max_size=25, unique_by=lambda one: one[0])


@settings(deadline=None, max_examples=120)
@given(arrivals, st.booleans())
def test_late_taps_end_as_if_they_had_come_in_time(given_taps, with_ticket):
    ticket = FOUR if with_ticket else None
    books = Books(WEEKLY, ticket)
    for at_s, quoted, settled in given_taps:
        books.tap(at_s, quoted=quoted)
        if settled:
            books.settle(FIRST_S + 11 * 86_400)
    books.settle(FIRST_S + 11 * 86_400)
    whole = at_once(WEEKLY, ticket, [at_s for at_s, _, _ in given_taps])
    expected = {line.tap_id: line.charge_minor for day in whole for line in day.lines}
    assert books.charges() == expected
    assert {tap_id: minor for tap_id, minor in books.paid.items() if minor} == {t: m for t, m in expected.items() if m}
    if books.ticket is not None:
        assert books.ticket.uses == sum(day.rides_used.get("four-1", 0) for day in whole)
    books.settle(FIRST_S + 12 * 86_400)
    assert rerate(books.holder(), books.edition_of, FIRST_S + 12 * 86_400) == []


@settings(deadline=None, max_examples=60)
@given(st.lists(minutes, max_size=20, unique=True))
def test_in_time_order_every_quote_is_its_line(ridden):
    books = Books(WEEKLY, FOUR)
    for at_s in sorted(ridden):
        books.tap(at_s, quoted=True)
        if int(at_s) % 3600 == 0:
            books.settle(at_s)
    quoted = dict(books.paid)
    books.settle(FIRST_S + 11 * 86_400)
    assert books.charges() == quoted


def test_only_days_that_change_are_rated_again():
    books = Books(WEEKLY)
    for day in range(5):
        books.tap(FIRST_S + day * 86_400 + 3600, quoted=True)
    books.settle(FIRST_S + 6 * 86_400)
    books.tap(FIRST_S + 2 * 86_400 + 4000, quoted=True)  # a free change: nothing that later days could know of
    rerated = rerate(books.holder(), books.edition_of, FIRST_S + 6 * 86_400)
    assert [one.day for one in rerated] == [date(2026, 3, 4)]
    books.settle(FIRST_S + 6 * 86_400)
    books.tap(FIRST_S + 20_000, quoted=True)  # a second ride on Monday: the week's sum is another from then on
    rerated = rerate(books.holder(), books.edition_of, FIRST_S + 6 * 86_400)
    assert [one.day.day for one in rerated] == [2, 3, 4, 5, 6]


def test_a_day_keeps_the_tariff_that_rated_it_first():
    dear = parse_city_tariff((TARIFFS / "lviv.toml").read_text().replace("1700", "2500"), "dear.toml")
    cheap = parse_city_tariff((TARIFFS / "lviv.toml").read_text(), "lviv.toml")
    editions = {1: Edition(1, cheap, 0.0), 2: Edition(2, dear, FIRST_S + 86_400.0)}

    def edition_of(day: date, edition_id: int | None) -> Edition:
        return editions[edition_id if edition_id is not None else 2 if day > MONDAY else 1]

    first = DueTap(FareTap("a", FIRST_S + 3600.0, "city"), 1700)
    holder = Holder("card:1", "leocard", None, (), (first,))
    (monday,) = rerate(holder, edition_of, FIRST_S + 7200.0)
    stored = StoredDay(monday.day, 1, monday.edition_id, monday.rating, monday.taps)
    late = DueTap(FareTap("b", FIRST_S + 30_000.0, "city"), 0)
    tuesday = DueTap(FareTap("c", FIRST_S + 90_000.0, "city"), 0)
    again = rerate(Holder("card:1", "leocard", None, (stored,), (late, tuesday)), edition_of, FIRST_S + 99_999.0)
    assert [(one.edition_id, [line.charge_minor for line in one.rating.lines]) for one in again] == [
        (1, [1700, 1700]),
        (2, [2500]),
    ]
    assert owed(Holder("card:1", "leocard", None, (stored,), (late, tuesday)), again) == [
        (again[0], "b", 1700),
        (again[1], "c", 2500),
    ]


def test_two_devices_that_made_the_same_id_are_two_taps():
    one = DueTap(FareTap("x", 1.0), 0, None, ("kpt", "door1", "x"))
    two = DueTap(FareTap("x", 2.0), 0, None, ("kpt", "door2", "x"))
    assert [due.tap.id for due in apart([one, two], [])] == ["x", "x@kpt/door2"]
    assert [due.tap.id for due in apart([two], [FareTap("x", 1.0)])] == ["x@kpt/door2"]


@pytest.mark.parametrize(("left_s", "charged"), [(109 * 60, [0, 0]), (110 * 60, [0, 580])])
def test_somebody_inside_is_rated_again_when_the_time_is_up(left_s, charged):
    london = parse_city_tariff((TARIFFS / "london.toml").read_text(), "london.toml")
    books = Books(london)
    in_s = float(FIRST_S + 20_000)
    books.due = [DueTap(FareTap("bus", in_s - 60, "bus"), 175), DueTap(FareTap("in", in_s, "rail"), 0)]
    books.settle(in_s + 10)
    (stored,) = books.days.values()
    assert stored.again_at_s == in_s + 110 * 60
    books.settle(in_s + left_s)
    assert [line.charge_minor for line in books.days[stored.day].rating.lines] == [175, charged[1]]
    assert (books.days[stored.day].again_at_s is None) == bool(charged[1])


def test_an_instant_that_was_rounded_up_when_it_was_stored_has_come_all_the_same():
    """The database finds the day due at that instant, and would for ever."""
    london = parse_city_tariff((TARIFFS / "london.toml").read_text(), "london.toml")
    books = Books(london)
    books.due = [DueTap(FareTap("bus", float(FIRST_S), "bus"), 175)]
    books.settle(FIRST_S + 10.0)
    (stored,) = books.days.values()
    books.days[stored.day] = stored._replace(again_at_s=FIRST_S + 20.0 + 5e-7)
    books.settle(FIRST_S + 20.0)
    assert books.days[stored.day].again_at_s is None


def test_the_day_of_a_change_has_the_tariff_of_its_first_ride_in_whatever_order_they_are_told():
    cheap = parse_city_tariff((TARIFFS / "lviv.toml").read_text(), "lviv.toml")
    dear = parse_city_tariff((TARIFFS / "lviv.toml").read_text().replace("1700", "2500"), "dear.toml")
    noon_s = FIRST_S + 30_000.0
    editions = Editions([Edition(1, cheap, 0.0), Edition(2, dear, noon_s)], Edition(2, dear, noon_s), Sold(None, dear))  # type: ignore[arg-type]
    before, after = (DueTap(FareTap(name, noon_s + s, "city"), 0) for name, s in (("a", -60.0), ("b", 9_000.0)))

    def prices(*due: DueTap, stored: tuple[StoredDay, ...] = ()) -> list[tuple[int, int]]:
        holder = Holder("card:1", "leocard", None, stored, due)
        (day,) = rerate(holder, editions.of_day, noon_s + 20_000.0)
        return [(day.edition_id, line.charge_minor) for line in day.rating.lines]

    assert prices(after) == [(2, 2500)]
    assert prices(before) == [(1, 1700)]
    assert prices(after, before) == prices(before, after) == [(1, 1700), (1, 1700)]
    (told,) = rerate(Holder("card:1", "leocard", None, (), (after,)), editions.of_day, noon_s + 20_000.0)
    stored = StoredDay(told.day, 1, told.edition_id, told.rating, told.taps)
    assert prices(before, stored=(stored,)) == [(1, 1700), (1, 1700)]
