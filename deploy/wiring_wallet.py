"""The passenger's page's own wiring: how much one address may ask about tickets, since each question is a signature."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deploy import metrics
from deploy.limits import Rate, TokenBuckets
from ticketing.wallet_api import WalletApi

if TYPE_CHECKING:
    from deploy.grounds import Grounds
    from ticketing.service import Ticketing

# An open ticket is asked about every few seconds, and a carrier puts many telephones behind one address. A code costs
# two signature checks, about 0.2 ms: this is at most 2 % of the loop that answers taps.
PER_ADDRESS = Rate(per_s=100.0, burst=400.0)


def wallet(grounds: Grounds, service: Ticketing) -> WalletApi:
    """The passenger's page's operations."""
    buckets = TokenBuckets(PER_ADDRESS)
    metrics.expose(grounds.registry, "wallet", lambda: {"limited": buckets.refused})
    return WalletApi(service, lambda address, codes: buckets.take(address, time.monotonic(), codes))
