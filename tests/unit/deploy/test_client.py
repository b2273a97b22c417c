"""What a person at a terminal reads when the running instance refuses: a sentence, without HTTP's own words."""

import io
import json
from email.message import Message
from urllib.error import HTTPError

import pytest

from deploy.client import _detail


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
