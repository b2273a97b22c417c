"""Dead letters: each device has a quota, all have one together, anew in every window; beyond it they are a number."""

import asyncio
from collections import Counter

from gateway.config import Broker, GatewaySettings
from gateway.letters import Letters, Quota
from gateway.refusal import DeadLetter, Reason, Refusal


def test_each_device_has_its_quota() -> None:
    quota = Quota(2, 100, 60.0)
    assert [quota.allows("a", 0.0) for _ in range(3)] == [True, True, False]
    assert quota.allows("b", 0.0)


def test_all_devices_together_have_one() -> None:
    quota = Quota(2, 3, 60.0)
    assert [quota.allows(f"v{number}", 0.0) for number in range(5)] == [True] * 3 + [False] * 2


def test_a_new_window_begins_anew() -> None:
    quota = Quota(1, 100, 60.0)
    assert [quota.allows("a", at_s) for at_s in (0.0, 59.0, 60.0, 61.0)] == [True, False, True, False]


def test_a_clock_that_steps_back_does_not_close_the_window_for_ever() -> None:
    quota = Quota(1, 100, 60.0)
    quota.allows("a", 7200.0)
    assert quota.allows("a", 3600.0)


def letters(**changed: float) -> tuple[Letters, Counter[str]]:
    counts: Counter[str] = Counter()
    settings = GatewaySettings(Broker("127.0.0.1"), dead_letters_per_device=2, unstored_letters_every_s=0.0, **changed)

    async def store(_letters: list[DeadLetter]) -> None:
        raise OSError("away")

    return Letters(settings, store, counts), counts


async def test_what_is_not_stored_is_told_by_device_once() -> None:
    box, counts = letters(dead_letters_queued_max=3)
    heard: asyncio.Queue[dict[str, int]] = asyncio.Queue()
    for device in ("kpt/1", "kpt/1", "kpt/1", "kpt/1", "kpt/2", "kpt/2"):
        box.take(device, "t", b"{", Refusal(Reason.MALFORMED_JSON), 0.0)
    task = asyncio.create_task(box.tell_unstored(heard.put))
    # Two of the first device beyond its quota, and one of it that made room in the queue.
    assert await heard.get() == {"kpt/1": 3}
    box.take("kpt/2", "t", b"{", Refusal(Reason.MALFORMED_JSON), 0.0)
    assert await heard.get() == {"kpt/2": 1}
    assert (counts["dead_letters_over_quota"], counts["dead_letters_dropped"]) == (3, 1)
    task.cancel()


async def test_what_could_not_be_told_is_told_with_what_comes_after() -> None:
    box, counts = letters()
    heard: asyncio.Queue[dict[str, int]] = asyncio.Queue()
    failures = iter((True, False))

    async def tell(unstored: dict[str, int]) -> None:
        if next(failures):
            box.take("kpt/1", "t", b"{", Refusal(Reason.MALFORMED_JSON), 0.0)
            raise OSError("away")
        await heard.put(unstored)

    for _ in range(3):
        box.take("kpt/1", "t", b"{", Refusal(Reason.MALFORMED_JSON), 0.0)
    task = asyncio.create_task(box.tell_unstored(tell))
    assert await heard.get() == {"kpt/1": 2}
    assert counts["dead_letter_store_failures"] == 1
    task.cancel()
