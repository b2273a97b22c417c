"""The garbage collector's share of a process that answers riders."""

from __future__ import annotations

import gc

YOUNG_OBJECTS_MAX = 20_000
"""So many objects more than were freed make a collection; Python's own 700 are made by every batch of taps."""
OLDER_EVERY = 20


def settle() -> None:
    """Put what a start has made out of the collector's sight: looking through it again costs tens of milliseconds.

    Called once, when everything is ready; a tap that waits does not wait for the collector then. What is made from
    there on lives for one batch and is freed by its counts of references: it is looked through more seldom, for what
    refers to itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS_MAX, OLDER_EVERY, OLDER_EVERY)
