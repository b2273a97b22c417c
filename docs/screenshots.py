"""Takes the pictures of the README anew, from a demo that it starts itself or from the one at --url.

    python docs/screenshots.py
    python docs/screenshots.py --url http://127.0.0.1:8080 --user desk1 --password ...

Needs the `dev` extra (playwright, pillow) and a Chromium: the one named by TAKT_CHROMIUM, or chromium on the PATH.
"""

from __future__ import annotations

import argparse
import contextlib
import http.cookiejar
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from deploy.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
BYTES_MAX = 400_000
Theme = Literal["light", "dark"]
READY_S = 180  # a machine that does other things as well starts slowly
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


class ShotError(Exception):
    """Why there are no pictures, in one sentence."""


@dataclass(frozen=True)
class Target:
    """A running instance, and a login for it where there is one."""

    url: str
    user: str | None = None
    password: str | None = None


def read(url: str) -> dict[str, list[dict[str, object]]]:
    """A JSON document, or an empty one while the server cannot answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            document: dict[str, list[dict[str, object]]] = json.load(response)
            return document
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return {}


def control_lines(target: Target) -> None:
    """Sets the lines that run most often to automatic or to advise, so that there is advice to be seen."""
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    opener = urllib.request.build_opener(cookies)

    def ask(method: str, path: str, body: object = None) -> dict[str, list[dict[str, object]]]:
        request = urllib.request.Request(  # noqa: S310
            f"{target.url}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Origin": target.url},
        )
        with opener.open(request, timeout=10) as response:
            answer: dict[str, list[dict[str, object]]] = json.load(response)
            return answer

    ask("POST", "session", {"user": target.user, "password": target.password})
    routes = sorted(ask("GET", "routes")["routes"], key=lambda route: -int(str(route["vehicles"])))
    for index, route in enumerate(routes[:4]):
        ask("PUT", f"routes/{route['route_id']}/control", {"mode": "automatic" if index == 1 else "advise"})


def wait_for_service(url: str, settle_s: float) -> None:
    """Waits until headways are known, then a while longer, so that the picture has something to show."""
    deadline = time.monotonic() + READY_S
    while sum(1 for one in read(f"{url}/api/v1/headways").get("headways", []) if one["deviation_s"] is not None) < 20:
        if time.monotonic() > deadline:
            raise ShotError(f"{url} gave no headways within {READY_S} s; is the demo running?")
        time.sleep(1)
    print(f"waiting {settle_s:.0f} s for the city to get going")
    time.sleep(settle_s)


@contextlib.contextmanager
def own_demo(at: str, vehicles: int | None) -> Iterator[Target]:
    """A demo in a temporary folder, with a login; it is gone afterwards."""
    takt = Path(sys.executable).parent / "takt"
    if not takt.exists():
        raise ShotError("The takt command is not installed; run: make setup")
    with tempfile.TemporaryDirectory(prefix="takt-screenshots-") as folder:
        data_dir = str(Path(folder) / "data")
        port = free_port()
        command = [str(takt), "demo", "--data-dir", data_dir, "--at", at]
        command += ["--http-port", str(port), "--mqtt-port", str(free_port())]
        command += ["--vehicles", str(vehicles)] if vehicles else []
        log = Path(folder) / "screenshots.log"
        with log.open("w") as output:
            demo = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + READY_S
            while not read(f"{url}/readyz"):
                if demo.poll() is not None or time.monotonic() > deadline:
                    raise ShotError(f"The demo did not start; it said:\n{log.read_text()[-2000:]}")
                time.sleep(0.5)
            adding = [str(takt), "user", "add", "desk1", "--role", "dispatcher", "--generate", "--json"]
            adding += ["--data-dir", data_dir]
            added = subprocess.run(  # noqa: S603
                adding,
                check=True,
                capture_output=True,
                text=True,
                timeout=30,
            )
            yield Target(url, "desk1", json.loads(added.stdout)["password"])
        finally:
            demo.send_signal(signal.SIGINT)
            try:
                demo.wait(20)
            except subprocess.TimeoutExpired:
                demo.kill()


def open_console(browser: Browser, target: Target, *, width: int, height: int, theme: Theme, locale: str) -> Page:
    """The console in a fresh window, signed in where a login is known."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale=locale, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(target.url)
    page.wait_for_selector("#lines .line", state="attached")
    if target.user and target.password:
        page.click(".header__tools .button:last-child")
        page.fill("input[name=user]", target.user)
        page.fill("input[name=password]", target.password)
        page.keyboard.press("Enter")
        page.wait_for_selector(".taps__chart", state="attached")
    wait_for_map(page)
    return page


def wait_for_map(page: Page) -> None:
    """Waits until the map has drawn something; asked from outside, for the page's own policy forbids eval."""
    drawn = "Boolean(window.taktMap?.loaded() && window.taktMap.queryRenderedFeatures().length > 0)"
    deadline = time.monotonic() + READY_S
    while not page.evaluate(drawn):
        if time.monotonic() > deadline:
            raise ShotError(f"The map drew nothing within {READY_S} s; does this Chromium have WebGL?")
        page.wait_for_timeout(250)


def choose_line(page: Page) -> None:
    """Opens a line that has something to tell: of those under control, else of the worst, one with enough vehicles."""
    page.evaluate(
        """() => {
            const lines = [...document.querySelectorAll('#lines .line')]
            const vehicles = (line) => Number(line.querySelector('.line__vehicles').textContent)
            const fit = (line) => vehicles(line) >= 12 && vehicles(line) <= 30
            const good = lines.find((line) => line.querySelector('.mode') && fit(line)) ?? lines.slice(0, 8).find(fit)
            ;(good ?? lines[0]).click()
        }"""
    )
    page.wait_for_selector(".rung", state="attached")
    page.mouse.move(640, 24)  # nothing shall look hovered
    page.wait_for_timeout(2_500)  # the map flies to the line


def show_advice(page: Page) -> None:
    """Turns to advice, once some is open."""
    page.locator("#alerts .desk__other").click()
    with contextlib.suppress(BrowserError):  # else the picture shows what was decided
        page.wait_for_selector(".advice--open", timeout=READY_S * 1000)


def show_stringline(page: Page) -> None:
    """The line's last hour in the place of its ladder."""
    page.keyboard.press("s")
    page.wait_for_selector(".strings__run", state="attached", timeout=READY_S * 1000)
    page.wait_for_timeout(1_500)


def show_past(page: Page) -> None:
    """The last quarter of an hour, standing where an alert opened."""
    page.keyboard.press("p")
    page.locator("dialog .form__choices button").first.click()
    page.wait_for_timeout(1_500)  # it looks what is stored
    page.locator("dialog button[type=submit]").click()
    page.wait_for_selector(".past[data-state=playing]", state="attached", timeout=READY_S * 1000)
    page.keyboard.press("p")
    for _ in range(6):
        page.keyboard.press("Shift+Period")
        page.wait_for_timeout(1_500)


def save(page: Page, name: str, selector: str | None = None) -> None:
    """Saves a picture, with fewer colours when it would be too large to keep in the repository."""
    file = IMAGES / f"{name}.png"
    # A clip of the page, for an element's own picture waits until nothing of it has moved for a while.
    box = page.locator(selector).bounding_box() if selector else None
    if box is None:
        page.screenshot(path=str(file))
    else:
        page.screenshot(path=str(file), clip=box)
    if file.stat().st_size > BYTES_MAX:
        Image.open(file).convert("RGB").quantize(256).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1000} kB")


def take(browser: Browser, target: Target) -> None:
    """All pictures of the README."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    page = open_console(browser, target, width=1280, height=800, theme="light", locale="en-GB")
    page.wait_for_timeout(3_000)
    save(page, "console-overview")
    choose_line(page)
    show_advice(page)
    save(page, "console-light")
    save(page, "ladder", "#ladder")
    if target.user:  # made of history, which is shown to who is signed in
        show_stringline(page)
        save(page, "stringline", "#ladder")
        show_past(page)
        save(page, "console-past")
    page.context.close()

    page = open_console(browser, target, width=1280, height=800, theme="dark", locale="uk-UA")
    choose_line(page)
    save(page, "console-dark")
    page.context.close()

    page = open_console(browser, target, width=390, height=844, theme="light", locale="en-GB")
    choose_line(page)
    save(page, "console-narrow")
    page.context.close()


def main() -> int:
    """Takes the pictures; 1 with one sentence when that cannot be."""
    parser = argparse.ArgumentParser(description="Take the pictures of the README from a running demo.")
    parser.add_argument("--url", help="a running instance; without it a demo is started")
    parser.add_argument("--user", help="a login of that instance, for the figures that need one")
    parser.add_argument("--password")
    parser.add_argument("--at", default="08:00", help="the time of day of the demo (default 08:00)")
    parser.add_argument("--vehicles", type=int, help="at most so many vehicles in the demo")
    parser.add_argument("--settle", type=float, default=180, help="seconds to wait before the pictures (default 180)")
    options = parser.parse_args()
    chromium = os.environ.get("TAKT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print(
            "screenshots: There is no chromium on the PATH; install it, or name one in TAKT_CHROMIUM.", file=sys.stderr
        )
        return 1
    try:
        with contextlib.ExitStack() as stack:
            if options.url:
                target = Target(options.url.rstrip("/"), options.user, options.password)
            else:
                target = stack.enter_context(own_demo(options.at, options.vehicles))
                wait_for_service(target.url, 0)
                control_lines(target)
            wait_for_service(target.url, options.settle)
            driver = stack.enter_context(sync_playwright())
            browser = driver.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGS)
            take(browser, target)
            browser.close()
    except (ShotError, BrowserError) as error:
        print(f"screenshots: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
