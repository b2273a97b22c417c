"""The live score of arrival predictions over HTTP, for everybody: who relies on them may know how good they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from dispatch.errors import not_ready
from dispatch.eta_score import AccuracyReply


class AccuracyApi:
    """What dispatch last said of its own predictions."""

    def __init__(self, latest: Callable[[], AccuracyReply | None]) -> None:
        self._latest = latest

    def routes(self) -> list[tuple[Any, ...]]:
        """The operations."""
        return [("GET", "/api/v1/accuracy", "public", self.get_accuracy)]

    async def get_accuracy(self) -> Annotated[AccuracyReply, "public, max-age=10"]:
        """Score the arrival predictions of the last 24 hours, by time left and route, beside the timetable's."""
        latest = self._latest()
        if latest is None:
            raise not_ready("Dispatch has not told of its predictions yet; /readyz says when it works.", 10)
        return latest
