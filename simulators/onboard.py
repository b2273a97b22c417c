"""What the on-board computers of a fleet write: positions and events as bytes, and instructions read.

A position is built from a template, since everything but time and place stays the same for a whole trip: at a
thousand vehicles a second this is most of what a player does.
"""

from __future__ import annotations

from typing import Any

import msgspec

from dispatch.network import Network
from simulators.drivers import Note
from simulators.duties import Duties
from simulators.frames import OCCUPANCY, Frame
from simulators.validator_library.answers import decode_down
from simulators.vehicles import Fleet

_encode = msgspec.json.Encoder().encode


class Onboard:
    """Builds the messages of all vehicles of some duties; `boot` names this start of their computers."""

    def __init__(self, network: Network, duties: Duties, boot: str) -> None:
        self._network = network
        self._duties = duties
        self._boot = boot
        self._run = [-2] * len(duties)
        self._claim: list[str] = [""] * len(duties)
        self._seq = [0] * len(duties)

    def positions(self, frame: Frame, at_s: list[float]) -> list[tuple[int, bytes]]:
        """(row of the vehicle, payload) of each vehicle of the frame; `at_s` is each one's own clock, Unix seconds."""
        rows = zip(
            frame.vehicle.tolist(),
            at_s,
            frame.lat_deg.tolist(),
            frame.lon_deg.tolist(),
            frame.speed_mps.tolist(),
            frame.bearing_deg.tolist(),
            frame.odometer_m.tolist(),
            frame.run.tolist(),
            frame.door_open.tolist(),
            frame.occupancy.tolist(),
            strict=True,
        )
        messages = []
        for v, ts, lat, lon, speed, bearing, odometer, run, is_open, crowd in rows:
            if self._run[v] != run:
                self._run[v] = run
                self._claim[v] = self._claim_of(run)
            self._seq[v] += 1
            door = "open" if is_open else "closed"
            text = (
                f'{{"ts":{ts:.3f},"lat":{lat:.6f},"lon":{lon:.6f},"seq":{self._seq[v]},"boot":"{self._boot}",'
                f'"speed_mps":{speed:.1f},"bearing_deg":{bearing:.0f},"accuracy_m":4,"odometer_m":{odometer:.0f},'
                f'"door":"{door}","occupancy":"{OCCUPANCY[crowd]}"{self._claim[v]}}}'
            )
            messages.append((v, text.encode()))
        return messages

    def sign_on(self, vehicle: int, fleet: Fleet, now_s: float) -> bytes:
        """The driver begins the block: what it is and its present trip."""
        return _encode({"ts": now_s, "event": "sign_on", **self._trip(int(fleet.run[vehicle]))})

    def sign_off(self, now_s: float) -> bytes:
        """The driver goes home."""
        return _encode({"ts": now_s, "event": "sign_off"})

    def alarm(self, now_s: float) -> bytes:
        """The driver calls for help."""
        return _encode({"ts": now_s, "event": "alarm"})

    def answer(self, note: Note) -> bytes:
        """A driver's answer to an instruction."""
        return _encode({"ts": note.at_s, "event": note.event, "instruction_id": note.instruction_id})

    def _claim_of(self, run: int) -> str:
        if run < 0:
            return ""
        return "," + _encode(self._trip(run)).decode()[1:-1]

    def _trip(self, run: int) -> dict[str, Any]:
        network, runs = self._network, self._duties.runs
        trip = int(runs.trip[run])
        pattern = int(network.trip_pattern[trip])
        leaves_s = int(network.departure_s[network.trip_time_start[trip]] + runs.offset_s[run])
        block = int(network.trip_block[trip])
        return {
            "trip_id": network.trip_id[trip],
            "route_id": network.route_id[int(network.pattern_route[pattern])],
            "direction_id": int(network.pattern_direction[pattern]),
            "start_date": runs.dates[int(runs.day[run])].strftime("%Y%m%d"),
            "start_time": f"{leaves_s // 3600:02d}:{leaves_s // 60 % 60:02d}:{leaves_s % 60:02d}",
            **({"block_id": network.block_id[block]} if block >= 0 else {}),
        }


def obey(fleet: Fleet, vehicle: int, payload: bytes, now_s: float) -> bool:
    """Show a driver an instruction as it came over the air; True when it made sense."""
    return fleet.instruct(vehicle, decode_down(payload), now_s)
