"""A client's socket on the event loop: read in turns, written in pieces, left alone while too much waits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as paho

from gateway.client import BufferedClient

READING_S_MAX: Final = 0.001  # then others have their turn: answers to what came before, the other connections


class LoopSocket:
    """Serves one client's socket from `watch` to `unwatch`; `on_fault` gets what taking a packet raised.

    Whoever takes the client's packets counts them in `packets`: a reading without a new one has found the socket empty.
    """

    def __init__(self, client: BufferedClient, on_fault: Callable[[Exception], None]) -> None:
        self.packets = 0
        self.paused = False
        self._client = client
        self._on_fault = on_fault
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: int | None = None  # the file descriptor on the selector
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._written

    def watch(self) -> bool:
        """Serve the socket of a new connection, on the running loop; False where it is closed already."""
        sock: Any = self._client.socket()
        if sock is None:
            return False
        # A verdict and its PUBACK are two small writes: the second must not wait 40 ms for the first's acknowledgement.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = asyncio.get_running_loop()
        self._watched = sock.fileno()
        if not self.paused:
            self._loop.add_reader(self._watched, self._readable)
        if self._client.want_write():
            self._loop.add_writer(self._watched, self._writable)
        return True

    def unwatch(self) -> None:
        """Let go of the socket; harmless where there is none."""
        if self._watched is not None and self._loop is not None:
            self._loop.remove_reader(self._watched)
            self._loop.remove_writer(self._watched)
        self._watched = None

    def pause(self) -> bool:
        """Read no more, not even from the next connection; False where it was paused already."""
        if self.paused:
            return False
        self.paused = True
        if self._loop is not None and self._watched is not None:
            self._loop.remove_reader(self._watched)
        return True

    def resume(self) -> None:
        """Read again."""
        if self.paused:
            self.paused = False
            if self._loop is not None and self._watched is not None:
                self._loop.add_reader(self._watched, self._readable)
                self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        """Read until nothing is left or others should have their turn."""
        client = self._client
        until_s = time.perf_counter() + READING_S_MAX
        while time.perf_counter() < until_s:
            if self._watched is None or self.paused:
                return
            before = self.packets
            try:
                client.loop_read()
            except Exception as error:
                self._on_fault(error)
                return
            if before == self.packets and not self._hidden():
                return
        # The selector calls again for what is in the socket, but knows nothing of what has left it.
        if self._loop is not None and self._hidden():
            self._loop.call_soon(self._readable)

    def _hidden(self) -> bool:
        """Whether bytes wait that have left the kernel's socket: in our buffer, or decrypted by TLS."""
        sock = self._client.socket()
        return self._client.holds_bytes or (isinstance(sock, ssl.SSLSocket) and sock.pending() > 0)

    def _writable(self) -> None:
        self._client.write_together()
        if self._watched is None or self._loop is None:
            return
        # paho lets go of the selector when its own queue is empty, and knows nothing of our buffer.
        if self._client.has_unwritten():
            self._loop.add_writer(self._watched, self._writable)
        else:
            self._loop.remove_writer(self._watched)

    # paho calls these two from the thread that connects as well: there, nothing is watched yet.
    def _want_write(self, _client: paho.Client, _data: Any, _sock: Any) -> None:
        if self._loop is not None and self._watched is not None:
            self._loop.add_writer(self._watched, self._writable)

    def _written(self, _client: paho.Client, _data: Any, _sock: Any) -> None:
        if self._loop is not None and self._watched is not None:
            self._loop.remove_writer(self._watched)
