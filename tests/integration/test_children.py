"""Children are kept running, give up after too many ends, and never outlive their parent."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil
import pytest

from deploy import children
from deploy.children import Child, ChildFailedError, kept_running


async def started(child: Child, other_than: int | None = None) -> int:
    async with asyncio.timeout(60):
        while child.pid in (None, other_than):
            await asyncio.sleep(0.01)
    assert child.pid is not None
    return child.pid


async def test_a_killed_child_is_started_again_and_stops_with_the_block(tmp_path):
    child = Child("idle", ["http.server", "0", "--bind", "127.0.0.1"], tmp_path / "log")
    async with kept_running(child, failed=pytest.fail):
        first = await started(child)
        os.kill(first, signal.SIGKILL)
        second = await started(child, other_than=first)
        assert child.restarts == 1
    assert not psutil.pid_exists(second)


async def test_a_child_that_ends_at_once_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "BACKOFF_S", (0.0,))
    child = Child("broken", ["no_such_module_here"], tmp_path / "log")
    with pytest.raises(ChildFailedError, match="broken ended 6 times in a row"):
        await child.keep_running()
    assert "No module named" in (tmp_path / "log").read_text()


def test_a_child_dies_with_its_parent(tmp_path):
    program = (
        "import asyncio, pathlib, sys\n"
        "from deploy.children import Child, kept_running\n"
        "async def main():\n"
        "    child = Child('idle', ['http.server', '0', '--bind', '127.0.0.1'], pathlib.Path(sys.argv[1]))\n"
        "    async with kept_running(child, failed=print):\n"
        "        while child.pid is None: await asyncio.sleep(0.01)\n"
        "        print(child.pid, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    gone, _ = psutil.wait_procs([child], timeout=10)
    assert gone or child.status() == psutil.STATUS_ZOMBIE
