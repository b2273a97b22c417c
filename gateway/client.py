"""paho's client with buffers between it and its socket, set up as our sessions need it."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.config import Broker

RECEIVE_BYTES: Final = 65_536
SEND_BYTES: Final = 262_144


class BufferedClient(paho.Client):
    """A client that reads from its socket as much as there is, and writes all it has at once.

    paho asks the socket for a packet's first byte, then for each byte of its length, then for the rest, and sends every
    packet by itself: four system calls to read a tap and two to answer it. Should a later paho no longer go through
    `_sock_recv` and `_sock_send`, the buffers stay empty and nothing breaks.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As paho's own client, with empty buffers."""
        super().__init__(*args, **options)
        self.forget_bytes()

    @property
    def holds_bytes(self) -> bool:
        """Whether the buffer holds what paho has not yet asked for."""
        return self._at < len(self._bytes)

    def forget_bytes(self) -> None:
        """Empty both buffers, for a new connection."""
        self._bytes, self._at = b"", 0  # what the socket gave, and how much of it paho has taken
        self._outgoing = bytearray()

    def has_unwritten(self) -> bool:
        """Whether anything waits for room in the socket."""
        return bool(self._outgoing) or self.want_write()

    def write_together(self) -> None:
        """Write what paho has queued in one piece, as much as the socket takes."""
        self.loop_write()
        if self._outgoing:
            try:
                del self._outgoing[: super()._sock_send(self._outgoing)]
            except BlockingIOError:
                pass
            except OSError:  # the connection broke, which reading notices
                self._outgoing.clear()

    def flush_to(self, sock: Any) -> None:
        """Write the buffer to a socket that is about to be closed, as much as it takes at once."""
        with contextlib.suppress(OSError):
            if self._outgoing:
                sock.send(self._outgoing)
        self._outgoing.clear()

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

    def _sock_send(self, buf: bytes | bytearray) -> int:
        if len(self._outgoing) >= SEND_BYTES:
            raise BlockingIOError
        self._outgoing += buf
        return len(buf)


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
