"""The acquirer's address and secret, as settings may have them wrong."""

from pathlib import Path

import pytest

from deploy.config import read_settings
from deploy.errors import UserError
from deploy.wiring_payments import bank_judge, read_secret


def secret(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    file = folder / "secret"
    file.write_bytes(text)
    file.chmod(mode)
    return file


def test_a_secret_is_one_line_of_a_private_file(tmp_path):
    settings = read_settings(payments__url="https://acquirer", payments__secret_file=secret(tmp_path, b"s3cret\n"))
    assert read_secret(settings) == "s3cret"
    assert read_secret(read_settings(payments__url="https://acquirer")) == ""


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        (b"s3cret", 0o644, "others may read it"),
        (b"", 0o600, "holds no secret"),
        (b"two\nlines", 0o600, "holds no secret"),
        (b"\xff\xfe", 0o600, "holds no secret"),
    ],
)
def test_a_secret_that_cannot_be_used_names_its_file(tmp_path, text, mode, says):
    settings = read_settings(payments__secret_file=secret(tmp_path, text, mode))
    with pytest.raises(UserError, match=says) as refused:
        read_secret(settings)
    assert "secret" in str(refused.value)


def test_a_secret_that_is_missing_names_its_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_secret(read_settings(payments__secret_file=tmp_path / "none"))


@pytest.mark.parametrize("url", ["acquirer", "ftp://acquirer", "https://user:password@acquirer"])
def test_an_address_is_http_and_holds_no_password(url):
    with pytest.raises(UserError, match=r"payments\.url"):
        read_settings(payments__url=url)


def test_without_an_acquirer_nobody_judges_bank_cards():
    assert bank_judge(read_settings(), None) is None  # type: ignore[arg-type]
