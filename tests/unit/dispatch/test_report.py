"""A report on a tiny road: three vehicles, four stops, and a page that needs nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from dispatch.claims import Timetable
from dispatch.lines import draw_lines
from dispatch.measures import MeasureLimits
from dispatch.passages import Passages
from dispatch.report import Report, ReportSpan
from dispatch.report_build import build_report
from dispatch.report_draw import windows
from dispatch.report_page import PageSettings, render
from dispatch.report_words import LANGUAGES, WORDS, Speech
from tests.unit.dispatch.conftest import DATE, Pattern, build

STOPS_M = (0.0, 1000.0, 2000.0, 3000.0)
TRIPS = {f"t{n}": 28_800.0 + 600.0 * n for n in range(8)}


def road(**names: str):
    network = build(Pattern([(0.0, 0.0), (3000.0, 0.0)], STOPS_M, TRIPS, route=names.get("route", "R")))
    return replace(network, stop_name=[names.get("stop", f"Stop {n}") for n in range(4)])


def driven(network, late_s, missing: tuple[tuple[int, int], ...] = ()) -> Passages:
    """Each trip late by its own number of seconds, all along; `missing` are (trip, stop) that nobody saw."""
    rows = [(trip, stop) for trip in range(len(late_s)) for stop in range(4) if (trip, stop) not in missing]
    trip, stop = (np.array(column, dtype=np.int32) for column in zip(*rows, strict=True))
    zero_s = np.full(len(rows), network.day_start_s(DATE))
    at_s = zero_s + network.arrival_s[network.trip_time_start[trip] + stop] + np.array(late_s, dtype=float)[trip]
    return Passages(trip, trip, zero_s, stop, at_s, np.where(stop == 3, np.nan, at_s))


def report_of(network, passages: Passages) -> Report:
    start_s = network.day_start_s(DATE) + 28_000.0
    span = ReportSpan(network, draw_lines(network), start_s, start_s + 3 * 3600, MeasureLimits())
    return build_report(span, passages, [f"op/{n}" for n in range(8)], Timetable(network))


def page_of(report: Report, language: str = "en", title: str = "City") -> str:
    return render(report, Speech(language, report.timezone), PageSettings(title, (0.25, 2.0), (3, 1)))


def test_a_service_as_planned_has_no_excess_wait():
    network = road()
    report = report_of(network, driven(network, [0.0] * 8))
    (line,) = report.lines
    assert (line.headway.ewt_s, line.headway.c_vh, line.punctuality.on_time) == (0.0, 0.0, 1.0)
    assert (len(line.planned), len(line.driven)) == (8, 8)
    assert line.driven[0].pieces[0][0] == (network.day_start_s(DATE) + 28_800.0, 0.0)
    assert report.stops == report.hours == []


def test_a_pair_that_runs_together_is_bunched_and_the_next_is_gapped():
    network = road()
    report = report_of(network, driven(network, [0, 0, 0, 560, 0, 0, 0, 0]))
    totals = report.totals
    assert totals.bunched == pytest.approx(1 / 7)
    assert totals.awt_s > totals.swt_s == 300.0
    assert [worst.what for worst in report.hours] == ["08:00–09:00"]
    assert {worst.what for worst in report.stops} == {"Stop 0", "Stop 1", "Stop 2"}


def test_a_line_breaks_where_more_than_one_stop_was_not_seen():
    network = road()
    one = report_of(network, driven(network, [0.0], missing=((0, 1),)))
    two = report_of(network, driven(network, [0.0], missing=((0, 1), (0, 2))))
    assert len(one.lines[0].driven[0].pieces) == 1
    assert all(len({at_m for _, at_m in piece}) == 1 for piece in two.lines[0].driven[0].pieces)


def test_what_lies_outside_the_span_is_not_counted():
    network = road()
    passages = driven(network, [-20_000.0] * 8)
    assert report_of(network, passages).lines == []


class Checker(HTMLParser):
    """Notes whatever a page would ask for, or run."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        if tag in {"script", "img", "link", "iframe", "object", "foreignobject"} or "src" in names:
            self.bad.append(tag)
        if not names.get("href", "#").startswith("#") or any(name.startswith("on") for name in names):
            self.bad.append(str(attrs))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_needs_nothing_else_and_shows_everything(language):
    network = road()
    page = page_of(report_of(network, driven(network, [0, 0, 0, 560, 0, 0, 0, 0])), language)
    checker = Checker()
    checker.feed(page)
    assert checker.bad == checker.open == []
    assert "url(http" not in page
    assert "@import" not in page
    assert page.count("<section") == 1
    assert 'class="ball bunched"' in page
    assert not re.search(r"\bnan\b|>None<", page.split("</style>")[1])


def test_names_from_a_feed_cannot_write_the_page():
    evil = '"><script>alert(1)</script>'
    network = road(route=evil, stop=evil)
    page = page_of(report_of(network, driven(network, [0, 0, 0, 560, 0, 0, 0, 0])), title=evil)
    checker = Checker()
    checker.feed(page)
    assert checker.bad == []
    assert "<script" not in page


def test_no_headways_are_said_and_not_drawn():
    network = road()
    page = page_of(report_of(network, driven(network, [0.0])))
    assert WORDS["en"]["no_pairs"] in page
    assert "Infinity" not in page


def test_a_page_of_many_days_goes_without_drawings():
    network = road()
    report = report_of(network, driven(network, [0.0] * 8))
    page = render(report, Speech("en", "UTC"), PageSettings("City", (0.25, 2.0), drawn=False))
    assert "<section" not in page
    assert WORDS["en"]["table"] in page


def test_both_languages_have_the_same_words():
    assert WORDS["uk"].keys() == WORDS["en"].keys()
    for word in WORDS["en"]:
        assert re.findall(r"\{\w+\}", WORDS["uk"][word]) == re.findall(r"\{\w+\}", WORDS["en"][word]), word


def test_numbers_are_written_as_people_write_them_there():
    assert Speech("uk", "UTC").number(-1234.5) == "−1\u00a0234,5"
    assert Speech("en", "UTC").number(1234.56) == "1,234.6"
    assert Speech("en", "UTC").percent(None) == "–"


def test_a_long_day_is_cut_into_pieces_of_six_hours():
    assert windows(0, 7 * 3600) == [(0, 7 * 3600)]
    assert windows(0, 20 * 3600)[-1] == (18 * 3600, 20 * 3600)
    assert len(windows(0, 20 * 3600)) == 4
