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


BY_MEDIUM = 'version = 1\ncurrency = "UAH"\ntimezone = "Europe/Kyiv"\n'


def cards(medium: str, amount: str) -> dict[str, bytes]:
    """A feed whose fares are for one city card alone."""
    return {
        "agency.txt": b"agency_id,agency_timezone\na,Europe/Kyiv\n",
        "fare_media.txt": f"fare_media_id,fare_media_type\n{medium},2\n".encode(),
        "fare_products.txt": f"fare_product_id,fare_media_id,amount,currency\nA,{medium},{amount},UAH\n".encode(),
        "fare_leg_rules.txt": b"leg_group_id,fare_product_id\na,A\n",
        "fare_transfer_rules.txt": b"from_leg_group_id,to_leg_group_id,transfer_count,duration_limit,"
        b"duration_limit_type,fare_transfer_type\na,a,-1,1800,1,0\n",
    }


async def test_a_new_feed_may_call_the_city_card_by_another_name(database):
    async with rated_city(database, TariffSource("own.toml", BY_MEDIUM, cards("old", "11.50")), money=10_000) as city:
        assert (await city.ride("08:00")).charged_minor == 1150
        await city.settle()
        changed = TariffSource("own.toml", BY_MEDIUM, cards("new", "14.00"))
        async with city.service.store.transaction() as connection:
            await open_editions(connection, changed)
            await connection.execute(
                "UPDATE tariff_edition SET used_from = to_timestamp($1::float8 - CASE WHEN id = 1 THEN 1e6 ELSE 0 END)",
                city.at("00:00", "2026-03-05"),
            )  # the test's days lie in the past
            city.editions.adopt(await open_editions(connection, changed))
        assert (await city.ride("09:00", "2026-03-05")).charged_minor == 1400
        late = city.tap(city.at("10:00"), late_s=86_400.0)  # of the day before, by the fares and the card of then
        await city.judge(late)
        await city.settle()
        assert await city.charges() == [1150, 1150]
        assert await city.charges("2026-03-05") == [1400]
