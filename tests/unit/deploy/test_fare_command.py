"""`takt fare`: rides by a tariff as receipts, known cases checked, and wrong input said in a sentence."""

import json
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from deploy.commands.fare import CASES_BYTES_MAX, register
from deploy.errors import UserError

LVIV = Path(__file__).parents[3] / "ticketing" / "tariffs" / "lviv.toml"
LONDON = LVIV.with_name("london.toml")


@pytest.fixture
def run():
    app = Typer()
    app.callback()(lambda: None)
    register(app)

    def call(*words: object):
        return CliRunner().invoke(app, ["fare", *map(str, words)])

    return call


@pytest.fixture
def cases(tmp_path):
    def write(*tests: dict[str, object]) -> Path:
        path = tmp_path / "cases.json"
        path.write_text(json.dumps({"lviv": {"tests": list(tests)}}))
        return path

    return write


def test_rides_print_their_receipt(run):
    done = run(LVIV, "--ride", "08:00 city A", "--ride", "08:39 city B", "--medium", "leocard", "--lang", "en")
    assert done.exit_code == 0
    assert "it lasts until 08:40" in done.stdout
    assert done.stdout.count("Fare “Ride by LeoCard”") == 2


@pytest.mark.parametrize("day", ["sat", "Sat", "SAT", "saturday", "Saturday"])
def test_a_weekday_is_one_however_it_is_spelt(run, day):
    done = run(LVIV, "--ride", f"{day} 08:00 city A", "--medium", "leocard", "--lang", "en")
    assert "Saturday, 7 March 2026" in done.stdout
    assert day not in done.stdout.replace("Saturday,", "")


def test_what_stands_after_the_time_is_a_route(run):
    done = run(LVIV, "--ride", "08:00 city Sun", "--medium", "leocard", "--lang", "en")
    assert "Wednesday, 4 March 2026" in done.stdout
    assert "Sun" in done.stdout


def test_a_days_receipt_has_the_debits_of_that_day(run):
    done = run(LVIV, "--ride", "wed 08:00", "--ride", "thu 09:30", "--medium", "leocard", "--lang", "en")
    wednesday, thursday = done.stdout.split("Thursday")
    assert "debited at 08:00" in wednesday
    assert "debited at 09:30" not in wednesday
    assert "debited at 08:00" not in thursday


def test_cases_that_come_out_end_well(run, cases):
    right = {"id": "forty", "medium": "leocard", "taps": ["08:00 bus A", "08:41 tram B"], "charges": ["17.00", "17.00"]}
    done = run(LVIV, cases(right), "--city", "lviv", "--json")
    assert done.exit_code == 0
    (case,) = json.loads(done.stdout)["cases"]
    assert (case["charges_minor"], case["differs"], case["unread"]) == ([1700, 1700], [], None)


def test_a_case_that_differs_says_how_and_fails(run, cases):
    wrong = {"id": "forty", "medium": "leocard", "taps": ["08:00", "08:41"], "total": "17.00"}
    done = run(LVIV, cases(wrong))
    assert done.exit_code == 1
    assert "differs         forty\n    total: expected 17.00, got 34.00" in done.stdout
    assert "1 cases, 1 differ, 0 not understood" in done.stdout


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"legs": ["a"]}, "'legs' is no key of a case"),
        ({"taps": ["at eight"]}, "write the time as 08:00"),
        ({"taps": ["08:00-08:61"]}, "'08:61': write a time"),
        ({"taps": 8.5}, "taps: write a list"),
        ({"taps": 100_000}, "taps: write a list"),
        ({}, "taps: write a list"),
        ({"taps": ["08:00"], "total": 17.0}, "17.0: write amounts as text"),
        ({"taps": ["08:00"], "total": "17.005"}, "no amount of 2 decimals"),
        ({"taps": ["08:00"], "total": "NaN"}, "NaN UAH is no amount"),
        ({"taps": ["08:00"], "charges": "17.00"}, "charges: write a list"),
        ({"taps": ["08:00"], "day": "tomorrow"}, "Invalid isoformat"),
        ({"taps": ["08:00"], "passes": [{"product": "gold"}]}, "'gold' is no product"),
        ({"taps": ["08:00"], "passes": ["gold"]}, "passes: write a list"),
        ({"taps": ["08:00"], "debits": [["late", "1.00"]]}, "Invalid isoformat"),
        ({"taps": ["08:00"], "networks": "rail"}, "networks: write words"),
        ({"buy": "many", "total": "1.00"}, "buy: write how many"),
    ],
)
def test_what_is_not_understood_is_said_and_fails(run, cases, case, why):
    done = run(LVIV, cases({"id": "odd", **case}))
    assert done.exit_code == 1
    assert "not understood  odd: " in done.stdout
    assert why in done.stdout


def test_a_case_may_bring_its_own_fare_and_cap(run, cases):
    own = {"fare": "0.90", "cap": "3.00", "taps": 5, "charges": ["0.90", "0.90", "0.90", "0.30", "0.00"]}
    assert run(LONDON, cases(own)).exit_code == 0


def test_files_that_are_none_are_named(run, cases, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    big = tmp_path / "big.json"
    with big.open("wb") as file:
        file.truncate(CASES_BYTES_MAX + 1)
    for words, why in (
        ((LVIV, broken), "broken.json: is no JSON"),
        ((LVIV, big), "larger than"),
        ((LVIV, tmp_path / "none.json"), "none.json: cannot be read"),
        ((tmp_path / "none.toml", broken), "none.toml: cannot be read"),
        ((LVIV, cases(), "--city", "rome"), "'rome' is not among the cities"),
        ((LVIV, cases()), "no list of cases"),
        ((LVIV,), "name a file of cases, or rides"),
        ((LVIV, "--ride", "eight"), "--ride: 'eight': write the time"),
    ):
        done = run(*words)
        assert isinstance(done.exception, UserError), done.output
        assert why in str(done.exception)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"taps": 10**12}, "write a list such as"),
        ({"taps": -1}, "write a list such as"),
        ({"taps": 1, "total": "1e999999"}, "'1e999999' is no amount"),
        ({"taps": 1, "total": "1e99999"}, "1e99999 UAH is no amount of money"),
        ({"taps": 1, "charges": ["NaN"]}, "NaN UAH is no amount of money"),
    ],
)
def test_numbers_beyond_all_measure_are_said_to_be_wrong(run, cases, case, said):
    done = run(LVIV, cases(case))
    assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
    assert said in done.stdout
    assert "1 not understood" in done.stdout


def test_a_number_of_thousands_of_digits_is_no_json(run, tmp_path):
    file = tmp_path / "cases.json"
    file.write_text('{"tests": [{"taps": ' + "9" * 5000 + "}]}")
    failed = run(LVIV, file).exception
    assert isinstance(failed, UserError)
    assert "is no JSON" in str(failed)


@pytest.mark.parametrize(
    ("option", "said"),
    [("--medium", "bank, cash, leocard"), ("--network", "city"), ("--category", "adult, student")],
)
def test_a_word_that_the_tariff_does_not_have_prices_nothing(run, option, said):
    done = run(LVIV, "--ride", "08:00 city A", option, "banana")
    assert isinstance(done.exception, UserError)
    assert str(done.exception).endswith(f"{option} banana: the tariff has none of that name, but {said}")
