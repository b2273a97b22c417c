"""What a validator fetches while it can and decides by while it cannot, each with its age.

Nothing older replaces something newer, and a status list counts only when a key of the set has signed it and its end
is not over: the network on which these travel may be anybody's. A list that is held stays in use beyond its end, since
knowing who was revoked an hour ago is better than knowing nobody; its age is shown.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature

from ticketing.keyset import KeySet, key_set_from_cose
from ticketing.signing import b64url_decode, jose_header
from ticketing.statuslist import inflate, list_number, status_at

STATUS_LISTS_MAX = 64
DENIED_MAX = 1_000_000
TEXT_BYTES_MAX = 8 * 1024 * 1024


class ListError(ValueError):
    """A list that cannot be taken; what was held before stays. The text says why."""


@dataclass(slots=True)
class _StatusList:
    array: bytes
    bits: int
    issued_s: float
    checked_s: float
    ends_s: float


class _DenyEntry(msgspec.Struct):
    seq: int
    kind: str
    medium: str
    removed: bool


class _DenyList(msgspec.Struct):
    sequence: int
    entries: list[_DenyEntry]


class _StatusBody(msgspec.Struct):
    bits: int
    lst: str


class _StatusClaims(msgspec.Struct):
    sub: str
    iat: int
    status_list: _StatusBody
    exp: int | None = None


@dataclass(slots=True)
class Lists:
    """Keys, status lists by number, and the deny list. Times are Unix seconds of the validator's clock."""

    issuer: str = "takt"
    keys: KeySet = field(default_factory=lambda: KeySet(()))
    keys_s: float = -math.inf
    deny_sequence: int = 0
    denied_s: float = -math.inf
    refused: int = 0
    _status: dict[int, _StatusList] = field(default_factory=dict)
    _denied: set[tuple[str, str]] = field(default_factory=set)
    _missed: set[int] = field(default_factory=set)

    def take_keys(self, data: bytes, now_s: float) -> None:
        """Take a COSE key set; keys that it no longer holds are retired from now on."""
        try:
            self.keys = key_set_from_cose(data, self.issuer)
        except ValueError as error:
            self.refused += 1
            raise ListError(str(error)) from None
        self.keys_s = now_s

    def take_status_list(self, text: str, now_s: float) -> int:
        """Take a signed status list (JWT of type statuslist+jwt); returns its number."""
        try:
            number, status = self._read_status_list(text, now_s)
        except ValueError as error:
            self.refused += 1
            raise ListError(str(error)) from None
        self._status[number] = status
        self._missed.discard(number)
        return number

    def take_deny_list(self, data: bytes, now_s: float) -> None:
        """Take the changes after `deny_sequence`; ones that lead to a lower number are another list, from its start.

        The server tells all of it to who names a number that it never gave: it was restored from a backup of before.
        """
        try:
            changes = msgspec.json.decode(data, type=_DenyList)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self.refused += 1
            raise ListError(f"no deny list: {error}") from None
        if changes.sequence < self.deny_sequence:
            if not changes.entries:
                self.refused += 1
                raise ListError(f"deny list {changes.sequence} is older than {self.deny_sequence}")
            self._denied.clear()
        for entry in sorted(changes.entries, key=lambda entry: entry.seq):
            if entry.removed:
                self._denied.discard((entry.kind, entry.medium))
            elif len(self._denied) < DENIED_MAX:
                self._denied.add((entry.kind, entry.medium))
        self.deny_sequence = changes.sequence
        self.denied_s = now_s

    def deny_list(self) -> bytes:
        """The deny list as it stands, in the form in which it is taken."""
        entries = [_DenyEntry(self.deny_sequence, kind, medium, False) for kind, medium in sorted(self._denied)]
        return msgspec.json.encode(_DenyList(self.deny_sequence, entries))

    def confirm_keys(self, now_s: float) -> None:
        """The server says that the key set is what is held."""
        self._demand_held(self.keys_s > -math.inf, "keys")
        self.keys_s = now_s

    def confirm_status_list(self, number: int, now_s: float) -> None:
        """The server says that a status list is what is held; nobody signs that, so it counts until the list's end.

        Were it to count longer, who sits in between could keep a list from ever changing, and from ever looking old.
        """
        held = self._status.get(number)
        self._demand_held(held is not None and now_s < held.ends_s, f"status list {number}, or its end is over")
        if held is not None:
            held.checked_s = now_s

    def confirm_deny_list(self, now_s: float) -> None:
        """The server says that the deny list has not changed since `deny_sequence`."""
        self._demand_held(self.denied_s > -math.inf, "deny list")
        self.denied_s = now_s

    def _demand_held(self, held: bool, what: str) -> None:
        if not held:
            self.refused += 1
            raise ListError(f"said to be unchanged, but this validator holds no {what}")

    def status(self, number: int, index: int) -> int:
        """The status of a ticket: 0 too where its list is not at hand, which is then among the `numbers` to fetch.

        Raises:
            ValueError: the index lies outside the list.
        """
        found = self._status.get(number)
        if found is None:
            if len(self._missed) < STATUS_LISTS_MAX:
                self._missed.add(number)
            return 0
        return status_at(found.array, index, found.bits)

    @property
    def numbers(self) -> list[int]:
        """The status lists to fetch: those that are held, and those that a genuine ticket named."""
        return sorted({*self._status, *self._missed})

    def denies_ticket(self, ticket_id: UUID) -> bool:
        """Whether a ticket is on the deny list."""
        return ("ticket", str(ticket_id)) in self._denied

    def denies_card(self, uid: bytes) -> bool:
        """Whether a card is on the deny list, which names it by the SHA-256 of its UID."""
        return ("card", hashlib.sha256(uid).hexdigest()) in self._denied

    def denies_bank(self, token: str) -> bool:
        """Whether a bank card's token is on the deny list."""
        return ("bank", hashlib.sha256(token.encode()).hexdigest()) in self._denied

    def ages_s(self, now_s: float) -> dict[str, float]:
        """How old each list is, in seconds; infinite where there is none. `status` is the oldest status list's."""
        checked_s = min((status.checked_s for status in self._status.values()), default=-math.inf)
        return {"keys": now_s - self.keys_s, "status": now_s - checked_s, "deny": now_s - self.denied_s}

    def report(self, now_s: float) -> dict[str, object]:
        """The event by which a validator says how old its lists are; null: it has none."""
        ages_s = {name: age_s if math.isfinite(age_s) else None for name, age_s in self.ages_s(now_s).items()}
        return {"ts": now_s, "event": "lists", "ages_s": ages_s}

    def _read_status_list(self, text: str, now_s: float) -> tuple[int, _StatusList]:
        if len(text) > TEXT_BYTES_MAX:
            raise ValueError(f"a status list of more than {TEXT_BYTES_MAX} bytes")
        signed, _, signature = text.rpartition(".")
        header, _, payload = signed.partition(".")
        key = next((key for key in self.keys.keys if jose_header(key.kid, "statuslist+jwt") == header), None)
        if key is None:
            raise ValueError("a status list of a key that this validator does not hold")
        try:
            key.public.verify(b64url_decode(signature), signed.encode("ascii"))
        except InvalidSignature:
            raise ValueError("a status list that its issuer did not sign") from None
        try:
            claims = msgspec.json.decode(b64url_decode(payload), type=_StatusClaims)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ValueError(f"no status list: {error}") from None
        if claims.exp is not None and claims.exp <= now_s:
            raise ValueError("a status list whose end is over")
        number = list_number(claims.sub)
        held = self._status.get(number)
        # One from the future was signed by a clock that was wrong: it must not hold up all that come until then.
        if held is not None and claims.iat < held.issued_s <= now_s:
            raise ValueError(f"status list {number} is older than the one that is held")
        if held is None and len(self._status) >= STATUS_LISTS_MAX:
            raise ValueError(f"more than {STATUS_LISTS_MAX} status lists")
        array = inflate(b64url_decode(claims.status_list.lst))
        status_at(array, 0, claims.status_list.bits)
        ends_s = math.inf if claims.exp is None else claims.exp
        return number, _StatusList(array, claims.status_list.bits, claims.iat, now_s, ends_s)
