"""The convention between handlers and the web: what is read from a signature, and what is refused at the start."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from aiohttp import web

from deploy.binding import bind, bind_all, convert
from ticketing.keys_api import KeysApi


class Body(msgspec.Struct):
    x: int


class Answer(msgspec.Struct):
    y: float


async def everything(id: str, *, body: Body, from_: float, subject: str, limit: int = 10) -> Answer:
    """Do everything."""
    raise NotImplementedError


def test_each_value_knows_where_it_comes_from() -> None:
    operation = bind("POST", "/things/{id}", "things:make", everything, 201)
    found = [(p.name, p.argument, p.place, p.required, p.default) for p in operation.parameters]
    assert found == [
        ("id", "id", "path", True, None),
        ("from", "from_", "query", True, None),
        ("limit", "limit", "query", False, 10),
    ]
    assert (operation.body, operation.body_required) == (Body, True)
    assert operation.injected == {"subject"}
    assert (operation.status, operation.public) == (201, False)


async def ready_json() -> Annotated[bytes, Answer, "public, max-age=60"]:
    return b"{}"


async def protobuf() -> Annotated[bytes, "application/x-protobuf"]:
    return b""


async def text_with_a_parameter() -> Annotated[str, "text/plain; version=0.0.4", "no-store"]:
    return ""


async def nothing() -> None: ...


async def stream(*, request: web.Request, ended: Callable[[], str | None]) -> web.StreamResponse:
    raise NotImplementedError


async def deaf_stream(*, request: web.Request) -> web.StreamResponse:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("handler", "kind", "content_type", "cache"),
    [
        (ready_json, "json", "application/json", "public, max-age=60"),
        (protobuf, "raw", "application/x-protobuf", "no-cache"),
        (text_with_a_parameter, "raw", "text/plain; version=0.0.4", "no-store"),
        (nothing, "none", "", "no-store"),
        (stream, "stream", "text/event-stream", "no-store"),
    ],
)
def test_an_annotation_says_what_comes_back(handler: Any, kind: str, content_type: str, cache: str) -> None:
    reply = bind("GET", "/", "public", handler).reply
    assert (reply.kind, reply.content_type, reply.cache_control) == (kind, content_type, cache)


def test_what_is_not_public_is_never_kept_by_a_cache() -> None:
    async def secret() -> Answer:
        raise NotImplementedError

    assert bind("GET", "/", "session:read", secret).reply.cache_control == "no-store"


async def untyped(id) -> Answer:  # type: ignore[no-untyped-def]
    raise NotImplementedError


async def bare_bytes() -> bytes:
    return b""


@pytest.mark.parametrize(
    ("path", "handler", "says"),
    [
        ("/{id}", nothing, "does not take id"),
        ("/{id}", untyped, "id has no type"),
        ("/", bare_bytes, "needs its kind"),
        ("/", deaf_stream, "takes `ended`"),
    ],
)
def test_a_handler_that_breaks_the_convention_is_named(path: str, handler: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        bind("GET", path, "public", handler)


def test_two_operations_cannot_share_an_address() -> None:
    class Api:
        def routes(self) -> list[tuple[Any, ...]]:
            return [("GET", "/", "public", nothing)]

    with pytest.raises(ValueError, match="GET / is bound twice"):
        bind_all([Api(), Api()])


async def typed(
    *, number: float = 0.0, count: int | None = None, kind: Literal["a", "b"] = "a", flag: bool = False
) -> None: ...


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("number", "1.5", 1.5), ("count", "7", 7), ("kind", "b", "b"), ("flag", "true", True)],
)
def test_text_becomes_its_type(name: str, text: str, value: object) -> None:
    parameters = {p.name: p for p in bind("GET", "/", "public", typed).parameters}
    assert convert(parameters[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("number", "nan"),
        ("number", "inf"),
        ("number", "1e999"),
        ("number", "0x10"),
        ("number", "١"),
        ("number", "9" * 400),
        ("count", "1.5"),
        ("count", "seven"),
        ("count", "1 OR 1=1"),
        ("kind", "c"),
        ("flag", "maybe"),
    ],
)
def test_text_of_another_type_is_refused(name: str, text: str) -> None:
    parameters = {p.name: p for p in bind("GET", "/", "public", typed).parameters}
    with pytest.raises(msgspec.ValidationError):
        convert(parameters[name], text)


@pytest.mark.parametrize("text", ["1e308", "-1e308", "1e18", "nan"])
def test_an_instant_that_no_calendar_has_is_refused_at_the_door(text: str) -> None:
    handler = KeysApi.__new__(KeysApi).issuer_keys
    (parameter,) = bind("GET", "/api/v1/issuer-keys", "cards:manage", handler).parameters
    assert convert(parameter, "1795323493.5") == 1795323493.5
    with pytest.raises(msgspec.ValidationError):
        convert(parameter, text)
