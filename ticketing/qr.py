"""A ticket's token as a QR code: level M, the smallest version that holds it, alphanumeric, since base45 is."""

from __future__ import annotations

import io

import segno

QUIET_MODULES = 4
"""The border that ISO/IEC 18004 asks for: cameras look for it."""


def svg(token: str) -> str:
    """As inline SVG, for a page."""
    return str(_code(token).svg_inline(scale=4, border=QUIET_MODULES))


def svg_file(token: str) -> bytes:
    """As an SVG file."""
    return _saved(token, "svg")


def png(token: str) -> bytes:
    """As a PNG for a printer, ten pixels a module."""
    return _saved(token, "png", scale=10)


def terminal(token: str) -> str:
    """As text for a terminal: two modules a character, dark on light whatever the terminal's colours are."""
    text = io.StringIO()
    _code(token).terminal(out=text, border=QUIET_MODULES, compact=True)
    return text.getvalue()


def _code(token: str) -> segno.QRCode:
    return segno.make(token, error="m", micro=False, boost_error=False)


def _saved(token: str, kind: str, scale: int = 4) -> bytes:
    file = io.BytesIO()
    _code(token).save(file, kind=kind, scale=scale, border=QUIET_MODULES)
    return file.getvalue()
