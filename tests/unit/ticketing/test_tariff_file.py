"""One file for what is sold and for what rides cost: flat prices are known for flat, complaints name their line."""

from pathlib import Path

import pytest

from ticketing.errors import TariffError
from ticketing.fare_tables import read_fares
from ticketing.tariff_file import flat_minor, media_of, read_tariff

TICKETING = Path(__file__).parents[3] / "ticketing"
HEAD = 'version = 1\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\n'
NAME = 'name = { uk = "Н", en = "N" }\n'
MEDIA = '[[media]]\nid = "card"\ntype = "card"\n[[media]]\nid = "bank"\ntype = "bank"\n'
RIDE = f'[[fare]]\nid = "ride"\n{NAME}price_minor = 800\n'


@pytest.mark.parametrize("path", [TICKETING / "tariff.toml", *sorted((TICKETING / "tariffs").glob("*.toml"))])
def test_every_shipped_file_can_be_sold_and_rated(path):
    sold = read_tariff(path.read_text(), path.name)
    assert sold.tariff.currency == sold.city.currency
    assert set(sold.tariff.products) == set(sold.city.passes or {})


def test_the_demos_tariff_sells_a_single_ride_and_is_flat():
    sold = read_tariff((TICKETING / "tariff.toml").read_text(), "tariff.toml")
    assert sold.tariff.products["single"].price_minor == 800
    assert flat_minor(sold.city) == sold.tariff.purse.fare_minor == 800


@pytest.mark.parametrize(
    ("entries", "flat"),
    [
        (RIDE, 800),
        ("[purse]\nfare_minor = 650\n", 650),
        (MEDIA + RIDE + f'[[fare]]\nid = "by_bank"\n{NAME}price_minor = 900\nmedia = ["bank"]\n', 800),
        (RIDE + f'[[product]]\nid = "ten"\n{NAME}price_minor = 7000\nrides = 10\nvalid = {{ days = 9 }}\n', 800),
        (MEDIA + RIDE + f'[[transfer]]\nid = "t"\n{NAME}minutes = 40\nmedia = ["bank"]\n', 800),
        (MEDIA + RIDE + f'[[transfer]]\nid = "t"\n{NAME}minutes = 40\nmedia = ["card"]\n', None),
        (RIDE + f'[[transfer]]\nid = "t"\n{NAME}minutes = 40\n', None),
        (RIDE + f'[[cap]]\nid = "c"\n{NAME}period = "day"\namount_minor = 3000\n', None),
        (MEDIA + RIDE + f'[[cap]]\nid = "c"\n{NAME}period = "day"\namount_minor = 3000\nmedia = ["bank"]\n', 800),
        (RIDE + f'[[fare]]\nid = "dear"\n{NAME}price_minor = 900\n', None),
        ('[[network]]\nid = "n"\n' + RIDE + 'networks = ["n"]\n', None),  # other rides have no price
        (RIDE + f'[[category]]\nid = "child"\n{NAME}percent = 50\n', None),
        ('[[network]]\nid = "n"\nexit = { max_minutes = 90, missing_minor = 800 }\n' + RIDE, None),
        ('[[zone]]\nid = "1"\n' + RIDE + f'[[surcharge]]\nid = "s"\n{NAME}price_minor = 5\nzones = ["1"]\n', None),
    ],
)
def test_a_flat_price_is_known_for_flat(entries, flat):
    sold = read_tariff(HEAD + entries, "t.toml")
    assert flat_minor(sold.city) == flat
    assert flat is None or sold.tariff.purse.fare_minor == flat


def test_a_fare_for_the_purse_alone_is_one_for_every_ride():
    sold = read_tariff(HEAD + "[purse]\nfare_minor = 650\n", "t.toml")
    assert sold.city.names["ride"].en == "Ride"
    with pytest.raises(TariffError, match=r"purse.fare_minor: give it, or \[\[fare\]\]; not both \(line 4\)"):
        read_tariff(HEAD + "[purse]\nfare_minor = 650\n" + RIDE, "t.toml")


def test_the_medium_of_a_card_is_the_files_else_the_feeds():
    feed = read_fares(
        {
            "agency.txt": b"agency_id,agency_timezone\na,Europe/Kyiv\n",
            "fare_products.txt": b"fare_product_id,amount,currency,fare_media_id\nA,1.00,UAH,orca\n",
            "fare_media.txt": b"fare_media_id,fare_media_type\norca,2\n",
            "fare_leg_rules.txt": b"leg_group_id,fare_product_id\na,A\n",
        }
    )
    assert media_of(read_tariff(HEAD, "t.toml", feed).city, "card") == "orca"
    assert media_of(read_tariff(HEAD + MEDIA + RIDE, "t.toml").city, "card") == "card"
    assert media_of(read_tariff(HEAD + RIDE, "t.toml").city, "card") is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + RIDE + "colour = 1\n", "unknown field `colour` - at `fare 'ride'`: leave it out"),
        (HEAD + RIDE + "colour = 1\n", "(line 4)"),
        (HEAD + RIDE.replace("800", "-1"), "fare 'ride'.price_minor: write minor units"),
        (HEAD + RIDE.replace("800", "-1"), "(line 7)"),
        (HEAD + RIDE + '[[cap]]\nid = "c"\nname = { uk = "М", en = "C" }\nperiod = "dya"\namount_minor = 1\n',
         "cap 'c'.period: write one of day, week, month, rolling, not 'dya' (line 11)"),
        (HEAD + RIDE + '[[debit]]\nmedia = []\nrhythm = "each"\n[[debit]]\nmedia = ["b"]\nrhythm = "each"\n',
         "debit 2.media: 'b' is defined nowhere in this file or the feed (line 12)"),
        (HEAD.replace("UAH", "uah") + RIDE, "(line 2)"),
        (HEAD + RIDE + f'[[product]]\nid = "p"\n{NAME}price_minor = 1\nvalid = {{ }}\n', "(line 12)"),
        (HEAD + RIDE + "version = = 1", "line 8"),
    ],
)  # fmt: skip
def test_a_complaint_names_its_line(text, sentence):
    with pytest.raises(TariffError) as error:
        read_tariff(text, "t.toml")
    assert str(error.value).startswith("t.toml: ")
    assert sentence in str(error.value)


def test_trips_ahead_are_a_product_of_as_many_rides():
    sold = read_tariff((TICKETING / "tariffs" / "kyiv.toml").read_text(), "kyiv.toml").tariff
    ten = sold.trips_ahead(10)
    assert (ten.id, ten.rides, ten.price_minor, ten.networks) == ("trips", 10, 7700, ("metro", "surface"))
    with pytest.raises(ValueError, match="1 to 50"):
        sold.trips_ahead(51)
