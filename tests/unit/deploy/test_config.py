"""Settings: one clear sentence for whatever is wrong with them."""

from pathlib import Path

import pytest

from deploy.config import read_settings
from deploy.errors import UserError


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "takt.toml"
    path.write_text(text)
    return path


def test_an_option_wins_over_a_variable_over_the_file(tmp_path, monkeypatch):
    path = written(tmp_path, '[http]\nport = 1111\nhost = "127.0.0.2"\n[mqtt]\nport = 2222\n')
    monkeypatch.setenv("TAKT_MQTT__PORT", "3333")
    settings = read_settings(path, http__port=4444, http__host=None)
    assert (settings.http.port, settings.http.host, settings.mqtt.port) == (4444, "127.0.0.2", 3333)


def test_an_unknown_key_is_named_with_file_and_line(tmp_path):
    path = written(tmp_path, 'name = "Town"\n\n[http]\nprot = 80\n')
    with pytest.raises(UserError, match=r"takt\.toml:4: http\.prot: there is no such setting"):
        read_settings(path)


def test_an_unknown_variable_is_named(monkeypatch):
    monkeypatch.setenv("TAKT_HTPP__PORT", "80")
    with pytest.raises(UserError, match="TAKT_HTPP__PORT: there is no such setting"):
        read_settings()


def test_a_wrong_value_is_shown(tmp_path):
    path = written(tmp_path, "[http]\nport = 99999\n")
    with pytest.raises(UserError, match=r"takt\.toml:2: http\.port: .* \(it is 99999\)"):
        read_settings(path)


@pytest.mark.parametrize("text", ["[http", "\x00", "a = 1 = 2"])
def test_a_broken_file_is_one_sentence(tmp_path, text):
    with pytest.raises(UserError, match="not a settings file"):
        read_settings(written(tmp_path, text))


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_settings(tmp_path / "none.toml")
