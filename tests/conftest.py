"""What every test may ask for."""

import os
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
