"""One ticket two hundred times at once, recorded taps played again, clocks that are wrong: no use too many."""

from __future__ import annotations

import json
import time
import uuid
from collections import Counter
from typing import Any

from tests.faults.invariants import check_invariants
from tests.faults.validators_at_work import until
from tests.integration.gateway_brokers import device
from ticketing.card import CardKeys, sun_message

CARD_KEYS = (1, bytes(range(16)), bytes(range(16, 32)))
UID = bytes.fromhex("04de5f1eacc040")


async def test_one_ticket_at_two_hundred_validators_at_once(town):
    """Fault 10: one accepted, 199 used up, and nobody sees a deadlock."""
    (token,) = await town.sell(1)
    async with town.validators(200) as validators:
        await validators.online()
        judge = await town.judge()
        for number in range(200):
            validators.tap(number, token)
        await validators.all_receipted()
        assert validators.gates.statistics.by_verdict == {"accepted": 1, "used_up": 199}
        assert (await judge.ask())["counters"].get("unavailable_contention", 0) == 0
        await town.check(validators, judge)


def tap(token: str, medium: str = "qr", **fields: Any) -> bytes:
    said = {"id": str(uuid.uuid4()), "boot": "a1", "seq": 1, "ts": time.time(), "medium": medium, "token": token}
    return json.dumps(said | {"vehicle": "7"} | fields).encode()


class Ear:
    """All verdicts, of every validator, in the order in which they come."""

    def __init__(self, heard: list[tuple[str, bytes]]) -> None:
        self._heard = heard

    def of(self, operator: str, name: str) -> list[str]:
        topic = f"validator/v1/{operator}/{name}/verdict"
        return [json.loads(payload)["verdict"] for heard, payload in self._heard if heard == topic]


async def test_recorded_taps_are_played_again(town):
    """Fault 15: by the same device, by another, by another operator: no ride more, and an event for the card's."""
    (token,) = await town.sell(1)
    await town.fetch(
        "INSERT INTO card (uid, key_version, balance_minor, currency) VALUES ($1, 1, 0, 'UAH') RETURNING uid", UID
    )
    await town.fetch(
        "INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, made_by)"
        " VALUES ('top_up', 'cash', $1, 5000, 'UAH', $2, 'test') RETURNING id",
        f"purse:{UID.hex()}",
        UID,
    )
    await town.fetch("UPDATE card SET balance_minor = 5000")
    judge = await town.judge(card_keys=(CARD_KEYS,))
    recorded = [tap(token), tap(sun_message(CardKeys(*CARD_KEYS), UID, 5, b"12345"), "card", seq=2)]
    senders = [("town", "v1"), ("town", "v1"), ("town", "v1"), ("town", "v2"), ("village", "v1")]
    with device(town.broker, "everybody", "validator/v1/+/+/verdict") as ears:
        ear = Ear(ears.heard)
        for place, (operator, name) in enumerate(senders, 1):
            for payload in recorded:
                ears.send(f"validator/v1/{operator}/{name}/tap", payload, qos=1)
            await until(lambda place=place: len(ears.heard) >= 2 * place, 20, "the answers")
        assert ear.of("town", "v1") == ["accepted"] * 6, "the stored answer"
        assert ear.of("town", "v2") == ear.of("village", "v1") == ["used_up", "replayed"]
        # The same id with another content is refused, and noticed.
        changed = json.loads(recorded[0]) | {"vehicle": "8"}
        ears.send("validator/v1/town/v1/tap", json.dumps(changed).encode(), qos=1)
        await until(lambda: ear.of("town", "v1")[6:] == ["malformed"], 20, "the reused id's answer")
    assert await town.value("SELECT count(*) FROM tap") == 6
    assert await town.value("SELECT balance_minor FROM card") == 4200
    events = await town.fetch(
        "SELECT kind, operator, device, times FROM security_event ORDER BY kind, operator, device"
    )
    assert [tuple(event) for event in events] == [
        ("id_reused", "town", "v1", 1),
        ("replayed", "town", "v2", 1),
        ("replayed", "village", "v1", 1),
    ]
    await check_invariants(town.dsn, judge=await judge.ask(), log=town.log, secrets=[token])


async def test_devices_clocks_are_wrong(town):
    """Fault 13, for taps: ten minutes, a day, 1970, a week number's rollover, 2038: flagged, and no verdict changes."""
    now_s = time.time()
    clocks = [now_s + 600, now_s - 86_400, 0.0, now_s - 1_024 * 7 * 86_400, 2.0**31, -(10.0**11), 10.0**11]
    valid = await town.sell(len(clocks))
    expired = await town.sell(len(clocks))
    await town.fetch(
        "UPDATE ticket SET valid_from = now() - interval '3 days', valid_until = now() - interval '2 days'"
        " WHERE id = ANY ($1) RETURNING id",
        town.ids[len(clocks) :],
    )
    judge = await town.judge()
    with device(town.broker, "clocks", "validator/v1/+/+/verdict") as ears:
        ear = Ear(ears.heard)
        for number, clock_s in enumerate(clocks):
            for kind, token in (("good", valid[number]), ("bad", expired[number])):
                ears.send(f"validator/v1/town/{kind}-{number}/tap", tap(token, ts=clock_s), qos=1)
        await until(lambda: len(ears.heard) >= 2 * len(clocks), 30, "the answers")
        said = Counter(
            (kind, verdict)
            for kind in ("good", "bad")
            for n in range(len(clocks))
            for verdict in ear.of("town", f"{kind}-{n}")
        )
    assert said == {("good", "accepted"): len(clocks), ("bad", "expired"): len(clocks)}
    assert await town.value("SELECT count(*) FROM tap WHERE NOT clock_off") == 0
    await check_invariants(town.dsn, judge=await judge.ask(), log=town.log, secrets=valid)


async def test_an_alone_validator_with_a_wrong_clock_stops_nobody_for_ever(town):
    """Fault 13, decided alone: a time that cannot be true is replaced by the time of arrival, and flagged."""
    tokens = await town.sell(3)
    judge = await town.judge()
    alone = {"verdict": "accepted", "rules_version": 1}
    with device(town.broker, "alone", "validator/v1/+/+/verdict") as ears:
        for number, clock_s in enumerate((time.time() + 86_400, 0.0, 2.0**31)):
            ears.send(f"validator/v1/town/a-{number}/tap", tap(tokens[number], ts=clock_s, offline=alone), qos=1)
        await until(lambda: len(ears.heard) >= 3, 20, "the answers")
        assert [json.loads(payload)["verdict"] for _, payload in ears.heard] == ["accepted"] * 3
    assert await town.value("SELECT count(*) FROM tap WHERE conflict") == 0
    await check_invariants(town.dsn, judge=await judge.ask(), log=town.log, secrets=tokens)
