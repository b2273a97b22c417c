"""The database's source code: the schema, its migrations and every query by name."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "queries"
_HEAD = re.compile(r"^-- name: *([a-z0-9_]+) *$", re.MULTILINE)


class Query(NamedTuple):
    """One statement: its full name (file.name), what it is for, and its text."""

    name: str
    description: str
    text: str


def query(name: str) -> str:
    """The text of a query by its full name, such as `tickets.get`; KeyError names the file that should hold it."""
    file, _, _ = name.partition(".")
    queries = load(file)
    if name not in queries:
        raise KeyError(f"no query {name!r} in sql/queries/{file}.sql")
    return queries[name].text


@cache
def load(file: str) -> dict[str, Query]:
    """The queries of sql/queries/<file>.sql by full name.

    Each starts with a line `-- name: word`, then its description as comment lines, then one statement.
    """
    parts = _HEAD.split((_FOLDER / f"{file}.sql").read_text(encoding="utf-8"))
    queries = {}
    for word, body in zip(parts[1::2], parts[2::2], strict=True):
        lines = body.strip().splitlines()
        comment = [line for line in lines if line.startswith("--")]
        text = "\n".join(line for line in lines if not line.startswith("--")).strip().removesuffix(";")
        description = " ".join(line.removeprefix("--").strip() for line in comment)
        if not text or not description or f"{file}.{word}" in queries:
            raise ValueError(f"sql/queries/{file}.sql: {word} needs one description and one statement, once")
        queries[f"{file}.{word}"] = Query(f"{file}.{word}", description, text)
    return queries


def files() -> list[str]:
    """The names of all the query files."""
    return sorted(path.stem for path in _FOLDER.glob("*.sql"))
