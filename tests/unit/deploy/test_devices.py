"""The register of devices and the users and rights that brokers get from it."""

from __future__ import annotations

import base64
import hashlib
import stat
from pathlib import Path

import bcrypt
import pytest

from deploy.devices import Device, DeviceId, Registry, broker_users, mosquitto_passwords, mosquitto_rights
from deploy.errors import UserError
from deploy.instance import Instance


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(Instance.open(tmp_path / "data"))


@pytest.mark.parametrize("text", ["", "a.b", "a b", "+", "#", "a/b", ">", "*", "ї", "a\n", "x" * 65, '"', "$SYS"])
@pytest.mark.parametrize("place", ["operator", "id"])
def test_an_id_that_a_broker_would_read_more_into_is_refused(text: str, place: str) -> None:
    with pytest.raises(UserError, match="1 to 64 letters, digits"):
        DeviceId("vehicle", **{"operator": "kpt", "id": "1", place: text})


def test_a_validator_cannot_be_called_all() -> None:
    with pytest.raises(UserError, match="all validators of an operator"):
        DeviceId("validator", "kpt", "all")


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match="'tram': a device is a vehicle or a validator"):
        DeviceId("tram", "kpt", "1")  # type: ignore[arg-type]


def test_no_two_devices_share_a_name() -> None:
    names = {
        DeviceId(kind, operator, id).username  # type: ignore[arg-type]
        for kind in ("vehicle", "validator")
        for operator in ("a", "a-b", "a_b")
        for id in ("c", "b-c", "b_c")
    }
    assert len(names) == 18


def test_the_password_is_kept_as_hashes_only(registry: Registry, tmp_path: Path) -> None:
    credential = registry.add("vehicle", "kpt", "4582")
    (device,) = registry.list()

    assert bcrypt.checkpw(credential.password.encode(), device.bcrypt.encode())
    assert not bcrypt.checkpw(b"wrong", device.bcrypt.encode())
    assert len(bytes.fromhex(credential.password)) * 8 >= 128
    assert credential.password not in repr(credential)
    written = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not any(credential.password.encode() in path.read_bytes() for path in written)
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


def test_a_device_has_one_password_until_it_is_replaced(registry: Registry) -> None:
    first = registry.add("vehicle", "kpt", "1")
    with pytest.raises(UserError, match=r"vehicle\.kpt\.1: has credentials already"):
        registry.add("vehicle", "kpt", "1")

    second = registry.add("vehicle", "kpt", "1", replace=True)

    (device,) = registry.list()
    assert first.password != second.password
    assert bcrypt.checkpw(second.password.encode(), device.bcrypt.encode())


def test_many_are_added_all_or_none(registry: Registry) -> None:
    fleet = [DeviceId("vehicle", "kpt", str(number)) for number in range(5)]
    with pytest.raises(UserError, match="is named twice"):
        registry.add_many([*fleet, fleet[2]])
    assert registry.list() == []

    done: list[int] = []
    credentials = registry.add_many(fleet, progress=done.append)

    assert [credential.device for credential in credentials] == fleet
    assert done == [1, 2, 3, 4, 5]


def test_a_revoked_device_is_gone_and_cannot_be_revoked_twice(registry: Registry) -> None:
    registry.add("validator", "kpt", "1")
    registry.revoke("validator", "kpt", "1")

    assert registry.list() == []
    assert "validator.kpt.1" not in registry.broker_users_path.read_text()
    with pytest.raises(UserError, match="has no credentials"):
        registry.revoke("validator", "kpt", "1")


def test_rights_name_the_devices_own_topics_and_no_wildcard(registry: Registry) -> None:
    registry.add_many([DeviceId("vehicle", "kpt", "1"), DeviceId("validator", "kpt", "2")])
    lines = registry.broker_users_path.read_text().splitlines()
    vehicle = next(line for line in lines if "vehicle.kpt.1" in line)
    validator = next(line for line in lines if "validator.kpt.2" in line)

    for kind in ("position", "event", "status", "instruction"):
        assert f'"fleet.v1.kpt.1.{kind}"' in vehicle
    for kind in ("tap", "event", "status", "verdict", "receipt"):
        assert f'"validator.v1.kpt.2.{kind}"' in validator
    assert '"validator.v1.kpt.all.lists"' in validator
    for line in (vehicle, validator):
        assert 'allowed_connection_types: ["MQTT"]' in line
        assert not set(line.split("permissions")[1]) & set("*>#+")


def test_our_own_password_reaches_the_broker_as_a_hash_only() -> None:
    text = broker_users("the internal password", [])
    assert "the internal password" not in text
    assert 'user: "takt", password: "$2b$04$' in text


def test_mosquitto_can_check_the_password_it_is_given(registry: Registry) -> None:
    credential = registry.add("validator", "kpt", "2")
    name, _, hashed = mosquitto_passwords(registry.list()).strip().partition(":")
    _, form, rounds, salt, digest = hashed.split("$")

    assert (name, form) == ("validator.kpt.2", "7")
    assert base64.b64decode(digest) == hashlib.pbkdf2_hmac(
        "sha512", credential.password.encode(), base64.b64decode(salt), int(rounds)
    )


def test_mosquitto_rights_are_the_same() -> None:
    device = Device("validator", "kpt", "2", "", "", "")
    assert mosquitto_rights([device]).split("user validator.kpt.2\n")[1].splitlines() == [
        "topic write validator/v1/kpt/2/tap",
        "topic write validator/v1/kpt/2/event",
        "topic write validator/v1/kpt/2/status",
        "topic read validator/v1/kpt/2/verdict",
        "topic read validator/v1/kpt/2/receipt",
        "topic read validator/v1/kpt/all/lists",
    ]
