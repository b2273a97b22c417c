"""Where a server listens: its certificate, and what to tell a person when the address cannot be had."""

from __future__ import annotations

import errno
import socket
import ssl
from pathlib import Path

from deploy.errors import UserError


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS 1.2 or newer from a certificate chain and its key; None without either.

    Raises:
        UserError: one of the two is missing, cannot be read, or they do not belong together.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UserError("TLS needs both a certificate file and a key file")
    for path in (certificate, key):
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; name the certificate and its key in PEM")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UserError(f"{certificate} with {key}: cannot be used for TLS ({reason})") from None
    return context


def trusting(certificate: Path) -> ssl.SSLContext:
    """How our own clients trust an instance: by the very certificate that it was given, whatever name that is for.

    Raises:
        UserError: the file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(certificate)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise UserError(f"{certificate}: the instance's certificate cannot be read ({reason})") from None
    return context


def _no_password() -> str:
    raise ValueError("the key is locked with a password; give one without")


def listen_error(error: Exception, host: str, port: int) -> UserError:
    """One sentence for why nothing listens at host and port."""
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return UserError(f"port {port} on {host} is taken by another program; choose another with --http-port")
    if code == errno.EACCES:
        return UserError(f"port {port} on {host} needs rights that this user does not have; choose one above 1023")
    if code == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return UserError(f"{host} is no address of this machine; --host takes one, such as 127.0.0.1 or 0.0.0.0")
    return UserError(f"cannot listen on {host}:{port}: {error}")
