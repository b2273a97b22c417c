"""The passenger's page in a real browser at 390 px, against the whole product: bought, shown, scanned, ridden."""

from __future__ import annotations

import io
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="needs the playwright package")
zxingcpp = pytest.importorskip("zxingcpp", reason="needs the zxing-cpp package")
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright  # noqa: E402

from tests.acceptance.product import Product, product  # noqa: E402
from tests.acceptance.test_demo import Device  # noqa: E402

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
DIST = ROOT / "ticketing" / "wallet" / "dist" / "index.html"
CHROMIUM_ARGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 30_000  # a machine busy with other tests draws slowly
expect.set_options(timeout=PATIENCE_MS)

WINDOW_S = 6
CLOCK_ERROR_S = 10  # what the validator tolerates beyond the window
SETTINGS = f"""
[ticketing]
proof_window_s = {WINDOW_S}
[payments]
timeout_s = 1.0
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.acceptance,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs /usr/bin/chromium"),
    pytest.mark.skipif(not DIST.exists(), reason="needs the built page: make wallet"),
]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """A demo with a short window for proofs, so that a test can wait for a screenshot to grow old."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "takt.toml").write_text(SETTINGS)
    running = product(folder / "data", "demo", "--vehicles", "3", "--config", str(folder / "takt.toml"))
    running.start()
    try:
        running.ready(120)
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGS)
        yield browser
        browser.close()


class Phone:
    """A passenger's telephone with the page open, and everything that the page complained about and asked."""

    def __init__(self, browser: Browser, town: Product, script: str = "", **options: object) -> None:
        self.town = town
        usual = {"locale": "en-GB", "color_scheme": "light", "viewport": {"width": 390, "height": 844}}
        usual |= {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
        self.context = browser.new_context(**{**usual, **options})
        if script:
            self.context.add_init_script(script)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.purchases: list[dict[str, str]] = []
        self.page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.note)
        self.page.goto(self.url)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.town.http_port}/ticket"

    def note(self, request: Any) -> None:
        self.asked.append(request.url)
        if request.method == "POST" and request.url.endswith("/api/v1/purchases"):
            self.purchases.append({"key": request.headers["idempotency-key"], "body": request.post_data})

    def choose(self, product_id: str = "mobile") -> None:
        self.page.goto(f"{self.url}#/buy/{product_id}")
        self.page.get_by_role("button", name="Pay").click()

    def pay(self, card: str = "Good card") -> None:
        self.page.get_by_role("dialog").get_by_role("button", name=card).click()

    def buy(self, product_id: str = "mobile") -> None:
        self.choose(product_id)
        self.pay()
        expect(self.code).to_be_visible()

    @property
    def code(self) -> Any:
        return self.page.get_by_role("img", name="QR code of the ticket")

    def scan(self) -> str:
        """What a camera reads from the screen."""
        expect(self.code).to_be_visible()
        return read(self.page.screenshot())

    def ticket_ids(self) -> list[str]:
        return self.page.evaluate(TICKET_IDS)


def read(picture: bytes) -> str:
    codes = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))
    assert len(codes) == 1, f"{len(codes)} codes on the screen"
    return codes[0].text


OPEN = """const open = () => new Promise((done, failed) => {
    const asked = indexedDB.open('takt-wallet')
    asked.onsuccess = () => {
      const all = asked.result.transaction('tickets').objectStore('tickets').getAll()
      all.onsuccess = () => { asked.result.close(); done(all.result) }
      all.onerror = () => failed(all.error)
    }
  })"""
ATTEMPTS = "async () => { " + OPEN.replace("tickets", "attempts") + "; return (await open()).length }"
TICKET_IDS = f"async () => {{ {OPEN}; return (await open()).map((ticket) => ticket.id) }}"
STEAL = f"""async () => {{ {OPEN}
  const [ticket] = await open()
  const tries = {{}}
  for (const format of ['pkcs8', 'jwk', 'raw']) {{
    tries[format] = await crypto.subtle.exportKey(format, ticket.key.privateKey).then(() => 'exported', (e) => e.name)
  }}
  return {{ tries, extractable: ticket.key.privateKey.extractable, algorithm: ticket.key.privateKey.algorithm.name,
           written: JSON.stringify(ticket.key) + JSON.stringify(localStorage) }}
}}"""


@pytest.fixture
def phone(browser: Browser, town: Product) -> Iterator[Callable[..., Phone]]:
    phones: list[Phone] = []

    def take(**options: Any) -> Phone:
        phones.append(Phone(browser, town, **options))
        return phones[-1]

    yield take
    for one in phones:
        one.context.close()


def tap(town: Product, token: str) -> str:
    """The verdict of a validator at a door, over HTTP."""
    body = {"id": str(uuid.uuid4()), "boot": "w1", "seq": int(time.monotonic() * 1000), "ts": time.time()}
    reply = town.http("/api/v1/validations", {**body, "medium": "qr", "token": token}, role="validator")
    assert reply.status == 200, reply.body
    return reply.json["verdict"]


def charged(town: Product, phone: Phone) -> int:
    """How often the acquirer took money for the cards that this telephone paid with."""
    tokens = {json.loads(purchase["body"])["payment"]["method_token"] for purchase in phone.purchases}
    lines = (town.data_dir / "demo-acquirer.jsonl").read_text().splitlines()
    operations = [json.loads(line) for line in lines]
    return sum(one["kind"] == "charge" and one["approved"] and one["token"] in tokens for one in operations)


def test_a_ticket_is_bought_scanned_and_ridden_and_its_screenshot_grows_old(town, phone):
    mine = phone()
    mine.page.get_by_role("link", name="Buy a ticket").click()
    offers = town.http("/api/v1/products").json["products"]
    single = next(offer for offer in offers if offer["id"] == "mobile")
    assert single["proof"]
    # Of two tickets that cost and give the same, the one bound to the telephone is offered.
    expect(mine.page.locator('[data-product="mobile"]')).to_contain_text("Bound to this phone")
    expect(mine.page.locator('[data-product="mobile"]')).to_contain_text("15 days from the purchase")
    expect(mine.page.locator('[data-product="group"]')).to_contain_text("1 ride for 10 people together")
    expect(mine.page.locator('[data-product="single"]')).to_have_count(0)
    mine.page.locator('[data-product="mobile"]').click()
    expect(mine.page.get_by_role("heading", name=single["name"]["en"])).to_be_visible()
    mine.page.get_by_role("button", name="Pay ₴8.00").click()
    mine.pay()
    expect(mine.page.locator(".ticket .state")).to_have_text("Valid")
    picture = mine.page.screenshot()
    validator = Device(town, "validator")
    try:
        verdict = validator.tap(read(picture))
        assert verdict["verdict"] == "accepted", verdict
        expect(mine.page.locator(".code__accepted")).to_contain_text("Accepted")
        expect(mine.page.locator(".ticket .state")).to_have_text("Used")
        expect(mine.page.locator(".ticket__facts")).to_contain_text("Last used")
        town.wait(
            "the screenshot to grow old",
            lambda: validator.tap(read(picture))["verdict"] == "stale_proof",
            WINDOW_S + CLOCK_ERROR_S + 20,
        )
        mine.page.get_by_role("button", name="Show the code").or_(mine.code).first.wait_for()
    finally:
        validator.close()
    assert charged(town, mine) == 1
    assert mine.complaints == []
    assert [url for url in mine.asked if not url.startswith(mine.url.removesuffix("/ticket"))] == []


def test_the_code_renews_itself_every_few_seconds(town, phone):
    mine = phone()
    mine.buy("day")
    first = mine.scan()
    town.wait("another code", lambda: mine.scan() != first, 30)
    assert tap(town, mine.scan()) == "accepted"


def test_the_key_of_a_ticket_cannot_be_read_out(phone):
    mine = phone()
    mine.buy()
    found = mine.page.evaluate(STEAL)
    assert found["algorithm"] == "Ed25519"
    assert found["extractable"] is False
    assert set(found["tries"].values()) <= {"InvalidAccessError", "NotSupportedError"}, found["tries"]
    assert found["written"].startswith('{"privateKey":{},"publicKey":{}}')
    assert '"d"' not in found["written"]


def test_a_browser_without_ed25519_uses_p256(town, phone):
    without = """const make = crypto.subtle.generateKey.bind(crypto.subtle)
        crypto.subtle.generateKey = (algorithm, ...rest) => (algorithm === 'Ed25519' || algorithm.name === 'Ed25519')
            ? Promise.reject(new DOMException('unknown', 'NotSupportedError')) : make(algorithm, ...rest)"""
    mine = phone(script=without)
    mine.buy()
    found = mine.page.evaluate(STEAL)
    assert (found["algorithm"], found["extractable"]) == ("ECDSA", False)
    assert tap(town, mine.scan()) == "accepted"


def test_without_a_network_the_page_opens_and_its_code_stays_fresh(town, phone):
    mine = phone()
    mine.buy()
    mine.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    mine.context.set_offline(True)
    mine.page.goto("about:blank")
    mine.page.goto(mine.url)
    expect(mine.page.locator(".head .offline")).to_contain_text("No connection")
    first = mine.scan()
    town.wait("another code", lambda: mine.scan() != first, 30)
    assert tap(town, mine.scan()) == "accepted"
    mine.page.get_by_role("link", name="Buy", exact=True).click()
    expect(mine.page.locator(".note--offline")).to_be_visible()
    mine.page.go_back()
    mine.context.set_offline(False)
    expect(mine.page.locator(".ticket .state")).to_have_text("Used")
    expect(mine.page.locator(".head .offline")).to_have_count(0)


def test_a_telephone_whose_clock_is_wrong_shows_the_right_time(town, phone):
    slow = "const real = Date.now.bind(Date); Date.now = () => real() - 600_000"
    mine = phone(script=slow)
    mine.buy()
    expect(mine.page.get_by_text("clock is 10 min")).to_be_visible()
    assert tap(town, mine.scan()) == "accepted"


def test_a_declined_card_buys_nothing_and_another_one_does(town, phone):
    mine = phone()
    mine.choose()
    mine.pay("Empty card")
    alert = mine.page.get_by_role("alert")
    expect(alert).to_contain_text("Payment declined")
    expect(alert).to_contain_text("not enough money")
    assert mine.ticket_ids() == []
    mine.page.reload()
    expect(mine.page.get_by_role("button", name="Pay")).to_be_enabled()
    mine.page.get_by_role("button", name="Pay").click()
    mine.pay()
    expect(mine.code).to_be_visible()
    assert len({purchase["key"] for purchase in mine.purchases}) == 2
    assert charged(town, mine) == 1


def test_two_taps_buy_once(town, phone):
    mine = phone()
    mine.choose()
    mine.page.locator('[data-card="good"]').evaluate("(button) => { button.click(); button.click(); button.click() }")
    expect(mine.code).to_be_visible()
    assert len(mine.ticket_ids()) == 1
    assert len({purchase["key"] for purchase in mine.purchases}) == 1
    assert charged(town, mine) == 1


def test_two_tabs_buy_once_and_both_lead_to_the_ticket(town, phone):
    mine = phone()
    tab = mine.context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.on("request", mine.note)  # either of the two may be the one that sends
    tab.goto(f"{mine.url}#/buy/mobile")
    tab.get_by_role("button", name="Pay").click()
    mine.choose()
    mine.pay("Slow card")
    # The other tab hears of it, puts its bank's sheet away, and would not send a second order either.
    expect(tab.get_by_role("dialog")).to_have_count(0)
    expect(tab.get_by_role("button", name="Pay")).to_be_disabled()
    expect(tab.locator(".waiting")).to_be_visible()
    expect(tab.get_by_role("img", name="QR code of the ticket")).to_be_visible(timeout=90_000)
    expect(mine.code).to_be_visible()
    assert len(mine.ticket_ids()) == 1
    assert len({purchase["key"] for purchase in mine.purchases}) == 1
    assert charged(town, mine) == 1


def test_an_order_that_another_tab_has_written_down_is_not_joined_by_a_second(phone):
    mine = phone()
    mine.context.route("**/api/v1/purchases", lambda _route: None)  # no answer ever comes
    # A tab that hears nothing of the others, as one in another window of an older browser.
    tab = mine.context.new_page()
    tab.add_init_script("delete window.BroadcastChannel")
    tab.goto(f"{mine.url}#/buy/mobile")
    tab.get_by_role("button", name="Pay").click()
    mine.choose()
    mine.pay()
    expect(mine.page.locator(".waiting")).to_be_visible()
    tab.get_by_role("dialog").get_by_role("button", name="Good card").click()
    expect(tab.locator(".waiting")).to_be_visible()
    assert mine.page.evaluate(ATTEMPTS) == 1


def test_a_purchase_goes_on_in_the_tab_that_is_left(town, phone):
    mine = phone()
    tab = mine.context.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    mine.choose()
    mine.pay("Slow card")
    expect(mine.page.get_by_role("status").filter(has_text="The bank is still checking")).to_be_visible()
    tab.goto(f"{mine.url}#/")
    expect(tab.get_by_role("status").filter(has_text="The bank is still checking")).to_be_visible()
    mine.page.close()
    expect(tab.locator(".stub")).to_be_visible(timeout=90_000)
    assert charged(town, mine) == 1


def test_an_answer_that_is_lost_is_asked_for_again_and_pays_once(town, phone):
    mine = phone()
    lost: list[int] = []

    def lose(route: Route) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)  # the server has sold it
        route.abort()

    mine.context.route("**/api/v1/purchases", lose)
    mine.buy()
    assert lost == [201]
    assert len(mine.purchases) >= 2
    assert len({purchase["key"] for purchase in mine.purchases}) == 1
    assert len(mine.ticket_ids()) == 1
    assert charged(town, mine) == 1


def test_a_reload_while_buying_takes_the_purchase_up_again(town, phone):
    mine = phone()
    held: list[Route] = []
    mine.context.route("**/api/v1/purchases", lambda route: route.continue_() if held else held.append(route))
    mine.choose()
    with mine.page.expect_request("**/api/v1/purchases"):
        mine.pay()
    expect(mine.page.get_by_role("status").filter(has_text="Buying your ticket")).to_be_visible()
    expect(mine.page.get_by_role("button", name="Pay")).to_be_disabled()
    mine.page.reload()
    expect(mine.code).to_be_visible()
    assert len({purchase["key"] for purchase in mine.purchases}) == 1
    assert len(mine.ticket_ids()) == 1
    assert charged(town, mine) == 1


def test_a_bank_that_is_slow_is_waited_for(town, phone):
    mine = phone()
    mine.choose()
    mine.pay("Slow card")
    expect(mine.page.get_by_role("status").filter(has_text="The bank is still checking")).to_be_visible()
    mine.page.get_by_role("link", name="My tickets").click()
    expect(mine.page.get_by_role("status").filter(has_text="The bank is still checking")).to_be_visible()
    expect(mine.page.locator(".stub")).to_be_visible(timeout=90_000)
    assert len(mine.ticket_ids()) == 1
    assert charged(town, mine) == 1


AMOUNT_LINES = """() => [...document.querySelectorAll('.facts__sum dd')].map((amount) => {
    const words = document.createRange()
    words.selectNodeContents(amount)
    return words.getClientRects().length
  })"""


def test_a_ticket_that_the_desk_cancels_hides_its_code(town, phone):
    mine = phone()
    mine.buy("month")
    (ticket_id,) = mine.ticket_ids()
    town.http(f"/api/v1/tickets/{ticket_id}/suspend", {"reason": "asked for"}, role="cashier")
    expect(mine.page.locator(".ticket .state")).to_have_text("Suspended")
    expect(mine.code).to_have_count(0)
    town.http(f"/api/v1/tickets/{ticket_id}/refund", {"reason": "asked for"}, role="cashier")
    expect(mine.page.locator(".ticket .state")).to_have_text("Refunded")
    expect(mine.page.get_by_text("₴700.00 was given back on")).to_be_visible()
    mine.page.get_by_role("link", name="Receipt").click()
    expect(mine.page.locator(".receipt")).to_contain_text(
        re.compile(r"Bought\d+ \w+ 20\d\d, .*Given back, \d+ \w+ 20\d\d")
    )
    assert mine.page.evaluate(AMOUNT_LINES) == [1, 1]
    mine.page.get_by_role("link", name="My tickets").click()
    expect(mine.page.get_by_text("Past tickets (1)")).to_be_visible()
    expect(mine.page.get_by_text("No valid tickets")).to_be_visible()


def test_several_tickets_are_listed_and_each_has_its_receipt(town, phone):
    mine = phone()
    for product_id in ("mobile", "ten"):
        mine.buy(product_id)
    mine.page.get_by_role("link", name="My tickets").click()
    expect(mine.page.locator(".stub")).to_have_count(2)
    mine.page.locator(".stub").filter(has_text="Ten rides").click()
    expect(mine.page.locator(".ticket__facts")).to_contain_text("10 rides left")
    assert tap(town, mine.scan()) == "accepted"
    expect(mine.page.locator(".ticket__facts")).to_contain_text("9 rides left")
    mine.page.get_by_role("link", name="Receipt").click()
    expect(mine.page.locator(".receipt")).to_contain_text("₴77.00")
    mine.page.reload()
    expect(mine.page.locator(".receipt")).to_contain_text("₴77.00")
    keys = {json.loads(purchase["body"])["device_key"]["x"] for purchase in mine.purchases}
    assert len(keys) == 2, "two tickets of one telephone can be joined by their key"


NAMELESS = """() => [...document.querySelectorAll('a, button')].filter((one) => one.offsetParent !== null
    && !(one.getAttribute('aria-label') || one.textContent.trim())).map((one) => one.outerHTML)"""


def test_the_keyboard_is_enough(phone):
    mine = phone(has_touch=False, is_mobile=False)
    page = mine.page
    press(page, "link", "Buy a ticket")
    expect(page.get_by_role("heading", name="Buy a ticket")).to_be_focused()
    press(page, "link", "Single ride on the phone")
    press(page, "button", "Pay")
    expect(page.get_by_role("dialog", name="Demo bank")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    press(page, "button", "Pay")
    expect(page.get_by_role("dialog", name="Demo bank")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    press(page, "button", "Good card")
    expect(mine.code).to_be_visible()
    assert page.evaluate(NAMELESS) == []
    assert page.locator("h1").count() == 1


def press(page: Page, role: Any, name: str) -> None:
    """Tab to it and press Enter, as one who has no mouse."""
    goal = page.get_by_role(role, name=name).first
    expect(goal).to_be_visible()
    for _ in range(30):
        if goal.evaluate("(element) => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{role} {name!r} is not reached by Tab")


@pytest.mark.parametrize(("locale", "width"), [("uk-UA", 390), ("en-GB", 320)])
def test_every_view_fits_the_screen(phone, locale, width):
    mine = phone(locale=locale, viewport={"width": width, "height": 700}, color_scheme="dark")
    page = mine.page
    assert page.evaluate("document.documentElement.lang") == locale[:2]
    fits = "document.documentElement.scrollWidth <= innerWidth"
    for view in ("#/", "#/buy", "#/buy/month"):
        page.goto(mine.url + view)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate(fits), view
    page.locator(".button--main").click()
    page.locator('[data-card="good"]').click()
    expect(page.locator(".qr svg")).to_be_visible()
    assert page.evaluate(fits)
    # Dark on white, also in the dark theme.
    assert (
        page.locator(".code__frame").evaluate("(frame) => getComputedStyle(frame).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    assert read(page.screenshot())
    page.locator('a[href^="#/receipt"]').click()
    expect(page.locator(".receipt")).to_be_visible()
    assert page.evaluate(fits)
    page.goto(mine.url + "#/")
    expect(page.locator(".stub")).to_be_visible()
    assert page.evaluate(fits)
    assert mine.complaints == []
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en" if locale == "uk-UA" else "uk")


LARGE_LETTERS = [*CHROMIUM_ARGS, "--blink-settings=defaultFontSize=32"]
CROWDED = """() => [...document.querySelectorAll('main *, header *, nav *')].filter((one) =>
    one.getClientRects().length && !one.closest('.sr-only') && one.getBoundingClientRect().right > innerWidth + 1)
    .map((one) => one.className || one.tagName)"""


@pytest.mark.parametrize("how", ["enlarged to 200 %", "large letters"])
def test_a_page_of_twice_the_size_hides_and_crowds_nothing(browser, town, how):
    """Enlarged, a screen of 390 px has room for 195; or the letters alone are as large as their owner likes."""
    if how == "large letters":
        other = browser.browser_type.launch(executable_path=str(CHROMIUM), args=LARGE_LETTERS)
        try:
            _see_every_view(Phone(other, town, locale="uk-UA"))
        finally:
            other.close()
    else:
        small = {"viewport": {"width": 195, "height": 422}, "device_scale_factor": 4, "is_mobile": False}
        _see_every_view(Phone(browser, town, locale="uk-UA", **small))


def _see_every_view(mine: Phone) -> None:
    page = mine.page
    for view in ("#/", "#/buy", "#/buy/mobile"):
        page.goto(mine.url + view)
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate(CROWDED) == [], view
    page.locator(".button--main").click()
    assert page.locator("dialog").evaluate("(sheet) => sheet.scrollWidth <= sheet.clientWidth")
    page.locator('[data-card="good"]').click()
    page.locator(".qr svg").scroll_into_view_if_needed()
    assert page.evaluate(CROWDED) == []
    assert read(page.screenshot())
    page.locator('a[href^="#/receipt"]').click()
    expect(page.locator(".receipt")).to_be_visible()
    assert page.evaluate(CROWDED) == []
    mine.context.close()


def test_the_page_can_be_installed(town):
    page = town.http("/ticket").body.decode()
    manifest = town.http("/ticket/manifest.webmanifest").json
    assert 'rel="manifest" href="ticket/manifest.webmanifest"' in page
    assert manifest["display"] == "standalone"
    for icon in manifest["icons"]:
        assert town.http(f"/ticket/{icon['src']}").status == 200


def test_a_ticket_that_any_phone_can_show_says_so_before_and_after_it_is_bought(town, phone):
    mine = phone()
    mine.page.goto(f"{mine.url}#/buy/mobile")
    expect(mine.page.get_by_text("a screenshot of it opens nothing")).to_be_visible()
    expect(mine.page.get_by_text("Unused, within 14 days, at a ticket desk")).to_be_visible()
    mine.buy("month")
    expect(mine.page.get_by_text("Whoever has a picture of this code can ride with it")).to_be_visible()
    expect(mine.page.locator(".ticket__facts")).to_contain_text("City transport")


def test_where_nobody_takes_the_money_yet_the_page_shows_prices_and_says_where_to_buy(town, phone):
    def real(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "demo": False})

    mine = phone(service_workers="block")
    mine.page.route("**/api/v1/instance", real)
    mine.page.goto(f"{mine.url}#/")
    mine.page.reload()
    expect(mine.page.get_by_text("This page sells no tickets yet. Please buy one at a ticket desk.")).to_be_visible()
    mine.page.get_by_role("link", name="See the prices").click()
    expect(mine.page.get_by_role("heading", name="Prices")).to_be_visible()
    expect(mine.page.get_by_text("₴700.00")).to_be_visible()
    assert mine.page.locator("a.offer").count() == 0
    mine.page.goto(f"{mine.url}#/buy/month")
    expect(mine.page.get_by_text("Please buy one at a ticket desk.")).to_be_visible()
    expect(mine.page.get_by_role("button", name="Pay")).to_have_count(0)
