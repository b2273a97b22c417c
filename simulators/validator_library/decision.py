"""One tap decided alone: the server's verdicts in the server's order, from what is at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulators.validator_library.lists import Lists
from simulators.validator_library.memory import Memory, Seen
from simulators.validator_library.rules import ProductRule, Rules
from ticketing.card import parse_sun, read_card
from ticketing.claims import Credential
from ticketing.credential import read_credential
from ticketing.errors import CredentialError
from ticketing.proof import stale
from ticketing.statuslist import SUSPENDED, VALID
from ticketing.verdict import Verdict

_Finding = tuple[Verdict, str | None]
_NOTHING: _Finding = (Verdict.ACCEPTED, None)


@dataclass(frozen=True, slots=True)
class Scan:
    """What was held to the reader, where (operator/vehicle) and when (Unix seconds)."""

    medium: str
    token: str
    place: str
    at_s: float
    oda: str = "none"  # a bank card's offline data authentication, by its certified reader


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict and why; key names the medium in the memory, None for one that is not remembered."""

    verdict: Verdict
    reason: str | None = None
    key: str | None = None
    counter: int = -1


def decide(scan: Scan, rules: Rules, lists: Lists, memory: Memory) -> Decision:
    """Decide one tap; changes nothing: what was decided is remembered by `note`."""
    try:
        match scan.medium:
            case "qr":
                return _decide_ticket(scan, read_credential(scan.token, lists.keys), rules, lists, memory)
            case "card":
                return _decide_card(scan, rules, lists, memory)
            case "bank":
                return _decide_bank(scan, rules, lists)
            case _:
                return Decision(Verdict.MALFORMED, "medium")
    except CredentialError as error:
        return Decision(Verdict(error.verdict), error.reason)


def note(decision: Decision, scan: Scan, memory: Memory) -> None:
    """Remember what was decided, here or by the server."""
    if decision.key is None:
        return
    seen = memory.get(decision.key)
    if decision.verdict is Verdict.ACCEPTED:
        seen = Seen(seen.uses + 1, scan.place, max(scan.at_s, seen.last_s), seen.counter)
    memory.put(decision.key, replace(seen, counter=max(seen.counter, decision.counter)))


def _decide_ticket(scan: Scan, credential: Credential, rules: Rules, lists: Lists, memory: Memory) -> Decision:
    key = f"ticket:{credential.claims.ticket_id}"
    product = rules.products.get(credential.claims.product)
    against = _against_credential(scan, credential, product, rules, lists)
    verdict, reason = next(against, None) or next(_against_use(scan, product, memory.get(key)), _NOTHING)
    return Decision(verdict, reason, key)


def _against_credential(
    scan: Scan, credential: Credential, product: ProductRule | None, rules: Rules, lists: Lists
) -> Iterator[_Finding]:
    """What speaks against a genuine ticket whatever its use, in the order of verdicts."""
    claims = credential.claims
    if stale(credential, scan.at_s, product is not None and product.proof, rules.profile.proof):
        yield Verdict.STALE_PROOF, "proof_missing" if credential.proof_s is None else "proof_too_old"
    if product is None and not rules.profile.unlisted_products:
        yield Verdict.UNKNOWN, "product"
    try:
        status = lists.status(claims.status_list, claims.status_index)
    except ValueError:
        status = VALID
        yield Verdict.UNKNOWN, "status_index"
    if scan.at_s < claims.not_before_s:
        yield Verdict.NOT_YET_VALID, None
    if scan.at_s >= claims.expires_s:
        yield Verdict.EXPIRED, None
    if status != VALID:
        yield Verdict.SUSPENDED if status == SUSPENDED else Verdict.REVOKED, None
    if lists.denies_ticket(claims.ticket_id):
        yield Verdict.DENIED, None
    if not rules.serves(claims.networks):
        yield Verdict.WRONG_SERVICE, None


def _against_use(scan: Scan, product: ProductRule | None, seen: Seen) -> Iterator[_Finding]:
    """What speaks against this use of a good ticket, judging by what this validator has seen of it."""
    if product is None:
        return
    if product.rides is not None and seen.uses >= product.rides:
        yield Verdict.USED_UP, None
    if _just_used(seen, scan, product.passback_s):
        yield Verdict.PASSBACK, None


def _decide_card(scan: Scan, rules: Rules, lists: Lists, memory: Memory) -> Decision:
    """With keys the message is checked and its counter must rise; without, the same message passes once at most."""
    profile = rules.profile
    if not profile.card_keys:
        block, _ = parse_sun(scan.token)
        key = f"message:{block.hex()}"
        if not profile.cards_on_trust:
            return Decision(Verdict.UNKNOWN_KEY, "no_card_keys")
        return Decision(Verdict.REPLAYED if memory.get(key).uses else Verdict.ACCEPTED, None, key)
    card = read_card(scan.token, profile.card_keys)
    key = f"card:{card.uid.hex()}"
    if card.counter <= memory.get(key).counter:
        return Decision(Verdict.REPLAYED, None, key)
    denied = lists.denies_card(card.uid)
    return Decision(Verdict.DENIED if denied else Verdict.ACCEPTED, None, key, card.counter)


def _decide_bank(scan: Scan, rules: Rules, lists: Lists) -> Decision:
    """A bank card is its reader's business; we know the deny list and how much risk the operator takes."""
    if scan.oda == "failed":
        return Decision(Verdict.DENIED, "offline_authentication_failed")
    if lists.denies_bank(scan.token):
        return Decision(Verdict.DENIED)
    if not rules.profile.bank_alone or scan.oda != "passed":
        return Decision(Verdict.UNKNOWN, "bank_cards_need_the_server")
    return Decision(Verdict.ACCEPTED)


def _just_used(seen: Seen, scan: Scan, window_s: float) -> bool:
    return seen.uses > 0 and seen.place == scan.place and 0 <= scan.at_s - seen.last_s < window_s
