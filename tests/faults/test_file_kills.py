"""Keys, revoked tokens, devices and logins, changed by processes that are killed at every call to the kernel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.faults.file_process import CHANGES, run_changes

CALLS_MIN = 5


@pytest.mark.parametrize("change", CHANGES)
async def test_killed_at_every_call_the_file_is_old_or_new_and_the_same_again_is_enough(
    tmp_path: Path, change: str
) -> None:
    calls = await asyncio.to_thread(run_changes, change, tmp_path)
    assert calls > CALLS_MIN
