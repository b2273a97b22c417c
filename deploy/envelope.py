"""What surrounds every request: an id, problem documents, headers, counters, and an answer in a bounded time."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from deploy.answers import Handler
from deploy.limits import Rate
from deploy.metrics import HttpMetrics
from deploy.problems import Problem, ProblemDocument, document_of, plain, render

log = structlog.get_logger("web")

_SOURCE = Path(__file__).parent.parent
CONSOLE_FOLDER = _SOURCE / "dispatch" / "console" / "dist"
WALLET_FOLDER = _SOURCE / "ticketing" / "wallet" / "dist"
_TOO_LARGE = re.compile(r"exceed|too many|too large|more than \d+ bytes", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_POLICY = "Content-Security-Policy"
REQUEST_ID = web.RequestKey("request_id", str)
PER_SUBJECT = Rate(per_s=1000, burst=2000)  # one validator may bring 200 taps at once, and a depot's are many
PER_ADDRESS = Rate(per_s=500, burst=1000)  # a control room's consoles come from one address


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where to listen, and how much of everything one client may have."""

    host: str = "127.0.0.1"
    port: int = 8080
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    version: str = "0"
    console: Path = CONSOLE_FOLDER
    wallet: Path = WALLET_FOLDER
    pages: bool = True  # False: no console, no passenger's page and no /docs
    tile_url: str | None = None
    body_bytes_max: int = 1 << 20
    connections_max: int = 4000
    idle_s_max: float = 30.0  # also the longest that a request's line and headers may take
    handle_s_max: float = 30.0
    write_s_max: float = 30.0
    drain_s_max: float = 3.0
    log_every: int = 0  # one request in so many goes to the log; 0: none but failures
    per_subject: Rate | None = field(default_factory=lambda: PER_SUBJECT)
    per_address: Rate | None = field(default_factory=lambda: PER_ADDRESS)
    # What a caller on this very machine may do without a token; one that a proxy brings is not on it.
    local_permissions: frozenset[str] = frozenset({"metrics:read"})


class Envelope:
    """What surrounds every request."""

    def __init__(self, settings: WebSettings, metrics: HttpMetrics, routes: dict[Any, str]) -> None:
        self._settings = settings
        self._metrics = metrics
        self._route_names = routes
        self._headers = _security_headers("default-src 'none'; frame-ancestors 'none'")
        self._page_headers = _security_headers(_page_policy(settings.tile_url))
        self._count = 0
        self.stream_routes: set[str] = set()
        self.streams: set[asyncio.Task[Any]] = set()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        began = time.perf_counter()
        given = request.headers.get("X-Request-Id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        request[REQUEST_ID] = request_id
        route = self._route_names.get(request.match_info.route.resource, "none")
        streaming = route in self.stream_routes
        try:
            if streaming:
                response = await self._stream(handler, request)
            else:
                async with asyncio.timeout(self._settings.handle_s_max):
                    response = await handler(request)
        except Exception as error:  # the one door: a client never sees what was not foreseen
            response = self._problem(error, request, request_id)
        await self._deliver(request, response)
        seconds = time.perf_counter() - began
        self._metrics.answered(route, request.method, response.status, None if streaming else seconds)
        self._sample(request, response, request_id, seconds)
        return response

    async def dress(self, request: web.Request, response: web.StreamResponse) -> None:
        """Add what every answer carries, just before its headers go out; a page with a policy of its own keeps it."""
        response.headers["X-Request-Id"] = request.get(REQUEST_ID, "")
        html = response.content_type == "text/html"
        for name, value in (self._page_headers if html else self._headers).items():
            # A browser puts the headers of a 304 in the place of those that it has kept: the page's own policy stands.
            if response.status != HTTPStatus.NOT_MODIFIED or name != _POLICY:
                response.headers.setdefault(name, value)

    def parser_problem(self, status: int, message: str | None) -> web.Response:
        """The answer to bytes that are no HTTP request, or one too large."""
        self._metrics.answered("none", "none", status, None)
        detail = "This is not an HTTP request that the server takes"
        if message and _TOO_LARGE.search(message):
            status, detail = 431, "The request's line or headers are too large"
        if status >= 500:
            status, detail = 500, "The server failed"
        response = render(
            ProblemDocument(HTTPStatus(status).phrase, status, f"{detail}."), {}, request_id=secrets.token_hex(8)
        )
        for name, value in self._headers.items():
            response.headers[name] = value
        return response

    async def _stream(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        """A stream has no end of its own: it is kept in a set so that the server can end it."""
        task = asyncio.current_task()
        if task is None:
            return await handler(request)
        self.streams.add(task)
        try:
            return await handler(request)
        finally:
            self.streams.discard(task)

    def _problem(self, error: Exception, request: web.Request, request_id: str) -> web.Response:
        if isinstance(error, TimeoutError):
            self._metrics.timeouts.labels("handle").inc()
            error = Problem(503, "The answer took too long; try again.", headers={"Retry-After": "1"})
        document, headers, foreseen = document_of(error)
        if not foreseen:
            self._metrics.failures.inc()
            log.error("request_failed", path=plain(request.path), request_id=request_id, exc_info=error)
        elif document.status == 429:
            self._metrics.limited.inc()
        elif document.status == 408:
            self._metrics.timeouts.labels("body").inc()
        return render(document, headers, path=plain(request.path)[:1024], request_id=request_id)

    async def _deliver(self, request: web.Request, response: web.StreamResponse) -> None:
        """Hand the answer over, or cut the connection of a client that does not take it."""
        try:
            async with asyncio.timeout(self._settings.write_s_max):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            self._metrics.timeouts.labels("write").inc()
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the client does not read") from None

    def _sample(self, request: web.Request, response: web.StreamResponse, request_id: str, seconds: float) -> None:
        every = self._settings.log_every
        if not every:
            return
        self._count += 1
        if self._count % every == 0:
            log.info(
                "request",
                method=request.method,
                path=plain(request.path),
                status=response.status,
                ms=round(seconds * 1e3, 1),
                request_id=request_id,
            )


def _security_headers(policy: str) -> dict[str, str]:
    return {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        _POLICY: policy,
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _page_policy(tile_url: str | None) -> str:
    """What our own pages may load: themselves, the map's worker and images, and the tile server that was configured."""
    tiles = ""
    if tile_url:
        match = re.match(r"^(https?://[^/\s;,'\"{}]+)", tile_url)
        tiles = f" {match[1]}" if match else ""
    return (
        "default-src 'self'; script-src 'self'; worker-src 'self' blob:; child-src 'self' blob:; "
        # The map and the plots place their labels with style attributes.
        "style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data: blob:{tiles}; connect-src 'self'{tiles}; font-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
