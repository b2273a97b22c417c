"""A ticket's token as a QR code: level M, the smallest version that holds it, alphanumeric, since base45 is."""

from __future__ import annotations

import io

import segno

QUIET_MODULES = 4
"""The border that ISO/IEC 18004 asks for: cameras look for it."""

PAPER = "#fff"
"""Painted under the code: a drawing without it is black on black in a dark viewer, and nothing reads that."""


def svg(token: str) -> str:
    """As SVG for a page, or for a file: it is readable by itself, on paper, on white and on black."""
    return _saved(token, "svg", xmldecl=False, nl=False, light=PAPER).decode()


def svg_file(token: str) -> bytes:
    """As an SVG file."""
    return _saved(token, "svg", light=PAPER)


def png(token: str) -> bytes:
    """As a PNG for a printer, ten pixels a module."""
    return _saved(token, "png", scale=10, light=PAPER)


def terminal(token: str) -> str:
    """As text for a terminal: two modules a character, dark on light whatever the terminal's colours are."""
    text = io.StringIO()
    _code(token).terminal(out=text, border=QUIET_MODULES, compact=True)
    return text.getvalue()


def _code(token: str) -> segno.QRCode:
    return segno.make(token, error="m", micro=False, boost_error=False)


def _saved(token: str, kind: str, *, scale: int = 4, **options: object) -> bytes:
    file = io.BytesIO()
    _code(token).save(file, kind=kind, scale=scale, border=QUIET_MODULES, **options)
    return file.getvalue()
