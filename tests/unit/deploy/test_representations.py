"""An answer's forms: made once for as long as it stays the same, each with a tag of its own, and only so many kept."""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from typing import Annotated, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from deploy import representations
from deploy.answers import Callers, handler_of
from deploy.binding import bind
from deploy.representations import Representations, held, packed_tag, tag_of, takes_gzip

ANYBODY = Callers(None, None, None, None, lambda: 0.0)
LONG = "0123456789" * 1000


class Shop:
    """Answers by number with what is in it, and changes a list only when it is told to."""

    def __init__(self) -> None:
        self.lists = {number: f"{number}{LONG}" for number in (1, 2)}

    async def show(self, list_id: int) -> Annotated[str, "text/plain", "public, max-age=15"]:
        return self.lists[list_id]


class Door:
    """The shop's operation; counts what is packed and hashed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = Shop()
        self.packed: list[bytes] = []
        self.hashed: list[bytes] = []
        self._handle = handler_of(bind("GET", "/lists/{list_id}", "public", self.shop.show), ANYBODY)
        for name, calls in (("gzip", self.packed), ("tag_of", self.hashed)):
            monkeypatch.setattr(representations, name, self._counted(getattr(representations, name), calls))

    def _counted(self, make: Any, calls: list[bytes]) -> Any:
        def counted(body: bytes) -> Any:
            calls.append(body)
            return make(body)

        return counted

    async def ask(self, number: int = 1, **headers: str) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = make_mocked_request(
            "GET", f"/lists/{number}", headers=named, match_info={"list_id": str(number)}, app=web.Application()
        )
        response = await self._handle(request)
        assert isinstance(response, web.Response)
        return response


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    return Door(monkeypatch)


async def test_lists_that_are_asked_for_in_turn_are_packed_once_each(door: Door) -> None:
    for _ in range(3):
        for number in (1, 2):
            response = await door.ask(number, Accept_Encoding="gzip")
            assert zlib.decompress(response.body, 31).decode() == door.shop.lists[number]  # type: ignore[arg-type]
    assert (len(door.packed), len(door.hashed)) == (2, 2)
    door.shop.lists[1] += "!"
    assert zlib.decompress((await door.ask(1, Accept_Encoding="gzip")).body, 31).decode().endswith("!")  # type: ignore[arg-type]
    await door.ask(2, Accept_Encoding="gzip")
    assert (len(door.packed), len(door.hashed)) == (3, 3)


async def test_many_who_ask_at_once_have_it_packed_once(door: Door) -> None:
    responses = await asyncio.gather(*(door.ask(1, Accept_Encoding="gzip") for _ in range(50)))
    assert len({bytes(response.body) for response in responses}) == 1  # type: ignore[arg-type]
    assert len(door.packed) == 1


async def test_an_equal_answer_made_anew_is_packed_no_second_time(door: Door) -> None:
    first = await door.ask(1, Accept_Encoding="gzip")
    door.shop.lists[1] = "".join(list(door.shop.lists[1]))
    assert (await door.ask(1, Accept_Encoding="gzip")).headers["ETag"] == first.headers["ETag"]
    assert (len(door.packed), len(door.hashed)) == (1, 1)


async def test_each_form_has_a_tag_and_either_says_who_has_it(door: Door) -> None:
    """Two forms under one strong tag may be joined by a cache, byte range by byte range."""
    plain, packed = await door.ask(1), await door.ask(1, Accept_Encoding="gzip, br")
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    for tag in (plain.headers["ETag"], packed.headers["ETag"]):
        for named in (tag, f"W/{tag}", f'"another", {tag}'):
            again = await door.ask(1, If_None_Match=named, Accept_Encoding="gzip")
            assert (again.status, again.headers["ETag"], again.body) == (304, tag, None)
    assert (await door.ask(1, If_None_Match=plain.headers["ETag"][1:-1])).status == 200
    assert (await door.ask(2, If_None_Match=plain.headers["ETag"])).status == 200
    door.shop.lists[1] += "!"
    assert (await door.ask(1, If_None_Match=plain.headers["ETag"])).status == 200


async def test_what_gets_no_smaller_goes_as_it_is(door: Door) -> None:
    door.shop.lists[1] = bytes(range(256)).decode("latin-1")
    assert "Content-Encoding" not in (await door.ask(1, Accept_Encoding="gzip")).headers
    kept = Representations()
    noise = b"".join(hashlib.sha256(bytes([n])).digest() for n in range(200))
    assert await kept.keep((), noise, noise).packed() is None


def test_only_so_many_are_kept() -> None:
    kept = Representations(kept_max=2)
    sources = [f"{number}" for number in range(3)]
    for number, source in enumerate(sources):
        kept.keep(number, source, source.encode())
        kept.find(0, sources[0])  # asked again and again, it stays
    assert [kept.find(number, source) is not None for number, source in enumerate(sources)] == [True, False, True]


@pytest.mark.parametrize(
    ("accept_encoding", "takes"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("br, gzip; q=0.000", False),
        ("x-gzippy", False),
    ],
)
def test_a_client_may_name_gzip_to_refuse_it(accept_encoding: str, takes: bool) -> None:
    assert takes_gzip(accept_encoding) == takes


def test_whoever_has_anything_has_it() -> None:
    tag = tag_of(b"x")
    assert (held("*", tag), held("", tag), held(packed_tag(tag), tag)) == (tag, None, packed_tag(tag))
