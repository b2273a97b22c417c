"""A feed with other fares comes into use: what is tapped from then on costs them, without a restart."""

from tests.integration.rated_city import OTHER, rated_city
from ticketing.editions import TariffSource, open_editions

OWN = 'version = 1\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\nmedia = [{ id = "card", type = "card" }]\n'


def feed(amount: str) -> dict[str, bytes]:
    return {
        "agency.txt": b"agency_id,agency_timezone\na,Europe/Kyiv\n",
        "fare_products.txt": f"fare_product_id,amount,currency\nA,{amount},UAH\n".encode(),
        "fare_leg_rules.txt": b"leg_group_id,fare_product_id\na,A\n",
    }


async def test_the_fares_of_a_new_feed_are_taken_at_once(database):
    entries = OWN + '[[fare]]\nid = "ride"\nname = { uk = "П", en = "R" }\nprice_minor = 800\npriority = 1\n'
    async with rated_city(database, entries, money=10_000) as city:
        assert city.pricing.flat
        changed = TariffSource("own.toml", OWN, feed("11.50"))
        async with city.service.store.transaction() as connection:
            await open_editions(connection, changed)
            await connection.execute(
                "UPDATE tariff_edition SET used_from"
                " = to_timestamp($1::float8 - CASE WHEN feed IS NULL THEN 1e6 ELSE 0 END)",
                city.at("08:30"),
            )  # the test's day lies in the past
            city.editions.adopt(await open_editions(connection, changed))
        assert not city.pricing.flat  # the judge's own price is that of the start
        assert (await city.ride("09:00")).charged_minor == 1150
        assert (await city.judge(city.tap(city.at("09:05"), OTHER)))[0].charged_minor == 1150
        await city.settle()
