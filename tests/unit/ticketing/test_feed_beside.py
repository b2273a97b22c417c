"""A city's file beside its feed's fares: what would make every ride free is refused before it is used."""

import pytest

from tests.unit.ticketing.small_feeds import feed
from ticketing.editions import TariffSource
from ticketing.errors import TariffError
from ticketing.journeys import FareTap
from ticketing.rated import Account
from ticketing.rating import rate_day
from ticketing.tariff_file import flat_minor

OWN = 'version = 1\ncurrency = "USD"\ntimezone = "America/Vancouver"\n'
EXIT = "exit = { max_minutes = 180, missing_minor = 900 }\n"
ANYWHERE = '[[network]]\nid = "all"\noperators = ["*"]\n' + EXIT
RAIL = '[[network]]\nid = "rail"\n' + EXIT
CARD = '[[media]]\nid = "card"\ntype = "card"\n'
BANK = '[[media]]\nid = "visa"\ntype = "bank"\n'
RIDE = '[[fare]]\nid = "ride"\nname = { uk = "П", en = "R" }\nprice_minor = 800\nnetworks = ["rail"]\n'
PAIRS = {
    "fare_products": "fare_product_id,amount,currency\nnear,2.00,USD\nfar,3.00,USD\n",
    "areas": "area_id\nz1\nz2\n",
    "stop_areas": "area_id,stop_id\nz1,s1\nz2,s2\n",
    "fare_leg_rules": "from_area_id,to_area_id,fare_product_id\nz1,z1,near\nz1,z2,far\n",
}
BY_RAIL = PAIRS | {
    "routes": "route_id,network_id\nr,rail\nb,bus\n",
    "fare_leg_rules": "network_id,from_area_id,to_area_id,fare_product_id,rule_priority\n"
    "rail,z1,z1,near,\nrail,z1,z2,far,\nbus,,,near,\n",
}
MEDIA = {
    "fare_media": "fare_media_id,fare_media_type\norca,2\n",
    "fare_products": "fare_product_id,amount,currency,fare_media_id\nA,2.75,USD,orca\n",
    "fare_leg_rules": "fare_product_id\nA\n",
}


def source(text: str, files: dict[str, str]) -> TariffSource:
    return TariffSource("own.toml", text, feed(**files))


@pytest.mark.parametrize(
    ("text", "files", "sentence"),
    [
        (OWN, PAIRS, r"own.toml: rides of no network: .*add \[\[network\]\] with operators = \[\"\*\"\] and its exit"),
        (
            OWN,
            BY_RAIL,
            r"own.toml: network 'rail': .*fare_leg_rules.txt, to_area_id.*: add \[\[network\]\] id = \"rail\"",
        ),
        (
            OWN + CARD,
            MEDIA,
            r"own.toml: media 'card': the feed's fares are for 'orca'.*leave the entry out, or give it",
        ),
        (
            OWN + BANK,
            MEDIA,
            r"own.toml: media 'visa': the feed has no fare for it, so that every ride by it would be free",
        ),
    ],
)
def test_what_would_make_every_ride_free_is_refused(text, files, sentence):
    tariff = source(text, files)
    tariff.read()  # a desk may try it with rides that say where they end
    with pytest.raises(TariffError, match=sentence):
        tariff.read_for_use()


@pytest.mark.parametrize(
    ("text", "files"),
    [
        (OWN + ANYWHERE, PAIRS),
        (OWN + RAIL, BY_RAIL),
        (OWN + RIDE, BY_RAIL),  # the file has a price for what the feed leaves
        (OWN + CARD.replace('"card"', '"orca"', 1), MEDIA),
        (OWN, MEDIA),
        (OWN, MEDIA | {"fare_media": MEDIA["fare_media"] + "visa,3\n"}),  # the feed may list what Takt does not take
        (OWN + BANK, MEDIA | {"fare_products": MEDIA["fare_products"] + "A,3.00,USD,\n"}),
        (OWN + CARD + '[[fare]]\nid = "ride"\nname = { uk = "П", en = "R" }\nprice_minor = 800\n', MEDIA),
    ],
)
def test_what_goes_together_is_used(text, files):
    assert source(text, files).read_for_use().city.tables[-1].leg_rules


def test_an_entry_and_an_exit_that_are_said_to_be_so_make_a_ride_anywhere():
    city = source(OWN, PAIRS).read().city
    taps = [FareTap("1", 1000, kind="in", stop_id="s1"), FareTap("2", 1600, kind="out", stop_id="s2")]
    assert [line.charge_minor for line in rate_day(taps, city, Account()).lines] == [0, 300]
    flat = source(OWN, MEDIA | {"fare_media": "fare_media_id,fare_media_type\norca,2\n"}).read().city
    assert rate_day(taps[:1], flat, Account("orca")).total_minor == 275  # nobody has to tap out: a ride like any other


@pytest.mark.parametrize(
    ("products", "flat"),
    [
        ("A,2.00,USD,,\n", 200),
        ("A,2.00,USD,adult,\n", 200),
        ("A,1.00,USD,senior,\n", None),  # nothing is said of what others pay
        ("A,2.00,USD,,\nA,1.50,USD,,cash\n", 200),  # a card is no cash
        ("A,2.00,USD,adult,\nA,1.00,USD,senior,\n", None),
    ],
)
def test_one_price_for_every_ride_is_what_the_rating_says(products, flat):
    files = {
        "fare_media": "fare_media_id,fare_media_type\ncash,0\n",
        "rider_categories": "rider_category_id,rider_category_name,is_default_fare_category\nadult,A,1\nsenior,S,\n",
        "fare_products": "fare_product_id,amount,currency,rider_category_id,fare_media_id\nB,9.00,USD,adult,\n"
        + products,
        "fare_leg_rules": "fare_product_id\nA\n",
    }
    city = source(OWN, files).read_for_use().city
    assert flat_minor(city) == flat
    total = rate_day([FareTap("1", 1000)], city, Account()).total_minor
    assert flat is None or total == flat
