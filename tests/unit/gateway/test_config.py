"""Settings: addresses are read or refused in one sentence, and passwords are not shown."""

import pytest

from gateway.config import Broker, Source
from gateway.errors import SettingsError


def test_an_address_with_everything() -> None:
    broker = Broker.from_url("mqtt://takt:p%40ss@broker.example:1884")
    assert (broker.host, broker.port, broker.user, broker.password) == ("broker.example", 1884, "takt", "p@ss")
    assert broker.tls is None
    assert "p@ss" not in repr(broker)


def test_an_address_over_tls() -> None:
    broker = Broker.from_url("mqtts://broker.example")
    assert broker.port == 8883
    assert broker.tls is not None


@pytest.mark.parametrize(
    "url", ["", "broker.example", "http://x", "mqtt://", "mqtt://x:port", "mqtt://x:99999", "mqtt://x/y"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        Broker.from_url(url)


def test_a_refused_address_does_not_show_its_password() -> None:
    with pytest.raises(SettingsError) as refused:
        Broker.from_url("http://user:secret@host")
    assert "secret" not in str(refused.value)


def test_a_certificate_file_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="no-such-file"):
        Broker.from_url("mqtts://x", "/no-such-file")


def test_a_source_knows_its_profile_and_zone() -> None:
    broker = Broker("x")
    assert Source(broker, "hfp").filter == "/hfp/v2/journey/ongoing/vp/#"
    assert Source(broker).filter == "fleet/v1/+/+/position"
    with pytest.raises(SettingsError, match="siri"):
        Source(broker, "siri")
    with pytest.raises(SettingsError, match="Mars"):
        Source(broker, "hfp", timezone="Mars/Olympus")
