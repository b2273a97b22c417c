"""An answer's forms, as it is and packed, each with its tag: made once for as long as the answer stays what it is.

Several hundred validators ask for the same few lists every twenty seconds, so what they get is hashed and packed when
it changes and not when it is asked for. What is kept is bounded: the newest answer at each of the addresses asked last.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import zlib
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

PACKED_FROM_BYTES = 4096
KEPT_MAX = 64
"""Addresses of one operation: as many as validators hold status lists."""
_WORTH = 0.95  # of its size; what is compressed already (a CWT's list) goes as it is
_TAG = re.compile(r'"[^"]*"')
_QUALITY_0 = re.compile(r"q=0(\.0*)?")


class Representation:
    """One answer: `body` as it is, `tag` its entity tag, and its packed form once somebody has asked for it."""

    def __init__(self, source: Any, body: bytes) -> None:
        self.source = source
        self.body = body
        self.tag = tag_of(body)
        self._packing: asyncio.Future[bytes] | None = None

    async def packed(self) -> bytes | None:
        """The body as gzip, packed in a thread and once however many ask; None where it is not worth it."""
        if len(self.body) < PACKED_FROM_BYTES:
            return None
        if self._packing is None:
            self._packing = asyncio.ensure_future(asyncio.to_thread(gzip, self.body))
        packed = await asyncio.shield(self._packing)
        return packed if len(packed) < _WORTH * len(self.body) else None


class Representations:
    """The newest answer of one operation at each address."""

    def __init__(self, kept_max: int = KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._by_address: OrderedDict[Hashable, Representation] = OrderedDict()

    def find(self, address: Hashable, source: Any) -> Representation | None:
        """That of the very object that was answered before at this address; such objects never change."""
        kept = self._by_address.get(address)
        return self._touch(address, kept) if kept is not None and kept.source is source else None

    def keep(self, address: Hashable, source: Any, body: bytes) -> Representation:
        """That of a body; what was kept at this address before, where it is the same to the byte."""
        kept = self._by_address.get(address)
        if kept is None or kept.body != body:
            kept = Representation(source, body)
        kept.source = source
        return self._touch(address, kept)

    def _touch(self, address: Hashable, kept: Representation) -> Representation:
        self._by_address[address] = kept
        self._by_address.move_to_end(address)
        if len(self._by_address) > self._kept_max:
            self._by_address.popitem(last=False)
        return kept


def tag_of(body: bytes) -> str:
    """The strong entity tag of bytes as they are."""
    return '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"'


def packed_tag(tag: str) -> str:
    """The tag of the packed form: other bytes, hence another strong tag (RFC 9110, section 8.8.3)."""
    return f'{tag[:-1]}-gzip"'


def held(if_none_match: str, tag: str) -> str | None:
    """The tag by which who asks holds a content already, in either form; None where they do not.

    Compared weakly (RFC 9110, section 13.1.2).
    """
    if not if_none_match:
        return None
    named = _TAG.findall(if_none_match)
    if if_none_match.strip() == "*" or tag in named:
        return tag
    return packed_tag(tag) if packed_tag(tag) in named else None


def takes_gzip(accept_encoding: str) -> bool:
    """Whether a client takes gzip, which it may name only to refuse it."""
    for coding in accept_encoding.lower().split(","):
        name, _, quality = coding.partition(";")
        if name.strip() == "gzip":
            return not _QUALITY_0.fullmatch(quality.replace(" ", ""))
    return False


def gzip(body: bytes) -> bytes:
    """The body as one gzip member without a time in it, so that the same bytes pack the same."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
