"""The buffers that stand between paho's client and its socket."""

from gateway.client import BufferedClient, make_client
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
