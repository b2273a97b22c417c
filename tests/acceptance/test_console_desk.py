"""The dispatcher's desk in a real browser: advice, lines under control, alerts put aside, orders, notices, the past."""

from __future__ import annotations

import datetime as dt
import re

import pytest

pytest.importorskip("playwright.sync_api", reason="needs the playwright package")
from playwright.sync_api import Page, expect

from tests.acceptance.console_page import MARKS, until

# Twenty tests of a browser take minutes: they run with the other long ones, by `make soak`.
pytestmark = [*MARKS, pytest.mark.soak]


@pytest.fixture
def page(visit, city) -> Page:
    """The console, signed in, with the line that has advice open."""
    city.desk.advising = False  # what there is at the start is enough, and nothing comes between
    open_page = visit(map_drawn=False)
    open_page.sign_in()
    expect(open_page.page.locator(".taps__chart")).to_be_visible()
    return open_page.page


def open_advice(page: Page) -> None:
    page.locator("#alerts .desk__other").click()
    expect(page.locator("#advice")).to_be_visible()


def open_line(page: Page, city, number: int = 0) -> None:
    page.locator(f'#lines .line[data-route="{city.city.routes[number].route_id}"]').click()
    expect(page.locator(".rung").first).to_be_visible()


def select_vehicle(page: Page, city) -> str:
    open_line(page, city)
    page.locator(".rung").first.click()
    expect(page.locator(".card")).to_be_visible()
    return page.locator(".card h2").text_content()


def test_advice_stands_by_urgency_with_its_reason_and_its_effect(page, city):
    open_advice(page)
    wanted = sorted((one for one in city.desk.advice.values() if one["state"] == "open"), key=lambda a: a["expires_at"])
    until(page, lambda: page.locator("#advice .advice--open").count() == len(wanted))
    shown = page.evaluate("() => [...document.querySelectorAll('.advice--open')].map((one) => one.dataset.advice)")
    assert shown == [one["id"] for one in wanted]
    first = page.locator(".advice--open").first
    expect(first).to_contain_text("Leave ")
    expect(first).to_contain_text("of a planned")
    expect(first).to_contain_text("Riders wait")
    page.locator("#language").click()
    expect(first).to_contain_text("за планом")
    expect(first).to_contain_text("Чекання −")


def test_two_keys_apply_advice_and_its_steps_show_at_the_vehicle(page, city):
    open_line(page, city)
    page.keyboard.press("v")
    first = page.locator(".advice__what").first
    expect(first).to_be_focused()
    advice_id = page.locator("#advice [data-advice]").first.get_attribute("data-advice")
    piece = city.desk.advice[advice_id]
    vehicle = f'[data-vehicle="city/{piece["vehicle_id"]}"]'
    expect(page.locator(f"#ladder {vehicle} .rung__desk--advice")).to_be_visible()
    page.keyboard.press("+")
    page.keyboard.press("y")
    item = page.locator(f'[data-advice="{advice_id}"]')
    expect(item).to_have_attribute("data-state", "applied")
    expect(item).to_contain_text("desk1")
    assert city.desk.instructions[piece["instruction_id"]]["hold_s"] == piece["hold_s"] == 110
    expect(first).to_be_focused()  # the list does not move under the hand
    steps = page.locator(f"#ladder {vehicle} .steps")
    expect(steps).to_have_attribute("data-step", "read")
    expect(item.locator(".steps")).to_have_attribute("data-step", "read")
    page.locator(f"#ladder {vehicle}").click()
    expect(page.locator(".log__entry").first).to_contain_text("Read")


def test_advice_is_declined_by_a_key_and_the_focus_goes_on(page, city):
    page.keyboard.press("v")
    expect(page.locator(".advice__what").first).to_be_focused()
    page.keyboard.press("n")
    first = page.locator("#advice [data-advice]").first
    expect(first).to_have_attribute("data-state", "declined")
    page.keyboard.press("j")
    expect(page.locator(".advice__what").nth(1)).to_be_focused()
    assert [one["state"] for one in city.desk.decisions].count("declined") == 1


def test_advice_points_at_its_vehicle_and_the_neighbours(page, city):
    open_line(page, city)
    open_advice(page)
    followed = next(
        one for one in city.desk.advice.values()
        if one["state"] == "open" and _leader(city, one["vehicle_id"])
    )  # fmt: skip
    page.locator(f'[data-advice="{followed["id"]}"]').hover()
    expect(page.locator(".cab--active")).to_have_count(1)
    expect(page.locator(".rung--leads")).to_have_count(1)


def _leader(city, vehicle_id: str) -> object:
    route = city.city.routes[0]
    runner = next((one for one in route.vehicles if one.vehicle_id == vehicle_id), None)
    return runner and city.city.headway(route, runner)["leader_id"]


def test_advice_that_is_gone_says_so_and_moves_nothing(page, city):
    open_advice(page)
    open_ones = page.locator(".advice--open")
    expect(open_ones.first).to_be_visible()
    first = open_ones.first.get_attribute("data-advice")
    open_ones.first.hover()
    del city.desk.advice[first]
    item = page.locator(f'[data-advice="{first}"]')
    expect(item).to_have_attribute("data-state", "withdrawn")
    expect(item).to_contain_text("No longer needed")
    assert page.locator("#advice [data-advice]").first.get_attribute("data-advice") == first
    page.locator("#map").hover()
    expect(item).to_have_count(0)


def test_a_line_is_set_to_automatic_only_after_a_second_word(page, city):
    open_line(page, city, 3)
    control = page.locator(".control")
    expect(control).to_have_attribute("data-mode", "off")
    control.get_by_role("button", name="Automatic").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("automatically?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(control).to_have_attribute("data-mode", "off")
    control.get_by_role("button", name="Automatic").click()
    dialog.locator("select").select_option("prediction")
    expect(dialog).to_contain_text("several vehicles behind")
    dialog.get_by_role("button", name="Switch to automatic").click()
    expect(control).to_have_attribute("data-mode", "automatic")
    route_id = city.city.routes[3].route_id
    assert (city.desk.control[route_id]["mode"], city.desk.control[route_id]["law"]) == ("automatic", "prediction")
    expect(page.locator(f'#lines .line[data-route="{route_id}"] .mode')).to_have_text("auto")
    control.get_by_role("button", name="Advise").click()
    expect(control).to_have_attribute("data-mode", "advise")
    control.get_by_role("button", name="Off").click()
    expect(control).to_have_attribute("data-mode", "off")


def test_one_sees_the_excess_wait_fall_and_the_decisions(page, city):
    open_line(page, city, 1)
    expect(page.locator(".control .figure").first).to_contain_text("was")
    expect(page.locator(".control .figure--better").first).to_be_visible()
    expect(page.locator(".control .trend__line")).to_be_visible()
    expect(page.locator(".control .trend__since")).to_have_count(1)
    page.get_by_role("button", name="Decisions").click()
    dialog = page.get_by_role("dialog")
    rows = dialog.locator("tr[data-decision]")
    expect(rows.first).to_be_visible()
    expect(dialog).to_contain_text("automatic, switched on by desk2")
    rows.filter(has=page.get_by_role("button")).first.get_by_role("button").click()
    expect(dialog.locator(".decisions__known")).to_contain_text("scheduled_headway_s")
    expect(dialog.locator(".decisions__known")).to_contain_text("5:00")


def test_alerts_are_put_aside_and_closed_with_a_reason(page, city):
    first = page.locator('.alert[data-state="open"]').first
    alert_id = first.get_attribute("data-alert")
    first.get_by_role("button", name="Put aside or close").click()
    first.get_by_role("button", name="30 min").click()
    item = page.locator(f'[data-alert="{alert_id}"]')
    expect(item).to_contain_text("Put aside by desk1 until")
    item.get_by_role("button", name="Put aside or close").click()
    close = item.get_by_role("button", name="Close", exact=True)
    expect(close).to_be_disabled()
    item.get_by_label("Reason for closing").fill("Vehicle replaced")
    close.click()
    expect(item).to_contain_text(re.compile(r"Closed by desk1 at .*: Vehicle replaced"))
    assert city.city.alerts[alert_id]["close_reason"] == "Vehicle replaced"


def test_alerts_are_seen_to_with_the_keyboard(page, city):
    page.keyboard.press("a")
    expect(page.locator(".alert__what").first).to_be_focused()
    alert_id = page.locator("#alerts [data-alert]").first.get_attribute("data-alert")
    page.keyboard.press("y")
    expect(page.locator(f'[data-alert="{alert_id}"]')).to_contain_text("Acknowledged by desk1")
    page.keyboard.press("n")
    page.keyboard.press("1")
    expect(page.locator(f'[data-alert="{alert_id}"]')).to_contain_text("Put aside by desk1")


def test_the_past_is_played_and_left_again(page, city):
    open_line(page, city)
    page.keyboard.press("p")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("200 vehicles, 4,200 positions, 2 alerts, 1 decisions")
    dialog.locator("select[name=speed]").select_option("60")
    dialog.get_by_role("button", name="Play", exact=True).click()
    bar = page.locator(".past")
    expect(bar).to_contain_text("This is the past, not now")
    expect(page.locator("#ladder")).to_have_attribute("data-past", "true")
    expect(bar).to_have_attribute("data-state", "playing")
    expect(page.locator(".rung").first).to_be_visible()
    position = bar.get_by_label("Time on show")
    before = float(position.input_value())
    until(page, lambda: float(position.input_value()) >= before + 120)
    expect(page.locator(".control")).to_have_count(0)
    expect(bar.locator(".past__meanwhile")).to_contain_text("Now:")  # alarms of now are not missed
    page.keyboard.press("p")
    expect(bar).to_have_attribute("data-state", "paused")
    expect(page.locator("#lines")).to_have_attribute("data-stale", "false")
    position.fill(str(int(before) + 1800))
    expect(page.locator("#alerts [data-alert=past-1]")).to_be_visible()
    expect(bar).to_have_attribute("data-state", "paused")
    assert float(position.input_value()) >= before + 1790
    page.locator(".rung").first.click()
    expect(page.locator(".card")).to_contain_text("not in the past")
    bar.get_by_role("button", name="Return to now").click()
    expect(bar).to_have_count(0)
    expect(page.locator("#ladder")).not_to_have_attribute("data-past", "true")
    expect(page.locator(".control")).to_be_visible()
    expect(page.locator(".connection")).to_contain_text("Live")


def play_an_hour(page, city):
    """The last hour, standing at an instant of its first minutes; returns the bar and when the hour begins."""
    open_line(page, city)
    page.keyboard.press("p")
    page.get_by_role("dialog").get_by_role("button", name="Play", exact=True).click()
    bar = page.locator(".past")
    expect(bar).to_have_attribute("data-state", "playing")
    expect(bar.locator(".past__mark")).to_have_count(2)
    page.keyboard.press("p")
    expect(bar).to_have_attribute("data-state", "paused")
    return bar, float(bar.get_by_label("Time on show").get_attribute("min"))


def test_the_past_shows_the_alerts_and_decisions_of_then(page, city):
    bar, from_s = play_an_hour(page, city)
    expect(page.locator("#alerts")).to_contain_text("No alert was open")
    position = bar.get_by_label("Time on show")
    page.keyboard.press("Shift+Period")  # to the first alert
    expect(page.locator("#alerts [data-alert]")).to_have_count(1)
    assert float(position.input_value()) == from_s + 300
    page.keyboard.press(".")
    until(page, lambda: float(position.input_value()) == from_s + 310)
    expect(page.locator("#alerts")).to_contain_text("0:10 ago")
    bar.get_by_role("button", name="Next alert").click()
    until(page, lambda: float(position.input_value()) == from_s + 1500)
    expect(bar.get_by_role("button", name="Next alert")).to_be_disabled()
    page.locator("#alerts .desk__other").click()
    done = page.locator("#advice [data-decision]")
    expect(done).to_contain_text("Hold 50 s")
    expect(done).to_contain_text("desk2")
    expect(done.locator(".steps")).to_have_attribute("data-step", "done")
    page.keyboard.press("Shift+Comma")
    until(page, lambda: float(position.input_value()) == from_s + 300)
    expect(page.locator("#advice [data-decision]")).to_have_count(0)


def test_in_the_past_there_is_no_button_that_acts_on_now(page, city):
    play_an_hour(page, city)
    page.keyboard.press("Shift+Period")
    expect(page.locator("#alerts [data-alert]")).to_have_count(1)
    page.locator(".rung").first.click()
    expect(page.locator(".card")).to_contain_text("not in the past")
    acting = (
        "#alerts .alert__act button, #advice .advice__act button, .control, .card form, .card input, .alerts__notices"
    )
    expect(page.locator(acting)).to_have_count(0)
    before = {key: one["state"] for key, one in city.city.alerts.items()}
    page.keyboard.press("a")
    page.keyboard.press("y")
    page.keyboard.press("n")
    assert {key: one["state"] for key, one in city.city.alerts.items()} == before


def test_an_hour_whose_positions_are_no_longer_kept_says_so(page, city):
    page.get_by_role("button", name="Playback").click()
    dialog = page.get_by_role("dialog")
    gone = dt.datetime.fromtimestamp(city.city.now_s - 3 * 86_400, dt.UTC)
    dialog.locator("input[name=day]").fill(f"{gone:%Y-%m-%d}")
    expect(dialog).to_contain_text("no longer kept")
    expect(dialog).to_contain_text("2 alerts")
    dialog.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(".past__state")).to_contain_text("No positions kept")


def test_an_alert_is_replayed_from_a_minute_before_it(page, city):
    item = page.locator('.alert[data-state="open"]').first
    opened_at = city.city.alerts[item.get_attribute("data-alert")]["opened_at"]
    item.get_by_role("button", name="Put aside or close").click()
    item.get_by_role("button", name="Replay").click()
    position = page.locator(".past").get_by_label("Time on show")
    assert abs(float(position.get_attribute("min")) - (opened_at - 300)) <= 1
    assert float(position.input_value()) >= opened_at - 61


def test_the_stringline_shows_how_vehicles_came_together(page, city):
    open_line(page, city)
    page.keyboard.press("s")
    charts = page.locator("#ladder svg.strings")
    expect(charts).to_have_count(2)
    expect(charts.first.locator(".strings__run")).to_have_count(2)
    assert charts.first.locator(".strings__loud--bunched").get_attribute("d").startswith("M")
    assert charts.first.locator(".strings__planned").get_attribute("d").count("M") == 2
    charts.first.locator(".strings__hit").first.dispatch_event("click")
    expect(page.locator(".card")).to_be_visible()
    page.locator(".views").get_by_role("button", name="Ladder").click()
    expect(page.locator(".rung").first).to_be_visible()


def test_an_hour_of_which_nothing_is_stored_is_not_played(page):
    page.get_by_role("button", name="Playback").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("input[name=day]").fill("2020-01-01")
    expect(dialog).to_contain_text("Nothing is stored of this time")
    expect(dialog.get_by_role("button", name="Play", exact=True)).to_be_disabled()


def test_a_vehicle_is_put_on_a_trip_and_a_trip_cancelled_and_restored(page, city):
    vehicle_id = select_vehicle(page, city)
    card = page.locator(".card")
    card.locator("summary").click()
    card.get_by_label("Put on trip").fill("nowhere")
    card.get_by_role("button", name="Assign").click()
    expect(page.locator(".notice")).to_contain_text("no trip of this id")
    card.get_by_label("Put on trip").fill("r0_7777_0")
    card.get_by_role("button", name="Assign").click()
    expect(page.locator(".notice")).to_contain_text(f"{vehicle_id} is put on r0_7777_0")
    assert city.desk.assigned[vehicle_id] == "r0_7777_0"
    card.get_by_role("button", name="Release").click()
    expect(page.locator(".notice")).to_contain_text("is released")
    assert city.desk.assigned[vehicle_id] is None
    card.get_by_role("button", name="Cancel trip").click()
    card.get_by_role("button", name="Keep it").click()
    assert city.desk.cancelled == {}
    card.get_by_role("button", name="Cancel trip").click()
    card.get_by_label("Reason").fill("No driver")
    card.get_by_role("button", name="Yes, cancel it").click()
    restore = card.get_by_role("button", name="Restore")
    expect(restore).to_be_visible()
    ((_, order),) = city.desk.cancelled.items()
    assert order["reason"] == "No driver"
    restore.click()
    expect(card).to_contain_text("No cancelled trips")
    assert city.desk.cancelled == {}


def test_a_message_to_a_driver_shows_how_far_it_has_come(page, city):
    select_vehicle(page, city)
    page.get_by_label("Message text").fill("Please call the desk")
    page.get_by_role("button", name="Send").click()
    entry = page.locator(".log__entry").first
    expect(entry).to_contain_text("Please call the desk")
    expect(entry.locator(".steps")).to_have_attribute("data-step", "read")
    assert city.instructions[0]["text"] == "Please call the desk"


def test_passengers_are_told_in_two_languages_and_no_longer(page, city):
    open_line(page, city)
    page.locator(".alerts__notices").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("No notice is in force")
    dialog.get_by_role("textbox", name="Minutes").fill("12")
    dialog.get_by_role("textbox", name="Reason").fill("ожеледь / ice")
    preview = dialog.locator(".preview")
    expect(preview).to_contain_text("Затримки до 12 хв")
    expect(preview).to_contain_text("Delays of up to 12 min")
    stop_id = city.city.routes[0].directions[0].stops[1][0]
    dialog.locator("select[name=stops]").select_option(stop_id)
    dialog.get_by_role("button", name="Publish").click()
    told = dialog.locator(".told")
    expect(told).to_contain_text("Delays of up to 12 min")
    (notice,) = city.desk.notices.values()
    assert (notice["route_ids"], notice["stop_ids"]) == ([city.city.routes[0].route_id], [stop_id])
    assert abs(notice["until"] - notice["created_at"] - 7200) < 60
    told.get_by_role("button", name="Close the notice").click()
    expect(dialog).to_contain_text("No notice is in force")
    assert notice["closed_at"] is not None


def test_what_a_server_does_not_have_is_not_shown(visit, city):
    city.absent |= {"advice", "instructions", "control", "notices", "playback"}
    open_page = visit(map_drawn=False)
    open_page.sign_in()
    page = open_page.page
    expect(page.locator(".taps__chart")).to_be_visible()
    open_line(page, city)
    until(page, lambda: any(url.endswith("/api/v1/control") for url in open_page.asked))
    expect(page.locator("#advice")).to_have_count(0)
    expect(page.locator(".desk__other")).to_have_count(0)
    expect(page.locator(".control")).to_have_count(0)
    expect(page.locator(".alerts__notices")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.get_by_role("dialog")).to_contain_text("keeps no positions to play")


def test_who_signs_out_sees_no_more_advice(page, city):
    open_line(page, city)
    expect(page.locator(".control")).to_be_visible()
    open_advice(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#advice")).to_have_count(0)
    expect(page.locator(".control")).to_have_count(0)
    expect(page.locator("#alerts")).to_be_visible()
    expect(page.locator(".rung__desk")).to_have_count(0)


def test_a_wide_screen_has_room_for_advice_and_alerts(visit, city):
    open_page = visit(width=1920, height=1080, map_drawn=False)
    open_page.sign_in()
    page = open_page.page
    expect(page.locator("#advice")).to_be_visible()
    expect(page.locator("#alerts")).to_be_visible()
    expect(page.locator(".desk__other").first).to_be_hidden()


@pytest.mark.parametrize("locale", ["en-GB", "uk-UA"])
def test_a_telephone_has_it_all_without_sideways_scrolling(visit, city, locale):
    open_page = visit(width=390, height=844, locale=locale, map_drawn=False)
    open_page.sign_in()
    page = open_page.page
    tabs = page.locator(".tabs__tab")
    expect(tabs).to_have_count(5)
    for index in range(5):
        tabs.nth(index).click()
        assert page.locator(".main > .panel:visible").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    cut = "() => [...document.querySelectorAll('.tabs__tab')].some((tab) => tab.scrollWidth > tab.clientWidth + 1)"
    assert not page.evaluate(cut)
    tabs.nth(3).click()
    expect(page.locator(".alert__where").first).to_be_visible()
    wide = """() => [...document.querySelectorAll(".alert__what, .alert__where")]
        .some((one) => one.scrollWidth > one.clientWidth + 1)"""
    assert not page.evaluate(wide), "what an alert says is cut off, or runs under its buttons"
    tabs.nth(4).click()
    expect(page.locator("#advice .advice--open").first).to_be_visible()
    tabs.nth(0).click()
    open_line(page, city)
    expect(page.locator(".control")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_tick_moves_nothing_on_the_desk(page, city):
    open_line(page, city, 1)
    open_advice(page)
    expect(page.locator(".control .trend__line")).to_be_visible()
    # The ladder's own labels follow their vehicles; what surrounds them has to stay.
    places = """() => ['.control', '.ladder__body', '#advice .panel__head', '.advice', '.header', '.lines__list']
        .map((one) => document.querySelector(one).getBoundingClientRect())
        .map((box) => [box.top, box.height])"""
    before = page.evaluate(places)
    seen = city.city.now_s
    until(page, lambda: city.city.now_s >= seen + 4)
    assert page.evaluate(places) == before
