"""Queries by name, each described; migrations in order."""

import pytest

from sql import files, load, query
from sql.migrate import MigrationError, list_migrations


def test_every_query_is_named_and_described():
    for file in files():
        for found in load(file).values():
            assert found.description.endswith((".", ")"))
            assert found.text


def test_a_query_that_is_not_there_names_its_file():
    with pytest.raises(KeyError, match=r"sql/queries/taps\.sql"):
        query("taps.nothing")


def test_migrations_are_numbered_without_gap(tmp_path):
    assert [migration.version for migration in list_migrations()] == list(range(1, len(list_migrations()) + 1))
    (tmp_path / "0002_second.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="gap"):
        list_migrations(tmp_path)
    (tmp_path / "first.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match=r"first\.sql: a migration is named"):
        list_migrations(tmp_path)
