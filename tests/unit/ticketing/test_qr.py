"""What we draw, another decoder reads: the very token, from a printed, a shown and a badly photographed code."""

from __future__ import annotations

import io
import re
from uuid import UUID
from xml.etree import ElementTree

import numpy as np
import pytest
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image, ImageFilter

from ticketing import qr
from ticketing.claims import Claims
from ticketing.credential import read_credential
from ticketing.device_key import checked_device_key
from ticketing.keys import FileSigner
from ticketing.keyset import IssuerKey, KeySet, kid_of
from ticketing.ticket_cwt import issue_qr

PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = PRIVATE.public_key()
SIGNER = FileSigner(kid_of(PUBLIC.public_bytes_raw()), PRIVATE)
KEYS = KeySet([IssuerKey(SIGNER.kid, "takt", PUBLIC)])
DEVICE = checked_device_key("Ed25519", PUBLIC.public_bytes_raw())
TOKENS = [
    issue_qr(
        Claims("takt", UUID(int=7), "single", 1_771_257_482, 1_771_343_882, ("*",), 1, 5, device_key=device), SIGNER
    )
    for device in (None, DEVICE)
]


def read(image: Image.Image) -> str:
    found = zxingcpp.read_barcodes(np.asarray(image.convert("L")))
    assert len(found) == 1
    return str(found[0].text)


@pytest.mark.parametrize("token", TOKENS)
def test_a_printed_code_is_read_back_and_verifies(token):
    text = read(Image.open(io.BytesIO(qr.png(token))))
    assert text == token
    assert read_credential(text, KEYS).claims.ticket_id == UUID(int=7)


@pytest.mark.parametrize("token", TOKENS)
def test_a_tilted_blurred_and_dim_picture_is_read_back(token):
    image = Image.open(io.BytesIO(qr.png(token))).convert("L").rotate(7, expand=True, fillcolor=255)
    dim = image.resize((480, 480)).filter(ImageFilter.GaussianBlur(1)).point(lambda value: 40 + value // 3)
    assert read(dim) == token


@pytest.mark.parametrize("token", TOKENS)
def test_the_drawing_for_pages_and_the_terminal_hold_the_same_modules(token):
    assert qr.svg(token).startswith("<svg")
    assert qr.svg_file(token).startswith(b"<?xml")
    size = int(re.search(r'width="(\d+)"', qr.svg(token))[1]) // 4
    lines = qr.terminal(token).splitlines()
    assert len(lines) == -(-size // 2)


def drawn(svg: str) -> Image.Image:
    """The drawing as a viewer with a black background shows it: what is not painted white stays black."""
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    size = int(root.attrib["width"]) // 4
    modules = np.zeros((size, size), np.uint8)
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        if path.attrib.get("fill") == "#fff":
            assert path.attrib["d"] == f"M0 0h{size}v{size}h-{size}z"
            modules[:] = 255
            continue
        along, down = 0.0, 0.0
        for step, first, second in re.findall(r"([Mmh])(-?[\d.]+)(?: ?(-?[\d.]+))?", path.attrib["d"]):
            if step == "h":
                modules[int(down), int(along) : int(along) + int(first)] = 0
                along += float(first)
            elif step == "M":
                along, down = float(first), float(second)
            else:
                along, down = along + float(first), down + float(second)
    return Image.fromarray(modules).resize((size * 4, size * 4), Image.Resampling.NEAREST)


@pytest.mark.parametrize("token", TOKENS)
def test_the_drawing_is_read_by_itself_whatever_lies_behind_it(token):
    for svg in (qr.svg(token), qr.svg_file(token).decode()):
        assert read(drawn(svg)) == token
