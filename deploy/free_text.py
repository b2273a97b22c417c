"""What people write by hand is kept without what could be a card's number: masked at the door that all of it comes by.

A package marks such a field where it declares it, by `msgspec.Meta(extra={"free_text": True})`; names and ids are left
as they are, since a trip's id may be any run of digits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import inspect

from ticketing.masking import mask_text

Cleaner = Callable[[Any], Any]


def cleaner(kind: Any) -> Cleaner | None:
    """What cleans a decoded body of a type; None where nothing in it is free text."""
    return _cleaner(inspect.type_info(kind))


def _cleaner(info: inspect.Type) -> Cleaner | None:
    match info:
        case inspect.Metadata():
            return _text if (info.extra or {}).get("free_text") else _cleaner(info.type)
        case inspect.UnionType():
            return _union([_cleaner(one) for one in info.types], info)
        case inspect.ListType():
            each = _cleaner(info.item_type)
            return each and (lambda items: [each(item) for item in items])
        case inspect.DictType():
            value = _cleaner(info.value_type)
            return value and (lambda items: {key: value(item) for key, item in items.items()})
        case inspect.StructType():
            return _struct(info)
        case _:
            return None


def _text(value: Any) -> Any:
    return mask_text(value) if isinstance(value, str) else value


def _union(cleaners: list[Cleaner | None], info: inspect.UnionType) -> Cleaner | None:
    """Of the types that a value may have: which one it has decides, and of structs and lists there is one each."""
    found = [(one, type_) for one, type_ in zip(cleaners, info.types, strict=True) if one]
    if not found:
        return None

    def clean(value: Any) -> Any:
        for one, type_ in found:
            if _is(value, type_):
                return one(value)
        return value

    return clean


def _is(value: Any, info: inspect.Type) -> bool:
    match info:
        case inspect.Metadata():
            return _is(value, info.type)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.DictType():
            return isinstance(value, dict)
        case inspect.StructType():
            return type(value) is info.cls
        case _:
            return False


def _struct(info: inspect.StructType) -> Cleaner | None:
    fields = [(field.name, one) for field in info.fields if (one := _cleaner(field.type))]
    if not fields:
        return None

    def clean(value: Any) -> Any:
        return msgspec.structs.replace(value, **{name: one(getattr(value, name)) for name, one in fields})

    return clean
