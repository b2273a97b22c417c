"""A controller's day: what was tapped here, penalties issued, paid and taken back, and the ledger in step."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.ticket_city import City
from ticketing.books import Books
from ticketing.errors import Problem
from ticketing.penalties import LETTERS, Lines, Penalties
from ticketing.penalties_api import PenaltiesApi, PenaltyChange, PenaltyRequest

FINE_MINOR = 16_000


@pytest.fixture
def api(city: City) -> PenaltiesApi:
    return PenaltiesApi(Penalties(Books(city.service.store), city.service.tariff, city.now))


async def issue(api: PenaltiesApi, key: str | None = None, subject: str = "inspector1"):
    body = PenaltyRequest("kpt", "no ticket", "4582")
    return await api.issue(body=body, subject=subject, role="inspector", idempotency_key=key)


async def pay(api: PenaltiesApi, reference: str, subject: str = "desk1", role: str = "cashier"):
    return await api.pay(reference, subject=subject, role=role, idempotency_key=None)


async def test_a_penalty_is_owed_until_it_is_paid_once(city: City, api: PenaltiesApi) -> None:
    penalty = await issue(api)
    assert (penalty.state, penalty.amount_minor, penalty.currency) == ("open", FINE_MINOR, "UAH")
    assert set(penalty.reference) <= set(LETTERS)
    assert await city.balances() == {"penalty": FINE_MINOR, "penalties": -FINE_MINOR}
    answers = await asyncio.gather(*(pay(api, penalty.reference) for _ in range(5)))
    assert len(set(answers)) == 1
    with pytest.raises(Problem, match="paid already, by desk1") as refused:
        await pay(api, penalty.reference, "desk2")
    assert refused.value.status == 409
    assert await city.value("SELECT count(*) FROM transfer WHERE kind = 'penalty_payment'") == 1
    assert await city.balances() == {"cash": FINE_MINOR, "penalties": -FINE_MINOR, "penalty": 0}
    with pytest.raises(Problem, match="paid already"):
        await api.cancel(penalty.reference, body=PenaltyChange("appeal"), subject="desk1", idempotency_key=None)


async def test_a_penalty_that_is_taken_back_is_reversed(city: City, api: PenaltiesApi) -> None:
    penalty = await issue(api)
    done = await api.cancel(
        f" {penalty.reference.lower()} ", body=PenaltyChange("had a pass"), subject="desk1", idempotency_key=None
    )
    assert (done.state, done.note, done.closed_by) == ("cancelled", "had a pass", "desk1")
    assert set((await city.balances()).values()) == {0}
    assert (await api.show(penalty.reference, subject="desk1", role="cashier")).state == "cancelled"


async def test_a_retry_issues_no_second_one(city: City, api: PenaltiesApi) -> None:
    first, again = await issue(api, "k1"), await issue(api, "k1")
    assert first == again
    assert await city.value("SELECT count(*) FROM penalty") == 1
    other = await issue(api, subject="inspector2")
    own = await api.list_own(subject="inspector1", role="inspector")
    everybodys = await api.list_own(subject="admin", role="admin")
    assert [one.reference for one in own.penalties] == [first.reference]
    assert {one.reference for one in everybodys.penalties} == {first.reference, other.reference}


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "line\nbreak", "\x00"])
async def test_what_is_no_reason_is_refused(city: City, api: PenaltiesApi, reason: str) -> None:
    body = PenaltyRequest("kpt", reason)
    with pytest.raises(Problem) as refused:
        await api.issue(body=body, subject="inspector1", role="inspector", idempotency_key=None)
    assert refused.value.status == 422
    assert await city.value("SELECT count(*) FROM penalty") == 0


async def test_nothing_is_known_of_an_unknown_reference(api: PenaltiesApi) -> None:
    for reference in ("", "ABCDEFGH", "'; DROP", "Й" * 8):
        with pytest.raises(Problem) as refused:
            await api.show(reference, subject="inspector1", role="inspector")
        assert refused.value.status == 404


async def test_a_controller_sees_at_once_what_was_tapped_on_this_vehicle(city: City, api: PenaltiesApi) -> None:
    here, elsewhere = await city.sell(), await city.sell()
    assert await city.say(here.token, vehicle="4582") == "accepted"
    assert await city.say(here.token, vehicle="4582", device="door2") == "used_up"
    assert await city.say(elsewhere.token, vehicle="77") == "accepted"
    who = {"subject": "inspector1", "role": "inspector"}
    found = await api.taps_here("kpt", "4582", **who)
    assert [(tap.verdict, tap.product_id, tap.ends_with) for tap in found.taps] == [
        ("used_up", "single", here.id[-4:]),
        ("accepted", "single", here.id[-4:]),
    ]
    assert found.riders == 1
    assert (await api.taps_here("kpt", "4582", minutes=0.0, **who)).taps == []
    assert (await api.taps_here("other", "4582", **who)).taps == []


async def test_only_lines_that_there_are_have_penalties(city: City) -> None:
    lines = Lines(lambda: {"kpt", "kmda"}, lambda: ["1_1", *(f"r{number}" for number in range(30))])
    penalties = Penalties(Books(city.service.store), city.service.tariff, city.now, lines)

    async def issue_for(operator: str, route_id: str | None) -> str:
        body = PenaltyRequest(operator, "no ticket", None, route_id)
        options = {"subject": "inspector1", "role": "inspector", "idempotency_key": None}
        return (await PenaltiesApi(penalties).issue(body=body, **options)).state

    assert await issue_for("kpt", "1_1") == "open"
    assert await issue_for("kmda", None) == "open"
    for operator, route_id, says in (("kpd", "1_1", "there are kmda, kpt"), ("kpt", "1_2", "and 19 more")):
        with pytest.raises(Problem, match=says) as refused:
            await issue_for(operator, route_id)
        assert refused.value.status == 422
    assert await city.say((await city.sell()).token, operator="old-company") == "accepted"
    assert await issue_for("old-company", None) == "open"
    assert await city.value("SELECT count(*) FROM penalty") == 3


async def test_a_controller_of_one_operator_acts_for_no_other(city: City, api: PenaltiesApi) -> None:
    body, mine = PenaltyRequest("kpt", "no ticket"), {"subject": "kpt:7", "role": "inspector"}
    theirs = {"subject": "kmda:7", "role": "inspector"}
    penalty = await api.issue(body=body, **mine, idempotency_key=None)
    for refused in (
        api.issue(body=body, **theirs, idempotency_key=None),
        api.pay(penalty.reference, **theirs, idempotency_key=None),
        api.show(penalty.reference, **theirs),
        api.taps_here("kpt", "4582", **theirs),
    ):
        with pytest.raises(Problem) as problem:
            await refused
        assert problem.value.status == 403
    assert (await api.taps_here("kpt", "4582", **mine)).taps == []
    for reader in (mine, {"subject": "city1", "role": "inspector"}, {"subject": "kmda:desk", "role": "cashier"}):
        assert await api.show(penalty.reference, **reader) == penalty
    assert (await pay(api, penalty.reference, "kpt:7", "inspector")).state == "paid"
    assert await city.value("SELECT count(*) FROM penalty") == 1


async def test_no_card_number_is_kept_in_what_a_controller_writes(city: City, api: PenaltiesApi) -> None:
    number = "4111 1111 1111 1111"
    body = PenaltyRequest("kpt", f"showed {number}", number.replace(" ", ""), number)
    penalty = await api.issue(body=body, subject="inspector1", role="inspector", idempotency_key=None)
    assert penalty.reason == "showed ************1111"
    change = PenaltyChange(f"paid with {number}")
    await api.cancel(penalty.reference, body=change, subject="desk1", idempotency_key=None)
    kept = await city.pool.fetch("SELECT penalty::text AS row FROM penalty UNION ALL SELECT audit::text FROM audit")
    assert not [row for row in kept if "4111" in row["row"]]
