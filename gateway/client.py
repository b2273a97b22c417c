"""paho's client with a buffer before its socket, set up as our sessions need it."""

from __future__ import annotations

from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.config import Broker

RECEIVE_BYTES: Final = 65_536


class BufferedClient(paho.Client):
    """A client that reads from its socket as much as there is.

    paho asks the socket for a packet's first byte, then for each byte of its length, then for the rest: four system
    calls a message. Should a later paho no longer read through `_sock_recv`, this does nothing and nothing breaks.
    """

    _bytes = b""
    _at = 0

    @property
    def holds_bytes(self) -> bool:
        """Whether the buffer holds what paho has not yet asked for."""
        return self._at < len(self._bytes)

    def forget_bytes(self) -> None:
        """Begin anew, with a new connection."""
        self._bytes, self._at = b"", 0

    def _sock_recv(self, bufsize: int) -> bytes:
        begin, end = self._at, self._at + bufsize
        if begin < len(self._bytes):
            self._at = end
            return self._bytes[begin:end]
        got = super()._sock_recv(max(bufsize, RECEIVE_BYTES))
        if len(got) <= bufsize:
            return got
        self._bytes, self._at = got, bufsize
        return got[:bufsize]


def make_client(broker: Broker, client_id: str, clean: bool, connect_timeout_s: float) -> BufferedClient:
    """An MQTT 3.1.1 client that acknowledges by hand and never reconnects by itself; not yet connected."""
    client = BufferedClient(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=clean,
        protocol=MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = connect_timeout_s
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if broker.tls is not None:
        client.tls_set_context(broker.tls)
    return client
