"""The console's login: a signed cookie, because an EventSource sends no header.

The cookie is a token of its own audience, so it outlives a restart and works in front of several processes. It ends
with its time, with a logout, with the user and with the user's password. Against forged requests from other sites the
cookie is SameSite=Strict and unsafe methods must come from our own origin.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from deploy.auth import NOBODY, BearerGate, Principal, TokenError, Tokens
from deploy.limits import Rate, TokenBuckets, retry_after
from deploy.problems import Problem
from deploy.users import PASSWORD_CHARS_MAX, Users

NEW_COOKIE = web.RequestKey("new_cookie", str)  # what the answer is to set; empty: take it away
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "takt_session"
AUDIENCE = "takt-console"  # a cookie is no bearer token, nor the other way round
SESSION_S = 12 * 3600
PER_ADDRESS = Rate(per_s=0.2, burst=20)
PER_NAME = Rate(per_s=0.1, burst=10)
_ENDED_MAX = 10_000
_HASHING_MAX = 2
_WAITING_MAX = 32


class Login(msgspec.Struct):
    """A name and a password."""

    user: str
    password: str


class Session(msgspec.Struct):
    """Who is logged in."""

    user: str
    role: str


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How often a password may be tried: from one address, and for one name."""

    per_address: Rate = PER_ADDRESS
    per_name: Rate = PER_NAME


DEFAULTS = SessionSettings()


class Sessions:
    """Makes, reads and ends the console's sessions; as an api object it answers /api/v1/session."""

    def __init__(
        self,
        users: Users,
        tokens: Tokens,
        clock: Callable[[], float],
        settings: SessionSettings = DEFAULTS,
    ) -> None:
        self._users = users
        self._tokens = tokens.for_audience(AUDIENCE)
        self._clock = clock
        self._by_address = TokenBuckets(settings.per_address)
        self._by_name = TokenBuckets(settings.per_name)
        self._hashing = asyncio.Semaphore(_HASHING_MAX)
        self._waiting = 0
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.counters = {"logins": 0, "logins_failed": 0, "logins_limited": 0, "origins_refused": 0}

    def routes(self) -> list[tuple[Any, ...]]:
        """The three ways to speak of a session."""
        return [
            ("GET", "/api/v1/session", "session:read", self.show),
            ("POST", "/api/v1/session", "public", self.open),
            ("DELETE", "/api/v1/session", "public", self.close),
        ]

    async def show(self, *, subject: str, role: str) -> Session:
        """Say who is logged in."""
        return Session(subject, role)

    async def open(self, *, body: Login, request: web.Request) -> Session:
        """Log in with a name and a password; the answer sets a cookie."""
        self._limit(request.remote or "", body.user)
        if len(body.user) > 64 or len(body.password) > PASSWORD_CHARS_MAX or self._waiting >= _WAITING_MAX:
            raise self._refuse()
        self._waiting += 1
        try:
            async with self._hashing:
                user = await asyncio.to_thread(self._users.verify, body.user, body.password)
        finally:
            self._waiting -= 1
        if user is None:
            raise self._refuse()
        self.counters["logins"] += 1
        jti = f"{user.version}.{secrets.token_hex(16)}"
        token = self._tokens.issue(user.role, user.name, self._clock(), SESSION_S, jti)
        request[NEW_COOKIE] = token
        return Session(user.name, user.role)

    async def close(self, *, request: web.Request) -> None:
        """Log out: the cookie is worth nothing from now on."""
        cookie = request.cookies.get(COOKIE)
        if cookie:
            try:
                jti = self._tokens.verify(cookie, self._clock()).jti
            except TokenError:
                jti = ""
            if jti:
                self._ended[jti] = None
                if len(self._ended) > _ENDED_MAX:
                    self._ended.popitem(last=False)
        request[NEW_COOKIE] = ""

    def identify(self, request: web.Request) -> Principal:
        """Who the cookie speaks for; nobody where it is missing, over or not ours.

        Raises:
            Problem: 403; the cookie came with an unsafe method from another origin than ours.
        """
        cookie = request.cookies.get(COOKIE)
        if not cookie:
            return NOBODY
        try:
            claims = self._tokens.verify(cookie, self._clock())
        except TokenError:
            return NOBODY
        user = self._users.find(claims.sub)
        fresh = user is not None and user.role == claims.role and claims.jti.startswith(f"{user.version}.")
        if not fresh or claims.jti in self._ended:
            return NOBODY
        if request.method not in SAFE_METHODS:
            self.demand_own_origin(request)
        return Principal(claims.sub, claims.role, "cookie")

    def demand_own_origin(self, request: web.Request) -> None:
        """Refuse an unsafe request that a browser did not make from our own page."""
        origin = request.headers.get("Origin", "")
        if not origin or urlsplit(origin).netloc.lower() != request.host.lower():
            self.counters["origins_refused"] += 1
            raise Problem(403, "With the console's cookie this works from the console's own address only.")

    def _limit(self, address: str, name: str) -> None:
        now_s = self._clock()
        wait_s = max(self._by_address.take(address, now_s), self._by_name.take(name[:64], now_s))
        if wait_s > 0:
            self.counters["logins_limited"] += 1
            raise Problem(
                429, "Too many logins were tried; wait a little.", headers={"Retry-After": retry_after(wait_s)}
            )

    def _refuse(self) -> Problem:
        self.counters["logins_failed"] += 1
        return Problem(401, "The name or the password is wrong.")


@dataclass(frozen=True, slots=True)
class Access:
    """Bearer tokens, console sessions, and the clock that both are judged by; without either nobody is let in."""

    bearer: BearerGate | None = None
    sessions: Sessions | None = None
    clock: Callable[[], float] = time.time


def write_cookie(response: web.StreamResponse, value: str, *, secure: bool) -> None:
    """Set the session's cookie, or with an empty value take it away."""
    if value:
        response.set_cookie(COOKIE, value, max_age=SESSION_S, path="/", secure=secure, httponly=True, samesite="Strict")
    else:
        response.del_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="Strict")
