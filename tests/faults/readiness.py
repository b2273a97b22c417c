"""I6 and I7 as an operator sees them: /livez, /readyz and /metrics of a judge, over HTTP."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass

from tests.faults.judge_process import JudgeProcess

ANSWER_S_MAX = 10.0


@dataclass(frozen=True)
class Health:
    """What was answered; every answer comes, whatever is away."""

    live: bool
    ready: bool
    reasons: list[str]


async def health(judge: JudgeProcess) -> Health:
    """Ask both; an answer that does not come is a failure of the test."""
    port = (await judge.ask())["http_port"]
    live, _ = await asyncio.to_thread(_get, port, "/livez")
    status, body = await asyncio.to_thread(_get, port, "/readyz")
    said = json.loads(body)
    assert said["ready"] is (status == 200)
    return Health(live == 200, said["ready"], said["reasons"])


async def becomes(judge: JudgeProcess, ready: bool, seconds: float) -> Health:
    """Wait until work is possible, or is not; the process says all the time that it lives."""
    deadline = time.monotonic() + seconds
    while (found := await health(judge)).ready is not ready:
        assert found.live
        assert time.monotonic() < deadline, f"ready is not {ready} within {seconds:g} s: {found}"
        await asyncio.sleep(0.05)
    assert found.live
    assert bool(found.reasons) is not ready
    return found


async def counted(judge: JudgeProcess, name: str) -> float:
    """The sum of a number on /metrics over its labels; 0 when it is not there."""
    port = (await judge.ask())["http_port"]
    status, body = await asyncio.to_thread(_get, port, "/metrics")
    assert status == 200
    lines = [line.rpartition(" ") for line in body.decode().splitlines() if not line.startswith("#")]
    return sum(float(value) for said, _, value in lines if said.partition("{")[0] == name)


def _get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=ANSWER_S_MAX) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
