"""Under which address tickets and validators are told to find an instance."""

import pytest

from deploy.addresses import is_found, public_url
from deploy.config import read_settings
from deploy.errors import UserError


@pytest.mark.parametrize(
    ("http", "url", "found"),
    [
        ("", "http://127.0.0.1:8080", True),
        ('host = "0.0.0.0"', "http://127.0.0.1:8080", False),
        ('host = "::"', "http://[::1]:8080", False),
        ('host = "::1"\nport = 80', "http://[::1]:80", True),
        ('host = "city.example"\ntls_certificate = "c.pem"\nport = 443', "https://city.example:443", True),
        ('host = "0.0.0.0"\nurl = "https://city.example/"', "https://city.example", True),
        ('url = "https://city.example:8443/takt"', "https://city.example:8443/takt", True),
        ('url = "http://[2001:db8::1]:8080"', "http://[2001:db8::1]:8080", True),
    ],
)
def test_the_address_that_stands_in_tickets(tmp_path, http, url, found):
    path = tmp_path / "takt.toml"
    path.write_text(f"[http]\n{http}\n")
    settings = read_settings(path)
    assert (public_url(settings), is_found(settings)) == (url, found)


@pytest.mark.parametrize(
    "url",
    ["city.example", "ftp://city.example", "https://", "https://u:p@city.example", "https://a b", "https://a?x=1"],
)
def test_what_is_no_address_is_refused(tmp_path, url):
    path = tmp_path / "takt.toml"
    path.write_text(f'[http]\nurl = "{url}"\n')
    with pytest.raises(UserError, match=r"http\.url: is not an address such as https://city\.example"):
        read_settings(path)
