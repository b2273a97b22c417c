"""One operation as a request handler: who asks, what they send, the call, and the answer with its headers."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from deploy.auth import NOBODY, BearerGate, Principal, demand
from deploy.binding import Operation, Parameter, convert
from deploy.errors import UserError
from deploy.free_text import cleaner
from deploy.limits import TokenBuckets, retry_after
from deploy.problems import FieldError, Problem, field_problem, plain
from deploy.representations import Representations, held, packed_tag, takes_gzip
from deploy.sessions import NEW_COOKIE, Sessions, write_cookie

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")
_PARAMETER_CHARS_MAX = 1024
_PATH_CHARS_MAX = 256
_BODY_S_MAX = 10.0
LOOK_EVERY_S = 1.0  # how late a stream may hear that its token or login has ended
# Databases and protobuf count to 2^63; what is beyond means nothing here and fails there.
_INTEGER_MAX = (1 << 63) - 1
_LONG_NUMBER = re.compile(rb"\d{19}")
# What PostgreSQL cannot store and no client means: NUL, as itself or as JSON writes it.
_NUL_IN_JSON = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Callers:
    """Says who asks and whether they ask too much."""

    def __init__(
        self,
        bearer: BearerGate | None,
        sessions: Sessions | None,
        per_subject: TokenBuckets | None,
        per_address: TokenBuckets | None,
        clock: Callable[[], float],
        local_permissions: frozenset[str] = frozenset(),
    ) -> None:
        self._local_permissions = local_permissions
        self._bearer = bearer
        self._sessions = sessions
        self._per_subject = per_subject
        self._per_address = per_address
        self._clock = clock

    def identify(self, request: web.Request) -> Principal:
        """Who asks; a broken token is refused even where none is needed, a stale cookie is nobody.

        Raises:
            Problem: 401 for the token, 403 for the cookie's origin, 429 for too many requests.
        """
        authorization = request.headers.get("Authorization")
        principal = NOBODY
        if authorization is not None and self._bearer is not None:
            try:
                principal = self._bearer.identify(authorization)
            except Problem:
                self._take(self._per_address, request.remote or "")
                raise
        elif self._sessions is not None:
            principal = self._sessions.identify(request)
        if principal is NOBODY:
            self._take(self._per_address, request.remote or "")
        else:
            self._take(self._per_subject, f"{principal.via}:{principal.subject}")
        return principal

    def ended(self, request: web.Request, principal: Principal) -> Callable[[], str | None]:
        """A function that says why who asked may no longer, at most a second late; None while they may.

        Nobody has nothing to lose. Registers that cannot be read change nothing, as everywhere.
        """
        looked_s, why = -LOOK_EVERY_S, None

        def say() -> str | None:
            nonlocal looked_s, why
            now_s = time.monotonic()
            if why is None and principal is not NOBODY and now_s - looked_s >= LOOK_EVERY_S:
                looked_s = now_s
                with contextlib.suppress(UserError):
                    why = self._why_ended(request, principal)
            return why

        return say

    def _why_ended(self, request: web.Request, principal: Principal) -> str | None:
        if principal.via == "bearer" and self._bearer is not None:
            return self._bearer.why_refused(request.headers.get("Authorization", ""))
        if self._sessions is not None and self._sessions.identify(request) != principal:
            return "The login has ended; log in again."
        return None

    def demand(self, principal: Principal, permission: str, request: web.Request) -> None:
        """Let the request pass or raise 401 or 403; on this machine some things need nobody's leave."""
        if permission not in self._local_permissions or not _is_local(request):
            demand(principal, permission)

    def _take(self, buckets: TokenBuckets | None, key: str) -> None:
        if buckets is None:
            return
        wait_s = buckets.take(key, self._clock())
        if wait_s > 0:
            raise Problem(429, "Too many requests; wait a little.", headers={"Retry-After": retry_after(wait_s)})


def _is_local(request: web.Request) -> bool:
    """Whether who asks is on this machine, as far as can be told: behind a proxy everybody's address is the proxy's."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def handler_of(operation: Operation, callers: Callers) -> Handler:
    """The request handler of an operation; everything that can be known before a request is known here."""
    read_parameters = _parameter_reader(operation)
    read_body = _body_reader(operation) if operation.body is not None else None
    write = _Writer(operation)
    call = operation.handler
    injected = operation.injected
    permission = operation.permission

    async def handle(request: web.Request) -> web.StreamResponse:
        principal = callers.identify(request)
        callers.demand(principal, permission, request)
        arguments = read_parameters(request)
        if injected:
            _inject(arguments, injected, request, principal)
        if "ended" in injected:
            arguments["ended"] = callers.ended(request, principal)
        if read_body is not None:
            await read_body(request, arguments)
        result = await call(**arguments)
        if isinstance(result, web.StreamResponse):
            return result
        response = await write(result, request, arguments)
        cookie = request.get(NEW_COOKIE)
        if cookie is not None:
            write_cookie(response, cookie, secure=request.secure)
        return response

    return handle


def _inject(arguments: dict[str, Any], names: frozenset[str], request: web.Request, principal: Principal) -> None:
    if "subject" in names:
        arguments["subject"] = principal.subject
    if "role" in names:
        arguments["role"] = principal.role
    if "permissions" in names:
        arguments["permissions"] = principal.permissions
    if "request" in names:
        arguments["request"] = request
    if "idempotency_key" in names:
        key = request.headers.get("Idempotency-Key")
        if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise _wrong("header.Idempotency-Key", "Expected 1 to 255 printable ASCII characters")
        arguments["idempotency_key"] = key


def _wrong(field: str, message: str, status: int = 422) -> Problem:
    return Problem(status, f"{field}: {message}", title="Invalid request", errors=(FieldError(field, message),))


def _parameter_reader(operation: Operation) -> Callable[[web.Request], dict[str, Any]]:
    in_path = [p for p in operation.parameters if p.place == "path"]
    in_query = [p for p in operation.parameters if p.place == "query"]

    def read(request: web.Request) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        for parameter in in_path:
            text = request.match_info[parameter.name]
            _check_text(text, f"path.{parameter.name}", _PATH_CHARS_MAX)
            arguments[parameter.argument] = _convert(parameter, text, f"path.{parameter.name}")
        for parameter in in_query:
            field = f"query.{parameter.name}"
            values = request.query.getall(parameter.name, [])
            if len(values) > 1:
                raise _wrong(field, "Given more than once", 400)
            if values:
                _check_text(values[0], field, _PARAMETER_CHARS_MAX)
                arguments[parameter.argument] = _convert(parameter, values[0], field)
            elif parameter.required:
                raise _wrong(field, "Missing")
        return arguments

    return read


def _check_text(text: str, field: str, chars_max: int) -> None:
    if not 0 < len(text) <= chars_max:
        raise _wrong(field, f"Expected 1 to {chars_max} characters")
    if "\x00" in text or plain(text) != text:
        raise _wrong(field, "Expected text without NUL, in UTF-8", 400)


def _convert(parameter: Parameter, text: str, field: str) -> Any:
    try:
        value = convert(parameter, text)
    except (msgspec.ValidationError, OverflowError) as error:
        raise field_problem(field, error) from None
    if isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX:
        raise _wrong(field, "Expected an integer of at most 64 bits")
    return value


def _check_integers(value: Any, field: str) -> None:
    """Refuse integers beyond 64 bits anywhere in a decoded body, which is looked through only where one could be."""
    if isinstance(value, dict):
        for key, item in value.items():
            _check_integers(item, f"{field}.{key}")
    elif isinstance(value, list):
        for nth, item in enumerate(value):
            _check_integers(item, f"{field}[{nth}]")
    elif isinstance(value, int) and not -_INTEGER_MAX <= value <= _INTEGER_MAX:
        raise _wrong(field, "Expected an integer of at most 64 bits")


def _body_reader(operation: Operation) -> Callable[[web.Request, dict[str, Any]], Awaitable[None]]:
    decode = msgspec.json.Decoder(operation.body).decode
    clean = cleaner(operation.body)
    by_item = _read_by_item(operation.body)

    def check(body: Any, raw: bytes) -> Any:
        """The body without what no handler should have to expect; what it reads itself is left to it."""
        if by_item and isinstance(body, list):
            return body
        _check_nul(raw)
        if _LONG_NUMBER.search(raw):
            _check_integers(msgspec.to_builtins(body), "body")
        return body if clean is None else clean(body)

    async def read(request: web.Request, arguments: dict[str, Any]) -> None:
        if not request.body_exists:
            if operation.body_required:
                raise _wrong("body", "Missing; send JSON", 400)
            return
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem(415, "A body must come as it is, without Content-Encoding.")
        kind = request.content_type
        if kind != "application/json" and not kind.endswith("+json"):
            raise Problem(415, "A body must be JSON: Content-Type: application/json.")
        try:
            async with asyncio.timeout(_BODY_S_MAX):
                raw = await request.read()
        except TimeoutError:
            raise Problem(408, "The body did not come in time.", headers={"Connection": "close"}) from None
        if not raw and not operation.body_required:
            return
        if not by_item:
            _check_nul(raw)
        try:
            raw.decode()  # also where nobody looks: what a decoder leaves out it does not read
            arguments["body"] = check(decode(raw), raw)
        except msgspec.ValidationError as error:
            _check_json(raw)  # a field can be wrong before the end is seen to be missing
            _check_nul(raw)
            raise field_problem("body", error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _no_json(error) from None

    return read


def _check_nul(raw: bytes) -> None:
    if _NUL_IN_JSON.search(raw):
        raise _wrong("body", "Expected text without NUL", 400)


def _read_by_item(kind: Any) -> bool:
    """Whether a handler takes a list whose items it reads itself, so that one of them spoils none of the others."""
    info = msgspec.inspect.type_info(kind)
    for one in info.types if isinstance(info, msgspec.inspect.UnionType) else (info,):
        item = one.item_type if isinstance(one, msgspec.inspect.ListType) else None
        while isinstance(item, msgspec.inspect.Metadata):
            item = item.type
        if isinstance(item, msgspec.inspect.RawType):
            return True
    return False


def _check_json(raw: bytes) -> None:
    """Refuse with 400 what is no JSON at all, whatever was expected of it."""
    try:
        msgspec.json.decode(raw)
    except msgspec.ValidationError:
        pass  # a number out of range: it was read
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _no_json(error) from None


def _no_json(error: Exception) -> Problem:
    if isinstance(error, RecursionError):
        return _wrong("body", "Nested too deep", 400)
    return _wrong("body", f"Not JSON: {error}", 400)


class _Writer:
    """Turns a result into a response; what may be cached has a tag, and goes packed to who takes it so."""

    def __init__(self, operation: Operation) -> None:
        reply = operation.reply
        self._kind = reply.kind
        self._status = operation.status
        self._headers = {"Cache-Control": reply.cache_control}
        if operation.public and operation.method == "GET":
            self._headers["Access-Control-Allow-Origin"] = "*"
        if reply.content_type:
            self._headers["Content-Type"] = reply.content_type
        self._kept = Representations() if "=" in reply.cache_control else None
        self._parameters = tuple(parameter.argument for parameter in operation.parameters)

    async def __call__(self, result: Any, request: web.Request, arguments: Mapping[str, Any]) -> web.Response:
        if self._kind == "none":
            return web.Response(status=204, headers={"Cache-Control": "no-store"})
        if self._kept is None:
            return web.Response(body=_bytes_of(result, self._kind), status=self._status, headers=self._headers)
        address = tuple(arguments.get(name) for name in self._parameters)
        return await self._cacheable(self._kept, address, result, request)

    async def _cacheable(
        self, kept: Representations, address: Hashable, result: Any, request: web.Request
    ) -> web.Response:
        found = kept.find(address, result) if isinstance(result, str | bytes) else None
        if found is None:
            found = kept.keep(address, result, _bytes_of(result, self._kind))
        headers = {**self._headers, "ETag": found.tag, "Vary": "Accept-Encoding"}
        if (tag := held(request.headers.get("If-None-Match", ""), found.tag)) is not None:
            headers.pop("Content-Type", None)
            return web.Response(status=304, headers={**headers, "ETag": tag})
        packed = await found.packed() if takes_gzip(request.headers.get("Accept-Encoding", "")) else None
        if packed is not None:
            headers |= {"ETag": packed_tag(found.tag), "Content-Encoding": "gzip"}
        return web.Response(body=packed or found.body, status=self._status, headers=headers)


def _bytes_of(result: Any, kind: str) -> bytes:
    if kind == "struct":
        return msgspec.json.encode(result)
    return result.encode() if isinstance(result, str) else bytes(result)
