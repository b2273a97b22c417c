"""Card numbers at every door of a running product: none is in a table, a log or a message of ours afterwards."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import pytest

from tests.acceptance.product import Product
from tests.acceptance.test_demo import Device

# Every door of a running city takes minutes: it is tried with the other long tests, by `make soak`.
pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300), pytest.mark.soak]

# Test numbers that card schemes publish: they pass the check and belong to nobody.
NUMBERS = ("4111111111111111", "5555555555554444", "378282246310005", "4012 8888 8888 1881", "6011-1111-1111-1117")
DIGITS = tuple(re.sub(r"\D", "", number) for number in NUMBERS)
PATTERN = "|".join("[ -]?".join(digits) for digits in DIGITS)
AS_HEX = "|".join(
    "(20|2d)?".join(digits.encode().hex()[n : n + 2] for n in range(0, 2 * len(digits), 2)) for digits in DIGITS
)
FOUND = re.compile(PATTERN)


def tables_with_numbers(url: str) -> dict[str, list[str]]:
    """The rows of all tables in which one of the numbers stands, as text or as bytes."""

    async def look() -> dict[str, list[str]]:
        connection = await asyncpg.connect(url, timeout=10)
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        )
        found = {}
        for (table,) in tables:
            rows = await connection.fetch(
                f'SELECT left(t::text, 400) FROM "{table}" t WHERE t::text ~ $1 OR t::text ~ $2 LIMIT 5',
                PATTERN,
                AS_HEX,
            )
            if rows:
                found[table] = [row[0] for row in rows]
        await connection.close()
        return found

    return asyncio.run(look())


def logs_with_numbers(folder: Path) -> list[str]:
    files = [*folder.glob("logs/*"), folder.parent / f"{folder.name}.log"]
    return [
        f"{file.name}: {line[:300]}"
        for file in files
        if file.is_file()
        for line in file.read_text(errors="replace").splitlines()
        if FOUND.search(line)
    ]


def knock_over_http(demo: Product, number: str) -> None:
    """The number in every field of text that HTTP takes."""
    tap = {"boot": number, "seq": 0, "ts": time.time(), "vehicle": number, "stop_id": number}
    for medium in ("qr", "card", "bank"):
        for token in (number, f"tok-{number}-x", f"x{number}x"):
            body = tap | {"id": str(uuid.uuid4()), "medium": medium, "token": token}
            demo.http("/api/v1/validations", body | {"bank": {"par": number, "oda": "passed"}}, "validator")
            demo.http("/api/v1/validations", body | {"bank": {"par": f"V{number}", "oda": "none"}}, "validator")
            demo.http("/api/v1/inspections", {"token": token, "medium": medium, "vehicle": number}, "inspector")
    for token in (number, f"tok-{number}", f"x{number}x"):
        order = {"product_id": "single", "payment": {"method_token": token}}
        demo.http("/api/v1/purchases", order)
        demo.http("/api/v1/bank-accounts/search", {"token": token}, "cashier")
    demo.http("/api/v1/tickets", {"product_id": number}, "cashier")
    sold = demo.http("/api/v1/tickets", {"product_id": "single"}, "cashier").json
    for action in ("suspend", "resume", "refund"):
        demo.http(f"/api/v1/tickets/{sold['id']}/{action}", {"reason": f"paid by card {number}"}, "cashier")
    in_path = quote(number)
    demo.http(f"/api/v1/tickets/{in_path}", role="cashier")
    demo.http(f"/api/v1/tickets/{sold['id']}?token={in_path}", role="cashier")
    uid = "04" + uuid.uuid4().hex[:12].upper()
    demo.http("/api/v1/cards", {"uids": [uid]}, "admin")
    for action in ("block", "unblock"):
        demo.http(f"/api/v1/cards/{uid}/{action}", {"reason": number}, "cashier")
    for path in (f"/api/v1/bank-accounts/{in_path}/recover", f"/{in_path}", f"/api/v1/alerts/{in_path}/acknowledge"):
        demo.http(path, {"reason": number, number: number}, "admin")
    keyed(demo, number)


def keyed(demo: Product, number: str) -> None:
    """The number as an Idempotency-Key, which is a header."""
    for path, body, role in (
        ("/api/v1/tickets", {"product_id": "single"}, "cashier"),
        ("/api/v1/purchases", {"product_id": "single", "payment": {"method_token": uuid.uuid4().hex}}, None),
    ):
        request = urllib.request.Request(f"http://127.0.0.1:{demo.http_port}{path}", json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        request.add_header("Idempotency-Key", re.sub(" ", "-", number))
        request.add_header("User-Agent", number)
        if role:
            request.add_header("Authorization", f"Bearer {demo.token(role)}")
        with urllib.request.urlopen(request, timeout=10) as reply:
            assert reply.status == 201


def knock_over_mqtt(demo: Product, device: Device, number: str) -> list[dict[str, Any]]:
    """The number in every field of a tap and in garbage; what is published in return."""
    said = []
    for medium in ("qr", "card", "bank"):
        fields = {"boot": number, "vehicle": number, "stop_id": number, "bank": {"par": number, "oda": "passed"}}
        said.append(device.tap(f"x {number}", medium, **fields))
    garbage = (f'{{"token": "{number}"', f"{number}", json.dumps({"id": number, "note": number, number: 1}))
    for payload in garbage:
        for kind in ("tap", "event", "status"):
            device.client.publish(f"{device.base}/{kind}", payload, qos=1).wait_for_publish(5)
    return said


def test_no_card_number_is_left_behind_anywhere(demo: Product) -> None:
    device = Device(demo, "validator")
    said = []
    for number in NUMBERS:
        knock_over_http(demo, number)
        said += knock_over_mqtt(demo, device, number)
    url = json.loads((demo.data_dir / "runtime.json").read_text())["database_url"]

    def kept() -> bool:
        return asyncio.run(_count(url, device.id)) > 0

    demo.wait("the garbage is kept", kept)
    while not device.inbox.empty():
        said.append(device.inbox.get()[1])
    device.close()
    told = [message for message in said if FOUND.search(json.dumps(message))]
    assert (told, tables_with_numbers(url), logs_with_numbers(demo.data_dir)) == ([], {}, [])


async def _count(url: str, device: str) -> int:
    connection = await asyncpg.connect(url, timeout=10)
    count = await connection.fetchval("SELECT count(*) FROM dead_letter WHERE device = $1", device)
    await connection.close()
    return int(count)
