"""One running demo for all the tests of a file that only look at it and use it."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.acceptance.product import Product, product

with contextlib.suppress(ImportError):  # without playwright there are no browsers to drive
    from tests.acceptance.console_page import browser, city, visit  # noqa: F401


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One demo of the made-up city for a file's tests: some three hundred vehicles would slow down all later ones."""
    running = product(tmp_path_factory.mktemp("demo") / "data", "demo")
    running.start()
    try:
        running.ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
