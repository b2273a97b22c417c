"""The console in a real browser, for the tests that look at it: the page, the made-up city behind it, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.fixtures.console_city import DIST, Server

CHROMIUM = Path("/usr/bin/chromium")
# The map needs WebGL, which SwiftShader draws without a graphics card; the rest keeps Chromium off the network.
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000  # a machine busy with other tests draws slowly
expect.set_options(timeout=PATIENCE_MS)

# Drawing the map without a graphics card takes most of a test's time; without WebGL the page does all the rest.
NO_WEBGL = """
const getContext = HTMLCanvasElement.prototype.getContext
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.startsWith('webgl') ? null : getContext.call(this, kind, ...rest)
}
"""

MARKS = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium"),
    pytest.mark.skipif(not (DIST / "index.html").exists(), reason="needs the built console: make console"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        yield browser
        browser.close()


@pytest.fixture
def city() -> Iterator[Server]:
    with Server(vehicles=200) as server:
        yield server


class Visit:
    """An open page with everything it complained about and every address it asked."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        *,
        width: int = 1280,
        height: int = 800,
        map_drawn: bool = True,
        **context: object,
    ) -> None:
        settings = {"locale": "en-GB", "color_scheme": "light", **context}
        self.context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        if not map_drawn:
            self.context.add_init_script(NO_WEBGL)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(url)
        self.page.wait_for_selector("#lines .line", state="attached")

    def sign_in(self, user: str = "desk1", password: str = "correct horse") -> None:
        self.page.locator(".header__tools .button").last.click()
        self.page.fill("input[name=user]", user)
        self.page.fill("input[name=password]", password)
        self.page.keyboard.press("Enter")


@pytest.fixture
def visit(browser: Browser, city: Server) -> Iterator[Callable[..., Visit]]:
    visits: list[Visit] = []

    def open_page(url: str | None = None, **context: object) -> Visit:
        visits.append(Visit(browser, url or city.url, **context))
        return visits[-1]

    yield open_page
    for one in visits:
        one.context.close()


def until(page: Page, what: Callable[[], bool]) -> None:
    """Asks again until it holds. Playwright's own way evaluates inside the page, where the page's policy forbids it."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        page.wait_for_timeout(200)
