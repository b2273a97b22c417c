"""The doors of a running instance: the broker takes an MQTT client, and HTTP says that it can work."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from deploy.doctor.patient import Finding, Patient
from deploy.embedded_broker import nats_program
from deploy.errors import UserError
from deploy.instance import Instance
from deploy.listening import trusting
from deploy.runtime import Runtime

ANSWER_S_MAX = 5.0


class _Ready(msgspec.Struct):
    warnings: list[str] = []


def check_broker(patient: Patient) -> list[Finding]:
    """The broker takes an MQTT client."""
    if patient.settings.broker_url is not None:
        return []  # its password is not ours to try; /readyz says whether the gateway is connected
    if patient.runtime is None or patient.instance is None:
        try:
            nats_program()
        except UserError as error:
            return [Finding("broker", "fail", str(error))]
        return [Finding("broker", "ok", "embedded, not running")]
    where = f"{patient.runtime.mqtt_host}:{patient.runtime.mqtt_port}"
    refusal = _connect_mqtt(patient.runtime, patient.instance)
    if refusal:
        return [Finding("broker", "fail", f"MQTT at {where}: {refusal}", "see logs/nats.log in the data folder")]
    return [Finding("broker", "ok", f"takes MQTT clients at {where}")]


def _connect_mqtt(runtime: Runtime, instance: Instance) -> str:
    """Why an MQTT client is not taken; "" when it is."""
    done, answers = threading.Event(), ["no answer"]

    def connected(_client: object, _data: object, _flags: object, reason: object, _properties: object) -> None:
        answers[0] = "" if str(reason) == "Success" else str(reason)
        done.set()

    client = Client(CallbackAPIVersion.VERSION2, client_id=f"doctor-{instance.secrets.mqtt_client_suffix}")
    client.username_pw_set("takt", instance.secrets.broker_password)
    client.on_connect = connected
    if runtime.mqtt_certificate:
        client.tls_set_context(trusting(Path(runtime.mqtt_certificate)))
    try:
        client.connect(runtime.mqtt_host, runtime.mqtt_port)
    except OSError as error:
        return str(error)
    client.loop_start()
    done.wait(ANSWER_S_MAX)
    client.disconnect()
    client.loop_stop()
    return answers[0]


def check_http(patient: Patient) -> list[Finding]:
    """A running instance says that it can work."""
    if patient.runtime is None or not patient.runtime.http_url.startswith(("http://", "https://")):
        return []
    url = patient.runtime.http_url.rstrip("/") + "/readyz"
    certificate = patient.runtime.http_certificate
    context = trusting(Path(certificate)) if certificate else None
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX, context=context) as answer:  # noqa: S310
            said = msgspec.json.decode(answer.read(100_000), type=_Ready)
        amiss = [Finding("running", "warn", warning) for warning in said.warnings]
        return [Finding("http", "ok", f"{url}: ready"), *amiss]
    except urllib.error.HTTPError as error:
        reason = error.read(2000).decode(errors="replace")
        return [Finding("http", "fail", f"{url}: {error.code} {reason}", "see the reasons it gives")]
    except (OSError, msgspec.DecodeError) as error:
        return [Finding("http", "fail", f"{url}: {error}", "see the logs folder")]
