"""A validator that asks, decides alone when nobody answers, and comes back by itself."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.validator_library.decision import Scan, decide, note
from simulators.validator_library.disk import Disk
from simulators.validator_library.entries import MediumSeen, TapDecided, TapDone, TapMade
from simulators.validator_library.lists import ListError, Lists
from simulators.validator_library.memory import Memory, Seen
from simulators.validator_library.pacing import Limits
from simulators.validator_library.rules import ProductRule, Profile, Rules, products_from_json
from simulators.validator_library.terminal import Terminal
from ticketing.card import CardKeys, sun_message
from ticketing.claims import Claims
from ticketing.device_key import DeviceKey
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.statuslist import INVALID, SUSPENDED, StatusList, issue_list_jwt, pack
from ticketing.ticket_cwt import issue_qr
from ticketing.ticket_jwt import issue_jwt

NOW_S = 1_800_000_000.0
PRODUCTS = {
    "single": ProductRule(1, 0.0, proof=False),
    "ten": ProductRule(10, 300.0, proof=False),
    "mobile": ProductRule(1, 0.0, proof=True),
}
CARD_KEYS = CardKeys(1, bytes(range(16)), bytes(range(16, 32)))
UID = bytes.fromhex("04de5f1eacc040")


def make_key() -> tuple[FileSigner, IssuerKey]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key()
    key = IssuerKey(kid_of(public.public_bytes_raw()), "takt", public)
    return FileSigner(key.kid, private), key


SIGNER, KEY = make_key()
DEVICE = Ed25519PrivateKey.generate()


def claims(product: str = "single", **changed: object) -> Claims:
    fields = {"not_before_s": int(NOW_S) - 60, "expires_s": int(NOW_S) + 3_600, "networks": ("*",)}
    fields |= {"status_list": 1, "status_index": 5} | changed
    return Claims("takt", uuid.uuid4(), product, **fields)  # type: ignore[arg-type]


def lists(*statuses: tuple[int, int], keys: tuple[IssuerKey, ...] = (KEY,)) -> Lists:
    made = Lists()
    made.take_keys(KeySet(keys).cose_keys(), NOW_S)
    made.take_status_list(issue_list_jwt(StatusList("http://x/1", pack(statuses, 100), int(NOW_S), 15), SIGNER), NOW_S)
    return made


def deny(made: Lists, kind: str, medium: str, seq: int = 1, removed: bool = False) -> None:
    entry = {"seq": seq, "kind": kind, "medium": medium, "removed": removed, "at": NOW_S}
    made.take_deny_list(json.dumps({"sequence": seq, "entries": [entry]}).encode(), NOW_S)


def rules(**profile: object) -> Rules:
    return Rules(7, PRODUCTS, frozenset({"city"}), Profile(**profile))  # type: ignore[arg-type]


def verdict_of(token: str, known: Lists | None = None, memory: Memory | None = None, **scan: object) -> str:
    given = Scan("qr", token, "town/7", NOW_S)
    for name, value in scan.items():
        object.__setattr__(given, name, value)
    memory = memory if memory is not None else Memory()
    decision = decide(given, rules(), known or lists(), memory)
    note(decision, given, memory)
    return decision.verdict.value


def test_a_genuine_ticket_is_accepted_as_often_as_it_has_rides() -> None:
    memory, token, known = Memory(), issue_qr(claims(), SIGNER), lists()
    assert [verdict_of(token, known, memory) for _ in range(3)] == ["accepted", "used_up", "used_up"]


def test_cwt_and_jwt_of_one_ticket_are_one_ticket() -> None:
    memory, ticket = Memory(), claims()
    assert verdict_of(issue_qr(ticket, SIGNER), memory=memory) == "accepted"
    assert verdict_of(issue_jwt(ticket, SIGNER, "http://x"), memory=memory) == "used_up"


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"not_before_s": int(NOW_S) + 1}, "not_yet_valid"),
        ({"expires_s": int(NOW_S)}, "expired"),
        ({"status_index": 8}, "revoked"),
        ({"status_index": 9}, "suspended"),
        ({"status_index": 100}, "unknown"),
        ({"networks": ("metro",)}, "wrong_service"),
        ({"networks": ("city",)}, "accepted"),
        ({"product": "of another tariff"}, "unknown"),
        ({"expires_s": int(NOW_S), "status_index": 8, "networks": ("metro",)}, "expired"),
        ({"status_index": 8, "networks": ("metro",)}, "revoked"),
    ],
)
def test_what_speaks_against_a_ticket_and_which_wins(changed: dict[str, object], verdict: str) -> None:
    token = issue_qr(claims(str(changed.pop("product", "single")), **changed), SIGNER)
    assert verdict_of(token, lists((8, INVALID), (9, SUSPENDED))) == verdict


def test_a_revoked_ticket_that_is_used_up_is_revoked() -> None:
    memory, token = Memory(), issue_qr(claims(status_index=8), SIGNER)
    assert verdict_of(token, lists(), memory) == "accepted"
    assert verdict_of(token, lists((8, INVALID)), memory) == "revoked"


def test_passback_on_one_vehicle_and_not_on_another() -> None:
    memory, token = Memory(), issue_qr(claims("ten"), SIGNER)
    assert verdict_of(token, memory=memory) == "accepted"
    assert verdict_of(token, memory=memory, at_s=NOW_S + 299) == "passback"
    assert verdict_of(token, memory=memory, at_s=NOW_S + 300) == "accepted"
    assert verdict_of(token, memory=memory, at_s=NOW_S + 301, place="town/8") == "accepted"


def test_a_screenshot_is_stale_also_without_a_server() -> None:
    bound = claims("mobile", device_key=DeviceKey("Ed25519", DEVICE.public_key().public_bytes_raw()))
    token = issue_qr(bound, SIGNER)
    shown = {
        at_s: with_proof(token, at_s, DEVICE.sign(proof_message(plain_token(token), at_s)))
        for at_s in (int(NOW_S) - 300, int(NOW_S))
    }
    assert verdict_of(token) == "stale_proof"
    assert verdict_of(shown[int(NOW_S) - 300]) == "stale_proof"
    assert verdict_of(shown[int(NOW_S)]) == "accepted"


def test_a_forged_ticket_and_one_of_an_unknown_key() -> None:
    other, _ = make_key()
    assert verdict_of(issue_qr(claims(), other)) == "unknown_key"
    token = issue_jwt(claims(), SIGNER, "http://x")
    assert verdict_of(token[:-8] + ("AAAAAAAA" if token[-8:] != "AAAAAAAA" else "BBBBBBBB")) == "bad_signature"
    assert verdict_of("ЖЖ") == "malformed"


def test_the_deny_list_refuses_and_forgives() -> None:
    known, ticket = lists(), claims("ten")
    deny(known, "ticket", str(ticket.ticket_id))
    assert verdict_of(issue_qr(ticket, SIGNER), known) == "denied"
    deny(known, "ticket", str(ticket.ticket_id), seq=2, removed=True)
    assert verdict_of(issue_qr(ticket, SIGNER), known) == "accepted"


def test_lists_that_cannot_be_taken_leave_what_was_there() -> None:
    known, other = lists((8, INVALID)), make_key()[0]
    array = pack((), 100)
    for text in (
        issue_list_jwt(StatusList("http://x/1", array, int(NOW_S), 15), other),  # another issuer
        issue_list_jwt(StatusList("http://x/1", array, int(NOW_S) - 1, 15), SIGNER),  # older than the one that is held
        issue_list_jwt(StatusList("http://x/1", array, int(NOW_S), 15), SIGNER)[:-4] + "AAAA",
        "",
        "a.b.c",
        "Ж",
    ):
        with pytest.raises(ListError):
            known.take_status_list(text, NOW_S)
    for data in (b"", b"\xa0", b"\x80", b"\xff" * 100):
        with pytest.raises(ListError):
            known.take_keys(data, NOW_S)
    deny(known, "ticket", "x", seq=9)
    for data in (b"", b"[]", b"\xff", json.dumps({"sequence": 3, "entries": []}).encode()):
        with pytest.raises(ListError):
            known.take_deny_list(data, NOW_S)
    assert known.refused == 14
    assert verdict_of(issue_qr(claims(status_index=8), SIGNER), known) == "revoked"
    assert known.ages_s(NOW_S + 5) == {"keys": 5, "status": 5, "deny": 5}
    assert Lists().ages_s(NOW_S)["deny"] == float("inf")


def test_a_cards_counter_must_rise() -> None:
    memory, known = Memory(), lists()

    def say(counter: int, **profile: object) -> str:
        scan = Scan("card", sun_message(CARD_KEYS, UID, counter, b"12345"), "town/7", NOW_S)
        decision = decide(scan, rules(**profile), known, memory)
        note(decision, scan, memory)
        return decision.verdict.value

    keys = {"card_keys": (CARD_KEYS,)}
    assert [say(n, **keys) for n in (5, 5, 4, 6)] == ["accepted", "replayed", "replayed", "accepted"]
    assert say(7) == "unknown_key"
    assert [say(n, cards_on_trust=True) for n in (8, 8)] == ["accepted", "replayed"]
    assert say(9, card_keys=(CardKeys(1, bytes(16), bytes(16)),)) == "bad_signature"


def test_bank_cards_are_taken_as_far_as_the_operator_dares() -> None:
    def say(oda: str, **profile: object) -> str:
        return decide(Scan("bank", "tok", "t/7", NOW_S, oda), rules(**profile), lists(), Memory()).verdict.value

    assert [say(oda) for oda in ("passed", "failed", "none")] == ["unknown", "denied", "unknown"]
    assert [say(oda, bank_alone=True) for oda in ("passed", "failed", "none")] == ["accepted", "denied", "unknown"]


def test_the_memory_is_bounded_and_keeps_the_newest() -> None:
    memory = Memory(entries_max=3)
    for number in range(5):
        memory.put(str(number), Seen(number))
    assert (len(memory), memory.forgotten, [medium for medium, _ in memory.items()]) == (3, 2, ["2", "3", "4"])


def test_products_come_from_the_public_list() -> None:
    document = {"products": [{"id": "ten", "rides": 10, "passback_minutes": 5, "proof": False, "price_minor": 1}]}
    assert products_from_json(json.dumps(document).encode()) == {"ten": ProductRule(10, 300.0, proof=False)}
    gone = {"id": "phone", "rides": 1, "passback_minutes": 0, "proof": True}
    assert products_from_json(json.dumps(document | {"former": [gone]}).encode()) == {
        "ten": ProductRule(10, 300.0, proof=False),
        "phone": ProductRule(1, 0.0, proof=True),  # its tickets are good until they end
    }
    for bad in (b"", b"{}", b'{"products": [{"id": 1}]}', b"\xff"):
        with pytest.raises(ValueError, match="no list of products"):
            products_from_json(bad)


# --- the terminal ----------------------------------------------------------------------------------------------------


def terminal(**options: object) -> Terminal:
    return Terminal("b1", "town/7", rules(), rng=np.random.default_rng(1), lists=lists(), **options)  # type: ignore[arg-type]


def answer(tap_id: str, verdict: str = "accepted") -> bytes:
    return json.dumps({"id": tap_id, "verdict": verdict, "retry": verdict == "unavailable"}).encode()


def test_the_server_is_asked_and_its_word_is_shown() -> None:
    one = terminal()
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    step = one.step(NOW_S, online=True)
    assert ([type(entry) for entry in step.write], [sent.tap_id for sent in step.send]) == ([TapMade], [kept.tap_id])
    one.on_verdict(answer(kept.tap_id, "used_up"), NOW_S + 0.1)
    step = one.step(NOW_S + 0.1, online=True)
    assert [(shown.verdict, shown.alone) for shown in step.show] == [("used_up", False)]
    assert step.write[-1] == TapDone(kept.tap_id)
    assert one.alone_since_s is None


def test_unanswered_it_decides_alone_and_comes_back_by_itself() -> None:
    one = terminal(fallback_s=0.5)
    token = issue_qr(claims(), SIGNER)
    first = one.tap(NOW_S, "qr", token)
    assert first is not None
    one.step(NOW_S, online=True)
    assert one.step(NOW_S + 0.4, online=True).show == []
    step = one.step(NOW_S + 0.5, online=True)
    assert [(shown.verdict, shown.alone) for shown in step.show] == [("accepted", True)]
    assert isinstance(step.write[0], TapDecided)
    assert json.loads(step.write[0].payload)["offline"] == {"verdict": "accepted", "rules_version": 7}
    assert one.alone_since_s == NOW_S + 0.5

    second = one.tap(NOW_S + 1, "qr", token)  # decided at once now
    assert second is not None
    step = one.step(NOW_S + 1, online=False)
    assert [(shown.verdict, shown.alone) for shown in step.show] == [("used_up", True)]
    assert one.unjudged == 2

    again = one.step(NOW_S + 5, online=True).send
    assert {json.loads(kept.payload)["id"] for kept in again} == {first.tap_id, second.tap_id}
    assert all(json.loads(kept.payload)["offline"] for kept in again)
    one.on_verdict(answer(first.tap_id), NOW_S + 5.1)
    assert one.alone_since_s is None
    one.on_receipt(json.dumps({"boot": "b1", "seq_through": 2}).encode())
    assert (one.unjudged, one.taps.kept) == (0, {})


def test_told_that_nobody_can_judge_it_decides_at_once() -> None:
    one = terminal(fallback_s=60.0)
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    one.step(NOW_S, online=True)
    one.on_verdict(answer(kept.tap_id, "unavailable"), NOW_S + 0.1)
    assert [shown.verdict for shown in one.step(NOW_S + 0.1, online=True).show] == ["accepted"]
    assert kept.tap_id in one.taps.kept


def test_what_the_server_accepted_counts_when_it_is_away() -> None:
    one, token = terminal(fallback_s=0.5), issue_qr(claims(), SIGNER)
    kept = one.tap(NOW_S, "qr", token)
    assert kept is not None
    one.step(NOW_S, online=True)
    one.on_verdict(answer(kept.tap_id), NOW_S)
    one.tap(NOW_S + 60, "qr", token)
    assert [shown.verdict for shown in one.step(NOW_S + 61, online=False).show][-1] == "used_up"


def test_a_lost_verdict_leaves_no_rider_waiting() -> None:
    one = terminal(fallback_s=60.0)
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    one.step(NOW_S, online=True)
    one.on_receipt(json.dumps({"boot": "b1", "seq_through": 1}).encode())
    assert [(shown.verdict, shown.alone) for shown in one.step(NOW_S, online=True).show] == [("accepted", True)]


def test_a_refusal_after_the_gate_has_opened_is_answered_with_the_decision(tmp_path) -> None:
    """Asked at 0 s, open by its own word at 0.5 s, refused at 1 s: told at once, and over a restart as well."""
    one = terminal(fallback_s=0.5)
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    with Disk(tmp_path / "taps") as disk:
        for now_s in (NOW_S, NOW_S + 0.5):
            disk.append(one.step(now_s, online=True).write)
        one.on_verdict(answer(kept.tap_id, "used_up"), NOW_S + 1)
        assert (one.alone_since_s, one.unjudged) == (None, 1)
        one.on_receipt(json.dumps({"boot": "b1", "seq_through": 1}).encode())
        step = one.step(NOW_S + 1, online=True)
        assert ([json.loads(sent.payload)["offline"] for sent in step.send], step.show) == (
            [{"verdict": "accepted", "rules_version": 7}],
            [],
        )
        disk.append(step.write)

    two = Terminal("b2", "town/7", rules(), rng=np.random.default_rng(2), lists=lists())
    with Disk(tmp_path / "taps") as disk:
        assert two.restore(disk.entries()) == 1
        two.on_receipt(json.dumps({"boot": "b1", "seq_through": 1}).encode())
        assert [sent.payload for sent in two.step(NOW_S + 60, online=True).send] == [kept.payload]
        two.on_verdict(answer(kept.tap_id, "used_up"), NOW_S + 61)
        disk.append(two.step(NOW_S + 61, online=True).write)
        assert (two.unjudged, two.taps.kept) == (0, {})
        assert [type(entry) for entry in disk.entries()] == [MediumSeen]


def test_a_rider_let_in_since_the_verdict_was_lost_is_told_of() -> None:
    one, token = terminal(fallback_s=60.0), issue_qr(claims(), SIGNER)
    taps = [one.tap(NOW_S + number, "qr", token) for number in range(2)]
    one.step(NOW_S + 1, online=True)
    one.on_receipt(json.dumps({"boot": "b1", "seq_through": 2}).encode())
    step = one.step(NOW_S + 2, online=True)
    assert [shown.verdict for shown in step.show] == ["accepted", "used_up"]
    assert step.send == [taps[0]], "who was not let in owes nothing"
    assert [entry.id for entry in step.write if isinstance(entry, TapDone)] == [taps[1] and taps[1].tap_id]


def test_a_full_validator_lets_nobody_in() -> None:
    one = terminal(limits=Limits(kept_max=2))
    assert [one.tap(NOW_S, "qr", "A") is None for _ in range(3)] == [False, False, True]


def test_garbage_from_above_changes_nothing() -> None:
    one = terminal()
    kept = one.tap(NOW_S, "qr", "A")
    assert kept is not None
    for payload in (b"", b"{", b"[]", b"\xff", b'{"id": 1}', answer(str(uuid.uuid4()))):
        one.on_verdict(payload, NOW_S)
        one.on_receipt(payload)
    assert list(one.taps.kept) == [kept.tap_id]


def test_a_verdict_that_only_later_servers_know_is_a_receipt_all_the_same() -> None:
    one = terminal()
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    one.step(NOW_S, online=True)
    one.on_verdict(answer(kept.tap_id, "of_tomorrow"), NOW_S)
    assert [shown.verdict for shown in one.step(NOW_S, online=True).show] == ["of_tomorrow"]
    assert one.taps.kept == {}


def test_the_disk_gives_back_taps_and_memory_after_a_power_cut(tmp_path) -> None:
    path, token = tmp_path / "taps", issue_qr(claims(), SIGNER)
    one = terminal(fallback_s=0.0)
    with Disk(path) as disk:
        for _ in range(2):
            one.tap(NOW_S, "qr", token)
            disk.append(one.step(NOW_S + 1, online=False).write)
        assert disk.syncs == 2
    with path.open("ab") as file:
        file.write(b'{"what": "tap", "id": "cut short')
    two = terminal()
    with Disk(path) as disk:
        assert two.restore(disk.entries()) == 2
        assert (two.unjudged, {kept.boot for kept in two.taps.kept.values()}) == (2, {"b1"})
        assert disk.path.stat().st_mode & 0o077 == 0
    two.tap(NOW_S, "qr", token)
    assert [shown.verdict for shown in two.step(NOW_S + 60, online=False).show] == ["used_up"]


def test_the_disk_is_written_anew_without_what_is_done(tmp_path) -> None:
    with Disk(tmp_path / "taps", bytes_max=2_000) as disk:
        for number in range(100):
            disk.append([TapMade(str(number), 0.0, "x" * 50)])
            if number != 40:
                disk.append([TapDone(str(number))])
        assert disk.rewritten > 3
        assert disk.path.stat().st_size < 4_000
    with Disk(tmp_path / "taps") as disk:
        assert disk.entries() == [TapMade("40", 0.0, "x" * 50)]


def test_with_no_time_to_fall_back_it_never_decides_alone() -> None:
    one = terminal(fallback_s=None)
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    one.step(NOW_S, online=True)
    one.on_verdict(answer(kept.tap_id, "unavailable"), NOW_S)
    step = one.step(NOW_S + 86_400, online=False)
    assert (step.show, one.alone_since_s, json.loads(kept.payload)["offline"]) == ([], None, None)


def test_it_wants_a_step_for_what_is_to_be_written_or_shown() -> None:
    one = terminal()
    kept = one.tap(NOW_S, "qr", issue_qr(claims(), SIGNER))
    assert kept is not None
    one.step(NOW_S, online=True)
    assert one.next_s() > NOW_S
    one.on_verdict(answer(kept.tap_id), NOW_S)
    assert one.next_s() < NOW_S
    assert [type(entry) for entry in one.step(NOW_S, online=True).write] == [MediumSeen, TapDone]


def test_the_disk_remembers_as_many_media_as_it_may_and_survives_a_line_without_its_end(tmp_path) -> None:
    path = tmp_path / "taps"
    seen = [MediumSeen(f"card:{number}", (1, "a/1", 5.0, number)) for number in range(5)]
    with Disk(path, seen_max=3) as disk:
        disk.append(seen)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    with Disk(path, bytes_max=1, seen_max=3) as disk:
        disk.append([tap := TapMade("t", 0.0, "{}")])  # and writes it anew
    with Disk(path, seen_max=3) as disk:
        assert disk.entries() == [tap, *seen[2:]]
