"""What the servers that tests start have in common."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from entrasync.emulator.certificates import KeyPair


def write_certificates(folder: Path, pair: KeyPair, ca_pem: str) -> None:
    """Writes a server's certificate, its key and its CA, for nobody else to read."""
    for name, text in (("tls.crt", pair.certificate), ("tls.key", pair.key), ("ca.crt", ca_pem)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)


def start_server(command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
    """Starts a server in a session of its own; what it says is added to a file."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
