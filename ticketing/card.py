"""City cards that speak Secure Unique NFC messages (NTAG 424 DNA, DESFire EV3): who tapped, how often, and is it true.

Sources: NXP AN12196 (SUN: PICC data, session keys, truncated MAC) and AN10922 (key diversification).
    PICC data = AES-128-CBC, IV 0, one block: C7 | UID 7 | read counter 3, little-endian | random 5.
    Session MAC key = CMAC(file-read key, 3CC3 0001 0080 | UID | counter); MAC = bytes 1, 3 ... 15 of the CMAC over
    the MAC input, which is empty in our profile.
The meta-read key is shared by all the cards of a version (it is what reveals the UID); the file-read key is
diversified by UID unless the version says otherwise.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from ticketing.errors import CredentialError

VERSIONS_MAX = 16
"""Every version costs one block of AES a tap, since the message does not say which one it is of."""
TOKEN_CHARACTERS = len("p=") + 32 + len("&c=") + 16
_PICC_TAG = 0xC7
_SV2 = bytes.fromhex("3cc300010080")
_BLOCK = 16
_UID_PADDING = b"\x80" + bytes(7)


class Diversifier:
    """Makes cards' keys of a master key: CMAC over 01 | input, padded to 32 bytes always (AN10922 section 2.2).

    A plain CMAC pads to 16 bytes where the input has 15 or fewer, which is another key. The cipher and its subkeys are
    kept, since setting them up costs more than using them, and every tap uses them.
    """

    def __init__(self, master: bytes) -> None:
        """`master` is an AES-128 key."""
        self._encrypt = Cipher(algorithms.AES(master), modes.ECB()).encryptor().update  # noqa: S305
        self._subkey1 = _double(int.from_bytes(self._encrypt(bytes(_BLOCK))))
        self._subkey2 = _double(self._subkey1)

    def key(self, diversification_input: bytes) -> bytes:
        """The key of one card; the input (its UID, mostly) has 1 to 31 bytes."""
        if not 1 <= len(diversification_input) <= 31:
            raise ValueError("a diversification input has 1 to 31 bytes")
        message = b"\x01" + diversification_input
        whole = len(message) == 2 * _BLOCK
        padded = message if whole else (message + b"\x80").ljust(2 * _BLOCK, b"\x00")
        # CBC over the two blocks by hand; the last one is combined with a subkey, as RFC 4493 section 2.4 has it.
        last = int.from_bytes(padded[_BLOCK:]) ^ (self._subkey1 if whole else self._subkey2)
        return self._encrypt((int.from_bytes(self._encrypt(padded[:_BLOCK])) ^ last).to_bytes(_BLOCK))

    def keys(self, uids: Sequence[bytes]) -> list[bytes]:
        """The keys of many cards, by UIDs of 7 bytes: the second block is all padding, so two calls make them all."""
        first = self._encrypt(b"".join([b"\x01" + uid + _UID_PADDING for uid in uids]))
        last = int.from_bytes(self._subkey2.to_bytes(_BLOCK) * len(uids))
        made = self._encrypt((int.from_bytes(first) ^ last).to_bytes(len(first)))
        return [made[at : at + _BLOCK] for at in range(0, len(made), _BLOCK)]


@dataclass(frozen=True, slots=True)
class CardKeys:
    """The keys of one version: meta-read, and the file-read master (or, undiversified, the file-read key itself)."""

    version: int
    meta_read: bytes
    file_read: bytes
    diversified: bool = True
    _picc: CipherContext = field(init=False, repr=False, compare=False)
    _diversifier: Diversifier = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses keys that are not AES-128; prepares the cipher, since setting it up costs more than using it."""
        if len(self.meta_read) != _BLOCK or len(self.file_read) != _BLOCK:
            raise ValueError(f"card key version {self.version}: meta-read and file-read keys are 16 bytes each")
        # One block with IV 0 is the bare block cipher, so ECB on one block is CBC as AN12196 means it.
        object.__setattr__(
            self,
            "_picc",
            Cipher(algorithms.AES(self.meta_read), modes.ECB()).decryptor(),  # noqa: S305
        )
        object.__setattr__(self, "_diversifier", Diversifier(self.file_read))

    def decrypt_picc(self, blocks: bytes) -> bytes:
        """The plain PICC data of one or many messages, 16 bytes each."""
        return self._picc.update(blocks)

    def file_read_key(self, uid: bytes) -> bytes:
        """The file-read key of one card."""
        return self._diversifier.key(uid) if self.diversified else self.file_read

    def file_read_keys(self, uids: Sequence[bytes]) -> list[bytes]:
        """The file-read keys of many cards."""
        return self._diversifier.keys(uids) if self.diversified else [self.file_read] * len(uids)


class CardTap(msgspec.Struct, frozen=True, gc=False):
    """A genuine message: the card's 7-byte UID, its read counter, and the key version under which it is true."""

    uid: bytes
    counter: int
    key_version: int


def cmac(key: bytes, message: bytes, algorithm: algorithms.AES | None = None) -> bytes:
    """AES-CMAC (RFC 4493), 16 bytes.

    algorithm: one that is given this key and used again by whoever makes many; the key has 16 bytes then. Making a new
    one and looking at its key costs half as much as the MAC.
    """
    if algorithm is None:
        algorithm = algorithms.AES(key)
    else:
        algorithm.key = key
    context = CMAC(algorithm)
    context.update(message)
    return context.finalize()


def session_mac_key(file_read_key: bytes, uid: bytes, counter: int) -> bytes:
    """The key of one tap's MAC (AN12196, SV2)."""
    return cmac(file_read_key, _SV2 + uid + counter.to_bytes(3, "little"))


def sun_mac(file_read_key: bytes, uid: bytes, counter: int, mac_input: bytes = b"") -> bytes:
    """The 8 bytes of MAC that the card appends to its message."""
    return cmac(session_mac_key(file_read_key, uid, counter), mac_input)[1::2]


def parse_sun(token: str) -> tuple[bytes, bytes]:
    """PICC block and MAC of `p=<32 hex digits>&c=<16 hex digits>`; CredentialError (malformed) otherwise."""
    if len(token) != TOKEN_CHARACTERS or token[:2] != "p=" or token[34:37] != "&c=":
        raise CredentialError("malformed", "no p=<32 hex digits>&c=<16 hex digits>")
    try:
        block, mac = bytes.fromhex(token[2:34]), bytes.fromhex(token[37:])
    except ValueError:
        raise CredentialError("malformed", "p and c are hex digits") from None
    if len(block) != _BLOCK or len(mac) != 8:  # fromhex skips spaces
        raise CredentialError("malformed", "p and c are hex digits")
    return block, mac


def read_card(token: str, versions: Sequence[CardKeys], mac_input: bytes = b"") -> CardTap:
    """The genuine tap in a SUN message; CredentialError says which verdict refuses it."""
    (found,) = read_cards([token], versions, mac_input)
    if isinstance(found, CredentialError):
        raise found
    return found


def read_cards(
    tokens: Sequence[str], versions: Sequence[CardKeys], mac_input: bytes = b""
) -> list[CardTap | CredentialError]:
    """What is in many SUN messages, in order: the genuine tap, or why the message is refused.

    A message does not name its key, so each version is tried; a wrong one shows a wrong first byte at once. Blocks of
    one key go through the cipher together, since a call costs more than a block.
    """
    found: list[CardTap | CredentialError | None] = [None] * len(tokens)
    parsed: list[tuple[int, bytes, bytes]] = []
    aes = algorithms.AES(bytes(_BLOCK))
    for at, token in enumerate(tokens):
        try:
            parsed.append((at, *parse_sun(token)))
        except CredentialError as error:
            found[at] = error
    for keys in versions:
        revealed = _revealed(keys.decrypt_picc(b"".join([block for _, block, _ in parsed])))
        file_read_keys = keys.file_read_keys([uid for _, uid, _ in revealed])
        for (number, uid, counter), key in zip(revealed, file_read_keys, strict=True):
            at, _, mac = parsed[number]
            if hmac.compare_digest(cmac(cmac(key, _SV2 + uid + counter, aes), mac_input, aes)[1::2], mac):
                found[at] = CardTap(uid, int.from_bytes(counter, "little"), keys.version)
        parsed = [one for one in parsed if found[one[0]] is None]
        if not parsed:
            break
    return [_refused(versions) if one is None else one for one in found]


def _revealed(plain: bytes) -> list[tuple[int, bytes, bytes]]:
    """Number, UID and counter (3 bytes) of the deciphered blocks that begin as PICC data does."""
    tags = plain[::_BLOCK]
    return [
        (number, plain[_BLOCK * number + 1 : _BLOCK * number + 8], plain[_BLOCK * number + 8 : _BLOCK * number + 11])
        for number, tag in enumerate(tags)
        if tag == _PICC_TAG
    ]


def _refused(versions: Sequence[CardKeys]) -> CredentialError:
    if not versions:
        return CredentialError("unknown_key", "this instance has no card keys")
    return CredentialError("bad_signature", "no card key of this instance made this message")


def sun_message(keys: CardKeys, uid: bytes, counter: int, padding: bytes) -> str:
    """What a card of these keys sends at its counter-th reading: for simulators and tests, as a real card does it.

    padding is the 5 random bytes that end the PICC data.
    """
    plain = bytes((_PICC_TAG,)) + uid + counter.to_bytes(3, "little") + padding
    block = Cipher(algorithms.AES(keys.meta_read), modes.ECB()).encryptor().update(plain)  # noqa: S305
    return f"p={block.hex().upper()}&c={sun_mac(keys.file_read_key(uid), uid, counter).hex().upper()}"


def parse_uid(text: str) -> bytes:
    """The 7 bytes of a UID written as 14 hex digits, colons between them or not; ValueError for anything else."""
    try:
        uid = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        uid = b""
    if len(uid) != 7:
        raise ValueError(f"{text[:40]!r} is no UID: write 7 bytes as 14 hex digits")
    return uid


def _double(value: int) -> int:
    """Twice a value in GF(2^128) (RFC 4493 section 2.3)."""
    return (value << 1) & ((1 << 128) - 1) ^ (0x87 if value >> 127 else 0)
