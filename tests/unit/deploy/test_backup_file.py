"""The encrypted file: whole or refused, whatever is done to it."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy import backup_file
from deploy.backup_file import CHUNK, HEADER_BYTES, TAG, BackupFileError, OpeningReader, SealingWriter, new_passphrase

PASSPHRASE = "correct horse"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hard derivation is for people's passphrases, not for thousands of tests."""
    monkeypatch.setattr(backup_file, "SCRYPT_LOG_N", 2)


def seal(plain: bytes, passphrase: str = PASSPHRASE) -> bytes:
    target = io.BytesIO()
    writer = SealingWriter(target, passphrase)
    writer.write(plain)
    writer.close()
    return target.getvalue()


def unseal(sealed: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return OpeningReader(io.BytesIO(sealed), passphrase).readall() or b""


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
def test_what_went_in_comes_out(size: int) -> None:
    plain = bytes(range(256)) * (size // 256 + 1)
    assert unseal(seal(plain[:size])) == plain[:size]


def test_the_same_content_never_looks_the_same() -> None:
    assert seal(b"x" * 100) != seal(b"x" * 100)


@given(st.lists(st.binary(max_size=100), max_size=20))
@settings(max_examples=30, deadline=None)
def test_it_does_not_matter_in_which_pieces_it_is_written(pieces: list[bytes]) -> None:
    backup_file.SCRYPT_LOG_N = 2
    target = io.BytesIO()
    writer = SealingWriter(target, PASSPHRASE)
    for piece in pieces:
        writer.write(piece)
    writer.close()
    assert unseal(target.getvalue()) == b"".join(pieces)


def test_another_passphrase_does_not_open_it() -> None:
    with pytest.raises(BackupFileError, match="does not open with this passphrase"):
        unseal(seal(b"secret"), "correct hors")


@pytest.mark.parametrize("place", [0, 8, 9, 20, 28, 40, HEADER_BYTES, HEADER_BYTES + 3, -1])
def test_one_flipped_bit_is_noticed(place: int) -> None:
    sealed = bytearray(seal(b"secret"))
    sealed[place] ^= 1
    with pytest.raises(BackupFileError):
        unseal(bytes(sealed))


@pytest.mark.parametrize(
    "length", [0, 4, 8, 30, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 5, HEADER_BYTES + CHUNK + TAG]
)
def test_a_file_that_ends_early_is_noticed_even_between_chunks(length: int) -> None:
    sealed = seal(b"x" * (2 * CHUNK + 5))
    with pytest.raises(BackupFileError):
        unseal(sealed[:length])


def test_chunks_that_changed_places_or_were_left_out_are_noticed() -> None:
    sealed = seal(bytes(CHUNK) + b"1" * CHUNK + b"2" * CHUNK + b"end")
    header, size = sealed[:HEADER_BYTES], CHUNK + TAG
    chunks = [sealed[at : at + size] for at in range(HEADER_BYTES, len(sealed), size)]
    for order in ((1, 0, 2, 3), (0, 2, 3), (0, 1, 1, 2, 3), (0, 1, 2, 3, 3)):
        with pytest.raises(BackupFileError, match="is damaged"):
            unseal(header + b"".join(chunks[number] for number in order))


def test_something_added_at_the_end_is_noticed() -> None:
    with pytest.raises(BackupFileError):
        unseal(seal(b"secret") + b"x")


def test_a_chunk_of_another_backup_under_the_same_passphrase_is_noticed() -> None:
    one, other = seal(b"one"), seal(b"two")
    with pytest.raises(BackupFileError):
        unseal(one[:HEADER_BYTES] + other[HEADER_BYTES:])


@pytest.mark.parametrize("parameters", [(63, 8, 1), (20, 8, 1), (17, 255, 1), (17, 8, 255), (0, 8, 1), (17, 0, 1)])
def test_a_file_cannot_ask_for_all_the_memory(parameters: tuple[int, int, int]) -> None:
    sealed = bytearray(seal(b"secret"))
    sealed[8:11] = bytes(parameters)
    with pytest.raises(BackupFileError, match="more memory"):
        unseal(bytes(sealed))


def test_a_file_that_was_never_closed_does_not_open() -> None:
    target = io.BytesIO()
    writer = SealingWriter(target, PASSPHRASE)
    writer.write(b"x" * (CHUNK + 1))
    del writer
    with pytest.raises(BackupFileError):
        unseal(target.getvalue())


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_in_one_sentence(data: bytes) -> None:
    with pytest.raises(BackupFileError):
        unseal(data)
    with pytest.raises(BackupFileError):
        unseal(backup_file.MAGIC + b"\x02\x08\x01" + data)


def test_made_passphrases_differ_and_can_be_read_aloud() -> None:
    made = {new_passphrase() for _ in range(100)}
    assert len(made) == 100
    assert all(len(text) == 35 and not set(text) & set("0O1lIo") for text in made)
