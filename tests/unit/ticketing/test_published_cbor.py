"""RFC 8949's own examples: what a ticket is made of is read, everything else is refused, however well formed it is."""

from __future__ import annotations

import cbor2
import pytest

from ticketing.cbor import bstr, decode, take_bstr, take_uint

MANY = "".join(f"{n:02x}" if n < 24 else f"18{n:02x}" for n in range(1, 26))
# Appendix A, in its order.
READ = {
    "00": 0,
    "01": 1,
    "0a": 10,
    "17": 23,
    "1818": 24,
    "1819": 25,
    "1864": 100,
    "1903e8": 1000,
    "1a000f4240": 1000000,
    "1b000000e8d4a51000": 1000000000000,
    "1bffffffffffffffff": 18446744073709551615,
    "3bffffffffffffffff": -18446744073709551616,
    "20": -1,
    "29": -10,
    "3863": -100,
    "3903e7": -1000,
    "f6": None,
    "40": b"",
    "4401020304": b"\x01\x02\x03\x04",
    "60": "",
    "6161": "a",
    "6449455446": "IETF",
    "62225c": '"\\',
    "62c3bc": "\u00fc",
    "63e6b0b4": "\u6c34",
    "64f0908591": "\U00010151",
    "80": [],
    "83010203": [1, 2, 3],
    "8301820203820405": [1, [2, 3], [4, 5]],
    "9819" + MANY: list(range(1, 26)),
    "a0": {},
    "a201020304": {1: 2, 3: 4},
    "a26161016162820203": {"a": 1, "b": [2, 3]},
    "826161a161626163": ["a", {"b": "c"}],
    "a56161614161626142616361436164614461656145": {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"},
}
WELL_FORMED = [
    # Bignums, floats of three widths, infinities and NaN.
    *("c249010000000000000000", "c349010000000000000000"),
    *("f90000", "f98000", "f93c00", "fb3ff199999999999a", "f93e00", "f97bff", "fa47c35000", "fa7f7fffff"),
    *("fb7e37e43c8800759c", "f90001", "f90400", "f9c400", "fbc010666666666666", "f97c00", "f97e00", "f9fc00"),
    *("fa7f800000", "fa7fc00000", "faff800000", "fb7ff0000000000000", "fb7ff8000000000000", "fbfff0000000000000"),
    # False, true, undefined, simple values, tags.
    *("f4", "f5", "f7", "f0", "f8ff"),
    *("c074323031332d30332d32315432303a30343a30305a", "c11a514b67b0", "c1fb41d452d9e8200000", "d74401020304"),
    *("d818456449455446", "d82076687474703a2f2f7777772e6578616d706c652e636f6d"),
    # Indefinite lengths.
    *("5f42010243030405ff", "7f657374726561646d696e67ff", "9fff", "9f018202039f0405ffff", "9f01820203820405ff"),
    *("83018202039f0405ff", "83019f0203ff820405", "9f" + MANY + "ff", "bf61610161629f0203ffff"),
    *("826161bf61626163ff", "bf6346756ef563416d7421ff"),
]
# Appendix F: what is not well formed, by its kinds.
ILL_FORMED = [
    *(
        "18",
        "19",
        "1a",
        "1b",
        "1901",
        "1a0102",
        "1b01020304050607",
        "38",
        "58",
        "78",
        "98",
        "9a01ff00",
        "b8",
        "d8",
        "f8",
    ),
    *("f900", "fa0000", "fb000000", "41", "61", "5affffffff00", "5bffffffffffffffff010203", "7affffffff00"),
    *("7b7fffffffffffffff010203", "81", "818181818181818181", "8200", "a1", "a20102", "a100", "a2000000", "c0"),
    *("5f4100", "7f6100", "9f", "9f0102", "bf", "bf01020102", "819f", "9f8000", "9f9f9f9f9fffffffff"),
    *("9f819f819f9fffffff", "1c", "1d", "1e", "3c", "3d", "3e", "5c", "5d", "5e", "7c", "7d", "7e", "9c", "9d", "9e"),
    *("bc", "bd", "be", "dc", "dd", "de", "fc", "fd", "fe", "f800", "f801", "f818", "f81f"),
    *("5f00ff", "5f21ff", "5f6100ff", "5f80ff", "5fa0ff", "5fc000ff", "5fe0ff", "7f4100ff", "5f5f4100ffff"),
    *("7f7f6100ffff", "ff", "81ff", "8200ff", "a1ff", "a1ff00", "a100ff", "a20000ff", "9f81ff", "9f829f819f9fffffffff"),
    *("bf00ff", "bf000000ff", "1f", "3f", "df", ""),
]
# Section 4.2.1 asks for the shortest form and section 5.6 for keys that are there once; and text is UTF-8.
OURS = [
    *("1800", "1817", "190000", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3817", "3900ff", "5800", "581700"),
    *("590001ff", "7800", "7900ff", "9800", "980101", "9a0000000100", "b800", "b8010102"),
    *("a201020103", "a2616101616102", "61ff", "62c328", "63eda080", "0000", "f6f6", "a0a0", "a1f601", "a1410102"),
    *("a1800102", "818181818100", "a101a101a101a101a101"),
]


@pytest.mark.parametrize("digits", READ)
def test_what_a_ticket_is_made_of_is_read(digits):
    data = bytes.fromhex(digits)
    assert decode(data) == READ[digits] == cbor2.loads(data)
    assert type(decode(data)) is type(READ[digits])
    for end in range(len(data)):
        with pytest.raises(ValueError, match=r"."):
            decode(data[:end])
    with pytest.raises(ValueError, match="behind the end"):
        decode(data + b"\x00")
    if isinstance(READ[digits], int) and READ[digits] >= 0:
        assert take_uint(data, 0) == (READ[digits], len(data))
    if isinstance(READ[digits], bytes):
        assert take_bstr(data, 0) == (READ[digits], len(data))
        assert bstr(READ[digits]) == data


@pytest.mark.parametrize("digits", WELL_FORMED)
def test_what_no_ticket_is_made_of_is_refused_however_well_formed(digits):
    data = bytes.fromhex(digits)
    cbor2.loads(data)  # it is an example indeed
    with pytest.raises(ValueError, match=r"."):
        decode(data)


@pytest.mark.parametrize("digits", [*ILL_FORMED, *OURS])
def test_what_is_not_well_formed_or_not_the_shortest_is_refused(digits):
    data = bytes.fromhex(digits)
    with pytest.raises(ValueError, match=r"."):
        decode(data)
    for take in (take_uint, take_bstr):
        try:
            taken, end = take(data, 0)
        except (ValueError, IndexError):
            continue
        assert cbor2.dumps(taken) == data[:end], "what is taken stands there in its one form"
