"""The garbage collector's share of a process that answers riders."""

from __future__ import annotations

import gc


def settle() -> None:
    """Put what a start has made out of the collector's sight: looking through it again costs tens of milliseconds.

    Called once, when everything is ready; a tap that waits does not wait for the collector then.
    """
    gc.collect()
    gc.freeze()
