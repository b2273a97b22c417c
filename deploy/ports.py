"""TCP ports of this machine: a free one, whether one may be listened on, and who does."""

from __future__ import annotations

import socket

import psutil

from deploy.errors import UserError


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket(_family(host)) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(host: str, port: int, option: str) -> None:
    """Make sure that we may listen there.

    Raises:
        UserError: the port is taken (says by whom, where that can be seen), forbidden, or the address is not ours.
    """
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError:
            raise UserError(f"port {port}: only root may listen there; choose one above 1023 with {option}") from None
        except OSError as error:
            if listener := who_listens(port):
                raise UserError(
                    f"port {port} is taken by {listener}; stop it or choose another with {option}"
                ) from None
            raise UserError(f"cannot listen on {host} port {port} ({error.strerror}); choose others") from None


def who_listens(port: int) -> str | None:
    """Whoever listens on a TCP port: "name (process 12)", "another process" where we may not see it; None: nobody."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    return "another process"
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return "another process"
    return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
