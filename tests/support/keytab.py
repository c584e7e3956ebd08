"""Keytabs made of passwords, as `ktutil` makes them, for AES with keys of 256 bits (RFC 3962)."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_AES256 = 18
_FOLDED = bytes.fromhex("6b65726265726f737b9b5b2b93132b93")
"""`kerberos`, folded to the length of a block."""
_ROUNDS = 4096
_PRINCIPAL = 1


def write_keytab(path: Path, account: str, realm: str, password: str, *, version: int = 1) -> Path:
    """Writes the key of an account of Active Directory; its salt is the realm and its name."""
    held = password.encode()
    seed = hashlib.pbkdf2_hmac("sha1", held, f"{realm}{account}".encode(), _ROUNDS, 32)
    cipher = Cipher(algorithms.AES(seed), modes.ECB())  # noqa: S305  - how keys are derived
    first = cipher.encryptor().update(_FOLDED)
    key = first + cipher.encryptor().update(first)
    entry = (
        struct.pack(">H", 1)
        + _counted(realm)
        + _counted(account)
        + struct.pack(">IIBH", _PRINCIPAL, 0, version & 0xFF, _AES256)
        + struct.pack(">H", len(key))
        + key
        + struct.pack(">I", version)
    )
    path.write_bytes(b"\x05\x02" + struct.pack(">i", len(entry)) + entry)
    path.chmod(0o600)
    return path


def _counted(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()
