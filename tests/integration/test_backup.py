"""A backup is one file, restores the same instance, and is refused when anything about it is wrong."""

from __future__ import annotations

import asyncio
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
import typer
from typer.testing import CliRunner, Result

from deploy import backup as backup_module
from deploy.backup import back_up
from deploy.backup_file import HEADER_BYTES
from deploy.commands import backup as backup_command
from deploy.commands import restore as restore_command
from deploy.devices import Registry
from deploy.embedded_postgres import embedded_postgres
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.restore import restore
from deploy.runtime import Runtime
from sql.migrate import migrate, pending_migrations

PASSPHRASE = "correct horse battery"
KEPT = ("control.json", "orders.json", "running-times.bin", "feed.json", "network/in-use.network")
NOT_KEPT = ("dispatch-state.bin", "dispatch.json", "network/demo.network", "devices.lock")


async def fill(url: str) -> None:
    """The product's own tables, some rows in them, and a table with values that are easily spoilt on the way."""
    await migrate(url)
    connection = await asyncpg.connect(url)
    await connection.execute(
        """
        INSERT INTO card (uid, key_version, currency)
            SELECT decode(lpad(to_hex(n), 14, '0'), 'hex'), 1, 'UAH' FROM generate_series(1, 2000) n;
        CREATE TABLE odd (id bigserial PRIMARY KEY, name text, at timestamptz, raw bytea, amount numeric, more jsonb);
        INSERT INTO odd (name, at, raw, amount, more) VALUES
            ('Київ ''"\\', '2026-03-29 03:30+02', '\\x00ff0d0a', 0.10, '{"a": [1, null]}'),
            (NULL, 'infinity', '', 'NaN', 'null');
        """
    )
    await connection.close()


async def content(url: str) -> dict[str, str]:
    """A fingerprint of the rows of every table."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            table["name"]: await connection.fetchval(
                "SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') "
                f"FROM {table['name']} t"
            )
            for table in tables
        }
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Instance, dict[str, str]]:
    """A stopped instance with data in it, and what is in it."""
    instance = Instance.open(tmp_path_factory.mktemp("filled") / "data")
    instance.users_path.write_text('{"users": []}')
    instance.users_path.chmod(0o600)
    Registry(instance).add("vehicle", "kpt", "1")
    for name in KEPT:
        (instance.folder / name).write_bytes(f"what {name} holds".encode() * 1000)
    for name in NOT_KEPT:
        (instance.folder / name).write_bytes(b"of a moment ago")

    async def prepare() -> dict[str, str]:
        with instance.locked():
            async with embedded_postgres(instance) as url:
                await fill(url)
                return await content(url)

    return instance, asyncio.run(prepare())


@pytest.fixture(scope="module")
def sealed(filled: tuple[Instance, dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of it."""
    out = tmp_path_factory.mktemp("backups") / "takt.backup"
    asyncio.run(back_up(filled[0], out, PASSPHRASE))
    return out


async def test_a_restored_instance_is_the_same_but_for_its_passwords(
    filled: tuple[Instance, dict[str, str]], sealed: Path, tmp_path: Path
) -> None:
    original, rows = filled
    await restore(sealed, tmp_path / "new", PASSPHRASE)
    restored = Instance.open(tmp_path / "new", create=False)

    with restored.locked():
        async with embedded_postgres(restored) as url:
            assert await content(url) == rows
            assert await pending_migrations(url) == []
            connection = await asyncpg.connect(url)
            assert await connection.fetchval("INSERT INTO odd (name) VALUES ('next') RETURNING id") == 3
            await connection.close()
    assert restored.id == original.id
    assert restored.secrets != original.secrets
    assert [device.bcrypt for device in Registry(restored).list()] == [d.bcrypt for d in Registry(original).list()]
    assert restored.users_path.read_bytes() == original.users_path.read_bytes()
    for key in (path for path in original.keys_dir.rglob("*") if path.is_file()):
        assert (restored.keys_dir / key.relative_to(original.keys_dir)).read_bytes() == key.read_bytes()
    for name in KEPT:
        assert (restored.folder / name).read_bytes() == (original.folder / name).read_bytes()
    assert not [name for name in NOT_KEPT if (restored.folder / name).exists()]
    assert not (restored.folder / "database.dump").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]
    # What lies below postgres/ is PostgreSQL's own affair, behind a folder that only the owner enters.
    ours = [path for path in restored.folder.rglob("*") if path.is_file() and "postgres" not in path.parts]
    assert {stat.S_IMODE(path.stat().st_mode) for path in ours} == {0o600}


async def test_a_running_instance_is_backed_up_as_well(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    with instance.locked():
        async with embedded_postgres(instance) as url:
            await fill(url)
            rows = await content(url)
            instance.write_runtime(Runtime(1, "http://127.0.0.1:1", 1, url))
            # Another process, as it would be: this one holds the lock.
            (tmp_path / "passphrase").write_text(PASSPHRASE)
            code = "import typer; from deploy.commands import backup; app = typer.Typer(); backup.register(app); app()"
            words = [str(tmp_path / "b"), "--data-dir", str(tmp_path / "data")]
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, *words, "--passphrase-file", str(tmp_path / "passphrase")
            )
            assert await process.wait() == 0
            await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE)
    restored = Instance.open(tmp_path / "new")
    with restored.locked():
        async with embedded_postgres(restored) as url:
            assert await content(url) == rows


async def test_a_database_of_ones_own_is_backed_up_and_restored(
    empty_database: str, database: str, tmp_path: Path
) -> None:
    await fill(empty_database)
    instance = Instance.open(tmp_path / "data")
    await back_up(instance, tmp_path / "b", PASSPHRASE, database_url=empty_database)
    rows = await content(empty_database)

    with pytest.raises(UserError, match=r"holds \d+ tables already; name an empty one"):
        await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE, database_url=database)
    assert not (tmp_path / "new").exists()
    connection = await asyncpg.connect(database)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
    await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE, database_url=database)

    assert await content(database) == rows


def test_nothing_readable_is_in_the_file(filled: tuple[Instance, dict[str, str]], sealed: Path) -> None:
    data = sealed.read_bytes()
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    for word in (b"PRIVATE KEY", b"backup.json", b"PGDMP", b"vehicle", filled[0].id.encode()):
        assert word not in data


def spoil(sealed: Path, folder: Path, how: str) -> Path:
    data = bytearray(sealed.read_bytes())
    match how:
        case "cut":
            data = data[: len(data) // 2]
        case "last byte missing":
            data = data[:-1]
        case "one bit":
            data[HEADER_BYTES + 1000] ^= 1
        case "empty":
            data = bytearray()
        case "something else":
            data = bytearray(b"PK\x03\x04" + bytes(100))
    spoilt = folder / "spoilt.backup"
    spoilt.write_bytes(data)
    return spoilt


@pytest.mark.parametrize("how", ["cut", "last byte missing", "one bit", "empty", "something else"])
async def test_a_spoilt_file_leaves_nothing_behind(sealed: Path, tmp_path: Path, how: str) -> None:
    spoilt = spoil(sealed, tmp_path, how)
    with pytest.raises(UserError, match=r"spoilt\.backup: is (damaged|no backup|not whole)") as error:
        await restore(spoilt, tmp_path / "new", PASSPHRASE)

    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [spoilt]


async def test_a_wrong_passphrase_is_said_to_be_one(sealed: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not open with this passphrase"):
        await restore(sealed, tmp_path / "new", PASSPHRASE + "!")
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_with_something_in_it_is_left_alone(sealed: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(UserError, match="is not empty; restore into a new folder"):
        await restore(sealed, tmp_path, PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


@pytest.mark.parametrize(
    "name",
    [
        "files/../../evil",
        "files/keys/../../../evil",
        "/etc/evil",
        "files/lock",
        "files/keys/.evil",
        "files/keys/a/b/c/d",
    ],
)
async def test_a_file_made_by_somebody_with_the_passphrase_cannot_write_elsewhere(
    filled: tuple[Instance, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def add_evil(tar: object, files: object) -> int:
        backup_module._add(tar, "files/instance.json", b"{}")  # type: ignore[arg-type]
        backup_module._add(tar, name, b"evil")  # type: ignore[arg-type]
        return 2

    monkeypatch.setattr(backup_module, "_add_files", add_evil)
    await back_up(filled[0], tmp_path / "b", PASSPHRASE)
    with pytest.raises(UserError, match="does not belong into a backup"):
        await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


async def test_settings_and_tariff_come_along_from_where_they_lie(
    filled: tuple[Instance, dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "takt.toml").write_text('name = "Town"')
    (tmp_path / "town.toml").write_text("version = 1")
    files = {"takt.toml": tmp_path / "takt.toml", "tariff.toml": tmp_path / "town.toml"}
    await back_up(filled[0], tmp_path / "b", PASSPHRASE, settings_files=files)
    await restore(tmp_path / "b", tmp_path / "new", PASSPHRASE)
    kept = {path.name: path.read_text() for path in (tmp_path / "new" / "settings").iterdir()}
    assert kept == {"takt.toml": 'name = "Town"', "tariff.toml": "version = 1"}


async def test_an_unreachable_database_leaves_no_file(tmp_path: Path) -> None:
    instance = Instance.open(tmp_path / "data")
    with pytest.raises(UserError, match="the database cannot be read") as error:
        await back_up(instance, tmp_path / "b", PASSPHRASE, database_url="postgresql://u:hidden@127.0.0.1:1/x")
    assert "hidden" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


async def test_an_existing_file_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("precious")
    with pytest.raises(UserError, match="exists already"):
        await back_up(Instance.open(tmp_path / "data"), tmp_path / "b", PASSPHRASE)
    assert (tmp_path / "b").read_text() == "precious"


def run(*words: str, env: dict[str, str] | None = None) -> Result:
    app = typer.Typer()
    backup_command.register(app)
    restore_command.register(app)
    return CliRunner().invoke(app, words, env=env)


def test_the_commands_make_a_passphrase_where_none_is_given(
    filled: tuple[Instance, dict[str, str]], tmp_path: Path
) -> None:
    data_dir, out = str(filled[0].folder), str(tmp_path / "b")
    shown = json.loads(run("backup", out, "--data-dir", data_dir, "--json").stdout)
    new = str(tmp_path / "new")

    assert "no passphrase" in str(run("restore", out, "--data-dir", new).exception)
    done = run("restore", out, "--data-dir", new, "--json", env={"TAKT_PASSPHRASE": shown["passphrase"]})

    assert json.loads(done.stdout)["instance"] == filled[0].id
    assert shown["bytes"] == (tmp_path / "b").stat().st_size


def test_the_commands_take_the_passphrase_from_a_file(filled: tuple[Instance, dict[str, str]], tmp_path: Path) -> None:
    data_dir, words = str(filled[0].folder), tmp_path / "words"
    for content_, sentence in (("\n", "first line is empty"), ("short\n", "shorter than 8 letters")):
        words.write_text(content_)
        failed = run("backup", str(tmp_path / "b"), "--data-dir", data_dir, "--passphrase-file", str(words))
        assert sentence in str(failed.exception)
    words.write_text(f"{PASSPHRASE}\n")
    done = run("backup", str(tmp_path / "b"), "--data-dir", data_dir, "--passphrase-file", str(words))

    assert done.exit_code == 0
    assert PASSPHRASE not in done.stdout


def test_postgresqls_own_tools_read_the_dump_inside(sealed: Path, tmp_path: Path) -> None:
    """The format is no secret of ours: what is inside is a tar with a pg_dump archive."""
    if shutil.which("tar") is None:
        pytest.skip("needs tar, which is not installed")
    from deploy.backup_file import OpeningReader
    from deploy.postgres_files import postgres_bin

    with sealed.open("rb") as source:
        (tmp_path / "plain.tar").write_bytes(OpeningReader(source, PASSPHRASE).readall() or b"")
    subprocess.run(["tar", "-xf", "plain.tar"], cwd=tmp_path, check=True)
    dump = b"".join(part.read_bytes() for part in sorted((tmp_path / "database").iterdir()))
    (tmp_path / "dump").write_bytes(dump)
    listed = subprocess.run(
        [postgres_bin() / "pg_restore", "--list", tmp_path / "dump"], capture_output=True, text=True, check=True
    )
    assert "TABLE DATA public card" in listed.stdout
