"""What the servers that tests start have in common."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
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


def wait_for_tls(
    process: subprocess.Popen[bytes],
    address: tuple[str, int],
    *,
    ca_pem: str,
    log: Path,
    seconds: float,
) -> None:
    """Waits until a server answers over TLS; fails with what it said when it does not.

    Args:
        process: the server.
        address: host, which its certificate names, and port.
        ca_pem: whom to trust.
        log: what it says; the file's name is the program's.
        seconds: after so long it is given up.
    """
    context = ssl.create_default_context(cadata=ca_pem)
    deadline = time.monotonic() + seconds
    while not _answers(address, context):
        said = log.read_text(errors="replace")[-2000:]
        assert process.poll() is None, f"{log.stem} ended: {said}"
        assert time.monotonic() < deadline, f"{log.stem} does not answer: {said}"
        time.sleep(0.05)


def _answers(address: tuple[str, int], context: ssl.SSLContext) -> bool:
    try:
        with (
            socket.create_connection(address, timeout=2) as plain,
            context.wrap_socket(plain, server_hostname=address[0]),
        ):
            return True
    except OSError:
        return False
