"""Lists of taps over HTTP: each is judged or answered for itself, whatever stands beside it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.test_web_schema import running_product

PATH = "/api/v1/validations"
JSON = {"Content-Type": "application/json"}


def tap(**fields: Any) -> dict[str, Any]:
    return {"id": str(uuid.uuid4()), "boot": "a1", "seq": 1, "ts": 1771257482.0, "medium": "qr", "token": "x"} | fields


# What is no tap, whether its id can be read all the same, and what is said of it as the second of a list.
ILL_FORMED: dict[str, tuple[Any, bool, str]] = {
    "a field of another type": (tap(ts="now"), True, "body[1].ts: Expected `float`, got `str`"),
    "a field missing": ({"id": tap()["id"], "boot": "a1"}, True, "body[1]: Object missing required field `seq`"),
    "a field within": (tap(offline={"verdict": ""}), True, "body[1].offline.verdict: Expected `str` of length >= 1"),
    "a number beyond all": (tap(seq=10**30), True, "body[1].seq: "),
    "a version beyond all": (tap(offline={"verdict": "accepted", "rules_version": 10**30}), True, "rules_version: "),
    "a NUL": (tap(token="6BF\0"), True, "body[1]: Expected text without NUL"),
    "an id that is none": (tap(id="first"), False, "body[1].id: "),
    "no object": (17, False, "body[1]: Expected `object`, got `int`"),
    "nothing": (None, False, "body[1]: Expected `object`, got `null`"),
}


@pytest.mark.parametrize("what", ILL_FORMED)
async def test_what_is_no_tap_costs_the_others_of_its_list_nothing(tmp_path: Path, database: str, what: str) -> None:
    bad, named, why = ILL_FORMED[what]
    first, last = tap(), tap(seq=2)
    async with running_product(tmp_path, database) as running, running.client() as client:
        headers = running.bearer("validator") | JSON
        body = msgspec.json.encode([first, bad, last])
        async with client.post(PATH, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            answers = await response.json()
    assert [answer["id"] for answer in answers] == [first["id"], bad["id"] if named else "", last["id"]]
    assert {answers[0]["reason"], answers[2]["reason"]} == {"a character outside the base45 alphabet"}  # judged
    refused = answers[1]
    assert (refused["verdict"], refused["retry"]) == ("malformed", False)
    assert refused["say"] == {"uk": "Код не читається", "en": "Unreadable code"}
    assert why in refused["reason"]


async def test_a_body_that_is_no_list_and_no_tap_is_refused_as_before(tmp_path: Path, database: str) -> None:
    bodies = {
        b"[": 400,
        b"[1,]": 400,
        b'["\xff"]': 400,
        b'["\\ud800"]': 400,
        b'{"id": "\\u0000"}': 400,
        b"17": 422,
        b'"x"': 422,
        b"{}": 422,
    }
    whole = msgspec.json.encode(tap(token="6BF\0"))
    async with running_product(tmp_path, database) as running, running.client() as client:
        headers = running.bearer("validator") | JSON
        for body, status in {**bodies, whole: 400, msgspec.json.encode([tap()] * 1001): 422, b"[]": 200}.items():
            async with client.post(PATH, data=body, headers=headers) as response:
                assert response.status == status, body[:40]
        async with client.get("/openapi.json") as response:
            described = (await response.json())["paths"][PATH]["post"]["requestBody"]["content"]["application/json"]
    one = {"$ref": "#/components/schemas/TapBody"}
    assert described["schema"]["anyOf"] == [{"type": "array", "items": one}, one]
