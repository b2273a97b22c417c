"""The one web application: every service's operations, the console, errors, limits, and a server that drains.

A request passes one middleware (deploy.envelope) and one handler made of its operation (deploy.answers).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Annotated, Any

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry

from deploy import openapi, pages
from deploy.answers import Callers
from deploy.auth import PERMISSIONS
from deploy.binding import Operation, bind_all, by_address
from deploy.envelope import Envelope, WebSettings
from deploy.limits import TokenBuckets
from deploy.listening import listen_error, tls_context
from deploy.metrics import HttpMetrics, expose
from deploy.negotiation import handler_at
from deploy.sessions import Access

__all__ = ["Access", "WebServer", "WebSettings", "routes_of", "tls_context"]

log = structlog.get_logger("web")


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
        expose(registry, "auth", lambda: _auth_counters(access))
        description = DescriptionApi()
        own: list[Any] = [access.sessions] if access.sessions is not None else []
        self.operations = bind_all([*apis, *own, description])
        _check_permissions(self.operations)
        description.document = openapi.describe(self.operations, settings.version)
        buckets = [TokenBuckets(rate) if rate else None for rate in (settings.per_subject, settings.per_address)]
        local = settings.local_permissions
        callers = Callers(access.bearer, access.sessions, buckets[0], buckets[1], access.clock, local)
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
            raise listen_error(error, self.settings.host, self.settings.port) from None
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
    app.on_response_prepare.append(envelope.dress)
    for forms in by_address(operations):
        operation, handler = forms[0], handler_at(forms, callers)
        if operation.method == "GET" and operation.reply.kind != "stream":
            resource = app.router.add_get(operation.path, handler, allow_head=True).resource
        else:
            resource = app.router.add_route(operation.method, operation.path, handler).resource
        names[resource] = operation.path
        if operation.reply.kind == "stream" and operation.reply.schema is None:
            envelope.stream_routes.add(operation.path)
    files: dict[str, pages.Page] = {}
    if settings.pages:
        files = pages.console_pages(settings.console) | pages.wallet_pages(settings.wallet) | pages.docs_pages()
        for address in ("/ticket", "/docs"):
            names[app.router.add_get(f"{address}/", pages.without_slash).resource] = address
    for address, page in files.items():
        resource = app.router.add_get(address, pages.serve(page)).resource
        # Assets are many and their names hold hashes: one name for all of them in the metrics.
        names[resource] = address.split("/assets/")[0] + "/assets" if "/assets/" in address else address
    return app, envelope


def _auth_counters(access: Access) -> dict[str, float]:
    """Tokens and logins that were refused, and logins that were not."""
    counted: dict[str, float] = dict(access.sessions.counters) if access.sessions is not None else {}
    if access.bearer is not None:
        counted["tokens_refused"] = access.bearer.refused
    return counted


def _check_permissions(operations: Sequence[Operation]) -> None:
    """A permission that nobody knows would be denied to all for ever: say so at the start."""
    unknown = {o.permission for o in operations} - set(PERMISSIONS) - {"public"}
    if unknown:
        raise ValueError(f"deploy.auth.PERMISSIONS does not know {', '.join(sorted(unknown))}")


def routes_of(operations: Sequence[Operation]) -> list[tuple[str, str, str]]:
    """Method, path and permission of every operation: what an audit of rights wants to see."""
    return [(o.method, o.path, o.permission) for o in operations]
