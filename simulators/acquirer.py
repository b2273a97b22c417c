"""An acquirer to try things with: a real HTTP server that books, declines, loses its answers and gives them twice.

It keeps its own record of what was really charged, which a test compares with our books. What goes wrong can be set as
a whole (`Mood`, also over HTTP at /control) or asked for by a token: one that begins with `decline-` is declined,
`timeout-` is booked and its first answer never comes, `twice-` is answered twice, `unverified-` fails its verification,
`unfunded-` passes it and has no money for any charge.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
from aiohttp import web

KEY_CHARS_MAX = 64
TOKEN_CHARS_MAX = 128
OPERATIONS_MAX = 1_000_000
SILENCE_S = 30.0
"""An answer that never comes holds its connection for so long."""

Kind = Literal["verification", "charge", "refund"]


class Mood(msgspec.Struct, forbid_unknown_fields=True):
    """What goes wrong: shares of the operations (0 to 1), the tokens that are declined, and whether it is down."""

    decline: float = 0.0
    timeout: float = 0.0
    twice: float = 0.0
    down: bool = False
    decline_tokens: list[str] = []
    decline_refunds: bool = False  # cards that are closed take nothing back
    final: bool = False  # declines are for good

    def __post_init__(self) -> None:
        """Shares are shares."""
        if not all(0 <= share <= 1 for share in (self.decline, self.timeout, self.twice)):
            raise ValueError("decline, timeout and twice are shares from 0 to 1")


class Operation(msgspec.Struct, frozen=True):
    """One operation as it was decided; approved is whether money moved (or a card was found good)."""

    key: str
    kind: Kind
    id: str
    approved: bool
    reason: str
    final: bool
    token: str
    amount_minor: int
    currency: str
    reference: str
    charge_id: str
    asked: str  # the request, so that the same key with another one is told apart


class _Verification(msgspec.Struct, forbid_unknown_fields=True):
    token: str


class _Charge(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    amount_minor: int
    currency: str
    reference: str = ""


class _Refund(msgspec.Struct, forbid_unknown_fields=True):
    charge_id: str
    amount_minor: int
    currency: str


@dataclass
class Acquirer:
    """The acquirer's memory and behaviour. journal keeps what was decided over a restart."""

    secret: str = ""
    mood: Mood = field(default_factory=Mood)
    rng: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311  # a game, no secret
    journal: Path | None = None
    operations: dict[str, Operation] = field(default_factory=dict)
    asks: Counter[str] = field(default_factory=Counter)
    url: str = ""

    def __post_init__(self) -> None:
        if self.journal is not None and self.journal.exists():
            for line in self.journal.read_bytes().splitlines():
                with contextlib.suppress(msgspec.DecodeError):  # a last line that was cut off
                    operation = msgspec.json.decode(line, type=Operation)
                    self.operations[operation.key] = operation

    @property
    def charged(self) -> dict[str, int]:
        """What was really taken, less what was given back, by charge id in minor units."""
        taken = {o.id: o.amount_minor for o in self.operations.values() if o.kind == "charge" and o.approved}
        for operation in self.operations.values():
            if operation.kind == "refund" and operation.approved:
                taken[operation.charge_id] -= operation.amount_minor
        return taken

    def charges(self, token: str | None = None) -> list[Operation]:
        """The charges that took money, of one token or of all, in order."""
        return [o for o in self.operations.values() if o.kind == "charge" and o.approved and token in (None, o.token)]

    def decide(self, key: str, kind: Kind, asked: _Verification | _Charge | _Refund) -> Operation | None:
        """The operation of a key, decided now if it is new; None where the key was used for another request."""
        said = msgspec.json.encode(asked).decode()
        self.asks[key] += 1
        known = self.operations.get(key)
        if known is not None:
            return known if (known.kind, known.asked) == (kind, said) else None
        if len(self.operations) >= OPERATIONS_MAX:
            raise web.HTTPServiceUnavailable
        token, charge_id = getattr(asked, "token", ""), getattr(asked, "charge_id", "")
        amount, currency = getattr(asked, "amount_minor", 0), getattr(asked, "currency", "")
        reason = self._against(kind, token, charge_id, amount, currency)
        operation = Operation(
            key,
            kind,
            f"{kind[:2]}-{len(self.operations) + 1}",
            not reason,
            reason,
            bool(reason) and self.mood.final,
            token,
            amount,
            currency,
            getattr(asked, "reference", ""),
            charge_id,
            said,
        )
        self.operations[key] = operation
        if self.journal is not None:
            with self.journal.open("ab") as file:
                file.write(msgspec.json.encode(operation) + b"\n")
        return operation

    def _against(self, kind: Kind, token: str, charge_id: str, amount: int, currency: str) -> str:
        """Why it is declined; empty where it is not."""
        if kind == "refund":
            return self._against_refund(charge_id, amount, currency)
        if token.startswith("decline-") or token in self.mood.decline_tokens:
            return "insufficient_funds"
        if kind == "charge" and token.startswith("unfunded-"):
            return "insufficient_funds"
        if kind == "verification" and token.startswith("unverified-"):
            return "card_not_active"
        return "do_not_honour" if self.rng.random() < self.mood.decline else ""

    def _against_refund(self, charge_id: str, amount: int, currency: str) -> str:
        left = self.charged.get(charge_id)
        charge = next((o for o in self.charges() if o.id == charge_id), None)
        if left is None or charge is None or charge.currency != currency:
            return "no_such_charge"
        if amount > left:
            return "more_than_charged"
        return "card_closed" if self.mood.decline_refunds else ""

    def loses(self, operation: Operation) -> bool:
        """Whether the answer to this asking never comes; a token of that kind loses its first one alone."""
        if operation.token.startswith("timeout-") and operation.kind == "charge":
            return self.asks[operation.key] == 1
        return self.rng.random() < self.mood.timeout

    def doubles(self, operation: Operation) -> bool:
        """Whether this asking is answered twice."""
        return operation.token.startswith("twice-") or self.rng.random() < self.mood.twice


class _Door:
    """The acquirer's HTTP operations."""

    def __init__(self, acquirer: Acquirer) -> None:
        self._acquirer = acquirer
        self.closing = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=16_384)
        app.router.add_post("/v1/verifications", self._verify)
        app.router.add_post("/v1/charges", self._charge)
        app.router.add_post("/v1/refunds", self._refund)
        app.router.add_put("/control", self._control)
        app.router.add_get("/record", self._record)
        return app

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "")
        if self._acquirer.secret and not hmac.compare_digest(
            given.encode(), f"Bearer {self._acquirer.secret}".encode()
        ):
            raise web.HTTPUnauthorized

    async def _verify(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "verification", _Verification)

    async def _charge(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "charge", _Charge)

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        return await self._answer(request, "refund", _Refund)

    async def _answer(self, request: web.Request, kind: Kind, form: type[Any]) -> web.StreamResponse:
        self._admit(request)
        if self._acquirer.mood.down:
            raise web.HTTPServiceUnavailable
        key = request.headers.get("Idempotency-Key", "")
        try:
            asked = msgspec.json.decode(await request.read(), type=form)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        if not 0 < len(key) <= KEY_CHARS_MAX or len(getattr(asked, "token", "")) > TOKEN_CHARS_MAX:
            raise web.HTTPBadRequest(text="Idempotency-Key has 1 to 64 characters, token 1 to 128")
        if kind != "verification" and asked.amount_minor <= 0:
            raise web.HTTPBadRequest(text="amount_minor is more than nothing")
        operation = self._acquirer.decide(key, kind, asked)
        if operation is None:
            raise web.HTTPConflict(text="this Idempotency-Key was used for another request")
        if self._acquirer.loses(operation):
            await self._say_nothing(request)
        return await self._say(request, operation)

    async def _say_nothing(self, request: web.Request) -> None:
        """What was booked stays booked; the caller hears nothing and gives up."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await self.closing.wait()
        if request.transport is not None:
            request.transport.abort()

    async def _say(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        status = "approved" if operation.approved else "declined"
        said = {"key": operation.key, "status": status, "id": operation.id, "reason": operation.reason}
        body = json.dumps(said | {"final": operation.final}).encode()
        response = web.Response(body=body, content_type="application/json")
        if self._acquirer.doubles(operation) and request.transport is not None:
            await response.prepare(request)
            await response.write_eof()
            # The same answer once more on the same connection, as if there had been another question.
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            request.transport.write(head + body)
        return response

    async def _control(self, request: web.Request) -> web.Response:
        self._admit(request)
        try:
            self._acquirer.mood = msgspec.json.decode(await request.read(), type=Mood)
        except (msgspec.DecodeError, ValueError) as error:
            raise web.HTTPBadRequest(text=str(error)) from None
        return web.json_response(msgspec.to_builtins(self._acquirer.mood))

    async def _record(self, request: web.Request) -> web.Response:
        self._admit(request)
        return web.json_response([msgspec.to_builtins(o) for o in self._acquirer.operations.values()])


def free_socket(host: str = "127.0.0.1") -> socket.socket:
    """A listening socket on a free port, so that its address can be told before anybody answers there."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    listener.listen(128)
    return listener


def address_of(listener: socket.socket) -> str:
    """The address of a listening socket, for whoever asks."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@asynccontextmanager
async def open_acquirer(acquirer: Acquirer, listener: socket.socket | None = None) -> AsyncIterator[Acquirer]:
    """The acquirer at work on a socket; its `url` says where."""
    door = _Door(acquirer)
    runner = web.AppRunner(door.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    listener = listener or free_socket()
    acquirer.url = address_of(listener)
    await web.SockSite(runner, listener).start()
    try:
        yield acquirer
    finally:
        door.closing.set()
        await runner.cleanup()
        listener.close()
