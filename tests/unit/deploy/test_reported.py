"""A tap that a validator has set aside is known to who runs Takt, by its device and its id."""

import json

from structlog.testing import capture_logs

from deploy.reported import PER_DEVICE, Reported
from gateway.wire import ValidatorEvent, decode_validator_event

NOW_S = 1_771_257_482.0


def event(key: str = "kpt/door-1", **fields: object) -> ValidatorEvent:
    body = {"ts": NOW_S, "event": "tap_set_aside", "id": "7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11"} | fields
    decoded = decode_validator_event(json.dumps(body).encode(), key, NOW_S)
    assert isinstance(decoded, ValidatorEvent)
    return decoded


def test_a_report_names_its_validator_and_what_it_says() -> None:
    with capture_logs() as lines:
        Reported().hear(event(boot="a1", seq=17, tries=20))
    (line,) = lines
    assert (line["log_level"], line["validator"], line["report"]) == ("warning", "kpt/door-1", "tap_set_aside")
    assert "7c0c1b1e-3f0e-4a53-9d0e-0d9f2a0f4b11" in line["said"]
    assert '"seq": 17' in line["said"]


def test_neither_tokens_nor_card_numbers_reach_the_log() -> None:
    with capture_logs() as lines:
        Reported().hear(event(token="6BFOXN", note="4111 1111 1111 1111"))
    assert "6BFOXN" not in str(lines)
    assert "4111 1111" not in str(lines)


def test_a_validator_that_comes_and_goes_reports_nothing() -> None:
    with capture_logs() as lines:
        for status in ("online", "offline"):
            Reported().hear(ValidatorEvent("kpt/door-1", NOW_S, NOW_S, status))
    assert lines == []


def test_one_device_does_not_fill_the_log_nor_take_the_share_of_another() -> None:
    reported = Reported()
    with capture_logs() as lines:
        for _ in range(10_000):
            reported.hear(event())
        reported.hear(event("kpt/door-2"))
    assert [line["validator"] for line in lines] == ["kpt/door-1"] * int(PER_DEVICE.burst) + ["kpt/door-2"]
