"""Notices: templates are whole, requests are checked field by field, and passengers' feeds carry what was written."""

import msgspec
import pytest
from google.transit import gtfs_realtime_pb2 as rt

from dispatch.notices import (
    SELECTED_MAX,
    TEMPLATES,
    Known,
    Notice,
    NoticeRequest,
    is_over,
    write,
)
from dispatch.realtime import Context, Place, alerts, notice_entities

NOW_S = 1_771_257_600.0
MANY = [f"r{i}" for i in range(10_000)]
KNOWN = Known({"1", "2", *MANY}, {"a", "b"}, {"t1"})
VALUES = {"place": "вул. Хрещатик"}


def ask(**changed):
    whole = {"template": "detour_accident", "route_ids": ["1"], "values": VALUES} | changed
    return msgspec.convert(whole, NoticeRequest)


def written(**changed):
    return write(ask(**changed), KNOWN, "n1", "dispatcher", NOW_S)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.id)
def test_every_template_can_be_written_and_read_in_both_languages(template):
    notice = written(template=template.id, values={field.name: f"<{field.name}>" for field in template.fields})
    assert isinstance(notice, Notice)
    texts = (notice.header.uk, notice.header.en, notice.description.uk, notice.description.en)
    assert all(text and "{" not in text for text in texts)
    assert template.cause in dict(rt.Alert.Cause.items())
    assert template.effect in dict(rt.Alert.Effect.items())


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"template": "nonsense"}, "template"),
        ({"values": {}}, "values.place"),
        ({"values": {"place": " \x00\t "}}, "values.place"),
        ({"values": VALUES | {"colour": "red"}}, "values.colour"),
        ({"route_ids": []}, "route_ids"),
        ({"route_ids": ["1", "nine"]}, "route_ids"),
        ({"stop_ids": ["z"]}, "stop_ids"),
        ({"trip_ids": ["t9"]}, "trip_ids"),
        ({"route_ids": MANY[:600], "stop_ids": ["a", "b"]}, "stop_ids"),
        ({"until": NOW_S - 1, "from": NOW_S - 9}, "until"),
        ({"until": NOW_S + 5, "from": NOW_S + 9}, "until"),
        ({"until": NOW_S + 5, "from": NOW_S + 5}, "until"),
        ({"until": NOW_S + 1e9}, "until"),
        ({"until": float("nan")}, "until"),
        ({"from": float("inf")}, "from"),
        ({"from": -1}, "from"),
        ({"from": NOW_S + 1e9}, "from"),
    ],
)
def test_what_is_wrong_is_said_by_field(changed, field):
    wrong = written(**changed)
    assert isinstance(wrong, list)
    assert [text.partition(":")[0] for text in wrong] == [field]


def test_all_that_is_wrong_is_said_at_once():
    assert len(written(values={}, until=NOW_S - 1, route_ids=["nine"], stop_ids=["z"])) == 4


def test_ten_thousand_routes_are_refused_before_anything_looks_at_them():
    with pytest.raises(msgspec.ValidationError, match="length <= 1000"):
        ask(route_ids=MANY)
    assert isinstance(written(route_ids=MANY[:SELECTED_MAX]), Notice)


def test_a_value_that_looks_like_a_place_is_only_text():
    notice = written(values={"place": "{place} {0} {place.__class__} %s"})
    assert notice.description.en == "Vehicles go around {place} {0} {place.__class__} %s."


def test_a_notice_is_over_when_it_ends_or_is_closed():
    notice = written(until=NOW_S + 60)
    assert [is_over(notice, NOW_S + after) for after in (0, 59, 60)] == [False, False, True]
    assert is_over(msgspec.structs.replace(notice, closed_at=NOW_S + 1), NOW_S + 2)
    assert not is_over(written(), NOW_S + 1e9)


def feed_of(*notices):
    feed = rt.FeedMessage()
    feed.ParseFromString(alerts([], Context(int(NOW_S), Place("v1"))) + notice_entities(notices))
    return feed


def test_the_feed_says_what_was_written():
    (entity,) = feed_of(written(stop_ids=["a"], trip_ids=["t1"], until=NOW_S + 60.5)).entity
    alert = entity.alert
    assert entity.id == "n:n1"
    assert (alert.active_period[0].start, alert.active_period[0].end) == (int(NOW_S), int(NOW_S) + 61)
    assert (alert.cause, alert.effect) == (rt.Alert.ACCIDENT, rt.Alert.DETOUR)
    assert [(one.route_id, one.stop_id, one.trip.trip_id) for one in alert.informed_entity] == [
        ("1", "a", ""),
        ("", "", "t1"),
    ]
    texts = {one.language: one.text for one in alert.header_text.translation}
    assert texts == {"en": "Detour because of an accident", "uk": "Зміна маршруту через ДТП"}
    assert "Хрещатик" in alert.description_text.translation[0].text
    assert not alert.HasField("url")


def test_a_feed_without_notices_is_as_before():
    assert notice_entities([]) == b""
    assert not feed_of().entity
