"""An operator's dead letters over HTTP, for those who supply its devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from deploy.letters import NEWEST, Page, Wanted, read_letters
from deploy.problems import Problem
from dispatch.history_read import GONE

Limit = Annotated[int, msgspec.Meta(ge=1, le=200)]
Since = Annotated[float, msgspec.Meta(ge=0, le=4e9)]
Cursor = Annotated[int, msgspec.Meta(ge=1, le=NEWEST)]


class LettersApi:
    """What could not be read of an operator's devices."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def routes(self) -> list[tuple[Any, ...]]:
        """The one operation."""
        return [("GET", "/api/v1/operators/{operator}/letters", "letters:read", self.letters)]

    async def letters(
        self,
        operator: str,
        subject: str,
        role: str,
        device: str | None = None,
        kind: Literal["vehicle", "validator"] | None = None,
        since: Since = 0.0,
        before: Cursor = NEWEST,
        limit: Limit = 50,
    ) -> Page:
        """List the messages of an operator's devices that could not be read, newest first.

        A token of the role fleet reads those of the operator that is its subject. `next` of one page is `before` of the
        one after it. Letters are kept for 30 days.
        """
        if role != "admin" and subject != operator:
            text = f"This token is for the devices of {subject}; one for {operator} is made with --subject {operator}."
            raise Problem(403, text)
        try:
            return await read_letters(self._pool, Wanted(operator, device, kind, since, before, limit))
        except GONE:
            raise Problem(503, "The database does not answer; try again.") from None
