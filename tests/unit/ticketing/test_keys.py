"""Key files: the owner's alone, or refused with what to do."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ticketing.card import CardKeys
from ticketing.errors import KeyFileError
from ticketing.keys import ensure_card_keys, import_card_keys, load_card_keys, load_issuer_keys


def write(folder, name, key, mode=0o600):
    path = folder / name
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(mode)
    return key.public_key()


def test_the_last_key_signs_and_all_verify(tmp_path):
    write(tmp_path, "20260101-a.pem", Ed25519PrivateKey.generate())
    new = write(tmp_path, "20260201-b.pem", Ed25519PrivateKey.generate())
    keys = load_issuer_keys(tmp_path, "takt")
    new.verify(keys.signer.sign(b"message"), b"message")
    assert len(keys.key_set.keys) == 2


def test_wrong_key_files_are_refused(tmp_path):
    with pytest.raises(KeyFileError, match="no issuer key"):
        load_issuer_keys(tmp_path, "takt")
    write(tmp_path, "a.pem", ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(KeyFileError, match=r"a\.pem: is no Ed25519"):
        load_issuer_keys(tmp_path, "takt")
    (tmp_path / "a.pem").unlink()
    write(tmp_path, "a.pem", Ed25519PrivateKey.generate(), mode=0o644)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_issuer_keys(tmp_path, "takt")


def test_card_keys_are_made_once_and_kept(tmp_path):
    file = tmp_path / "card-keys.json"
    made = ensure_card_keys(file)
    assert [key.version for key in made] == [1]
    assert ensure_card_keys(file) == made == load_card_keys(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["card-keys.json"]


def test_an_imported_version_is_the_newest_and_never_replaced(tmp_path):
    file = tmp_path / "card-keys.json"
    keys = CardKeys(7, bytes(16), bytes(16), diversified=False)
    assert [key.version for key in import_card_keys(file, keys)] == [7, 1]
    assert import_card_keys(file, keys) == load_card_keys(file)
    with pytest.raises(KeyFileError, match="version 7 is there with other keys"):
        import_card_keys(file, CardKeys(7, bytes(16), bytes(range(16))))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"versions": {"1": {}}}', '{"versions": {"x": 1}}'])
def test_a_broken_card_key_file_is_refused(tmp_path, text):
    file = tmp_path / "card-keys.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(KeyFileError, match=r"card-keys\.json: is no file of card keys"):
        load_card_keys(file)


def test_keys_do_not_show_in_a_traceback():
    assert "_picc" not in repr(CardKeys(1, bytes(16), bytes(16)))
