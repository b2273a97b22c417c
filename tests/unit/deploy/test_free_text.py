"""Free text is masked wherever it stands in a body, and nothing else is touched."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from deploy.free_text import cleaner
from dispatch.control_api import DeclineRequest
from dispatch.notices import NoticeRequest
from dispatch.schemas import AssignRequest, CancelRequest, CloseRequest, InstructionRequest

NUMBER = "4111111111111111"
Words = Annotated[str, msgspec.Meta(max_length=100, extra={"free_text": True})]


class Inner(msgspec.Struct, frozen=True):
    words: Words
    id: str = NUMBER


class Outer(msgspec.Struct):
    plain: str
    maybe: Words | None = None
    many: list[Words] = []
    named: dict[str, Words] = {}
    inner: Inner | None = None
    inners: list[Inner] | None = None
    number: int = 4111111111111111


def test_what_is_marked_is_masked_at_any_depth_and_the_rest_is_left():
    clean = cleaner(Outer)
    body = Outer(NUMBER, NUMBER, [NUMBER, "x"], {NUMBER: NUMBER}, Inner(NUMBER), [Inner(f"by {NUMBER}")])
    stars = "************1111"
    assert clean(body) == Outer(
        NUMBER, stars, [stars, "x"], {NUMBER: stars}, Inner(stars), [Inner(f"by {stars}")], 4111111111111111
    )
    assert clean(Outer(NUMBER)) == Outer(NUMBER)


def test_a_body_without_free_text_is_not_looked_at():
    assert cleaner(AssignRequest) is None
    assert cleaner(list[int]) is None
    assert cleaner(Inner | list[Inner])([Inner(NUMBER)]) == [Inner("************1111")]


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        (InstructionRequest, {"vehicle_id": "1", "kind": "message", "text": NUMBER}, "text"),
        (CloseRequest, {"reason": NUMBER}, "reason"),
        (CancelRequest, {"reason": NUMBER}, "reason"),
        (DeclineRequest, {"reason": NUMBER}, "reason"),
        (NoticeRequest, {"template": "t", "trip_ids": [NUMBER], "values": {"place": NUMBER}}, "values"),
    ],
)
def test_all_that_dispatchers_write_is_free_text(kind, fields, field):
    body = cleaner(kind)(msgspec.convert(fields, kind))
    assert NUMBER not in str(getattr(body, field))
    assert getattr(body, "trip_ids", [NUMBER]) == [NUMBER]  # ids may be any run of digits


def test_limits_of_free_text_still_hold():
    for text in ("", "x" * 501):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"reason": text}, CloseRequest)
