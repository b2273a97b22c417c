"""PostgreSQL and the broker inside a data folder: started, killed in every way, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import nats
import psutil
import pytest

from deploy import embedded_postgres as postgres_module
from deploy.embedded_broker import BrokerSettings, embedded_broker
from deploy.embedded_postgres import embedded_postgres
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.postgres_files import postgres_bin
from deploy.run_as import SystemUser, unprivileged

# A supervisor with both servers; it tells its children's ids and waits.
SUPERVISOR = """
import asyncio, sys
from pathlib import Path
import asyncpg
from deploy.embedded_broker import BrokerSettings, embedded_broker
from deploy.embedded_postgres import embedded_postgres
from deploy.postgres_files import postgres_bin
from deploy.instance import Instance

async def main():
    instance = Instance.open(Path(sys.argv[1]))
    with instance.locked():
        async with embedded_postgres(instance) as url, embedded_broker(instance, BrokerSettings(mqtt_port=0)) as broker:
            connection = await asyncpg.connect(url)
            await connection.execute("CREATE TABLE IF NOT EXISTS tap (id int); INSERT INTO tap VALUES (1)")
            print(await connection.fetchval("SELECT pg_backend_pid()"), broker.pid, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance.open(tmp_path / "data")


async def count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM tap")
        return found
    finally:
        await connection.close()


async def ended(process: psutil.Process) -> None:
    """When a process is no more; zombies that wait for a parent count as ended."""
    while True:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        await asyncio.sleep(0.02)


async def supervisor(instance: Instance) -> tuple[asyncio.subprocess.Process, list[psutil.Process]]:
    """A running supervisor, and postmaster and broker under it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, str(instance.folder), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    backend, broker = map(int, (await process.stdout.readline()).split())
    postmaster = psutil.Process(backend).parent()
    assert postmaster is not None
    return process, [postmaster, psutil.Process(broker)]


async def test_the_database_keeps_what_was_committed_over_a_clean_stop(instance: Instance) -> None:
    with instance.locked():
        async with embedded_postgres(instance) as url:
            connection = await asyncpg.connect(url)
            await connection.execute("CREATE TABLE tap (id int); INSERT INTO tap VALUES (1)")
            owner = await connection.fetchval("SELECT NOT rolsuper FROM pg_roles WHERE rolname = current_user")
            settings = dict(await connection.fetch("SELECT name, setting FROM pg_settings"))
            await connection.close()
        async with embedded_postgres(instance) as url:
            assert await count(url) == 1

    assert owner
    assert settings["fsync"] == settings["synchronous_commit"] == "on"
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["server_encoding"] == "UTF8"
    assert settings["password_encryption"] == "scram-sha-256"
    assert not (instance.postgres_dir / "postmaster.pid").exists()


async def test_nobody_gets_in_without_the_password(instance: Instance) -> None:
    with instance.locked():
        async with embedded_postgres(instance) as url:
            parts = urlsplit(url)
            for user in ("takt", "takt_admin", "postgres"):
                with pytest.raises(asyncpg.InvalidPasswordError):
                    await asyncpg.connect(host="127.0.0.1", port=parts.port, user=user, password="x", database="takt")


async def test_no_password_is_in_a_log_a_command_line_or_an_environment(instance: Instance) -> None:
    secrets = [getattr(instance.secrets, name).encode() for name in instance.secrets.__struct_fields__]
    with instance.locked():
        async with embedded_postgres(instance), embedded_broker(instance, BrokerSettings(mqtt_port=0)):
            shown = b""
            for child in psutil.Process().children(recursive=True):
                shown += " ".join(child.cmdline()).encode() + repr(child.environ()).encode()
    shown += b"".join(path.read_bytes() for path in instance.logs_dir.iterdir())

    assert not [secret for secret in secrets if secret in shown]


async def test_killing_the_supervisor_ends_its_servers_and_the_next_start_keeps_everything(instance: Instance) -> None:
    process, servers = await supervisor(instance)
    process.kill()
    await process.wait()

    with instance.locked():
        async with embedded_postgres(instance) as url, embedded_broker(instance, BrokerSettings(mqtt_port=0)):
            assert await count(url) == 1
    for server in servers:
        await ended(server)


async def test_killing_the_whole_tree_at_once_loses_nothing_committed(instance: Instance) -> None:
    for run in range(1, 4):
        process, servers = await supervisor(instance)
        tree = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for victim in tree:
            victim.kill()
        await process.wait()
        with instance.locked():
            async with embedded_postgres(instance) as url:
                assert await count(url) == run
        assert servers


async def test_a_process_number_that_became_somebody_elses_is_no_hindrance(instance: Instance) -> None:
    with instance.locked():
        async with embedded_postgres(instance):
            pass
        # As after a power cut: the file is still there, and its number now belongs to this very test.
        (instance.postgres_dir / "postmaster.pid").write_text(
            f"{os.getpid()}\n{instance.postgres_dir}\n1\n1\n\n\n1 1\n"
        )
        (instance.nats_dir / "nats.pid").write_text(str(os.getpid()))
        async with embedded_postgres(instance), embedded_broker(instance, BrokerSettings(mqtt_port=0)):
            pass


async def test_a_death_while_running_is_told_in_one_sentence(instance: Instance) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    with instance.locked():
        async with embedded_postgres(instance, on_died=told.put_nowait) as url:
            connection = await asyncpg.connect(url)
            backend = await connection.fetchval("SELECT pg_backend_pid()")
            postmaster = psutil.Process(backend).parent()
            assert postmaster is not None
            postmaster.kill()
            assert (await told.get()).startswith("PostgreSQL ended (killed by SIGKILL)")
            connection.terminate()
        async with embedded_broker(instance, BrokerSettings(mqtt_port=0), on_died=told.put_nowait) as broker:
            os.kill(broker.pid, signal.SIGKILL)
            assert (await broker.died).startswith("The broker ended (killed by SIGKILL)")
            assert (await told.get()).startswith("The broker ended")


async def test_it_comes_back_on_the_same_port_after_a_kill(instance: Instance) -> None:
    with instance.locked():
        ports: list[int | None] = [0]
        for _ in range(3):
            dead = asyncio.Event()
            async with embedded_postgres(instance, port=ports[-1] or 0, on_died=lambda _, dead=dead: dead.set()) as url:
                ports.append(urlsplit(url).port)
                connection = await asyncpg.connect(url)
                postmaster = psutil.Process(await connection.fetchval("SELECT pg_backend_pid()")).parent()
                assert postmaster is not None
                postmaster.kill()
                await dead.wait()
                connection.terminate()
    assert len(set(ports[1:])) == 1


async def test_a_set_up_cut_short_is_begun_anew(instance: Instance) -> None:
    half = instance.folder / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with instance.locked():
        async with embedded_postgres(instance) as url:
            assert url
    assert not half.exists()
    assert not (instance.folder / "postgres.password").exists()


async def test_a_broken_database_is_one_clear_sentence(instance: Instance) -> None:
    with instance.locked():
        async with embedded_postgres(instance):
            pass
        (instance.postgres_dir / "global" / "pg_control").write_bytes(b"nonsense")
        with pytest.raises(UserError, match=r"PostgreSQL does not start: .*; see .*postgres\.log") as error:
            async with embedded_postgres(instance):
                pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "left"), [("PG_VERSION", None), ("global/pg_control", None), ("global/pg_control", 7)]
)
async def test_a_damaged_database_says_how_to_get_it_back(instance: Instance, name: str, left: int | None) -> None:
    with instance.locked():
        async with embedded_postgres(instance):
            pass
        path = instance.postgres_dir / name
        if left is None:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(UserError, match=r"the database is damaged.* takt restore"):
            async with embedded_postgres(instance):
                pass


async def test_a_database_of_another_version_is_refused(instance: Instance) -> None:
    instance.postgres_dir.mkdir()
    (instance.postgres_dir / "PG_VERSION").write_text("16\n")
    with instance.locked(), pytest.raises(UserError, match="belongs to PostgreSQL 16 and this Takt brings 18"):
        async with embedded_postgres(instance):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_root_without_namespaces_runs_it_as_another_user_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    if not all(parent.stat().st_mode & 0o001 for parent in postgres_bin().parents):
        pytest.skip("needs an installation that other users may enter")
    # Not under pytest's own folder, which is closed to others.
    with tempfile.TemporaryDirectory() as open_folder:
        Path(open_folder).chmod(0o755)
        await _run_as_each(Instance.open(Path(open_folder) / "data"), monkeypatch)


async def _run_as_each(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = unprivileged()
    other = SystemUser(inside.uid, inside.gid)  # type: ignore[union-attr]
    with instance.locked():
        for identity in (other, inside, other):
            monkeypatch.setattr(postgres_module, "unprivileged", lambda identity=identity: identity)
            async with embedded_postgres(instance) as url:
                connection = await asyncpg.connect(url)
                assert await connection.fetchval("SELECT 1") == 1
                await connection.close()
                owner = identity.uid if isinstance(identity, SystemUser) else 0
                assert instance.postgres_dir.stat().st_uid == owner
    assert instance.secrets_path.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
async def test_a_folder_that_the_other_user_cannot_reach_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    instance = Instance.open(closed / "data")
    monkeypatch.setattr(postgres_module, "unprivileged", lambda: SystemUser(65534, 65534))
    with instance.locked(), pytest.raises(UserError, match="may not pass here"):
        async with embedded_postgres(instance):
            pass


async def test_a_taken_mqtt_port_is_one_clear_sentence(instance: Instance) -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with instance.locked(), pytest.raises(UserError, match=rf"port {port} is taken by .* --mqtt-port"):
            async with embedded_broker(instance, BrokerSettings(mqtt_port=port)):
                pass


async def test_our_own_processes_get_in_over_nats_and_devices_do_not(instance: Instance) -> None:
    from deploy.devices import Registry

    device = Registry(instance).add("vehicle", "kpt", "1")
    refusals: list[Exception] = []

    async def note(error: Exception) -> None:
        refusals.append(error)

    with instance.locked():
        async with embedded_broker(instance, BrokerSettings(mqtt_port=0)) as broker:
            client = await nats.connect(broker.nats_url, user=broker.user, password=broker.password)
            assert client.max_payload == 8 * 1024 * 1024
            await client.close()
            with pytest.raises(Exception, match=r"(?i)authorization|no servers"):
                await nats.connect(
                    broker.nats_url,
                    user=device.username,
                    password=device.password,
                    allow_reconnect=False,
                    error_cb=note,
                )


async def test_a_database_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    with instance.locked():
        async with embedded_postgres(instance):
            pass
        shutil.rmtree(instance.postgres_dir)
        with pytest.raises(UserError, match="the database that was made here is gone"):
            async with embedded_postgres(instance):
                pass
