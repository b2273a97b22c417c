"""Tickets and cards on a real PostgreSQL: sold, judged, booked, and judged the same whatever goes wrong around them."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from deploy.embedded_postgres import embedded_postgres
from deploy.instance import Instance
from sql import query
from sql.migrate import migrate
from sql.pool import open_pool
from tests.integration.ticket_city import CARD_KEYS, PUBLISHED, PUBLISHED_KEYS, TARIFF, UID, City, open_city
from ticketing import base45
from ticketing.card import sun_message
from ticketing.claims import Claims
from ticketing.config import TicketingSettings
from ticketing.errors import Problem
from ticketing.proof import plain_token, proof_message, with_proof
from ticketing.refund_booking import Refunding
from ticketing.service import Ticketing
from ticketing.signing import b64url
from ticketing.store import DeadLetter
from ticketing.ticket_cwt import issue_qr
from ticketing.verdict import Offline, Tap, Verdict

# --- tickets ---------------------------------------------------------------------------------------------------------


async def test_a_single_ride_is_accepted_once(city):
    sold = await city.sell()
    assert await city.say(sold.token) == "accepted"
    assert await city.say(sold.token) == "used_up"
    assert await city.say(sold.jwt, device="other") == "used_up"
    assert city.boardings == [("kpt/4582", pytest.approx(city.now(), abs=5), 1)]


async def test_an_answer_says_until_when_and_what_was_charged(city):
    sold = await city.sell()
    answer = (await city.judge(city.tap(sold.token)))[0]
    assert (answer.until_ts, answer.charged_minor, answer.currency) == (sold.valid_until, 0, "UAH")
    assert answer.say.uk
    assert not answer.retry


async def test_revoked_wins_over_used_up(city):
    sold = await city.sell()
    assert await city.say(sold.token) == "accepted"
    await city.api.desk.change_ticket(sold.id, "revoke", "lost", subject="cashier")
    assert await city.say(sold.token) == "revoked"


async def test_suspended_until_resumed(city):
    sold = await city.sell("day")
    await city.api.desk.change_ticket(sold.id, "suspend", "found", subject="cashier")
    assert await city.say(sold.token) == "suspended"
    await city.api.desk.change_ticket(sold.id, "resume", "claimed", subject="cashier")
    assert await city.say(sold.token) == "accepted"


async def test_a_refund_reverses_the_sale_once(city):
    sold = await city.sell()
    await city.api.desk.refund(sold.id, Refunding("rain"), subject="cashier")
    assert await city.say(sold.token) == "revoked"
    assert {row["minor"] for row in await city.pool.fetch(query("ledger.balances"))} == {0}
    with pytest.raises(Problem, match="reversed before"):
        await city.api.desk.refund(sold.id, Refunding("again"), subject="cashier")
    with pytest.raises(Problem, match="for good"):
        await city.api.desk.change_ticket(sold.id, "resume", "pity", subject="cashier")


async def test_validity_is_half_open_and_by_our_clock(city):
    start = city.now() + 3600
    sold = await city.sell(valid_from=start)
    early_by_the_device = {"ts": start + 60}
    assert await city.say(sold.token, **early_by_the_device) == "not_yet_valid"
    assert await city.say(sold.token, received_s=float(sold.valid_until)) == "expired"
    assert await city.say(sold.token, received_s=sold.valid_until - 0.001, ts=0.0) == "accepted"


async def test_one_flipped_bit_is_a_bad_signature(city):
    data = bytearray(base45.decode((await city.sell()).token))
    data[-1] ^= 1
    assert await city.say(base45.encode(bytes(data))) == "bad_signature"


async def test_ten_rides_are_ten(city):
    sold = await city.sell("ten")
    verdicts = [await city.say(sold.token, vehicle=f"v{number}") for number in range(12)]
    assert verdicts == ["accepted"] * 10 + ["used_up"] * 2


async def test_a_group_travels_on_one_use(city):
    sold = await city.sell("group")
    assert await city.say(sold.token) == "accepted"
    assert city.boardings[0][2] == 10
    assert await city.say(sold.token) == "used_up"
    assert await city.value("SELECT array_agg(riders ORDER BY riders) FROM tap") == [1, 10]


async def test_an_answer_given_again_boards_nobody(city):
    tap = city.tap((await city.sell()).token)
    await city.judge(tap)
    await city.judge(tap)
    assert [count for _, _, count in city.boardings] == [1]


async def test_a_medium_at_two_places_at_once_is_flagged_and_not_refused(city):
    sold = await city.sell("ten")
    assert await city.say(sold.token, lat=50.4501, lon=30.5234) == "accepted"
    assert await city.say(sold.token, lat=50.4460, lon=30.5150, vehicle="near") == "accepted"
    assert await city.say(sold.token, lat=50.2501, lon=30.5234, vehicle="far") == "accepted"
    later = {"received_s": city.now() + 3_600, "ts": city.now() + 3_600}
    assert await city.say(sold.token, lat=50.4501, lon=30.5234, vehicle="back", **later) == "accepted"
    flagged = await city.pool.fetch("SELECT vehicle FROM tap WHERE flags = '{elsewhere}'")
    assert [row["vehicle"] for row in flagged] == ["far"]
    event = await city.pool.fetchrow("SELECT subject, times FROM security_event WHERE kind = 'elsewhere'")
    assert tuple(event) == (sold.id, 1)


async def test_passback_on_one_vehicle_within_the_window(city):
    sold = await city.sell("ten")
    assert await city.say(sold.token) == "accepted"
    assert await city.say(sold.token) == "passback"
    assert await city.say(sold.token, vehicle="other") == "accepted"
    assert await city.say(sold.token, received_s=city.now() + 301, vehicle="other") == "accepted"


async def test_a_ticket_of_another_network_is_for_another_service(city):
    sold = await city.sell("month")
    await city.pool.execute("UPDATE ticket SET networks = '{metro}' WHERE id = $1", uuid.UUID(sold.id))
    assert await city.say(sold.token) == "wrong_service"


async def test_a_genuine_ticket_that_is_not_in_the_books_is_unknown(city):
    sold = await city.sell()
    await city.pool.execute("DELETE FROM ticket WHERE id = $1", uuid.UUID(sold.id))
    assert await city.say(sold.token) == "unknown"


async def test_a_screenshot_is_stale(city):
    device = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url(device.public_key().public_bytes_raw())}
    sold = await city.sell("mobile", device_key=jwk)
    assert await city.say(sold.token) == "stale_proof"
    for token in (sold.token, sold.jwt):
        old, now = int(city.now()) - 300, int(city.now())
        shown = {at: with_proof(token, at, device.sign(proof_message(plain_token(token), at))) for at in (old, now)}
        assert await city.say(shown[old]) == "stale_proof"
        assert await city.say(shown[now]) == ("accepted" if token == sold.token else "used_up")
    with pytest.raises(Problem, match="device's proof"):
        await city.sell("mobile")


# --- retries and receipts --------------------------------------------------------------------------------------------


async def test_the_same_tap_again_gets_the_same_answer(city):
    tap = city.tap((await city.sell()).token)
    first = (await city.judge(tap))[0]
    assert first.verdict is Verdict.ACCEPTED
    again = await city.judge(tap, tap)
    assert again == [first, first]
    assert await city.value("SELECT count(*) FROM tap") == 1


async def test_an_id_used_for_another_tap_is_malformed_and_noticed(city):
    one, other = await city.sell(), await city.sell()
    tap = city.tap(one.token)
    await city.judge(tap)
    reused = (await city.judge(city.tap(other.token, id=tap.id)))[0]
    assert (reused.verdict, reused.reason) == (Verdict.MALFORMED, "id_reused")
    assert await city.say(other.token) == "accepted"
    event = await city.pool.fetchrow("SELECT kind, subject, times FROM security_event")
    assert tuple(event) == ("id_reused", tap.id, 1)


async def test_two_taps_under_one_id_in_one_batch(city):
    one, other = await city.sell(), await city.sell()
    tap = city.tap(one.token)
    answers = await city.judge(tap, city.tap(other.token, id=tap.id), tap)
    assert [answer.verdict.value for answer in answers] == ["accepted", "malformed", "accepted"]


async def test_the_same_id_from_another_device_is_another_tap(city):
    sold = await city.sell()
    tap = city.tap(sold.token)
    assert (await city.judge(tap))[0].verdict is Verdict.ACCEPTED
    assert await city.say(sold.token, id=tap.id, device="thief") == "used_up"
    assert await city.say(sold.token, id=tap.id, operator="other") == "used_up"


async def test_receipts_are_cumulative_by_boot(city):
    token = (await city.sell("day")).token

    async def through(seq: int, boot: str = "a1") -> int | None:
        return (await city.judge(city.tap(token, seq=seq, boot=boot)))[0].seq_through

    assert [await through(seq) for seq in (1, 2, 5, 4, 3, 7)] == [1, 2, 2, 2, 5, 5]
    assert await through(0, boot="b2") == 0
    assert await through(5, boot="c3") is None
    batch = await city.judge(*(city.tap(token, seq=seq, boot="d4") for seq in (3, 1, 2)))
    assert {answer.seq_through for answer in batch} == {3}


async def test_a_boot_with_too_many_gaps_stays_bounded(city):
    token = (await city.sell("day")).token
    await city.judge(*(city.tap(token, seq=seq * 2 + 3, boot="z") for seq in range(400)))
    await city.judge(*(city.tap(token, seq=seq * 2 + 3, boot="z") for seq in range(400, 800)))
    pieces = "SELECT count(*) FROM validator_progress, unnest(answered) WHERE boot = 'z'"
    assert await city.value(pieces) <= 512


# --- the one that matters most ---------------------------------------------------------------------------------------


async def test_200_at_once_and_one_is_accepted(city):
    sold = await city.sell()
    taps = [city.tap(sold.token, device=f"door-{number}") for number in range(200)]
    answers = await asyncio.gather(*(city.judge(tap) for tap in taps))
    assert Counter(answer[0].verdict.value for answer in answers) == {"accepted": 1, "used_up": 199}


async def test_200_at_once_over_two_judges_and_one_is_accepted(city, database):
    """Two processes on one database: what holds must be held there, not in memory."""
    sold = await city.sell()
    pool = await open_pool(database)
    async with Ticketing(pool, city.service.keys, TARIFF, TicketingSettings(batch_max=7)) as other:
        taps = [city.tap(sold.token, device=f"door-{number}") for number in range(200)]
        judges = (city.service, other)
        answers = await asyncio.gather(*(judges[n % 2].validate([tap]) for n, tap in enumerate(taps)))
    pool.terminate()
    assert Counter(answer[0].verdict.value for answer in answers) == {"accepted": 1, "used_up": 199}


async def test_many_media_in_many_orders_meet_no_deadlock(city, database):
    tokens = [(await city.sell("day")).token for _ in range(20)]
    pool = await open_pool(database)
    async with Ticketing(pool, city.service.keys, TARIFF) as other:
        orders = [tokens[n:] + tokens[:n] if n % 2 else tokens[n:][::-1] + tokens[:n] for n in range(20)]
        calls = [
            (city.service, other)[n % 2].validate([city.tap(t, device=f"d{n}", vehicle=f"v{n}") for t in order])
            for n, order in enumerate(orders)
        ]
        answers = [answer for batch in await asyncio.gather(*calls) for answer in batch]
    pool.terminate()
    assert {answer.verdict.value for answer in answers} == {"accepted"}
    assert await city.value("SELECT sum(uses) FROM ticket") == 400


# --- cards -----------------------------------------------------------------------------------------------------------


async def enrol(city: City, **options: Any) -> None:
    await city.api.cards.enrol([UID.hex()], CARD_KEYS, subject="admin", **options)


async def test_the_published_message_is_accepted_once(city):
    await city.api.cards.enrol([UID.hex()], PUBLISHED_KEYS, subject="admin", product_id="month")
    assert await city.say(PUBLISHED, "card") == "accepted"
    assert await city.say(PUBLISHED, "card") == "replayed"
    assert await city.say(PUBLISHED[:-1] + "7", "card") == "bad_signature"


async def test_a_purse_pays_until_it_is_empty(city):
    await enrol(city)
    assert await city.card(1) == "insufficient_funds"
    await city.api.cards.top_up(UID.hex(), 1700, subject="cashier")
    answer = (await city.judge(city.tap(sun_message(CARD_KEYS, UID, 2, b"12345"), "card")))[0]
    assert (answer.verdict.value, answer.charged_minor, answer.currency) == ("accepted", 800, "UAH")
    assert [await city.card(counter) for counter in (3, 4)] == ["accepted", "insufficient_funds"]
    assert (await city.api.cards.get_card(UID.hex())).balance_minor == 100
    balances = {row["account"]: row["minor"] for row in await city.pool.fetch(query("ledger.balances"))}
    assert balances == {"cash": 1700, "fares": -1600, f"purse:{UID.hex()}": -100}


async def test_a_pass_on_the_card_rides_before_the_purse(city):
    await enrol(city, product_id="month")
    await city.api.cards.top_up(UID.hex(), 800, subject="cashier")
    assert await city.card(1) == "accepted"
    assert await city.card(2) == "passback"
    assert await city.card(3, vehicle="other") == "accepted"
    card = await city.api.cards.get_card(UID.hex())
    assert (card.balance_minor, card.tickets[0].uses) == (800, 2)


async def test_the_purse_pays_when_the_rides_are_used_up(city):
    await enrol(city, product_id="single")
    await city.api.cards.top_up(UID.hex(), 800, subject="cashier")
    assert [await city.card(counter, vehicle=f"v{counter}") for counter in (1, 2, 3)] == [
        "accepted",
        "accepted",
        "used_up",
    ]


async def test_a_counter_must_rise_online(city):
    await enrol(city, product_id="day")
    assert [await city.card(counter, vehicle=f"v{n}") for n, counter in enumerate((5, 5, 4, 6))] == [
        "accepted",
        "replayed",
        "replayed",
        "accepted",
    ]


async def test_a_late_offline_tap_may_carry_a_lower_counter_once(city):
    await enrol(city, product_id="day")
    await city.pool.execute("UPDATE ticket SET valid_from = valid_from - interval '1 hour'")
    assert await city.card(9) == "accepted"
    offline = {"offline": Offline("accepted", 3), "ts": city.now() - 60, "vehicle": "other"}
    assert await city.card(7, **offline) == "accepted"
    assert await city.card(7, **offline) == "replayed"
    assert await city.card(8, device="online") == "replayed"
    assert await city.value("SELECT count(*) FROM security_event WHERE kind = 'replayed'") == 2


async def test_a_late_tap_without_a_decision_is_booked_by_its_unspent_counter(city):
    """What waited in a validator's link while the card rode on: charged once, at its own time, and flagged."""
    await enrol(city)
    await city.api.cards.top_up(UID.hex(), 5000, subject="cashier")
    assert await city.card(9) == "accepted"
    late = {"ts": city.now() - 600, "device": "late", "vehicle": "other"}
    (answer,) = await city.judge(city.tap(sun_message(CARD_KEYS, UID, 7, b"12345"), "card", **late))
    assert (answer.verdict, answer.charged_minor) == ("accepted", TARIFF.purse.fare_minor)
    assert await city.value("SELECT flags FROM tap WHERE card_counter = 7") == ["late"]
    assert await city.value("SELECT flags FROM tap WHERE card_counter = 9") is None
    assert await city.value("SELECT count(*) FROM transfer WHERE kind = 'fare'") == 2
    assert await city.value("SELECT counter FROM card") == 9


async def test_a_lying_clock_wins_no_second_ride_of_a_message(city):
    """A copied message that was used is a replay at any time; an unused one is a ride that its card pays, once."""
    await enrol(city)
    await city.api.cards.top_up(UID.hex(), 5000, subject="cashier")
    assert await city.card(9) == "accepted"
    late = {"ts": city.now() - 600, "device": "liar", "vehicle": "other"}
    assert [await city.card(counter, **late) for counter in (9, 8, 8)] == ["replayed", "accepted", "replayed"]
    assert await city.card(8, device="honest", vehicle="third") == "replayed"
    # A clock that is only a little slow, or that cannot be true, is no way around the rising counter.
    assert await city.card(7, device="slow", ts=city.now() - 20) == "replayed"
    assert await city.card(6, device="dead", ts=0.0) == "replayed"
    assert await city.value("SELECT balance_minor FROM card") == 5000 - 2 * TARIFF.purse.fare_minor


async def test_late_taps_of_one_card_in_one_batch_are_judged_each(city):
    await enrol(city)
    await city.api.cards.top_up(UID.hex(), 5000, subject="cashier")
    late = {"device": "late", "ts": city.now() - 600}
    taps = [
        city.tap(sun_message(CARD_KEYS, UID, counter, b"12345"), "card", **late, vehicle=f"v{counter}")
        for counter in (5, 3, 5, 4)
    ]
    assert [answer.verdict for answer in await city.judge(*taps)] == ["accepted", "accepted", "replayed", "accepted"]


async def test_a_rider_let_in_after_a_refusal_that_was_lost_is_a_conflict(city):
    """As if the validator's word had come first: the ticket is on the deny list, and who let it in is noted."""
    sold = await city.sell()
    assert await city.say(sold.token) == "accepted"
    refused = city.tap(sold.token, vehicle="other", device="front")
    assert (await city.judge(refused))[0].verdict == "used_up"
    denials = "SELECT count(*) FROM deny_entry WHERE reason = 'offline_conflict'"
    assert await city.value(denials) == 0
    alone = replace(refused, offline=Offline("accepted", 4))
    for _ in range(2):
        assert (await city.judge(alone))[0].verdict == "used_up"
        assert await city.value(denials) == 1
    assert await city.value("SELECT conflict FROM tap WHERE device = 'front'") is True
    assert await city.value("SELECT count(*) FROM tap WHERE rating_due") == 0
    # Another tap's decision under this tap's id says nothing about it; nor does a validator that refused as well.
    other = city.tap(sold.token, vehicle="third", device="back")
    assert (await city.judge(other))[0].verdict == "denied"
    await city.judge(replace(other, offline=Offline("used_up", 4)))
    await city.judge(replace(other, ts=other.ts - 1, offline=Offline("accepted", 4)))
    assert await city.value("SELECT conflict FROM tap WHERE device = 'back'") is False


async def test_a_blocked_card_is_denied_until_unblocked(city):
    await enrol(city, product_id="day")
    await city.api.cards.block(UID.hex(), "stolen", subject="cashier")
    assert await city.card(1) == "denied"
    assert (await city.api.cards.get_card(UID.hex())).status == "blocked"
    await city.api.cards.block(UID.hex(), "found", subject="cashier", removed=True)
    assert await city.card(2) == "accepted"


async def test_a_message_under_a_retired_key_version_is_refused(city):
    await city.api.cards.enrol([UID.hex()], PUBLISHED_KEYS, subject="admin", product_id="day")
    assert await city.card(100) == "bad_signature"


async def test_a_card_that_nobody_enrolled_is_unknown(city):
    assert await city.card(1) == "unknown"


async def test_cards_are_enrolled_all_or_none(city):
    await enrol(city)
    with pytest.raises(Problem, match="enrolled already"):
        await city.api.cards.enrol(["04000000000001", UID.hex()], CARD_KEYS, subject="admin")
    assert await city.value("SELECT count(*) FROM card") == 1


async def test_one_card_many_times_in_one_batch(city):
    """The rounds of a batch see what the rounds before them booked."""
    await enrol(city)
    await city.api.cards.top_up(UID.hex(), 2000, subject="cashier")
    taps = [city.tap(sun_message(CARD_KEYS, UID, counter, b"12345"), "card") for counter in (1, 2, 2, 3, 4)]
    verdicts = [answer.verdict.value for answer in await city.judge(*taps)]
    assert verdicts == ["accepted", "accepted", "replayed", "insufficient_funds", "insufficient_funds"]


# --- offline ---------------------------------------------------------------------------------------------------------


async def test_two_offline_validators_accept_one_ticket(city):
    sold = await city.sell(valid_from=city.now() - 3600)
    offline = {"offline": Offline("accepted", 12), "ts": city.now() - 600}
    first = city.tap(sold.token, device="a", **offline)
    second = city.tap(sold.token, device="b", **offline)
    answers = await city.judge(first, second)
    assert [answer.verdict.value for answer in answers] == ["accepted", "used_up"]
    row = await city.pool.fetchrow("SELECT conflict, conflict_with FROM tap WHERE device = 'b'")
    assert tuple(row) == (True, uuid.UUID(first.id))
    assert await city.say(sold.token) == "denied"
    denied = await city.api.lists.deny_list(0)
    assert [(entry.kind, entry.medium) for entry in denied.entries] == [("ticket", sold.id)]


async def test_what_a_validator_refused_offline_uses_nothing_up(city):
    sold = await city.sell()
    assert await city.say(sold.token, offline=Offline("expired", 12)) == "expired"
    assert await city.say(sold.token) == "accepted"


async def test_a_tap_sent_online_first_and_then_with_its_offline_decision_is_one_tap(city):
    sold = await city.sell()
    tap = city.tap(sold.token)
    await city.judge(tap)
    decided = Tap(**{**{n: getattr(tap, n) for n in Tap.__struct_fields__}, "offline": Offline("accepted", 1)})
    assert (await city.judge(decided))[0].verdict is Verdict.ACCEPTED
    assert await city.value("SELECT count(*) FROM tap") == 1


async def test_a_wrong_clock_is_flagged(city):
    token = (await city.sell("day")).token
    for ts in (0.0, city.now() - 86400, city.now() + 600, 2.0**31, -1e11, 1e11):
        assert await city.say(token, ts=ts, vehicle=f"v{ts}") == "accepted"
    assert await city.value("SELECT count(*) FROM tap WHERE clock_off") == 6


# --- bank cards, garbage, dead letters -------------------------------------------------------------------------------


async def test_bank_cards_have_no_account_here_and_leave_no_number(city):
    assert await city.say("9a8b7c6d", "bank") == "unknown"
    assert (
        await city.say("4111111111111111", "bank", vehicle="5555555555554444", stop_id="378282246310005") == "malformed"
    )
    for row in await city.pool.fetch("SELECT t::text AS text FROM tap t"):
        assert not any(number in row["text"] for number in ("4111111111111111", "5555555555554444", "378282246310005"))


async def test_one_tap_that_cannot_be_stored_does_not_stop_the_others(city):
    sold = await city.sell("day")
    answers = await city.judge(
        city.tap(sold.token), city.tap(sold.token, vehicle="a\x00b"), city.tap(sold.token, vehicle="other")
    )
    assert [answer.verdict.value for answer in answers] == ["accepted", "malformed", "accepted"]
    assert answers[1].reason == "unstorable"


async def test_dead_letters_are_kept_up_to_a_quota_and_counted_beyond(city):
    letters = [
        DeadLetter("kpt", f"door-{n % 2}", "topic", "bad_json", "4111111111111111", b"\xff 4111111111111111", 1.0)
        for n in range(30)
    ]
    assert await city.service.store.store_dead_letters(letters[:10], 12) == 10
    assert await city.service.store.store_dead_letters(letters[10:], 12) == 14
    rows = await city.pool.fetch("SELECT device, kept, dropped FROM dead_letter_count ORDER BY device")
    assert [tuple(row) for row in rows] == [("door-0", 12, 3), ("door-1", 12, 3)]
    stored = await city.pool.fetchrow("SELECT detail, payload FROM dead_letter LIMIT 1")
    assert tuple(stored) == ("************1111", b"\xff ************1111")


# --- the desk --------------------------------------------------------------------------------------------------------


async def test_a_sale_under_one_key_is_one_sale(city):
    sold = await city.sell(idempotency_key="till-1/0042")
    assert await city.sell(idempotency_key="till-1/0042") == sold
    with pytest.raises(Problem, match="another request"):
        await city.sell("day", idempotency_key="till-1/0042")
    assert await city.value("SELECT count(*) FROM ticket") == 1
    assert await city.sell(idempotency_key="k" * 255)  # as long as the interface says
    at_once = await asyncio.gather(*(city.sell(idempotency_key="till-1/0043") for _ in range(10)))
    assert len({each.id for each in at_once}) == 1


async def test_a_ticket_is_shown_with_the_very_credentials_that_were_sold(city):
    sold = await city.sell("month")
    shown = await city.api.desk.get_ticket(sold.id)
    assert (shown.token, shown.jwt, shown.status) == (sold.token, sold.jwt, "valid")


async def test_what_the_desk_cannot_do_it_says(city):
    for call, title in [
        (city.sell("metro"), "No such product"),
        (city.sell(valid_from=0.0), "Validity out of range"),
        (city.sell(card_uid="04000000000001"), "No such card"),
        (city.sell(device_key={"kty": "RSA"}), "Bad device key"),
        (city.sell(idempotency_key="\n"), "Bad Idempotency-Key"),
        (city.api.desk.get_ticket("not-an-id"), "No such ticket"),
        (city.api.desk.get_ticket(str(uuid.uuid4())), "No such ticket"),
        (city.api.desk.change_ticket(str(uuid.uuid4()), "revoke", "x", subject="c"), "No such ticket"),
        (city.api.cards.get_card("04000000000001"), "No such card"),
        (city.api.cards.top_up("zz", 1, subject="c"), "No card UID"),
        (city.api.lists.status_list(77), "No such list"),
    ]:
        with pytest.raises(Problem) as refused:
            await call
        assert refused.value.title == title


async def test_every_change_is_audited(city):
    sold = await city.sell()
    await city.api.desk.change_ticket(sold.id, "revoke", "lost", subject="ann")
    rows = await city.pool.fetch("SELECT subject, action, object, details FROM audit ORDER BY seq")
    assert [(row["subject"], row["action"]) for row in rows] == [("cashier", "sell"), ("ann", "revoke")]
    assert rows[1]["details"] == '{"reason": "lost"}'


async def test_a_revoked_ticket_is_in_its_status_list(city):
    import base64
    import json

    from ticketing.statuslist import INVALID, VALID, inflate, status_at

    kept, lost = await city.sell(), await city.sell()
    await city.api.desk.change_ticket(lost.id, "revoke", "lost", subject="cashier")
    signed = await city.api.lists.status_list(1)
    body = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
    lst = body["status_list"]["lst"]
    array = inflate(base64.urlsafe_b64decode(lst + "=" * (-len(lst) % 4)))
    for sold, status in ((kept, VALID), (lost, INVALID)):
        index = await city.value("SELECT status_index FROM ticket WHERE id = $1", uuid.UUID(sold.id))
        assert status_at(array, index) == status


async def test_a_controller_sees_what_a_validator_accepted(city):
    sold = await city.sell()
    inspect = city.api.inspector.inspect
    assert (await inspect("qr", sold.token, "4582")).used_here is False
    await city.say(sold.token)
    seen = await inspect("qr", sold.token, "4582")
    assert (seen.verdict.value, seen.used_here, seen.uses, seen.last_place) == ("accepted", True, 1, "kpt/4582")
    assert (await inspect("qr", sold.token, "999")).used_here is False
    assert (await inspect("qr", "garbage", None)).verdict.value == "malformed"
    await city.api.desk.change_ticket(sold.id, "revoke", "lost", subject="cashier")
    assert (await inspect("qr", sold.token, None)).verdict.value == "revoked"


async def test_a_controller_is_told_who_did_not_tap_here(city):
    sold = await city.sell()
    inspect = city.api.inspector.inspect
    assert (await inspect("qr", sold.token, "4582")).say.en == "Valid, but not tapped on this vehicle"
    assert (await inspect("qr", sold.token, None)).say.en == "Accepted"
    await city.say(sold.token)
    assert (await inspect("qr", sold.token, "4582")).say.en == "Accepted"


async def test_a_ticket_used_up_for_another_ride_is_no_ticket_for_this_one(city):
    """On another vehicle, or on this one another day: who shows it to a controller rides without."""
    sold, rest = await city.sell(), await city.sell("ten")
    for token in (sold.token, rest.token):
        await city.say(token)
    inspect = city.api.inspector.inspect

    async def seen(token: str, vehicle: str | None) -> tuple[str, bool | None]:
        found = await inspect("qr", token, vehicle)
        return found.verdict.value, found.used_here

    assert [await seen(sold.token, vehicle) for vehicle in ("4582", "999", None)] == [
        ("accepted", True),
        ("used_up", False),
        ("accepted", None),
    ]
    assert await seen(rest.token, "999") == ("accepted", False)
    city.offset_s += 3 * 3600
    assert await seen(sold.token, "4582") == ("used_up", False)
    assert await seen(rest.token, "4582") == ("accepted", False)


async def test_a_ticket_on_a_card_has_no_code(city):
    """A code of it would be a second medium, which anybody could copy and show to controllers."""
    await enrol(city)
    sold = await city.sell("day", card_uid=UID.hex())
    assert (sold.token, sold.jwt, sold.qr_svg) == (None, None, None)
    row = await city.pool.fetchrow("SELECT * FROM ticket WHERE id = $1", uuid.UUID(sold.id))
    claims = Claims(
        "takt", row["id"], "day", sold.valid_from, sold.valid_until, ("*",), row["status_list"], row["status_index"]
    )
    code = issue_qr(claims, city.service.keys.signer)
    assert await city.say(code) == "unknown"
    assert (await city.api.inspector.inspect("qr", code, None)).verdict.value == "unknown"


async def test_a_message_read_by_a_controller_is_good_for_no_tap(city):
    await enrol(city, product_id="day")
    message = sun_message(CARD_KEYS, UID, 3, b"12345")
    assert (await city.api.inspector.inspect("card", message, None)).verdict.value == "accepted"
    assert await city.say(message, "card") == "replayed"
    assert (await city.api.inspector.inspect("card", message, None)).verdict.value == "replayed"


async def test_the_activity_of_the_last_minutes(city):
    token = (await city.sell()).token
    await city.say(token)
    await city.say(token)
    shown = city.service.activity()
    assert (shown.accepted_per_minute, shown.refused_per_minute) == (1, 1)
    assert shown.by_verdict == {"accepted": 1, "used_up": 1}


# --- a database that is away -----------------------------------------------------------------------------------------


async def test_the_database_stops_and_comes_back(tmp_path):
    """Taps are told to try again while it is away, and the same taps are judged once when it is back."""
    instance = Instance.open(tmp_path / "data")
    settings = TicketingSettings(retry_after_s=0.05, pending_max=64)
    with instance.locked():
        async with embedded_postgres(instance) as url:
            port = urlsplit(url).port
            await migrate(url)
            cities = open_city(url, settings)
            city = await anext(cities)
            token = (await city.sell("day")).token
            tap = city.tap(token)
            assert (await city.judge(tap))[0].verdict is Verdict.ACCEPTED
        assert port
        later = [city.tap(token, vehicle=f"v{n}") for n in range(5)]
        away = [answer for tap_ in later for answer in await city.judge(tap_)]
        assert {(answer.verdict.value, answer.retry) for answer in away} == {("unavailable", True)}
        assert city.service.healthy() != []
        assert city.service.activity().degraded_since
        with pytest.raises(Problem) as refused:
            await city.sell()
        assert refused.value.status == 503
        flood = await asyncio.gather(*(city.judge(city.tap(token)) for _ in range(500)))
        assert {answer[0].verdict.value for answer in flood} == {"unavailable"}
        assert city.service.gauges()["taps_waiting"] == 0
        async with embedded_postgres(instance, port) as url:
            async with asyncio.timeout(20):
                while (answers := await city.judge(*later))[0].retry:
                    await asyncio.sleep(0.05)
            assert {answer.verdict.value for answer in answers} == {"accepted"}
            assert await city.judge(*later) == answers
            assert (await city.judge(tap))[0].verdict is Verdict.ACCEPTED
            assert city.service.healthy() == []
            assert await city.value("SELECT count(*) FROM tap") == 6
            await cities.aclose()


async def test_a_database_that_swallows_everything_keeps_nobody_waiting(city):
    """A lock that is never given back stands for a server that never answers: the statement's time-out ends it."""
    sold = await city.sell()
    settings = TicketingSettings(statement_s_max=0.3, retry_after_s=0.01)
    blocker = await asyncpg.connect(city.url)
    async with Ticketing(city.pool, city.service.keys, TARIFF, settings) as hasty:
        async with blocker.transaction():
            await blocker.execute("SELECT FROM ticket WHERE id = $1 FOR UPDATE", uuid.UUID(sold.id))
            async with asyncio.timeout(60):
                answer = (await hasty.validate([city.tap(sold.token)]))[0]
            assert (answer.verdict, answer.retry) == (Verdict.UNAVAILABLE, True)
        async with asyncio.timeout(60):
            while (await hasty.validate([city.tap(sold.token)]))[0].retry:
                await asyncio.sleep(0.02)
        assert hasty.healthy() == []
    await blocker.close()


async def test_more_taps_than_can_wait_are_told_so_at_once(city):
    token = (await city.sell("day")).token
    async with Ticketing(city.pool, city.service.keys, TARIFF, TicketingSettings(pending_max=10)) as small:
        answers = await small.validate([city.tap(token) for _ in range(11)])
        assert {(answer.verdict.value, answer.reason) for answer in answers} == {("unavailable", "busy")}
        assert {a.retry for a in await small.validate([city.tap(token, vehicle=f"{n}") for n in range(10)])} == {False}


async def test_leaving_answers_everything_that_was_taken(city):
    token = (await city.sell("day")).token
    async with Ticketing(city.pool, city.service.keys, TARIFF) as service:
        waiting = [asyncio.create_task(service.validate([city.tap(token, vehicle=f"{n}")])) for n in range(50)]
        await asyncio.sleep(0)
    answers = [answer for batch in await asyncio.gather(*waiting) for answer in batch]
    assert {answer.verdict.value for answer in answers} == {"accepted"}
    assert (await service.validate([city.tap(token)]))[0].reason == "stopping"


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("SELECT FROM card WHERE uid = ANY (ARRAY['\\x04'::bytea]) ORDER BY uid FOR NO KEY UPDATE", "card_pkey"),
        ("SELECT id FROM ticket t WHERE t.card_uid = ANY (ARRAY['\\x04'::bytea])", "ticket_card_uid"),
        ("SELECT FROM card_use WHERE card_uid = '\\x04' AND counter = 1", "card_use_pkey"),
        ("SELECT FROM tap WHERE card_uid = '\\x04' AND card_counter = 1 AND counter_used", "tap_card_counter"),
        (f"SELECT FROM tap WHERE operator = 'a' AND device = 'b' AND id = '{uuid.UUID(int=1)}'", "tap_pkey"),
        ("SELECT removed FROM deny_entry WHERE medium = '\\x04' ORDER BY seq DESC LIMIT 1", "deny_entry_medium"),
        (f"SELECT id FROM transfer WHERE ticket_id = '{uuid.UUID(int=1)}'", "transfer_ticket_id"),
        (
            "SELECT answered FROM validator_progress WHERE operator = 'a' AND device = 'b' AND boot = 'c'",
            "validator_progress_pkey",
        ),
    ],
)
async def test_hot_look_ups_use_their_index(city, statement, index):
    async with city.pool.acquire() as connection, connection.transaction():
        # As in the judging function, whose plans are kept while the tables grow.
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statement}"))
    assert index in plan
    assert "Seq Scan" not in plan


async def test_the_judge_keeps_to_indexes_whatever_the_tables_sizes(city):
    settings = await city.value("SELECT proconfig FROM pg_proc WHERE proname = 'judge_taps'")
    assert {"plan_cache_mode=force_generic_plan", "enable_seqscan=off"} <= set(settings)
