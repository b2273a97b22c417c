"""Secrets in the data folder: that nobody else may read them, and that every key file holds its key."""

from __future__ import annotations

import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from deploy.doctor.patient import Finding, Patient


def check_rights(patient: Patient) -> list[Finding]:
    """Nobody but the owner may read passwords, keys and logs."""
    if patient.instance is None:
        return []
    folder = patient.instance.folder
    private = [*folder.glob("*.json"), *folder.glob("keys/**/*.*"), *folder.glob("nats/*.conf")]
    found = []
    # 0711 is what PostgreSQL's own user needs where root has no user namespaces.
    if _mode(folder) & 0o066:
        found.append(Finding("rights", "fail", f"{folder}: others may look into it", f"chmod 700 {folder}"))
    for path in private:
        if _mode(path) & 0o077:
            found.append(Finding("rights", "fail", f"{path}: others may read it", f"chmod 600 {path}"))
    return found or [Finding("rights", "ok", "data folder, passwords and keys are the owner's alone")]


def check_keys(patient: Patient) -> list[Finding]:
    """Every key file holds the key that it should."""
    if patient.instance is None:
        return []
    instance = patient.instance
    issuers = sorted(instance.issuer_keys_dir.glob("*.pem"))
    if not issuers:
        step = "restore them from a backup: tickets already sold cannot be verified without them"
        return [Finding("keys", "fail", f"{instance.issuer_keys_dir}: no issuer key", step)]
    for path in (instance.token_key_path, *issuers):
        try:
            good = isinstance(load_pem_private_key(path.read_bytes(), None), Ed25519PrivateKey)
        except (OSError, ValueError, TypeError):
            good = False
        if not good:
            return [Finding("keys", "fail", f"{path}: no Ed25519 key can be read from it", "restore it from a backup")]
    return [Finding("keys", "ok", f"{len(issuers)} issuer keys and the API's token key")]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
