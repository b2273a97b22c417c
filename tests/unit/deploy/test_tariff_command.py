"""`takt tariff check`: what a start would say, without any instance."""

import json
import zipfile
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from deploy.commands.tariff import register
from deploy.errors import UserError

LVIV = Path(__file__).parents[3] / "ticketing" / "tariffs" / "lviv.toml"
HEAD = 'version = 1\ncurrency = "USD"\ntimezone = "America/Los_Angeles"\n'


@pytest.fixture
def run():
    app = Typer()
    app.callback()(lambda: None)
    register(app)

    def call(*words: object):
        return CliRunner().invoke(app, ["tariff", *map(str, words)])

    return call


def test_a_good_one_is_told_in_a_line(run):
    done = run("check", LVIV)
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)
    assert "lviv.toml: can be used" in done.stdout
    assert "17.00 UAH" in done.stdout
    found = json.loads(run("check", LVIV, "--json").stdout)
    assert (found["fare_minor"], found["currency"]) == (1700, "UAH")
    assert found["products"]


def test_a_bad_one_is_said_with_its_line(run, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(LVIV.read_text().replace("1700", '"seventeen"', 1))
    done = run("check", bad)
    assert (done.exit_code, type(done.exception)) == (1, UserError)
    assert "bad.toml" in str(done.exception)
    assert "line" in str(done.exception)


def test_the_feeds_fares_count_too(run, tmp_path):
    own, feed = tmp_path / "own.toml", tmp_path / "feed.zip"
    own.write_text(HEAD)
    with zipfile.ZipFile(feed, "w") as file:
        file.writestr("agency.txt", "agency_id,agency_timezone\na,America/Los_Angeles\n")
        file.writestr("fare_products.txt", "fare_product_id,amount,currency\nA,2.75,USD\n")
        file.writestr("fare_leg_rules.txt", "leg_group_id,fare_product_id\na,A\n")
    assert "2.75 USD" in run("check", own, "--gtfs", feed).stdout
    with zipfile.ZipFile(feed, "w") as file:
        file.writestr("fare_products.txt", "fare_product_id,amount,currency\nA,much,USD\n")
        file.writestr("fare_leg_rules.txt", "leg_group_id,fare_product_id\na,A\n")
    assert "fare_products.txt" in str(run("check", own, "--gtfs", feed).exception)


def test_a_file_that_is_not_there_is_named(run, tmp_path):
    assert "cannot be read" in str(run("check", tmp_path / "none.toml").exception)
