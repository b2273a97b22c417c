"""The dispatcher's page in a real browser, against a made-up city that speaks the same interface."""

from __future__ import annotations

import pytest

pytest.importorskip("playwright.sync_api", reason="needs the playwright package")
from playwright.sync_api import Page, expect

from tests.acceptance.console_page import MARKS, PATIENCE_MS, until
from tests.fixtures import console_city

pytestmark = MARKS


DRAWN = """() => new Set(
    (window.taktMap?.loaded() ? window.taktMap.queryRenderedFeatures(undefined, {layers: ['vehicles']}) : [])
      .map((feature) => feature.properties.key)).size"""


def wait_until_drawn(page: Page, count: int) -> None:
    """Waits until the map draws so many vehicles, counted by their keys, for a tile's edge shows one twice."""
    until(page, lambda: page.evaluate(DRAWN) >= count)


def test_the_page_loads_lists_the_lines_and_asks_nobody_else(visit, city):
    open_page = visit()
    page = open_page.page
    assert page.locator("#lines .line").count() == len(city.city.routes)
    expect(page.locator(".kpi dd").first).to_have_text("200")
    expect(page.locator(".connection")).to_contain_text("Live")
    wait_until_drawn(page, 1)
    assert open_page.complaints == []
    assert [url for url in open_page.asked if not url.startswith((city.url, "blob:", "data:"))] == []


def test_lines_stand_worst_first_and_can_be_searched(visit, city):
    page = visit().page
    expect(page.locator(".overview .dot").first).to_be_visible()
    page.locator(".kpi dd").first.hover()
    page.fill("#search", city.city.routes[3].short_name)
    expect(page.locator(f'#lines .line[data-route="{city.city.routes[3].route_id}"]')).to_be_visible()
    page.fill("#search", "no such line anywhere")
    expect(page.locator("#lines .line")).to_have_count(0)
    expect(page.locator("#lines .empty")).to_be_visible()


ORDER = "() => [...document.querySelectorAll('#lines .line')].map((line) => line.dataset.route)"


def test_the_first_headways_order_the_lines_at_once(visit, city):
    city.silent = True  # one message of each kind comes, and no second one that could set things right
    worst = {
        route.route_id: max(
            abs(headway["ratio"] - 1)
            for headway in (city.city.headway(route, one) for one in route.vehicles)
            if headway["ratio"] is not None
        )
        for route in city.city.routes
    }
    page = visit().page
    expect(page.locator("#lines .line__worst b").first).to_be_visible()
    assert page.evaluate(ORDER) == sorted(worst, key=lambda route_id: -worst[route_id])


def test_the_list_keeps_its_order_under_the_pointer(visit, city):
    page = visit().page
    order = ORDER
    expect(page.locator("#lines .line__worst b").first).to_be_visible()
    page.locator("#lines .line").nth(2).hover()
    before = page.evaluate(order)
    for route in city.city.routes:  # turns every line's headways over
        for vehicle in route.vehicles:
            vehicle.place_m = city.city.rng.uniform(0, route.directions[vehicle.direction].length_m)
    page.wait_for_timeout(7_000)  # nothing may happen, so there is nothing to await: longer than the list's own 5 s
    assert page.evaluate(order) == before
    page.mouse.move(640, 20)
    until(page, lambda: page.evaluate(order) != before)


def test_the_ladder_shows_every_vehicle_with_its_leader_and_its_gap(visit, city):
    page = visit().page
    route = city.city.routes[0]
    page.locator(f'#lines .line[data-route="{route.route_id}"]').click()
    expect(page.locator(".rung").first).to_be_visible()
    expect(page.locator("#ladder [data-vehicle]")).to_have_count(len(route.vehicles))
    middle = page.locator(".rung").nth(1)
    label = middle.get_attribute("aria-label") or ""
    assert "behind" in label or "no leader" in label
    middle.hover()
    expect(page.locator(".cab--active")).to_have_count(1)
    middle.click()
    card = page.locator(".card")
    expect(card).to_contain_text("Headway")
    expect(card).to_contain_text("Leader")
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator(".overview")).to_be_visible()


def test_the_language_and_the_theme_change_and_are_remembered(visit):
    page = visit().page
    page.locator("#language").click()
    expect(page.locator("#lines h2")).to_have_text("Лінії")
    expect(page.locator("html")).to_have_attribute("lang", "uk")
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("#lines h2")).to_have_text("Лінії")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_preferences_of_the_browser_are_the_default(visit):
    page = visit(locale="uk-UA", color_scheme="dark").page
    expect(page.locator("#alerts h2")).to_have_text("Сповіщення")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_an_alert_is_acknowledged_after_signing_in(visit, city):
    open_page = visit()
    page = open_page.page
    first = page.locator('.alert[data-state="open"]').first
    alert_id = first.get_attribute("data-alert")
    before = page.locator('.alert[data-state="open"]').count()
    expect(page).to_have_title(f"({before}) Made-up City · Dispatch console")
    first.get_by_role("button", name="Acknowledge").click()  # not signed in: asks who it is
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    open_page.sign_in("desk1", "wrong")
    expect(page.get_by_role("alert")).to_have_text("User or password is wrong.")
    page.fill("input[name=password]", "correct horse")
    page.keyboard.press("Enter")
    expect(page.locator(".taps__chart")).to_be_visible()
    page.locator(f'.alert[data-alert="{alert_id}"]').get_by_role("button", name="Acknowledge").click()
    expect(page.locator(f'.alert[data-alert="{alert_id}"]')).to_contain_text("Acknowledged by desk1")
    expect(page).to_have_title(f"({before - 1}) Made-up City · Dispatch console")
    assert city.city.alerts[alert_id]["acknowledged_by"] == "desk1"


def test_until_alerts_open_the_page_says_what_is_watched(visit, city):
    city.city.alerts.clear()
    page = visit().page
    expect(page.locator("#alerts .empty")).to_contain_text("an alert opens after a minute")
    page.locator("#language").click()
    expect(page.locator("#alerts .empty")).to_contain_text("Стежимо за")


def test_every_kind_of_alert_is_told_even_one_this_page_does_not_know(visit, city):
    route = city.city.routes[0]
    common = {
        "state": "open", "route_id": route.route_id, "direction_id": 0, "vehicle_id": route.vehicles[0].vehicle_id,
        "leader_id": None, "stop_id": None, "opened_at": city.city.now_s - 70, "updated_at": city.city.now_s,
        "headway_s": None, "scheduled_headway_s": None, "ratio": None, "acknowledged_by": None,
        "acknowledged_at": None, "closed_at": None, "late_s": 250.0, "trip_id": "trip-7",
    }  # fmt: skip
    kinds = ("alarm", "off_route", "silent", "late_departure", "missing", "not_yet_invented")
    city.city.alerts.clear()
    city.city.alerts.update({kind: {**common, "id": kind, "kind": kind} for kind in kinds})
    city.city.alerts["missing"]["vehicle_id"] = ""
    city.city.alerts["silent"].update(state="shelved", shelved_by="desk2", shelved_until=city.city.now_s + 600)
    # As servers wrote it that put the order of the timetable into the sign.
    behind = {"kind": "bunched", "leader_id": "1999", "headway_s": 20.0, "scheduled_headway_s": -360.0}
    city.city.alerts["bunched"] = {**common, "id": "bunched", **behind}
    open_page = visit()
    text = open_page.page.locator("#alerts")
    for words in (
        "4:10 after its time",
        "No vehicle has come for trip trip-7",
        "not_yet_invented",
        "Put aside by desk2",
    ):
        expect(text).to_contain_text(words)
    expect(text).to_contain_text("planned 6:00")
    expect(text).not_to_contain_text("−")
    assert open_page.complaints == []


def test_a_demo_names_the_time_of_its_timetable(visit, city):
    city.timetable_shift_s = 3600
    page = visit().page
    expect(page.locator(".city__time")).to_contain_text("timetable Mon")
    page.locator("#language").click()
    expect(page.locator(".city__time")).to_contain_text("за розкладом пн")


def test_the_map_speaks_the_language_of_the_page(visit):
    page = visit().page
    expect(page.get_by_role("button", name="Zoom in")).to_be_visible()
    page.locator("#language").click()
    expect(page.get_by_role("button", name="Наблизити")).to_be_visible()
    expect(page.get_by_role("button", name="Zoom in")).to_have_count(0)


def test_a_map_with_tiles_says_whose_they_are(visit, city):
    page = visit().page
    expect(page.get_by_role("button", name="Zoom in")).to_be_visible()
    expect(page.locator(".maplibregl-ctrl-attrib")).to_have_count(0)
    city.tile_url = city.url + "/tiles/{z}/{x}/{y}.png"
    page.reload()
    expect(page.locator(".maplibregl-ctrl-attrib")).to_have_text("127.0.0.1")


def test_long_vehicle_ids_leave_room_for_the_leader(visit, city):
    route = city.city.routes[0]
    for number, vehicle in enumerate(route.vehicles):
        vehicle.vehicle_id = f"{1 + number % 3}_{238200 + number}"
    page = visit().page
    page.locator(f'#lines .line[data-route="{route.route_id}"]').click()
    expect(page.locator(".rung__leader").first).to_be_visible()
    cut = """() => [...document.querySelectorAll('.rung__id, .rung__leader')]
        .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""
    until(page, lambda: page.evaluate(cut) == [])
    leaders = page.locator(".rung__leader").all_text_contents()
    assert all(len(leader) >= 4 for leader in leaders if leader), leaders


def test_an_instruction_reaches_the_server(visit, city):
    open_page = visit()
    page = open_page.page
    open_page.sign_in("desk1", "correct horse")
    expect(page.locator(".taps__chart")).to_be_visible()
    page.locator("#lines .line").first.click()
    page.locator(".rung").first.click()
    page.locator(".instruct select").first.select_option("hold")
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".notice")).to_contain_text("Sent to")
    (sent,) = city.instructions
    assert sent["kind"] == "hold"
    assert sent["until_ts"] > city.city.now_s


def test_a_silent_stream_shows_on_every_panel_and_recovers(visit, city):
    page = visit().page
    page.locator("#lines .line").first.click()
    expect(page.locator(".rung").first).to_be_visible()
    city.silent = True
    for panel in ("#lines", "#map", "#alerts", "#ladder"):
        expect(page.locator(panel)).to_have_attribute("data-stale", "true")
    expect(page.locator("#lines .fresh")).to_contain_text("Stale")
    city.silent = False
    for panel in ("#lines", "#map", "#alerts", "#ladder"):
        expect(page.locator(panel)).to_have_attribute("data-stale", "false")


def test_without_a_stream_the_page_asks_instead(browser, city):
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.route("**/api/v1/stream", lambda route: route.fulfill(status=404))
    page = context.new_page()
    page.goto(city.url)
    expect(page.locator(".connection")).to_contain_text("Polling")
    expect(page.locator(".kpi dd").first).to_have_text("200")
    expect(page.locator("#lines")).to_have_attribute("data-stale", "false")
    context.close()


def test_a_hidden_page_lets_go_of_the_stream(visit, city):
    page = visit().page
    expect(page.locator(".connection")).to_contain_text("Live")
    hide = """(hidden) => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true })
        document.dispatchEvent(new Event('visibilitychange'))
    }"""
    page.evaluate(hide, True)
    expect(page.locator(".connection")).to_contain_text("Paused")
    with city.changed:
        assert city.changed.wait_for(lambda: city.streams == 0, timeout=PATIENCE_MS / 1000)
    page.evaluate(hide, False)
    expect(page.locator(".connection")).to_contain_text("Live")


def test_a_login_that_ends_elsewhere_shows_at_once(visit, city):
    open_page = visit()
    open_page.sign_in()
    page = open_page.page
    expect(page.locator(".header__tools")).to_contain_text("Sign out")
    city.logins_ended = True  # the stream says so; nothing else is asked
    expect(page.locator(".header__tools")).to_contain_text("Sign in")


def test_validators_to_look_at_are_marked_and_listed(visit, city):
    open_page = visit()
    open_page.sign_in()
    page = open_page.page
    mark = page.locator(".validators")
    expect(mark).to_have_attribute("data-amiss", "false")
    city.wrong_clocks_s = [86_400.0, -600.0]
    city.old_lists = [{"keys": 900.0, "status": 7260.0, "deny": None}]
    page.reload()
    expect(mark).to_have_attribute("data-amiss", "true")
    expect(mark).to_contain_text("3")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    mark.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("412 validators say how old their lists are")
    rows = dialog.locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(0)).to_contain_text("24:00:00 behind")
    expect(rows.nth(1)).to_contain_text("10:00 ahead")
    expect(rows.nth(2)).to_contain_text("2:01:00")
    expect(rows.nth(2)).to_contain_text("none")
    expect(dialog).to_contain_text("62 taps put right, 2 by a clock that nobody knows")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_degraded_ticketing_is_said_in_words(visit, city):
    city.degraded = True
    open_page = visit()
    open_page.sign_in("desk1", "correct horse")
    expect(open_page.page.locator(".banner")).to_contain_text("Ticketing degraded since")


def test_the_keyboard_is_enough(visit):
    page = visit().page
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#lines .line[aria-current]")).to_have_count(1)
    expect(page.locator(".rung").first).to_be_visible()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator(".alert__what").first).to_be_focused()


def test_a_thousand_vehicles_are_all_drawn(visit):
    with console_city.Server(vehicles=1000) as crowd:
        page = visit(crowd.url).page
        expect(page.locator(".kpi dd").first).to_have_text("1,000")
        wait_until_drawn(page, 1000)
        page.locator("#lines .line").first.click()
        expect(page.locator(".rung").first).to_be_visible()


@pytest.mark.parametrize("locale", ["en-GB", "uk-UA"])
def test_a_telephone_shows_one_panel_at_a_time_without_sideways_scrolling(visit, locale):
    page = visit(width=390, height=844, locale=locale).page
    for index in range(4):
        page.locator(".tabs__tab").nth(index).click()
        assert page.locator(".main > .panel:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".tabs__tab").nth(0).click()
    page.locator("#lines .line").first.click()
    expect(page.locator("#ladder .rung").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
