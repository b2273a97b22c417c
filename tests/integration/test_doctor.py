"""The doctor at the side of a running instance."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from deploy.config import read_settings
from deploy.doctor.examination import examine
from deploy.doctor.patient import Finding
from deploy.embedded_broker import Broker, BrokerSettings, embedded_broker
from deploy.embedded_postgres import embedded_postgres
from deploy.instance import Instance
from deploy.runtime import Runtime
from sql.migrate import migrate


async def look(instance: Instance, **options: object) -> dict[str, Finding]:
    settings = read_settings(data_dir=instance.folder, **options)
    found = await asyncio.to_thread(examine, settings)
    return {finding.check: finding for finding in found}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Instance, str, Broker]]:
    """An instance whose database and broker run, with TLS at the broker's door."""
    certificate = trustme.CA().issue_cert("localhost")
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(cert_file)
    certificate.private_key_pem.write_to_path(key_file)
    instance = Instance.open(tmp_path / "data")
    settings = BrokerSettings(mqtt_port=0, tls_certificate=cert_file, tls_key=key_file)
    with instance.locked():
        async with embedded_postgres(instance) as url, embedded_broker(instance, settings) as broker:
            runtime = Runtime(os.getpid(), "", broker.mqtt_port, url, broker.nats_url, mqtt_certificate=str(cert_file))
            instance.write_runtime(runtime)
            yield instance, url, broker


async def test_a_running_instance_is_well_once_it_is_migrated(running: tuple[Instance, str, Broker]) -> None:
    instance, url, _ = running
    before = await look(instance)  # nothing but the data folder tells it of TLS
    await migrate(url)
    after = await look(instance)

    assert before["migrations"].state == "warn"
    assert after["migrations"].state == after["postgresql"].state == after["broker"].state == "ok"
    assert f"process {os.getpid()}" in after["data folder"].detail


async def test_a_dead_broker_is_found(running: tuple[Instance, str, Broker]) -> None:
    instance, _, broker = running
    os.kill(broker.pid, 9)
    await broker.died

    assert (await look(instance))["broker"].state == "fail"
