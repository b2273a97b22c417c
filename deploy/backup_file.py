"""The file that a backup is: encrypted and authenticated by chunks under a passphrase; any length streams through.

    8 bytes   b"TAKTBAK1"
    1 byte    scrypt: log2 of N           1 byte  r           1 byte  p           16 bytes  salt
    7 bytes   nonce prefix
    16 bytes  check: the last 16 of the 48 bytes that scrypt derives; the first 32 are the key
    then chunks: ChaCha20-Poly1305 of up to 1 MiB of plain text, each followed by its tag of 16 bytes;
    nonce = prefix | number of the chunk, 4 bytes, big endian | 1 if it is the last chunk, else 0;
    all 50 bytes before the first chunk are its associated data, and every other chunk's.

All chunks but the last are full. A chunk that was changed, left out, moved or doubled fails its tag, and so does a file
that ends early, since its last chunk was not sealed as the last: this is the STREAM construction of Hoang,
Reyhanitabar, Rogaway and Vizar, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance" (2015).
"""

from __future__ import annotations

import io
import os
import secrets
from hmac import compare_digest
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

MAGIC = b"TAKTBAK1"
CHUNK = 1 << 20
TAG = 16
CHUNKS_MAX = 1 << 32
# RFC 7914 asks for N as large as one can bear: 128 MiB and about half a second.
SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P = 17, 8, 1
# What a file may ask of the machine that reads it: 512 MiB.
SCRYPT_LOG_N_MAX, SCRYPT_R_MAX, SCRYPT_P_MAX = 19, 8, 4
HEADER_BYTES = len(MAGIC) + 3 + 16 + 7 + 16
WORDS, WORD_LETTERS = 6, 5
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without letters that are taken for others when read aloud


class BackupFileError(Exception):
    """The file is no backup, the passphrase does not open it, or it is not whole; the text says which."""


def new_passphrase() -> str:
    """A random passphrase of 148 bits that can be read aloud."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(WORD_LETTERS)) for _ in range(WORDS))


class SealingWriter(io.RawIOBase):
    """Encrypts what is written to it into a file; only `close` makes the file whole, `abandon` leaves it unfinished."""

    def __init__(self, target: BinaryIO, passphrase: str) -> None:
        salt, self._prefix = os.urandom(16), os.urandom(7)
        parameters = bytes((SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P)) + salt
        key, check = _derive(passphrase, parameters)
        self._header = MAGIC + parameters + self._prefix + check
        self._cipher = ChaCha20Poly1305(key)
        self._target = target
        self._buffer = bytearray()
        self._number = 0
        target.write(self._header)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Take any amount; whole chunks go on to the file."""
        self._buffer += data
        # The chunk that fills up last is held back: it may turn out to be the last one.
        while len(self._buffer) > CHUNK:
            self._seal(bytes(self._buffer[:CHUNK]), last=False)
            del self._buffer[:CHUNK]
        return len(data)

    def close(self) -> None:
        """Seal what is left as the last chunk."""
        if not self.closed:
            self._seal(bytes(self._buffer), last=True)
            self._buffer.clear()
            super().close()

    def __del__(self) -> None:
        """A writer that is forgotten seals nothing."""

    def _seal(self, plain: bytes, last: bool) -> None:
        self._target.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last), plain, self._header))
        self._number += 1
        if self._number >= CHUNKS_MAX:
            raise BackupFileError("the backup is too large for one file")


class OpeningReader(io.RawIOBase):
    """Gives the plain text of a file; every byte it gives was verified, and its end means that the file was whole."""

    def __init__(self, source: BinaryIO, passphrase: str) -> None:
        header = source.read(HEADER_BYTES)
        if not header.startswith(MAGIC):
            raise BackupFileError("is no backup made by takt backup")
        if len(header) < HEADER_BYTES:
            raise BackupFileError("is not whole: it ends within its first bytes")
        parameters = header[8:27]
        key, check = _derive(passphrase, parameters)
        if not compare_digest(check, header[34:]):
            raise BackupFileError("does not open with this passphrase")
        self._header, self._prefix = header, header[27:34]
        self._cipher = ChaCha20Poly1305(key)
        self._source = source
        self._number = 0
        self._ahead: bytes | None = source.read(CHUNK + TAG)
        self._plain = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Up to as many bytes as fit; 0 at the verified end."""
        while not self._plain and self._ahead is not None:
            self._open_next()
        given = self._plain[: len(buffer)]
        buffer[: len(given)] = given
        self._plain = self._plain[len(given) :]
        return len(given)

    def _open_next(self) -> None:
        sealed = self._ahead or b""
        following = self._source.read(CHUNK + TAG)
        last = not following
        try:
            self._plain = self._cipher.decrypt(_nonce(self._prefix, self._number, last), sealed, self._header)
        except InvalidTag:
            at = HEADER_BYTES + self._number * (CHUNK + TAG)
            what = "it ends early or was changed" if last else "it was changed"
            raise BackupFileError(f"is damaged: {what} at or after byte {at:,}") from None
        self._number += 1
        self._ahead = None if last else following


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes((last,))


def _derive(passphrase: str, parameters: bytes) -> tuple[bytes, bytes]:
    log_n, r, p = parameters[:3]
    if not (1 <= log_n <= SCRYPT_LOG_N_MAX and 1 <= r <= SCRYPT_R_MAX and 1 <= p <= SCRYPT_P_MAX):
        raise BackupFileError("is damaged: its first bytes ask for more memory than any backup needs")
    derived = Scrypt(salt=parameters[3:], length=48, n=1 << log_n, r=r, p=p).derive(passphrase.encode())
    return derived[:32], derived[32:]
