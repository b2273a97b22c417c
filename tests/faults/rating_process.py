"""A worker in a process of its own, to be killed: rates what is due, one account a transaction for each line it gets.

It says each, so whoever kills it knows how far it has come, and that it goes no further meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from sql.pool import open_pool
from ticketing.accounts import Accounts
from ticketing.editions import TariffSource, open_editions
from ticketing.store import Store


async def main(dsn: str, tariff: str, now_s: float) -> None:
    """Rate until nobody asks for more."""
    pool = await open_pool(dsn, size_max=2)
    store = Store(pool)
    async with store.connection() as connection:
        editions = await open_editions(connection, TariffSource("city.toml", Path(tariff).read_text(encoding="utf-8")))
    accounts = Accounts(store, editions, lambda: now_s, batch_max=1)
    while await asyncio.to_thread(sys.stdin.readline):
        print(await accounts.rate_due(), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
