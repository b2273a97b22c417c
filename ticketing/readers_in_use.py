"""The keys that tokens are read with now: what commands publish, use, retire or import is taken up while we run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from ticketing.card import CardKeys
from ticketing.errors import KeyFileError, Problem
from ticketing.keys import IssuerKeys
from ticketing.reading import Readers

ReadCardKeys = Callable[[], tuple[CardKeys, ...]]


class ReadersInUse:
    """`now` is replaced as a whole, so that a batch which has begun goes on with the keys it began with."""

    def __init__(
        self, now: Readers, issuer: IssuerKeys, read_card_keys: ReadCardKeys | None, counters: Counter[str]
    ) -> None:
        self.now = now
        self._issuer = issuer
        self._read_card_keys = read_card_keys
        self._counters = counters

    def reload_issuer_keys(self) -> None:
        """Take up issuer keys that were published, used or retired; KeyFileError where they cannot be read."""
        if self._issuer.refresh():
            self.now = replace(self.now, keys=self._issuer.key_set)

    def reload_card_keys(self) -> None:
        """Take up card keys that were imported; Problem 409 where nobody said from where."""
        if self._read_card_keys is None:
            raise Problem(409, "Restart needed", "this process was given its card keys at the start: restart it")
        self._refresh_card_keys(self._read_card_keys)

    def refresh(self) -> None:
        """Take up whatever was changed by command; files that cannot be read now leave the keys as they are."""
        try:
            self.reload_issuer_keys()
        except (KeyFileError, OSError):
            self._counters["issuer_key_file_errors"] += 1
        if self._read_card_keys is not None:
            self._refresh_card_keys(self._read_card_keys)

    def _refresh_card_keys(self, read: ReadCardKeys) -> None:
        try:
            keys = read()
        except KeyFileError:
            self._counters["card_key_file_errors"] += 1
            return
        if keys != self.now.card_keys:
            self.now = replace(self.now, card_keys=keys)
