"""One operation bound once, at the start: what its handler takes, where each value comes from, what it gives back.

The convention. An api object has `routes()`: tuples of method, path, permission ("public" or a name that deploy.auth
knows), handler and, where it is not 200, the status. The handler is a typed async method:
- path parameters by name; every other parameter with a plain type is a query parameter (a trailing underscore is not
  part of the name, so `from_` is `?from=`); `body` is JSON decoded to its type, optional where it has a default;
- injected by name: `subject` and `role` (empty for nobody), `permissions`, `idempotency_key`, `request`, `ended` (a
  function that says why who asked may no longer, or None: a stream must ask it, for it may outlive its token);
- it returns a struct, `Annotated[bytes, Struct]` (JSON made before), `Annotated[bytes, "application/x-protobuf"]`,
  a stream (web.StreamResponse) or None (204). A further string such as "public, max-age=60" is its Cache-Control,
  and such an answer gets an ETag;
- it raises exceptions that have `status`, `title` and `detail`. Its docstring's first line is the summary.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from aiohttp import web

# Names that a handler may ask for and that no client sends as a parameter.
INJECTED = frozenset({"subject", "role", "permissions", "idempotency_key", "request", "ended"})

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z]")

Place = Literal["path", "query"]
ReplyKind = Literal["struct", "json", "raw", "stream", "none"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value in the path or the query; `name` is the client's (`from`), `argument` the handler's (`from_`)."""

    name: str
    argument: str
    place: Place
    type: Any
    default: Any = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back: an object to encode, JSON ready made, bytes of another kind, a stream or nothing."""

    kind: ReplyKind
    schema: Any
    content_type: str
    cache_control: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A route with everything known about it before the first request."""

    method: str
    path: str
    permission: str
    handler: Callable[..., Awaitable[Any]]
    status: int
    parameters: tuple[Parameter, ...]
    injected: frozenset[str]
    body: Any  # the type, or None where there is none
    body_required: bool
    reply: Reply

    @property
    def public(self) -> bool:
        """Whether nobody needs to say who they are."""
        return self.permission == "public"


def bind_all(apis: Sequence[Any]) -> list[Operation]:
    """Operations of objects with `.routes()`, in order.

    Raises:
        TypeError: a handler does not follow the convention; names it.
        ValueError: two operations share method and path, and are not forms of one answer.
    """
    operations = [bind(*route) for api in apis for route in api.routes()]
    for first, *others in by_address(operations):
        kinds = {first.reply.content_type, *(other.reply.content_type for other in others)}
        if len(kinds) <= len(others) or any(_asked(other) != _asked(first) for other in others):
            raise ValueError(f"{first.method} {first.path} is bound twice")
    return operations


def by_address(operations: Sequence[Operation]) -> list[list[Operation]]:
    """Operations of one method and path together: the same answer in several forms, the usual one first."""
    found: dict[tuple[str, str], list[Operation]] = {}
    for operation in operations:
        found.setdefault((operation.method, operation.path), []).append(operation)
    return list(found.values())


def _asked(operation: Operation) -> tuple[Any, ...]:
    """What forms of one answer have in common: who may ask, and how."""
    return operation.permission, operation.parameters, operation.body, operation.status


def bind(
    method: str, path: str, permission: str, handler: Callable[..., Awaitable[Any]], status: int = 200
) -> Operation:
    """Read a handler's signature once: path names, `body`, injected names, and the rest from the query."""
    where = f"{method} {path} ({getattr(handler, '__qualname__', handler)})"
    hints = typing.get_type_hints(handler, include_extras=True)
    in_path = set(re.findall(r"\{(\w+)\}", path))
    arguments = inspect.signature(handler).parameters
    injected = arguments.keys() & INJECTED
    untyped = [name for name in arguments if name not in hints and name not in injected]
    if untyped:
        raise TypeError(f"{where}: {untyped[0]} has no type")
    parameters = [
        _parameter(name, spec.default, hints[name], in_path)
        for name, spec in arguments.items()
        if name != "body" and name not in injected
    ]
    missing = in_path - {p.name for p in parameters if p.place == "path"}
    if missing:
        raise TypeError(f"{where}: the handler does not take {', '.join(sorted(missing))} of the path")
    reply = _reply(hints.get("return"), where, public=permission == "public")
    if reply.kind == "stream" and reply.schema is None and "ended" not in injected:
        raise TypeError(f"{where}: a stream takes `ended` and ends when it says why")
    return Operation(
        method=method.upper(),
        path=path,
        permission=permission,
        handler=handler,
        status=status,
        parameters=tuple(parameters),
        injected=frozenset(injected),
        body=hints["body"] if "body" in arguments else None,
        body_required="body" in arguments and arguments["body"].default is inspect.Parameter.empty,
        reply=reply,
    )


def _parameter(argument: str, default: Any, hint: Any, in_path: Collection[str]) -> Parameter:
    """An argument of a handler as it is given: a part of the path where that names it, else of the query."""
    name = argument.removesuffix("_")  # `from` is a word of Python
    place: Place = "path" if name in in_path else "query"
    required = default is inspect.Parameter.empty
    return Parameter(name, argument, place, hint, None if required else default, required=required)


def _reply(hint: Any, where: str, *, public: bool) -> Reply:
    """What a return annotation promises."""
    # What is public may be kept for a moment of need if it is asked for again first; the rest is nobody else's.
    cache = "no-cache" if public else "no-store"
    if hint is None or hint is type(None):
        return Reply("none", None, "", "no-store")
    base, extras = (get_args(hint)[0], get_args(hint)[1:]) if get_origin(hint) is Annotated else (hint, ())
    kinds: list[Any] = []
    for extra in extras:
        if isinstance(extra, str) and not _MEDIA_TYPE.match(extra):
            cache = extra
        else:
            kinds.append(extra)
    if isinstance(base, type) and issubclass(base, web.StreamResponse):
        if kinds and not isinstance(kinds[0], str):
            return Reply("stream", kinds[0], "application/json", "no-store")
        return Reply("stream", None, kinds[0] if kinds else "text/event-stream", "no-store")
    if base in (bytes, str):
        if not kinds:
            raise TypeError(f"{where}: {base.__name__} needs its kind: Annotated[{base.__name__}, ...]")
        if isinstance(kinds[0], str):
            return Reply("raw", None, kinds[0], cache)
        return Reply("json", kinds[0], "application/json", cache)
    return Reply("struct", base, "application/json", cache)


def schema_types(operation: Operation) -> list[Any]:
    """Types of one operation that the API's description must know."""
    return [kind for kind in (operation.body, operation.reply.schema, *(p.type for p in operation.parameters)) if kind]


def convert(parameter: Parameter, text: str) -> Any:
    """A parameter's value from its text.

    Raises:
        msgspec.ValidationError: the text is no value of the parameter's type.
    """
    if parameter.type is str:
        return text
    value = msgspec.convert(text, parameter.type, strict=False)
    # `value - value` is zero for every number but the infinities and nan, which no sum downstream survives.
    if isinstance(value, float) and value - value != 0:
        raise msgspec.ValidationError("Expected a finite number")
    return value
