"""Both roads to the schema meet; a database is never taken backwards, and one process at a time takes it forward."""

from __future__ import annotations

import asyncio
import shutil
import uuid

import asyncpg
import pytest

from sql import files, load
from sql.migrate import FOLDER, MigrationError, list_migrations, migrate, pending_migrations

CATALOG = {
    "columns": """SELECT table_name, column_name, ordinal_position, data_type, udt_name, is_nullable, column_default,
                         collation_name, is_identity
                  FROM information_schema.columns WHERE table_schema = 'public'""",
    "constraints": """SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
                      WHERE connamespace = 'public'::regnamespace AND contype <> 'n'""",
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "functions": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "enums": "SELECT enumtypid::regtype::text, enumlabel, enumsortorder FROM pg_enum",
    "sequences": "SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'",
    "storage": """SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'public'::regnamespace
                  AND relkind = 'r'""",
}


async def catalog(url: str) -> dict[str, set[tuple[object, ...]]]:
    connection = await asyncpg.connect(url)
    try:
        found = {}
        for name, statement in CATALOG.items():
            rows = {tuple(str(value) for value in row) for row in await connection.fetch(statement)}
            found[name] = {row for row in rows if not any("schema_migration" in value for value in row)}
        return found
    finally:
        await connection.close()


async def test_the_schema_for_reading_is_what_the_migrations_make(database, empty_database):
    connection = await asyncpg.connect(empty_database)
    await connection.execute((FOLDER.parent / "schema.sql").read_text())
    await connection.close()
    migrated, read = await catalog(database), await catalog(empty_database)
    for name in CATALOG:
        assert migrated[name] == read[name], name


async def test_migrating_twice_changes_nothing(empty_database):
    names = [f"{migration.version:04d}_{migration.name}" for migration in list_migrations()]
    assert await pending_migrations(empty_database) == names
    assert await migrate(empty_database) == names
    assert await migrate(empty_database) == []
    assert await pending_migrations(empty_database) == []


async def test_many_at_once_migrate_once(empty_database):
    ran = await asyncio.gather(*(migrate(empty_database) for _ in range(5)))
    assert sorted(len(names) for names in ran) == [0, 0, 0, 0, len(list_migrations())]


async def test_a_newer_database_is_refused(database):
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO schema_migration VALUES (9999, 'from_the_future', 'x')")
    await connection.close()
    with pytest.raises(MigrationError, match=r"newer than this version of Takt.*9999_from_the_future"):
        await migrate(database)


async def test_a_changed_migration_is_refused(empty_database, tmp_path):
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (x int)")
    await migrate(empty_database, tmp_path)
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (x bigint)")
    with pytest.raises(MigrationError, match=r"0001_first\.sql changed after it ran"):
        await migrate(empty_database, tmp_path)


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database, tmp_path):
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (x int)")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE b (x int); SELECT 1 / 0")
    with pytest.raises(MigrationError, match=r"0002_second\.sql failed and was undone: division by zero"):
        await migrate(empty_database, tmp_path)
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT to_regclass('a') IS NOT NULL")
    assert await connection.fetchval("SELECT to_regclass('b') IS NULL")
    await connection.close()


OLD, NEW, OTHER = (bytes.fromhex(uid) for uid in ("04de5f1eacc040", "04112233445566", "04112233445577"))
REPLACED = [  # as a card was replaced before 0020: name, product, card, status, rides allowed, ridden, price, kept
    ("old pass", "month", OLD, "revoked", None, 5, 90_000, None),
    ("old ten", "ten", OLD, "revoked", 10, 3, 6_000, 3),
    ("old spent", "ten", OLD, "revoked", 10, 10, 6_000, 10),
    ("new pass", "month", NEW, "valid", None, 0, 0, None),
    ("new ten", "ten", NEW, "valid", 7, 0, 0, None),
    ("new gift", "gift", NEW, "valid", 1, 0, 0, None),
    ("other's", "month", OTHER, "valid", None, 0, 0, None),
]


async def test_cards_that_were_replaced_before_0020_keep_their_heirs(empty_database, tmp_path):
    """What the new columns say is read from the deny list, and from what both cards held in that transaction."""
    for file in sorted(FOLDER.glob("*.sql")):
        if file.name < "0020":
            shutil.copy(file, tmp_path)
    await migrate(empty_database, tmp_path)
    connection = await asyncpg.connect(empty_database)
    ids = {name: uuid.uuid4() for name, *_ in REPLACED}
    async with connection.transaction():
        for card in (OLD, NEW, OTHER):
            await connection.execute("INSERT INTO card (uid, key_version, currency) VALUES ($1, 1, 'UAH')", card)
        for index, (name, *held) in enumerate(REPLACED):
            await connection.execute(
                "INSERT INTO ticket (id, status_index, product_id, card_uid, status, uses_allowed, uses, price_minor,"
                " uses_kept, status_at, valid_from, valid_until, networks, passback, status_list, currency, sold_by)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE $5 WHEN 'revoked' THEN now() END,"
                " '2020-01-01', '2099-01-01', '{*}', '0', 1, 'UAH', 'desk')",
                *(ids[name], index, *held),
            )
        reason = f"replaced_by:{NEW.hex()}"
        await connection.execute("INSERT INTO deny_entry (kind, medium, reason) VALUES ('card', $1, $2)", OLD, reason)
    await migrate(empty_database)
    assert await connection.fetch("SELECT old_uid, new_uid FROM card_replacement") == [(OLD, NEW)]
    carried = await connection.fetch("SELECT id, carried_from FROM ticket WHERE carried_from IS NOT NULL")
    assert dict(map(tuple, carried)) == {ids["new pass"]: ids["old pass"], ids["new ten"]: ids["old ten"]}
    await connection.close()


async def test_every_query_is_understood_by_the_database(database):
    connection = await asyncpg.connect(database)
    for file in files():
        for found in load(file).values():
            await connection.prepare(found.text)
    await connection.close()


@pytest.mark.parametrize("table", ["transfer", "audit"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_books_are_append_only(database, table, statement):
    connection = await asyncpg.connect(database)
    with pytest.raises(asyncpg.RestrictViolationError, match=f"{table} is append only"):
        await connection.execute(statement.format(table))
    await connection.close()
