"""Scenario files: what is wrong with one is said by file and field."""

from importlib.resources import files

import pytest

from simulators.scenario import Linear, Loop, ScenarioError, parse_scenario


def shipped(name: str) -> str:
    return files("simulators").joinpath("scenarios", f"{name}.toml").read_text()


def sentence(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(text, "line.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_frequent_is_as_published() -> None:
    loop = parse_scenario(shipped("frequent"), "frequent")
    assert isinstance(loop, Loop)
    assert (loop.stops, loop.vehicles, loop.cycle_s, loop.beta) == (40, 10, 3600.0, pytest.approx(0.05))
    assert 2 * loop.recovery_s == pytest.approx(280.0)
    assert [stop for stop in range(40) if loop.is_control(stop)] == [0, 5, 10, 15, 20, 25, 30, 35]
    assert [stop for stop in range(40) if loop.is_terminal(stop)] == [0, 20]


def test_a_file_that_says_only_its_kind_is_the_frequent_line() -> None:
    assert parse_scenario('kind = "loop"', "a.toml") == parse_scenario(shipped("frequent"), "frequent")


def test_linear_is_as_published() -> None:
    linear = parse_scenario(shipped("linear"), "linear")
    assert isinstance(linear, Linear)
    assert (linear.stops, linear.beta) == (30, 0.05)
    assert (linear.gains.alpha_forward, linear.gains.f0) == (0.2, 0.5)
    assert linear.gains.alpha_two_way == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'line.toml: kind: Expected "loop" or "linear".'),
        ('kind = "circle"', 'line.toml, line 1: kind: Expected "loop" or "linear".'),
        ("kind = 3", 'line.toml, line 1: kind: Expected "loop" or "linear".'),
        ('[loop]\nkind = "loop"', 'line.toml, line 2: kind: Expected "loop" or "linear".'),
        ("kind = ", "line.toml is not TOML: Invalid value (at end of document)."),
        ('kind = "loop"\nvehicles = 0', "line.toml, line 2: vehicles: Expected `int` >= 1."),
        ('kind = "loop"\nvehicles = "ten"', "line.toml, line 2: vehicles: Expected `int`, got `str`."),
        (
            'kind = "loop"\nvehicels = 10',
            "line.toml, line 2: vehicels: A loop scenario has no such field, but vehicles.",
        ),
        (
            'kind = "loop"\nheadway = 300',
            "line.toml, line 2: headway: A loop scenario has no such field, but headway_s.",
        ),
        ('kind = "loop"\n"~" = 1', "line.toml: ~: A loop scenario has no such field."),
        (
            'kind = "loop"\n[gains]\nalpha = 1',
            "line.toml, line 3: gains.alpha: A loop scenario has no such field, but alpha_self.",
        ),
        ('kind = "loop"\ngains.f0 = 7', "line.toml, line 2: gains.f0: Expected `float` <= 1.0."),
        (
            'kind = "linear"\nheadway_s = 3',
            "line.toml, line 2: headway_s: A linear scenario has no such field.",
        ),
        ('kind = "loop"\ncompliance = 1.5', "line.toml, line 2: compliance: Expected `float` <= 1.0."),
        ('kind = "loop"\nrun_cv = nan', "line.toml, line 2: run_cv: Expected `float` >= 0.0."),
        ('kind = "loop"\n[gains]\nkappa = nan', "line.toml, line 3: gains.kappa: Expected `float` >= 0.0."),
        ('kind = "loop"\n[gains]\nkappa = 2', "line.toml, line 3: gains.kappa: Expected `float` <= 1.0."),
        (
            'kind = "loop"\nride_stops_min = 9',
            "line.toml: ride_stops_max: Expected from ride_stops_min (9) to 39.",
        ),
        (
            'kind = "linear"\nvehicles = 60',
            "line.toml, line 2: vehicles: Expected more than twice the stops, that is more than 60.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, said: str) -> None:
    assert sentence(text) == said


def test_values_nested_without_end_are_refused() -> None:
    assert "nested too deep" in sentence('kind = "loop"\ngains = ' + "[" * 20_000 + "]" * 20_000)


def test_a_scenario_that_would_never_end_is_refused() -> None:
    assert "duration_s" in sentence('kind = "loop"\nduration_s = 172800\nrun_s_mean = 1\ndwell_s = 0\nvehicles = 200')
    assert "riders_per_min" in sentence('kind = "loop"\nduration_s = 172800\nriders_per_min = 60')


def test_a_cycle_too_short_to_be_driven_has_no_recovery() -> None:
    loop = parse_scenario('kind = "loop"\nvehicles = 9', "short.toml")
    assert isinstance(loop, Loop)
    assert loop.recovery_s == 0.0
