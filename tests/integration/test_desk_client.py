"""A command at the desk whose answer is lost: it asks again under the same key, or says that nobody knows."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy import client as client_module
from deploy.client import Client
from deploy.errors import UserError


class Till(ThreadingHTTPServer):
    """Does what it is asked once for each key; what becomes of its answers is said by `fate`, one after the other."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Window)
        self.done: list[str] = []
        self.fate: list[str] = []

    def client(self) -> Client:
        client = Client.__new__(Client)
        client._url = f"http://127.0.0.1:{self.server_port}"
        client._token, client._tls, client._answer_s_max = "t", None, 5.0
        return client


class Window(BaseHTTPRequestHandler):
    server: Till

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        key = self.headers["Idempotency-Key"]
        fate = self.server.fate.pop(0) if self.server.fate else "told"
        if fate == "away":
            return self._say(503, {"title": "Database away", "detail": "try again in a moment"})
        if key not in self.server.done:
            self.server.done.append(key)
        if fate == "lost":
            self.connection.shutdown(socket.SHUT_RDWR)
            return None
        if fate == "torn":
            self.send_response(201)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            return None
        return self._say(201, {"number": self.server.done.index(key) + 1})

    def _say(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what went wrong."""


@pytest.fixture
def till(monkeypatch: pytest.MonkeyPatch) -> Iterator[Till]:
    monkeypatch.setattr(client_module, "AGAIN_EVERY_S", 0.0)
    with Till() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def said(act: Callable[[], object]) -> str:
    with pytest.raises(UserError) as refused:
        act()
    return str(refused.value)


@pytest.mark.parametrize("fate", [["lost"], ["torn"], ["lost", "away", "lost", "away"]])
def test_what_was_sold_is_not_sold_again(till, fate):
    till.fate += fate
    assert till.client().once("/api/v1/tickets", {}) == {"number": 1}
    assert len(till.done) == 1


def test_two_commands_are_two_sales(till):
    assert [till.client().once("/api/v1/tickets", {})["number"] for _ in range(2)] == [1, 2]


def test_a_refusal_before_anything_was_lost_is_told_at_once(till):
    till.fate += ["away", "told"]
    assert said(lambda: till.client().once("/api/v1/tickets", {})) == "Database away: try again in a moment"
    assert till.done == []


def test_where_nobody_comes_back_the_desk_is_told_that_it_may_have_been_done(till, monkeypatch):
    monkeypatch.setattr(client_module, "AGAIN_S_MAX", 0.05)
    till.fate += ["lost"] * 10_000
    assert "see whether it was done, with takt audit list" in said(lambda: till.client().once("/api/v1/tickets", {}))


def test_an_instance_that_does_not_run_is_said_to(till):
    client = till.client()
    client._url = "http://127.0.0.1:9"
    assert "does not answer" in said(lambda: client.once("/api/v1/tickets", {}))
