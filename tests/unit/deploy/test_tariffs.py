"""The tariff at a start: read with the feed's fares, or refused by file, entry, field and line before anything runs."""

import zipfile
from pathlib import Path

import pytest

from deploy.config import Settings, Ticketing
from deploy.errors import UserError
from deploy.tariffs import TARIFF_BYTES_MAX, check_tariff, read_tariff_source

HEAD = 'version = 1\ncurrency = "USD"\ntimezone = "America/Los_Angeles"\n'
RIDE = '[[fare]]\nid = "ride"\nname = { uk = "П", en = "R" }\nprice_minor = 200\n'
FARES = {
    "agency.txt": "agency_id,agency_timezone\na,America/Los_Angeles\n",
    "fare_products.txt": "fare_product_id,amount,currency\nA,2.75,USD\n",
    "fare_leg_rules.txt": "leg_group_id,fare_product_id\na,A\n",
}


def settings(tariff: Path | None, feed: str | None = None) -> Settings:
    return Settings(feed=feed, ticketing=Ticketing(tariff=tariff))


@pytest.fixture
def feed(tmp_path: Path) -> str:
    path = tmp_path / "feed.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, text in FARES.items():
            file.writestr(name, text)
    return str(path)


def test_ones_own_tariff_has_the_fares_of_the_feed(tmp_path, feed):
    own = tmp_path / "own.toml"
    own.write_text(HEAD)
    sold = read_tariff_source(settings(own, feed)).read()
    assert sold.tariff.purse.fare_minor == 275
    check_tariff(settings(own, feed))


def test_the_shipped_tariff_leaves_the_feeds_fares_alone(feed):
    source = read_tariff_source(settings(None, feed))
    assert source.feed == {}
    assert source.read().tariff.currency == "UAH"


def test_a_feed_at_an_address_is_asked_when_it_is_read(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(HEAD)
    check_tariff(settings(own, "https://feeds.invalid/gtfs.zip"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD, "fare: there is none, and no feed with fares is given"),
        (HEAD + RIDE.replace("200", "-1"), r"own.toml: fare 'ride'.price_minor: .* \(line 7\)"),
        (HEAD + RIDE + "[[caps]]\n", r"unknown field `caps`"),
    ],
)
def test_a_wrong_tariff_is_refused_before_a_start(tmp_path, text, sentence):
    own = tmp_path / "own.toml"
    own.write_text(text)
    with pytest.raises(UserError, match=sentence):
        check_tariff(settings(own))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none.toml: cannot be read"):
        check_tariff(settings(tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"version = 1 # \xff")
    with pytest.raises(UserError, match=r"latin.toml: is not UTF-8 \(byte 14\)"):
        check_tariff(settings(tmp_path / "latin.toml"))
    (tmp_path / "huge.toml").write_bytes(b"#" * (TARIFF_BYTES_MAX + 1))
    with pytest.raises(UserError, match="larger than 4 MB"):
        check_tariff(settings(tmp_path / "huge.toml"))


def test_wrong_fares_of_a_feed_are_named_by_line(tmp_path, feed):
    own = tmp_path / "own.toml"
    own.write_text(HEAD)
    with zipfile.ZipFile(feed, "a") as file:
        file.writestr("fare_transfer_rules.txt", "from_leg_group_id,to_leg_group_id,fare_transfer_type\na,b,0\n")
    with pytest.raises(UserError, match=r"fare_transfer_rules.txt line 2, to_leg_group_id: 'b' is not in"):
        check_tariff(settings(own, feed))
