"""Which devices a network's fleet needs, so that their credentials can be made before anybody plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dispatch.network import Network
from simulators.duties import Duties, choose_vehicles, plan_duties

Kind = Literal["vehicle", "validator"]
OPERATOR = "city"
VALIDATORS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class DeviceId:
    """A device as its topics and its credentials name it."""

    kind: Kind
    operator: str
    id: str


@dataclass(frozen=True, slots=True)
class DeviceCredential:
    """What one device connects with."""

    kind: Kind
    operator: str
    id: str
    username: str
    password: str = field(repr=False)


def needed_devices(
    network: Network,
    now_s: float,
    horizon_s: float,
    limit: int,
    *,
    operator: str = OPERATOR,
    validator_share: float = 0.4,
) -> list[DeviceId]:
    """Vehicles on the road between `now_s` and `now_s + horizon_s`, at most `limit` at a time, and their validators.

    Times are Unix seconds. Validators stand in a share of the vehicles, evenly spread.
    """
    duties = plan_duties(network, now_s, now_s + horizon_s)
    names = [duties.vehicle_id[v] for v in choose_vehicles(duties, network, now_s, limit)]
    vehicles = [DeviceId("vehicle", operator, name) for name in names]
    share = min(validator_share, 1.0, VALIDATORS_MAX / max(len(names), 1))
    equipped = [name for i, name in enumerate(names) if int((i + 1) * share) > int(i * share)]
    return vehicles + [DeviceId("validator", operator, validator_name(name)) for name in equipped]


def validator_name(vehicle: str) -> str:
    """The id of the validator inside a vehicle."""
    return f"{vehicle[:61]}-v1"


def keep_provisioned(duties: Duties, devices: Sequence[DeviceCredential]) -> Duties:
    """The duties of those vehicles that have credentials."""
    known = {device.id for device in devices if device.kind == "vehicle"}
    return duties.keep([v for v, name in enumerate(duties.vehicle_id) if name in known])
