"""The fares of the feed in use: those of the settings until a switch, then those that were put beside it."""

import zipfile
from pathlib import Path

import msgspec
import pytest

from deploy.config import Settings, Ticketing
from deploy.errors import UserError
from deploy.feed_fares import keep_next_fares, source_in_use, use_next_fares
from deploy.feeds import FeedInUse
from deploy.instance import Instance

HEAD = 'version = 1\ncurrency = "USD"\ntimezone = "America/Los_Angeles"\n'


def feed(path: Path, amount: str, currency: str = "USD") -> str:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("agency.txt", "agency_id,agency_timezone\na,America/Los_Angeles\n")
        file.writestr("fare_products.txt", f"fare_product_id,amount,currency\nA,{amount},{currency}\n")
        file.writestr("fare_leg_rules.txt", "leg_group_id,fare_product_id\na,A\n")
    return str(path)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    made = Instance(tmp_path / "data")
    made.network_dir.mkdir(parents=True)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "own.toml").write_text(HEAD)
    return Settings(feed=feed(tmp_path / "first.zip", "2.75"), ticketing=Ticketing(tariff=tmp_path / "own.toml"))


def switch(settings: Settings, instance: Instance, source: str) -> None:
    use_next_fares(instance)
    record = FeedInUse(settings.feed or "", source, "2", 0.0, "dispatcher")
    (instance.folder / "feed.json").write_bytes(msgspec.json.encode(record))


def fare_minor(settings: Settings, instance: Instance) -> int:
    return source_in_use(settings, instance).read().tariff.purse.fare_minor


def test_a_switch_brings_its_fares_and_a_restart_goes_on_with_them(settings, instance, tmp_path):
    second = feed(tmp_path / "second.zip", "3.10")
    assert fare_minor(settings, instance) == 275
    keep_next_fares(second, settings, instance)
    assert fare_minor(settings, instance) == 275  # it waits for its time
    switch(settings, instance, second)
    Path(second).unlink()  # the feed itself is not needed any more
    assert fare_minor(settings, instance) == 310
    other = feed(tmp_path / "third.zip", "4.00")
    renamed = settings.model_copy(update={"feed": other})
    assert fare_minor(renamed, instance) == 400  # the settings name another feed: the switch is forgotten


def test_fares_that_do_not_go_with_the_tariff_are_refused(settings, instance, tmp_path):
    with pytest.raises(UserError, match=r"own.toml: currency: fares in EUR, USD"):
        keep_next_fares(feed(tmp_path / "euro.zip", "3.10", "EUR"), settings, instance)
    with pytest.raises(UserError, match=r"fare_products.txt line 2, amount"):
        keep_next_fares(feed(tmp_path / "word.zip", "much"), settings, instance)


def test_a_broken_file_of_fares_leaves_those_of_the_settings(settings, instance, tmp_path):
    second = feed(tmp_path / "second.zip", "3.10")
    keep_next_fares(second, settings, instance)
    switch(settings, instance, second)
    (instance.network_dir / "in-use.fares").write_bytes(b"torn")
    assert fare_minor(settings, instance) == 275


def test_the_tariff_that_ships_leaves_every_feed_alone(instance, tmp_path):
    shipped = Settings(feed=feed(tmp_path / "first.zip", "2.75"))
    keep_next_fares(feed(tmp_path / "second.zip", "3.10"), shipped, instance)
    switch(shipped, instance, "second.zip")
    assert source_in_use(shipped, instance).feed == {}
