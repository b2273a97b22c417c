"""What validators report of themselves, such as a tap set aside after its last try: a line of the log each.

It says which device and which tap, so that somebody can fetch what was kept there. A device that reports without end
fills no log: beyond its share its reports are counted like all others, and no more.
"""

from __future__ import annotations

import structlog

from deploy.letters import excerpt, harmless
from deploy.limits import Rate, TokenBuckets
from gateway.wire import ValidatorEvent

PER_DEVICE = Rate(per_s=20 / 60, burst=20)
_STATUS = frozenset({"online", "offline"})

log = structlog.get_logger("validators")


class Reported:
    """Hears validators' events; neither blocks nor raises."""

    def __init__(self) -> None:
        self._shares = TokenBuckets(PER_DEVICE)

    def hear(self, event: ValidatorEvent) -> None:
        """Write down a report; whether a validator is online is a status and none."""
        if event.event in _STATUS or self._shares.take(event.validator_key, event.received_s) > 0:
            return
        log.warning(
            "validator_reports",
            validator=event.validator_key,
            report=harmless(event.event),
            reported_at=event.ts_s,
            said=excerpt(event.detail),
        )
