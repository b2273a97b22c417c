"""Settings: one clear sentence for whatever is wrong with them."""

import contextlib
from pathlib import Path

import pytest

from deploy.config import Settings, Source, read_settings
from deploy.errors import UserError


def documented(model, prefix=""):
    """The settings' names as a person writes them."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if name == "sources":
            yield from documented(Source, f"{prefix}{name}.")
        elif hasattr(kind, "model_fields"):
            yield from documented(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


VARIABLES = sorted(
    {f"TAKT_{name.upper().replace('.', '__')}" for name in documented(Settings) if "sources" not in name}
    | {"TAKT_HTTP", "TAKT_MQTT", "TAKT_GATEWAY", "TAKT_DISPATCH", "TAKT_TICKETING", "TAKT_GATEWAY__SOURCES"}
)


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


def test_what_a_variable_sets_wrongly_is_not_looked_for_in_the_file(tmp_path, monkeypatch):
    path = written(tmp_path, "[http]\nport = 80\n")
    monkeypatch.setenv("TAKT_HTTP__PRT", "81")
    with pytest.raises(UserError, match=r"^TAKT_HTTP__PRT: http\.prt: there is no such setting"):
        read_settings(path)
    monkeypatch.delenv("TAKT_HTTP__PRT")
    monkeypatch.setenv("TAKT_HTTP__PORT", "81000")
    with pytest.raises(UserError, match=r"^TAKT_HTTP__PORT: http\.port: .* \(it is '81000'\)"):
        read_settings(path)


def test_what_a_validator_says_stands_by_itself(tmp_path):
    path = written(tmp_path, '[payments]\nurl = "ftp://x"\n')
    with pytest.raises(UserError, match=r"takt\.toml:2: payments\.url: is not an address such as"):
        read_settings(path)


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


@pytest.mark.parametrize("section", ["HTTP", "MQTT", "GATEWAY", "DISPATCH", "TICKETING"])
def test_a_section_given_a_word_is_named(monkeypatch, section):
    monkeypatch.setenv(f"TAKT_{section}", "abc")
    with pytest.raises(UserError, match=f"TAKT_{section}: is a section.* such as TAKT_{section}__"):
        read_settings()


def test_sources_in_a_variable_are_json(monkeypatch):
    monkeypatch.setenv("TAKT_GATEWAY__SOURCES", "mqtt://host")
    with pytest.raises(UserError, match="TAKT_GATEWAY__SOURCES: must be a list in JSON"):
        read_settings()
    monkeypatch.setenv("TAKT_GATEWAY__SOURCES", '[{"url": "mqtt://host", "timezone": "Europe/Kyiv"}]')
    assert read_settings().gateway.sources[0].timezone == "Europe/Kyiv"


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", ["abc", "[1]", '{"a": 1}'])
def test_no_variable_ends_in_a_traceback(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with contextlib.suppress(UserError):
        read_settings()


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "", "/etc/passwd", "../x"])
def test_a_time_zone_that_is_none_is_refused(tmp_path, zone):
    path = written(tmp_path, f'[[gateway.sources]]\nurl = "mqtt://host"\ntimezone = "{zone}"\n')
    with pytest.raises(
        UserError, match=r"takt\.toml:3: gateway\.sources\.0\.timezone: .*is not the name of a time zone"
    ):
        read_settings(path)


def test_the_operator_of_a_source_is_no_setting(tmp_path):
    path = written(tmp_path, '[[gateway.sources]]\nurl = "mqtt://host"\noperator = "hfp"\n')
    with pytest.raises(UserError, match="there is no such setting"):
        read_settings(path)


def test_every_setting_is_documented():
    page = (Path(__file__).parents[3] / "docs" / "settings.md").read_text()
    missing = [name for name in documented(Settings) if f"`{name}`" not in page]
    assert missing == []


@pytest.mark.parametrize("text", ["[]", "5", '"http"'])
def test_json_that_holds_no_settings_is_refused(tmp_path, text):
    path = tmp_path / "takt.json"
    path.write_text(text)
    with pytest.raises(UserError, match="not a settings file"):
        read_settings(path)
