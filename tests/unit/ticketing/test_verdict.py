"""The order of verdicts is the contract's, in Python and in the database alike, and each says something to people."""

import re
from pathlib import Path

import pytest

from ticketing.verdict import DENIED_FOR, JUDGED, SAY, Bank, Offline, Tap, Verdict, content_hash, say_of, unavailable

# Contract, section 3.
ORDER = [
    *("malformed", "unknown_key", "bad_signature", "stale_proof", "replayed", "unknown", "not_yet_valid", "expired"),
    *("revoked", "suspended", "denied", "wrong_service", "used_up", "passback", "insufficient_funds", "accepted"),
]

TAP = Tap("i", "b", 1, 2.0, "qr", "t", None, "v", None, None, None, None, "op", "dev", 3.0)


def test_the_order_is_the_contracts():
    assert [*JUDGED] == ORDER
    assert [*Verdict] == [*ORDER, "unavailable"]


def test_the_databases_enum_has_the_same_order():
    text = (Path(__file__).parents[3] / "sql" / "schema.sql").read_text()
    enum = re.search(r"CREATE TYPE verdict AS ENUM \((.*?)\)", text, re.DOTALL)
    assert enum is not None
    assert re.findall(r"'(\w+)'", enum[1]) == ORDER


def test_every_verdict_speaks_both_languages():
    for verdict in Verdict:
        say = SAY[verdict]
        assert say.uk
        assert say.en
        assert re.search("[а-яіїєґ]", say.uk.lower())
        assert say.en.isascii()


def test_unavailable_is_the_only_one_to_try_again():
    answer = unavailable("x", "database")
    assert (answer.verdict, answer.retry, answer.seq_through) == (Verdict.UNAVAILABLE, True, None)


def changed(**fields):
    return Tap(**{name: fields.get(name, getattr(TAP, name)) for name in Tap.__struct_fields__})


@pytest.mark.parametrize(
    "other",
    [
        changed(boot="c"),
        changed(seq=2),
        changed(ts=2.5),
        changed(medium="card"),
        changed(token="u"),
        changed(bank=Bank("p")),
        changed(vehicle=None),
        changed(stop_id="s"),
        changed(lat=1.0),
    ],
)
def test_another_content_has_another_hash(other):
    assert content_hash(other) != content_hash(TAP)


def test_the_same_tap_sent_again_has_the_same_hash():
    again = changed(received_s=9.0, raw=b"other spaces", offline=Offline("accepted", 3))
    assert content_hash(again) == content_hash(TAP)


def test_a_denied_bank_card_is_told_why():
    """The reasons are those that the database and the reader of taps give; each has words of its own."""
    root = Path(__file__).parents[3]
    text = (root / "sql" / "schema.sql").read_text() + (root / "ticketing" / "reading.py").read_text().replace('"', "'")
    for reason, say in DENIED_FOR.items():
        assert f"'{reason}'" in text
        assert say_of(Verdict.DENIED, reason) == say != SAY[Verdict.DENIED]
    assert say_of(Verdict.DENIED, "deny_list") == say_of(Verdict.DENIED, None) == SAY[Verdict.DENIED]
    assert say_of(Verdict.ACCEPTED, "debt") == SAY[Verdict.ACCEPTED]
