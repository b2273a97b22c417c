"""What every test may ask for."""

import asyncio
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# What starts whole products comes first, so that at the end no worker is left alone with it.
LONGEST_FIRST = ("acceptance", "faults", "integration")

# A busy machine is no failure: how long an example takes is not what these tests are about.
settings.register_profile("takt", deadline=None)
settings.load_profile("takt")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real feeds, recordings and published vectors; tests that need it are left out without it."""
    folder = Path(os.environ.get("TAKT_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("needs the real feeds and vectors of ../shared, which are not on this machine")
    return folder


SET_BY_OTHERS = {"PYTEST_CURRENT_TEST", "_RJEM_MALLOC_CONF"}  # by pytest; by polars, for its allocator, when imported


def of_the_process() -> dict[str, object]:
    """What belongs to no test: another one would find it changed."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        policy = type(asyncio.get_event_loop_policy())
    environment = {name: value for name, value in os.environ.items() if name not in SET_BY_OTHERS}
    return {"event loop policy": policy, "folder": os.getcwd(), "environment": environment}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """What commands set for a process that then ends goes back to what it was; everything else a test has to put back.

    A command's loop leaves its handlers of Ctrl-C behind, which do nothing any more, and its printing of errors.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    printing, before = sys.excepthook, of_the_process()
    yield
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)
    sys.excepthook = printing
    assert of_the_process() == before


def pytest_configure(config: pytest.Config) -> None:
    """Hand out files in the order below, not by how many tests they have."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders with the longest tests first; within them everything stays as it was."""
    tests = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(tests).parts[0] if item.path.is_relative_to(tests) else ""
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=place)
