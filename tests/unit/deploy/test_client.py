"""What a person at a terminal reads when the running instance refuses: a sentence, without HTTP's own words."""

import io
import json
from email.message import Message
from urllib.error import HTTPError

import pytest

from deploy.client import Client, _detail


def _refused(status: int, phrase: str, body: bytes) -> HTTPError:
    return HTTPError("http://127.0.0.1/api/v1/feed", status, phrase, Message(), io.BytesIO(body))


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Not Found", "No version of the feed is waiting for its time."),  # the status and no more
        ("No such feed", "No such feed: No version of the feed is waiting for its time."),
    ],
)
def test_a_title_that_only_names_the_status_is_left_out(title, said):
    body = json.dumps({"title": title, "status": 404, "detail": "No version of the feed is waiting for its time."})
    assert _detail(_refused(404, "Not Found", body.encode())) == said


def test_an_answer_that_is_no_problem_document_says_its_status():
    assert _detail(_refused(502, "Bad Gateway", b"<html>")) == "the instance answered 502 Bad Gateway"


def test_a_desk_reads_times_by_the_citys_clock_and_asks_for_it_once(monkeypatch):
    asked = []
    client = Client.__new__(Client)
    client._zone = None
    monkeypatch.setattr(client, "get", lambda path: asked.append(path) or {"timezone": "Europe/Kyiv"}, raising=False)
    told = [client.in_city(1_795_341_600.0), client.in_city(1_784_973_600.0)]
    assert told == ["2026-11-22 12:00 EET", "2026-07-25 13:00 EEST"]
    assert asked == ["/api/v1/instance"]
