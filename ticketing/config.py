"""What can be set about ticketing; read once by deploy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ticketing.proof import ProofLimits

DEFAULT_TARIFF = Path(__file__).parent / "tariff.toml"


@dataclass(frozen=True, slots=True)
class TicketingSettings:
    """Defaults beside the fields; times in seconds."""

    issuer: str = "takt"
    public_url: str = "http://127.0.0.1:8080"
    """Where third parties find our lists: it stands in every JWT."""
    proof: ProofLimits = field(default_factory=ProofLimits)
    batch_max: int = 512
    linger_s: float = 0.002
    """How long a first tap waits for company while nothing else is going on."""
    workers: int = 4
    """Batches under way at once, a connection each: one is read here while others are judged or wait for the disk."""
    pending_max: int = 8192
    """Taps waiting; one more is told `unavailable` at once."""
    statement_s_max: float = 5.0
    retry_after_s: float = 0.5
    """After a failure of the database, taps are told `unavailable` without asking it for so long."""
    dead_letters_per_device_and_day: int = 1000
    elsewhere_kmh: float = 120.0
    """A medium that would have come to a tap faster than this is flagged: somebody has a copy, or a clock is wrong."""
