"""The one web application: every service's operations, the console, errors, limits, and a server that drains.

A request passes one middleware (`Envelope.middleware`), which gives it an id, turns whatever goes wrong into a problem
document, adds headers, counts, and hands the answer over within a bounded time.
"""

from __future__ import annotations

import asyncio
import errno
import re
import secrets
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from deploy import openapi, pages
from deploy.access import Access
from deploy.answers import Callers, Handler, handler_of
from deploy.auth import PERMISSIONS
from deploy.binding import Operation, bind_all
from deploy.errors import UserError
from deploy.limits import Rate, TokenBuckets
from deploy.metrics import HttpMetrics
from deploy.problems import Problem, ProblemDocument, document_of, plain, render

log = structlog.get_logger("web")

CONSOLE_FOLDER = Path(__file__).parent.parent / "dispatch" / "console" / "dist"
_TOO_LARGE = re.compile(r"exceed|too many|too large|more than \d+ bytes", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
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


class DescriptionApi:
    """/openapi.json, made once from everything that is bound."""

    def __init__(self) -> None:
        self.document = b""

    def routes(self) -> list[tuple[Any, ...]]:
        """The one operation."""
        return [("GET", "/openapi.json", "public", self.show)]

    async def show(self) -> Annotated[bytes, "application/json", "public, max-age=60"]:
        """Describe this API (OpenAPI 3.1)."""
        return self.document


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
        request["id"] = request_id
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
        if not response.prepared:
            response.headers["X-Request-Id"] = request_id
            html = response.content_type == "text/html"
            for name, value in (self._page_headers if html else self._headers).items():
                response.headers[name] = value
        await self._deliver(request, response)
        seconds = time.perf_counter() - began
        self._metrics.answered(route, request.method, response.status, None if streaming else seconds)
        self._sample(request, response, request_id, seconds)
        return response

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


class _Protocol(web.RequestHandler):
    """aiohttp's connection, with our own words for what its parser refuses and a limit on how many there are."""

    def __init__(self, server: web.Server, owner: WebServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._owner.count_connection(1)
        if self._owner.connections > self._owner.settings.connections_max:
            self._owner.refuse_connection()
            transport.abort()  # type: ignore[attr-defined]

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.count_connection(-1)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        if status >= 500:
            log.error("connection_failed", exc_info=exc)
        response = self._owner.envelope.parser_problem(status, message)
        response.force_close()
        return response


class WebServer:
    """The web application as a service: entering means listening, leaving means drained, within a bound."""

    def __init__(
        self,
        apis: Sequence[Any],
        settings: WebSettings,
        access: Access,
        registry: CollectorRegistry,
    ) -> None:
        self.settings = settings
        self.connections = 0
        self.port = settings.port
        self._metrics = HttpMetrics(registry)
        description = DescriptionApi()
        own: list[Any] = [access.sessions] if access.sessions is not None else []
        self.operations = bind_all([*apis, *own, description])
        _check_permissions(self.operations)
        description.document = openapi.describe(self.operations, settings.version)
        buckets = [TokenBuckets(rate) if rate else None for rate in (settings.per_subject, settings.per_address)]
        callers = Callers(access.bearer, access.sessions, buckets[0], buckets[1], access.clock)
        self.app, self.envelope = _application(self.operations, callers, settings, self._metrics)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The address for people, once listening."""
        scheme = "https" if self.settings.tls_certificate else "http"
        host = self.settings.host
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
        return f"{scheme}://{shown}:{self.port}"

    def count_connection(self, change: int) -> None:
        """A connection came or went."""
        self.connections += change
        self._metrics.connections.set(self.connections)

    def refuse_connection(self) -> None:
        """A connection past the limit was closed."""
        self._metrics.connections_refused.inc()

    async def __aenter__(self) -> WebServer:
        """Listen.

        Raises:
            UserError: the port is taken, the address is not this machine's, or the certificate cannot be used.
        """
        tls = tls_context(self.settings.tls_certificate, self.settings.tls_key)
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=self.settings.drain_s_max)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {
            "loop": loop,
            "access_log": None,
            "keepalive_timeout": self.settings.idle_s_max,
            "lingering_time": 2.0,
            "auto_decompress": False,
            "max_line_size": 8190,
            "max_field_size": 8190,
            "max_headers": 100,
        }
        try:
            self._listener = await loop.create_server(
                lambda: _Protocol(server, self, **options),
                self.settings.host,
                self.settings.port,
                ssl=tls,
                backlog=1024,
                reuse_address=True,
            )
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise _listen_error(error, self.settings.host, self.settings.port) from None
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, end the streams, let answers under way finish, close the rest."""
        if self._listener is not None:
            self._listener.close()
        for task in list(self.envelope.streams):
            task.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        self._listener = self._runner = None


def _application(
    operations: Sequence[Operation], callers: Callers, settings: WebSettings, metrics: HttpMetrics
) -> tuple[web.Application, Envelope]:
    names: dict[Any, str] = {}
    envelope = Envelope(settings, metrics, names)
    app = web.Application(client_max_size=settings.body_bytes_max, middlewares=[envelope.middleware])
    for operation in operations:
        handler = handler_of(operation, callers)
        if operation.method == "GET" and operation.reply.kind != "stream":
            resource = app.router.add_get(operation.path, handler, allow_head=True).resource
        else:
            resource = app.router.add_route(operation.method, operation.path, handler).resource
        names[resource] = operation.path
        if operation.reply.kind == "stream" and operation.reply.schema is None:
            envelope.stream_routes.add(operation.path)
    for address, page in {**pages.console_pages(settings.console), **pages.docs_pages()}.items():
        resource = app.router.add_get(address, pages.serve(page)).resource
        # Assets are many and their names hold hashes: one name for all of them in the metrics.
        names[resource] = "/assets" if address.startswith("/assets/") else address
    return app, envelope


def _check_permissions(operations: Sequence[Operation]) -> None:
    """A permission that nobody knows would be denied to all for ever: say so at the start."""
    unknown = {o.permission for o in operations} - set(PERMISSIONS) - {"public"}
    if unknown:
        raise ValueError(f"deploy.auth.PERMISSIONS does not know {', '.join(sorted(unknown))}")


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS 1.2 or newer from a certificate chain and its key; None without either.

    Raises:
        UserError: one of the two is missing, cannot be read, or they do not belong together.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("TLS needs both a certificate file and a key file")
    for path in (certificate, key):
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; name the certificate and its key in PEM")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UserError(f"{certificate} with {key}: cannot be used for TLS ({reason})") from None
    return context


def _no_password() -> str:
    raise ValueError("the key is locked with a password; give one without")


def _listen_error(error: Exception, host: str, port: int) -> UserError:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return UserError(f"port {port} on {host} is taken by another program; choose another with --http-port")
    if code == errno.EACCES:
        return UserError(f"port {port} on {host} needs rights that this user does not have; choose one above 1023")
    if code == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return UserError(f"{host} is no address of this machine; --host takes one, such as 127.0.0.1 or 0.0.0.0")
    return UserError(f"cannot listen on {host}:{port}: {error}")


def _security_headers(policy: str) -> dict[str, str]:
    return {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": policy,
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


def routes_of(operations: Sequence[Operation]) -> list[tuple[str, str, str]]:
    """Method, path and permission of every operation: what an audit of rights wants to see."""
    return [(o.method, o.path, o.permission) for o in operations]
