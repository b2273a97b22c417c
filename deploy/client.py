"""Asks a running instance over its own HTTP interface, with a token made from the instance's own key."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from deploy.errors import UserError
from deploy.listening import trusting

ANSWER_S_MAX = 15.0
TOKEN_S = 300.0
AGAIN_S_MAX, AGAIN_EVERY_S = 30.0, 0.5
"""For so long an instance that was killed has to come back before a desk is told that nobody knows."""
SUBJECT = "command-line"


class Client:
    """The running instance of a data folder, asked as an admin; UserError where it does not run or refuses."""

    def __init__(self, data_dir: Path | None, config: Path | None = None, answer_s_max: float = ANSWER_S_MAX) -> None:
        from deploy.auth import Tokens, issuer_of, read_key
        from deploy.config import read_settings
        from deploy.instance import Instance

        settings = read_settings(config, data_dir=data_dir)
        self.instance = Instance.open(settings.data_dir, create=False)
        runtime = self.instance.read_runtime()
        if runtime is None:
            folder = settings.data_dir
            raise UserError(f"{folder}: the instance is not running; start it with: takt run --data-dir {folder}")
        tokens = Tokens(read_key(self.instance.token_key_path), issuer_of(self.instance.id))
        self._answer_s_max = answer_s_max
        self._url = runtime.http_url.rstrip("/")
        self._token = tokens.issue("admin", SUBJECT, time.time(), TOKEN_S)
        self._zone: ZoneInfo | None = None
        self._tls = trusting(Path(runtime.http_certificate)) if runtime.http_certificate else None

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._ask("GET", path)

    def post(self, path: str, body: object) -> Any:
        """The JSON that a path answers to a body."""
        return self._ask("POST", path, json.dumps(body).encode())

    def once(self, path: str, body: object) -> Any:
        """The JSON that a path answers to what must happen once: where the answer is lost, it is asked for again.

        Raises:
            UserError: it was refused, or nobody has answered for AGAIN_S_MAX; the text says if it may have been done.
        """
        data, key, lost = json.dumps(body).encode(), uuid.uuid4().hex, False
        until_s = time.monotonic() + AGAIN_S_MAX
        while True:
            try:
                return self._send("POST", path, data, key)
            except urllib.error.HTTPError as error:
                if not (lost and error.code == HTTPStatus.SERVICE_UNAVAILABLE) or time.monotonic() >= until_s:
                    raise UserError(_detail(error)) from None
            except (OSError, ValueError, HTTPException) as error:
                lost = lost or not isinstance(getattr(error, "reason", error), ConnectionRefusedError)
                if not lost:
                    raise self._no_answer(error) from None
                if time.monotonic() >= until_s:
                    raise UserError(
                        f"{self._url}: the instance died or was cut off before it answered ({error}): see whether it "
                        "was done, with takt audit list, before it is asked for again"
                    ) from None
            time.sleep(AGAIN_EVERY_S)

    def put(self, path: str, body: object) -> Any:
        """The JSON that a path answers when it is set to a body."""
        return self._ask("PUT", path, json.dumps(body).encode())

    def delete(self, path: str) -> Any:
        """The JSON that is answered when a path is deleted, None where nothing is left to say."""
        return self._ask("DELETE", path)

    def in_city(self, at_s: float) -> str:
        """An instant by the city's clock, which its passengers and cashiers go by, whatever this machine's zone is."""
        if self._zone is None:
            self._zone = ZoneInfo(self.get("/api/v1/instance")["timezone"])
        return datetime.fromtimestamp(at_s, self._zone).strftime("%Y-%m-%d %H:%M %Z")

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        try:
            return self._send(method, path, body)
        except urllib.error.HTTPError as error:
            raise UserError(_detail(error)) from None
        except (OSError, ValueError, HTTPException) as error:
            raise self._no_answer(error) from None

    def _send(self, method: str, path: str, body: bytes | None, idempotency_key: str | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        request = urllib.request.Request(self._url + path, data=body, method=method, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=self._answer_s_max, context=self._tls) as answer:  # noqa: S310
            return None if answer.status == HTTPStatus.NO_CONTENT else json.load(answer)

    def _no_answer(self, error: Exception) -> UserError:
        return UserError(f"{self._url}: the instance does not answer ({error}); see: takt doctor")


def _detail(error: urllib.error.HTTPError) -> str:
    """The sentence of a problem document."""
    try:
        document = json.load(error)
        title, detail = document.get("title", error.reason), document.get("detail", error.code)
        # A title that only names the status in HTTP's words tells a person at a terminal nothing.
        return str(detail) if title == error.reason else f"{title}: {detail}"
    except ValueError:
        return f"the instance answered {error.code} {error.reason}"
