"""PostgreSQL's own programs at work on a database: pg_dump, pg_restore, psql."""

from __future__ import annotations

import subprocess
import tempfile
from typing import IO
from urllib.parse import unquote, urlsplit, urlunsplit

from deploy.embedded_process import ENVIRONMENT
from deploy.errors import UserError
from deploy.postgres_files import postgres_bin


class PostgresProgram:
    """One of PostgreSQL's programs at work on a database; leaving the block ends it."""

    def __init__(self, name: str, *options: str, url: str) -> None:
        plain, password = _without_password(url)
        self._name = name
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the block
        self._process = subprocess.Popen(  # noqa: S603
            [str(postgres_bin() / name), f"--dbname={plain}", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            # The password goes by the environment, since everybody may read a command line.
            env={**ENVIRONMENT, "PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"},
        )

    def __enter__(self) -> PostgresProgram:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self.output.close()
        self._complaints.close()

    @property
    def output(self) -> IO[bytes]:
        """What it prints."""
        assert self._process.stdout is not None
        return self._process.stdout

    def status(self, wait_s: float = 60.0) -> int:
        """How it ended."""
        try:
            return self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            raise UserError(
                f"{self._name} does not end within {wait_s:g} s; see what the database is busy with"
            ) from None

    def complaint(self) -> str:
        """The first thing that it complained of."""
        self._complaints.seek(0)
        lines = self._complaints.read(64 << 10).decode(errors="replace").splitlines()
        return next((line.split("error: ")[-1] for line in lines if "error: " in line), "it does not say why")


def _without_password(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    credentials, at, address = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{address}")), unquote(password)
