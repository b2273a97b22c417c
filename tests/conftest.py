"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
