"""The buffers that stand between paho's client and its socket."""

import pytest
from paho.mqtt.client import MQTTMessage
from paho.mqtt.enums import MQTTErrorCode

from gateway.client import PACKET_BYTES_KEPT, RECEIVE_BYTES, BufferedClient, make_client
from gateway.config import Broker


def new_client(client_id: str) -> BufferedClient:
    return make_client(Broker("127.0.0.1"), client_id, clean=True, connect_timeout_s=1.0)


def test_each_client_has_buffers_of_its_own() -> None:
    one, two = new_client("one"), new_client("two")
    one._sock_send(b"for one alone")
    assert one.has_unwritten()
    assert not two.has_unwritten()


def test_a_new_connection_begins_with_empty_buffers() -> None:
    client = new_client("one")
    client._sock_send(b"of the connection before")
    client.forget_bytes()
    assert not client.has_unwritten()
    assert not client.holds_bytes


class Trickle:
    """A socket that gives what it holds in pieces of a chosen size, and nothing where a piece is empty."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def close(self) -> None:
        """Nothing is behind it."""

    def recv(self, size: int) -> bytes:
        piece = self.pieces.pop(0) if self.pieces else b""
        if not piece:
            raise BlockingIOError
        if len(piece) > size:
            self.pieces.insert(0, piece[size:])
        return piece[:size]


def publish(topic: str, payload: bytes, mid: int) -> bytes:
    """One PUBLISH of QoS 1 as it stands on the wire: MQTT 3.1.1, section 3.3."""
    body = len(topic).to_bytes(2, "big") + topic.encode() + mid.to_bytes(2, "big") + payload
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = divmod(rest, 128)
        length.append(digit | (128 if rest else 0))
        if not rest:
            return b"\x32" + bytes(length) + body


@pytest.mark.parametrize("piece", [100_000, 65_536, 4_093, 999])
def test_of_what_is_too_large_only_the_beginning_is_kept(piece: int) -> None:
    sizes = [10, 1 << 20, 0, PACKET_BYTES_KEPT, PACKET_BYTES_KEPT + 1, 3 << 20, 70_000]
    stream = b"".join(publish("t/" + "x" * n, bytes((n,)) * size, n + 1) for n, size in enumerate(sizes))
    pieces = [stream[at : at + piece] for at in range(0, len(stream), piece)]
    client = new_client("one")
    client._sock = Trickle([part for whole in pieces for part in (whole, b"")])  # type: ignore[assignment]
    heard: list[tuple[str, int, int]] = []

    def hear(_client: object, _data: object, message: MQTTMessage) -> None:
        assert set(message.payload) <= {len(heard)}
        assert len(message.payload) <= PACKET_BYTES_KEPT + RECEIVE_BYTES
        heard.append((message.topic, message.mid, len(message.payload) + client.skimmed))

    client.on_message = hear
    while client._sock.pieces or client.holds_bytes:  # type: ignore[union-attr]
        assert client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert heard == [("t/" + "x" * n, n + 1, size) for n, size in enumerate(sizes)]
