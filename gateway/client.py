"""paho's client with buffers between it and its socket, set up as our sessions need it."""

from __future__ import annotations

import contextlib
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateway.config import Broker

RECEIVE_BYTES: Final = 65_536
PACKET_BYTES_KEPT: Final = 98_304  # any topic (65,535 bytes at most), and more than any payload that is taken
SEND_BYTES: Final = 262_144


class BufferedClient(paho.Client):
    """A client that reads from its socket as much as there is, and writes all it has at once.

    paho asks the socket for a packet's first byte, then for each byte of its length, then for the rest, and sends every
    packet by itself: four system calls to read a tap and two to answer it. Should a later paho no longer go through
    `_sock_recv` and `_sock_send`, the buffers stay empty and nothing breaks.

    Of a packet larger than PACKET_BYTES_KEPT the rest is read past: copied into place, a megabyte costs ten times what
    it costs to let it go by, and a broker ends the connection of who reads more slowly than it writes.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """As paho's own client, with empty buffers."""
        super().__init__(*args, **options)
        self.forget_bytes()

    @property
    def holds_bytes(self) -> bool:
        """Whether the buffer holds what paho has not yet asked for."""
        return self._at < len(self._bytes)

    @property
    def skimmed(self) -> int:
        """How many bytes of the packet in hand were read past; they are missing at the end of its payload."""
        packet = self._in_packet
        return packet["remaining_length"] - packet["to_process"] - len(packet["packet"])

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
        if len(self._in_packet["packet"]) >= PACKET_BYTES_KEPT and bufsize > 1:
            self._skim(bufsize - 1)  # the last byte is paho's, who ends the packet with it
            bufsize = 1
        begin, end = self._at, self._at + bufsize
        if begin < len(self._bytes):
            self._at = end
            return self._bytes[begin:end]
        got = super()._sock_recv(RECEIVE_BYTES)
        if len(got) <= bufsize:
            return got
        self._bytes, self._at = got, bufsize
        return got[:bufsize]

    def _skim(self, size: int) -> None:
        """Read past so many bytes of the packet in hand; BlockingIOError where there are no more yet."""
        while size:
            if not self.holds_bytes:
                self._bytes, self._at = super()._sock_recv(RECEIVE_BYTES), 0
                if not self._bytes:
                    raise ConnectionError("the connection ended within a packet")
            passed = min(size, len(self._bytes) - self._at)
            self._at += passed
            self._in_packet["to_process"] -= passed
            size -= passed

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
