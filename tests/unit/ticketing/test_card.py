"""City cards: the published numbers of AN12196, AN10922 and RFC 4493, and messages that are not quite right."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketing.card import (
    VERSIONS_MAX,
    CardKeys,
    CardTap,
    Diversifier,
    cmac,
    parse_uid,
    read_card,
    session_mac_key,
    sun_mac,
    sun_message,
)
from ticketing.errors import CredentialError

ZERO = CardKeys(1, bytes(16), bytes(16), diversified=False)
# AN12196 page 12: UID 04DE5F1EACC040, counter 61, all keys zero.
PAGE_12 = "p=EF963FF7828658A599F3041510671E88&c=94EED9EE65337086"
UID = bytes.fromhex("04de5f1eacc040")
MINE = CardKeys(7, bytes(range(16)), bytes(range(16, 32)))


def test_the_example_of_an12196():
    assert read_card(PAGE_12, [ZERO]) == CardTap(UID, 61, 1)
    assert read_card(PAGE_12.lower(), [ZERO]) == CardTap(UID, 61, 1)
    assert session_mac_key(bytes(16), UID, 61).hex() == "3fb5f6e3a807a03d5e3570ace393776f"


def test_the_example_of_rfc_4493():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")
    assert cmac(key, message).hex() == "dfa66747de9ae63030ca32611497c827"


def test_the_example_of_an10922():
    master = bytes.fromhex("00112233445566778899aabbccddeeff")
    message = bytes.fromhex("04782e21801d803042f54e585020416275")
    assert Diversifier(master).key(message).hex() == "a8dd63a3b89d54b37ca802473fda9175"


def test_short_inputs_are_padded_to_two_blocks():
    master = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert Diversifier(master).key(bytes(range(7))) != cmac(master, b"\x01" + bytes(range(7)))
    with pytest.raises(ValueError, match="1 to 31"):
        Diversifier(master).key(bytes(32))


def test_all_shared_vectors(shared):
    vectors = json.loads((shared / "data/ticket-vectors/ntag424/ntag424_an12196_an10922.json").read_text())
    for vector in vectors["aes_cmac"]:
        assert cmac(bytes.fromhex(vector["key"]), bytes.fromhex(vector["msg"])).hex() == vector["mac"]
    for vector in vectors["sun"]:
        keys = CardKeys(3, bytes.fromhex(vector["meta_key"]), bytes.fromhex(vector["file_key"]), diversified=False)
        mac_input = vector.get("mac_input_ascii", vector.get("mac_input", "")).encode()
        tap = read_card(f"p={vector['picc_enc']}&c={vector['cmac']}", [keys], mac_input)
        assert (tap.uid.hex(), tap.counter) == (vector["uid"], vector["read_ctr"])
    for vector in vectors["plain_sun"]:
        mac = sun_mac(bytes.fromhex(vector["file_key"]), bytes.fromhex(vector["uid"]), vector["read_ctr"])
        assert (mac.hex() == vector["cmac"]) == (vector.get("expect") != "invalid")
    for vector in vectors["an10922"]:
        if vector["alg"] == "AES-128":
            master = bytes.fromhex(vector["master"])
            for size, key in vector.get("div_input_len_cases", {}).items():
                assert Diversifier(master).key(bytes(range(int(size)))).hex() == key


def test_a_card_of_ours_is_read_among_other_versions():
    others = [CardKeys(n, bytes([n]) * 16, bytes([n]) * 16) for n in range(20, 20 + VERSIONS_MAX - 1)]
    message = sun_message(MINE, UID, 0xFFFFFF, b"\xaa" * 5)
    assert read_card(message, [*others, MINE]) == CardTap(UID, 0xFFFFFF, 7)


def test_without_keys_nobody_can_say():
    with pytest.raises(CredentialError) as refused:
        read_card(PAGE_12, [])
    assert refused.value.verdict == "unknown_key"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "p=&c=",
        PAGE_12[:-1],
        PAGE_12 + "0",
        PAGE_12.replace("&", "?"),
        PAGE_12.replace("EF", "  "),
        PAGE_12.replace("EF", "Є9"),
        "c=" + PAGE_12[2:],
        "p=" + "G" * 32 + "&c=" + "0" * 16,
        "x" * 100_000,
    ],
)
def test_what_is_no_message_is_malformed(token):
    with pytest.raises(CredentialError) as refused:
        read_card(token, [ZERO])
    assert refused.value.verdict == "malformed"


@given(st.integers(0, 191))
def test_one_flipped_bit_is_a_bad_signature(bit):
    message = bytearray(bytes.fromhex(PAGE_12[2:34] + PAGE_12[37:]))
    message[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CredentialError) as refused:
        read_card(f"p={message[:16].hex()}&c={message[16:].hex()}", [ZERO])
    assert refused.value.verdict == "bad_signature"


def test_a_key_diversified_for_another_card_is_refused():
    undiversified = CardKeys(7, MINE.meta_read, MINE.file_read, diversified=False)
    with pytest.raises(CredentialError):
        read_card(sun_message(undiversified, UID, 1, bytes(5)), [MINE])


@pytest.mark.parametrize("text", ["04DE5F1EACC040", "04:de:5f:1e:ac:c0:40"])
def test_uids_as_people_write_them(text):
    assert parse_uid(text) == UID


@pytest.mark.parametrize("text", ["", "04DE5F1EACC0", "04DE5F1EACC04000", "not a card", "x" * 10_000])
def test_other_texts_are_no_uid(text):
    with pytest.raises(ValueError, match="14 hex digits"):
        parse_uid(text)
