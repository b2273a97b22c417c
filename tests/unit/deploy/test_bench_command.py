"""Every benchmark that the command names can be asked."""

import importlib
import inspect

import pytest

from deploy.commands.bench import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_is_asked_like_all_others(name):
    module = importlib.import_module(f"deploy.bench.{name}")
    assert list(inspect.signature(module.run).parameters) == ["gtfs", "seconds"]
