"""The payment interface over HTTP: JSON with an Idempotency-Key, one attempt each, and a bound on everything."""

from __future__ import annotations

import ssl
from collections import Counter
from types import TracebackType
from typing import Literal, Self

import aiohttp
import msgspec

from ticketing.masking import mask_text
from ticketing.money import Money
from ticketing.payment import REASON_CHARS_MAX, Approved, Declined, Outcome, Unknown

ANSWER_BYTES_MAX = 16_384
CONNECTIONS_MAX = 16


class _Answer(msgspec.Struct):
    """What an acquirer says; key is the Idempotency-Key that it answers, so that no answer is taken for another's."""

    key: str
    status: Literal["approved", "declined"]
    id: str = ""
    reason: str = ""
    final: bool = False


_decode = msgspec.json.Decoder(_Answer).decode


class HttpPayments:
    """Payments over HTTP: `async with HttpPayments(url, secret) as payments`. counters has the outcomes by kind."""

    def __init__(self, url: str, secret: str, *, timeout_s: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._tls: ssl.SSLContext | bool = tls if tls is not None else True
        self._session: aiohttp.ClientSession | None = None
        self.counters: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX, ssl=self._tls)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def verify(self, token: str, idempotency: str) -> Outcome:
        """POST /v1/verifications."""
        return await self._ask("verifications", {"token": token}, idempotency)

    async def charge(self, token: str, amount: Money, idempotency: str, reference: str) -> Outcome:
        """POST /v1/charges."""
        asked = {"token": token, "amount_minor": amount.minor, "currency": amount.currency, "reference": reference}
        return await self._ask("charges", asked, idempotency)

    async def refund(self, charge_id: str, amount: Money, idempotency: str) -> Outcome:
        """POST /v1/refunds."""
        asked = {"charge_id": charge_id, "amount_minor": amount.minor, "currency": amount.currency}
        return await self._ask("refunds", asked, idempotency)

    async def _ask(self, what: str, asked: dict[str, object], key: str) -> Outcome:
        outcome = await self._post(what, asked, key)
        self.counters[f"{what}.{_WORDS[type(outcome)]}"] += 1
        if isinstance(outcome, Unknown):
            self.counters[f"unknown.{outcome.reason}"] += 1
        return outcome

    async def _post(self, what: str, asked: dict[str, object], key: str) -> Outcome:
        """Only a whole answer to this very key counts; a status other than 200 says nothing about money."""
        assert self._session is not None, "enter it first"
        try:
            async with self._session.post(
                f"{self._url}/v1/{what}", json=asked, headers={"Idempotency-Key": key}, allow_redirects=False
            ) as reply:
                if reply.status != 200:
                    return Unknown(f"http_{reply.status}")
                raw = await reply.content.read(ANSWER_BYTES_MAX + 1)
                while len(raw) <= ANSWER_BYTES_MAX and (more := await reply.content.read(ANSWER_BYTES_MAX)):
                    raw += more
                # A connection is used once: what an acquirer sends after its answer cannot be read as another's.
                reply.close()
        except TimeoutError:
            return Unknown("timeout")
        except (aiohttp.ClientError, OSError, ValueError):
            return Unknown("connection")
        return _read(raw, key)


_WORDS = {Approved: "approved", Declined: "declined", Unknown: "unknown"}


def _read(raw: bytes, key: str) -> Outcome:
    """The outcome in an answer's body; anything but a plain word on this key is unknown."""
    try:
        answer = _decode(raw) if len(raw) <= ANSWER_BYTES_MAX else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        answer = None
    if answer is None:
        return Unknown("unreadable")
    if answer.key != key:
        return Unknown("answer_to_another")
    if answer.status == "declined":
        return Declined(mask_text(answer.reason)[:REASON_CHARS_MAX] or "declined", answer.final)
    return Approved(answer.id) if 0 < len(answer.id) <= REASON_CHARS_MAX else Unknown("unreadable")
