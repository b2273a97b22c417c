"""How a passenger's own tickets stand, on a real PostgreSQL: told to the device that holds the key, to nobody else."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_p256
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.integration.ticket_city import City, open_city
from ticketing.errors import Problem
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.refund_booking import Refunding
from ticketing.signing import b64url
from ticketing.wallet_api import Shown, WalletApi, WalletTicket

FROM = SimpleNamespace(remote="192.0.2.7")


class Phone:
    """A passenger's device: Ed25519 where it can, else P-256 as older browsers do."""

    def __init__(self, *, p256: bool = False) -> None:
        self._ed25519 = None if p256 else Ed25519PrivateKey.generate()
        self._p256 = generate_p256(SECP256R1()) if p256 else None

    @property
    def jwk(self) -> dict[str, str]:
        if self._ed25519:
            return {"kty": "OKP", "crv": "Ed25519", "x": b64url(self._ed25519.public_key().public_bytes_raw())}
        assert self._p256
        numbers = self._p256.public_key().public_numbers()
        return {"kty": "EC", "crv": "P-256", "x": b64url(numbers.x.to_bytes(32)), "y": b64url(numbers.y.to_bytes(32))}

    def sign(self, message: bytes) -> bytes:
        if self._ed25519:
            return self._ed25519.sign(message)
        assert self._p256
        r, s = decode_dss_signature(self._p256.sign(message, ECDSA(SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)  # as WebCrypto gives it

    def show(self, token: str, at_s: float) -> str:
        return with_proof(token, int(at_s), self.sign(proof_message(plain_token(token), int(at_s))))


@pytest_asyncio.fixture
async def city(database: str) -> AsyncIterator[City]:
    async for opened in open_city(database):
        yield opened


async def standing(city: City, *tokens: str) -> list[WalletTicket]:
    told = await WalletApi(city.service, lambda _address, _codes: 0.0).show(body=Shown(list(tokens)), request=FROM)
    assert told.as_of == pytest.approx(city.now(), abs=5)
    return told.tickets


async def sold_to(city: City, phone: Phone, product: str = "mobile") -> Any:
    return await city.sell(product, device_key=phone.jwk)


@pytest.mark.parametrize("p256", [False, True])
async def test_the_device_sees_its_ticket_used(city, p256):
    phone = Phone(p256=p256)
    sold = await sold_to(city, phone)
    code = phone.show(sold.token, city.now())
    (fresh,) = await standing(city, code)
    assert (fresh.verdict, fresh.id, fresh.uses, fresh.uses_allowed) == ("accepted", sold.id, 0, 1)
    assert await city.say(code) == "accepted"
    (used,) = await standing(city, phone.show(sold.jwt, city.now()))
    assert (used.verdict, used.uses, used.last_place) == ("used_up", 1, "kpt/4582")
    assert used.last_used_at == pytest.approx(city.now(), abs=5)


async def test_a_photograph_of_the_code_tells_nothing(city):
    phone, stranger = Phone(), Phone()
    sold = await sold_to(city, phone)
    old = phone.show(sold.token, city.now() - 60)
    told = await standing(city, old, sold.token, sold.jwt, stranger.show(sold.token, city.now()), "HELLO")
    assert [one.verdict for one in told] == ["stale_proof"] * 3 + ["bad_signature", "malformed"]
    assert {(one.id, one.uses, one.last_place) for one in told} == {(None, None, None)}


async def test_what_the_desk_does_is_seen(city):
    phone = Phone()
    sold = [await sold_to(city, phone, product) for product in ("month", "mobile", "day")]
    await city.api.desk.change_ticket(sold[0].id, "suspend", "asked for", subject="cashier")
    await city.api.desk.refund(sold[1].id, Refunding("asked for"), subject="cashier")
    codes = [phone.show(one.token, city.now()) for one in sold]
    told = await standing(city, *codes)
    assert [one.verdict for one in told] == ["suspended", "revoked", "accepted"]
    assert [one.refunded_minor for one in told] == [None, 800, None]
    assert told[1].refunded_at == pytest.approx(city.now(), abs=5)
    city.offset_s = 40 * 86400
    codes = [phone.show(one.token, city.now()) for one in sold]
    assert [one.verdict for one in await standing(city, *codes)] == ["expired"] * 3


async def test_one_address_may_ask_about_so_many_codes_and_no_more(city):
    asked: list[tuple[str, int]] = []

    def may_ask(address: str, codes: int) -> float:
        asked.append((address, codes))
        return 1.0

    with pytest.raises(Problem) as refused:
        await WalletApi(city.service, may_ask).show(body=Shown(["A", "B"]), request=FROM)
    assert refused.value.status == 429
    assert asked == [("192.0.2.7", 2)]


async def test_a_ticket_that_the_books_have_lost_is_unknown(city):
    phone = Phone()
    sold = await sold_to(city, phone)
    code = phone.show(sold.token, city.now())
    await city.pool.execute("UPDATE ticket SET id = $2 WHERE id = $1", uuid.UUID(sold.id), uuid.uuid4())
    assert [one.verdict for one in await standing(city, code, code)] == ["unknown", "unknown"]
