"""A backup taken while tickets are bought, restored elsewhere: what was paid since is not paid again."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from pathlib import Path

from deploy.backup import back_up
from deploy.instance import Instance
from deploy.restore import restore
from simulators.acquirer import Acquirer
from tests.faults.money_flows import buy, is_bought, lost_token
from tests.faults.till_town import TillTown, till_town
from tests.integration.conftest import empty_database  # noqa: F401  # a fixture

PASSPHRASE = "correct horse battery"
AT_LEAST = 3
"""Purchases before and after the moment of the backup."""


def token_of(name: str) -> str:
    """Every third card's first answer is lost."""
    return lost_token(name) if name.endswith(("0", "3", "6", "9")) else name


async def buy_until(town: TillTown, stop: asyncio.Event, bought: list[str]) -> None:
    """One ticket after the other, and some more once it is time to stop."""
    left = AT_LEAST
    for number in itertools.count():
        name = f"moving-{number}"
        after = stop.is_set()  # before it is asked for: what is under way may be in the backup
        body = {"product_id": "ten", "payment": {"method_token": token_of(name)}}
        await town.ask("POST", "/api/v1/purchases", body, key=name)
        bought.append(name)
        left -= after
        if not left:
            return


async def test_restored_from_the_midst_of_a_sale_nobody_pays_twice(
    database: str,
    empty_database: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    acquirer = Acquirer("secret")
    instance, stop, bought = Instance.open(tmp_path / "data"), asyncio.Event(), list[str]()
    async with till_town(database, tmp_path, acquirer) as town, asyncio.TaskGroup() as group:
        group.create_task(buy_until(town, stop, bought))
        while len(bought) < AT_LEAST:
            await asyncio.sleep(0.01)
        await back_up(instance, tmp_path / "backup", PASSPHRASE, database_url=database)
        stop.set()
    await restore(tmp_path / "backup", tmp_path / "restored", PASSPHRASE, database_url=empty_database)
    async with till_town(empty_database, tmp_path, acquirer) as town:
        known = await town.value("SELECT count(*) FROM purchase")
        assert AT_LEAST <= known <= len(bought) - AT_LEAST
        await town.come_to_rest()
        for name in bought:
            await buy(town, name, token=token_of(name))
        await town.come_to_rest()
        await town.check()
        for name in bought:
            await is_bought(town, name, None, token_of(name))
        assert await town.value("SELECT count(*) FROM ticket") == len(bought)


async def test_a_backup_that_is_killed_leaves_no_file_under_its_name(database: str, tmp_path: Path) -> None:
    Instance.open(tmp_path / "data")
    out, passphrase = tmp_path / "backup", tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    (tmp_path / "takt.toml").write_text(f'database_url = "{database}"\n')
    code = "import typer; from deploy.commands import backup; app = typer.Typer(); backup.register(app); app()"
    words = [str(out), "--data-dir", str(tmp_path / "data"), "--passphrase-file", str(passphrase)]
    words += ["--config", str(tmp_path / "takt.toml")]
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *words)
    while not list(tmp_path.glob(".backup.*")):
        assert killed.returncode is None
        await asyncio.sleep(0.001)
    killed.send_signal(signal.SIGKILL)
    assert await killed.wait() == -signal.SIGKILL
    assert not out.exists()
    again = await asyncio.create_subprocess_exec(sys.executable, "-c", code, *words)
    assert await again.wait() == 0
    assert out.exists()
