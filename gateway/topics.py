"""Every MQTT topic of the contract, built and parsed.

A device's key is `<operator>/<id>`: what its topics, its credentials and the columns all call it.
Ids are letters, digits, `_` and `-`: nothing that has a meaning in a topic, a NATS subject or a file path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["position", "event", "status", "tap"]
Fleet = Literal["fleet", "validator"]

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_TOPIC = re.compile(r"(fleet|validator)/v1/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{1,64})/([a-z]{1,16})", re.ASCII)
_KINDS = {"fleet": ("position", "event", "status"), "validator": ("tap", "event", "status")}

POSITIONS = "fleet/v1/+/+/position"
VEHICLE_EVENTS = "fleet/v1/+/+/event"
VEHICLE_STATUS = "fleet/v1/+/+/status"
TAPS = "validator/v1/+/+/tap"
VALIDATOR_EVENTS = "validator/v1/+/+/event"
VALIDATOR_STATUS = "validator/v1/+/+/status"
HFP_POSITIONS = "/hfp/v2/journey/ongoing/vp/#"

HFP_LEVELS_MIN = 9  # up to and including the vehicle number; what follows may be empty or missing on a deadhead


@dataclass(frozen=True, slots=True)
class Address:
    """Who sent a message and what kind it is; `device` is the vehicle or the validator."""

    fleet: Fleet
    operator: str
    device: str
    kind: Kind

    @property
    def key(self) -> str:
        """`<operator>/<device>`."""
        return f"{self.operator}/{self.device}"


@dataclass(frozen=True, slots=True)
class HfpAddress:
    """What an HFP v2 topic says of its sender: vehicle and, while on a journey, its route and direction (1 or 2)."""

    event: str  # vp, due, arr, dep, ...
    operator: str
    vehicle: str
    route_id: str
    direction: str

    @property
    def key(self) -> str:
        """`<operator>/<vehicle>`, both as the topic writes them, leading zeros included."""
        return f"{self.operator}/{self.vehicle}"


def is_id(text: str) -> bool:
    """Whether `text` may name an operator, a vehicle or a validator."""
    return _ID.fullmatch(text) is not None


def parse(topic: str) -> Address | None:
    """The sender of a message from a device, or None where the topic is not one of the contract's."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        return None
    fleet, operator, device, kind = match.groups()
    if kind not in _KINDS[fleet] or (fleet == "validator" and device == "all"):
        return None
    return Address(fleet, operator, device, kind)  # type: ignore[arg-type]


def parse_hfp(topic: str) -> HfpAddress | None:
    """The sender of an HFP v2 message, or None.

    The levels are those of Digitransit's high-frequency positioning, version 2:
    `/hfp/v2/<journey>/<temporal>/<event>/<mode>/<operator>/<vehicle>/<route>/<direction>/<headsign>/<start>/<stop>/<geohash...>`.
    """
    levels = topic.split("/", 11)
    if len(levels) < HFP_LEVELS_MIN or levels[0] or levels[1:3] != ["hfp", "v2"]:
        return None
    operator, vehicle = levels[7], levels[8]
    if not is_id(operator) or not is_id(vehicle):
        return None
    route, direction = [*levels[9:11], "", ""][:2]
    return HfpAddress(levels[5], operator, vehicle, route, direction)


def position(operator: str, vehicle: str) -> str:
    """The topic on which a vehicle reports its position."""
    return _device("fleet", operator, vehicle, "position")


def vehicle_event(operator: str, vehicle: str) -> str:
    """The topic on which a vehicle reports that its driver signed on, raised the alarm or read an instruction."""
    return _device("fleet", operator, vehicle, "event")


def vehicle_status(operator: str, vehicle: str) -> str:
    """The topic on which a vehicle says that it is online, retained; its last will goes there too."""
    return _device("fleet", operator, vehicle, "status")


def instruction(operator: str, vehicle: str) -> str:
    """The topic on which a vehicle receives its dispatcher's instructions."""
    return _device("fleet", operator, vehicle, "instruction")


def tap(operator: str, validator: str) -> str:
    """The topic on which a validator sends its taps."""
    return _device("validator", operator, validator, "tap")


def verdict(operator: str, validator: str) -> str:
    """The topic on which a validator receives the answer to one tap."""
    return _device("validator", operator, validator, "verdict")


def receipt(operator: str, validator: str) -> str:
    """The topic on which a validator is told up to which tap it may delete."""
    return _device("validator", operator, validator, "receipt")


def validator_event(operator: str, validator: str) -> str:
    """The topic on which a validator reports taps that it had to set aside."""
    return _device("validator", operator, validator, "event")


def validator_status(operator: str, validator: str) -> str:
    """The topic on which a validator says that it is online, retained; its last will goes there too."""
    return _device("validator", operator, validator, "status")


def lists(operator: str) -> str:
    """The topic on which all validators of an operator learn of new keys, status lists and deny lists, retained."""
    return _device("validator", operator, "all", "lists")


def _device(fleet: Fleet, operator: str, device: str, kind: str) -> str:
    if not is_id(operator) or not is_id(device):
        raise ValueError(f"{operator!r}, {device!r}: an id is 1 to 64 letters, digits, '_' or '-'")
    return f"{fleet}/v1/{operator}/{device}/{kind}"
