"""Where a complaint about a tariff file stands: the line of the entry and the field that it names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

_HINTS = {
    "Expected `int`, got `float`": ": write a whole number; amounts are minor units, so 2.50 is 250",
    "Expected `int`, got `str`": ": write a whole number without quotes",
    "Expected `object`, got `str`": ': write it in braces, as in name = { uk = "...", en = "..." }',
    "Expected `array`, got `str`": ': write a list, as in ["bus"]',
    "Expected `array`, got `object`": ": write [[...]] with two brackets, since there may be several",
    "Expected `array` of length 2": ': write two of them, as in ends = ["one", "other"]',
    "Invalid enum value": ": write one of half_up, down, up",
    "Object contains unknown field": ": leave it out, or see docs/tariff.md for the keys of an entry",
}


def with_line(message: str, text: str) -> str:
    """A complaint about an entry or a field with the line of the file where it stands, where that can be found."""
    said = message.partition(": ")[2]
    lines = text.splitlines()
    place = re.search(r" - at `([^`]+)`", said)
    named = re.match(r"(\w+) (?:'([^']+)'|(\d+))[.:]? ?(\w*)", place[1] if place else said)
    if named is None:
        key = re.match(r"(\w+)[.:]", said) or (place and re.match(r"(\w+)", place[1]))
        return _at(message, _line_of(lines, key[1], 0, len(lines))) if key else message
    kind, name, number, field = named.groups()
    first, last = _block(lines, kind, name, int(number) if number else None)
    if first is None:
        return message
    line = _line_of(lines, field, first, last) if field else None
    return _at(message, first if line is None else line)


def _at(message: str, line: int | None) -> str:
    return message if line is None else f"{message} (line {line + 1})"


def _block(lines: list[str], kind: str, name: str | None, number: int | None) -> tuple[int | None, int]:
    """The lines [first, last) of an entry, by its id or its number among those of its kind."""
    heads = [place for place, line in enumerate(lines) if line.startswith("[")] + [len(lines)]
    count = 0
    for first, last in itertools.pairwise(heads):
        head = lines[first].split("#")[0].strip(" []")
        count += head == kind
        named = any(re.match(rf'id\s*=\s*["\']{re.escape(name or "")}["\']', line) for line in lines[first:last])
        # A complaint about two kinds of one name space names several: the id alone decides.
        if (head == kind and number == count) or (name is not None and named and kind in (head, "product")):
            return first, last
    return _inline(lines, kind, name)


def _inline(lines: list[str], kind: str, name: str | None) -> tuple[int | None, int]:
    """The line [n, n + 1) of an entry that stands in braces, in a list of its kind."""
    of_kind = False
    for place, line in enumerate(lines) if name is not None else ():
        head = re.match(r"(\w+)\s*=\s*\[", line)
        of_kind = head[1] == kind if head else of_kind and not line.startswith("[")
        if of_kind and re.search(rf'\bid\s*=\s*["\']{re.escape(name or "")}["\']', line):
            return place, place + 1
    return None, len(lines)


def _line_of(lines: list[str], key: str, first: int, last: int) -> int | None:
    for place in range(first, last):
        if re.match(rf"\s*\[*{re.escape(key)}\b", lines[place]):
            return place
    return None


def readable(message: str, raw: Mapping[str, object]) -> str:
    """msgspec's sentence with an entry's id in place of its number, where there is one, and what to write instead."""
    hint = next((hint for start, hint in _HINTS.items() if message.startswith(start)), "")
    return _placed(message, raw) + hint


def _placed(message: str, raw: Mapping[str, object]) -> str:
    place = re.search(r"\$\.(\w+)\[(\d+)\]", message)
    items = raw.get(place[1]) if place else None
    if place and isinstance(items, list) and isinstance(items[int(place[2])], dict):
        name = items[int(place[2])].get("id", f"number {int(place[2]) + 1}")
        return message.replace(place[0], f"{place[1]} {name!r}")
    return message.replace("$.", "").replace("`$`", "the top level")
