"""The whole product, started as a person would start it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.ports import free_port

TAKT = str(Path(sys.executable).parent / "takt")


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TAKT_")}


def takt(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [TAKT, *words], capture_output=True, text=True, check=check, timeout=120, env=clean_environment()
    )


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Product:
    """A running instance and what a user can do with it from outside."""

    data_dir: Path
    http_port: int
    mqtt_port: int
    options: list[str]
    process: subprocess.Popen[bytes] = field(init=False)
    tokens: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        log = (self.data_dir.parent / f"{self.data_dir.name}.log").open("ab")
        self.process = subprocess.Popen(
            [TAKT, *self.options, "--data-dir", str(self.data_dir), *self._ports()],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=clean_environment(),
            start_new_session=True,
        )

    def _ports(self) -> list[str]:
        return ["--http-port", str(self.http_port), "--mqtt-port", str(self.mqtt_port)]

    def log(self) -> str:
        return (self.data_dir.parent / f"{self.data_dir.name}.log").read_text(errors="replace")

    def http(self, path: str, body: Any = None, role: str | None = None, method: str | None = None) -> Reply:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.http_port}{path}", data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if role:
            request.add_header("Authorization", f"Bearer {self.token(role)}")
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return Reply(reply.status, dict(reply.headers), reply.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, dict(error.headers), error.read())

    def token(self, role: str) -> str:
        if role not in self.tokens:
            self.tokens[role] = takt("token", "--role", role, "--data-dir", str(self.data_dir)).stdout.strip()
        return self.tokens[role]

    def device(self, kind: str, device: str, operator: str = "town") -> dict[str, Any]:
        words = ["device", "add", kind, operator, device, "--json", "--data-dir", str(self.data_dir)]
        return json.loads(takt(*words).stdout)

    def devices(self, kind: str, names: list[str], operator: str = "town") -> list[dict[str, Any]]:
        """Several at once."""
        fleet = self.data_dir.parent / "fleet.csv"
        fleet.write_text("kind,operator,id\n" + "".join(f"{kind},{operator},{name}\n" for name in names))
        words = ["device", "add", "--many", str(fleet), "--json", "--data-dir", str(self.data_dir)]
        made: list[dict[str, Any]] = json.loads(takt(*words).stdout)["devices"]
        return made

    def tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def wait(self, what: str, holds: Callable[[], Any], seconds: float = 60) -> Any:
        """The first true value of `holds`, asked again and again; the log is in the failure."""
        deadline, last = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}\n{self.log()[-4000:]}"
            try:
                last = holds()
            except (OSError, ValueError, KeyError) as error:
                last = error
            if last and not isinstance(last, Exception):
                return last
            time.sleep(0.2)
        pytest.fail(f"{what}: not within {seconds} s; last {last!r}\n{self.log()[-4000:]}")

    def ready(self, seconds: float = 60) -> None:
        self.wait("ready", lambda: self.http("/readyz").status == 200, seconds)

    def stop(self) -> int:
        """Ctrl-C, as in a terminal."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)

    def kill_everything(self) -> None:
        for process in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):  # children die with their parent
                process.kill()
        self.process.wait(10)


def product(folder: Path, *options: str) -> Product:
    return Product(folder, free_port(), free_port(), list(options))
