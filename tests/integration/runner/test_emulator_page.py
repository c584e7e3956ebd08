"""The commands of docs/emulator.md, run as they stand there: from nothing to a synced tenant."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dev.cluster.places import ROOT
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "8443"


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return str(bound.getsockname()[1])


def test_the_commands_do_what_the_page_says(tmp_path: Path, samba_small: SambaServer) -> None:
    blocks = BLOCK.findall((ROOT / "docs" / "emulator.md").read_text())
    assert len(blocks) == 5
    script = "set -eu\n" + "\n".join(blocks) + "\n"
    ca = tmp_path / "ad-ca.crt"
    ca.write_text(samba_small.ca_pem)
    with subprocess.Popen(
        ["bash", "-c", script.replace(PORT, free_port())],
        cwd=tmp_path,
        env=os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AD_URL": samba_small.url,
            "AD_USER": samba_small.bind_user,
            "AD_PASSWORD": samba_small.bind_password,
            "AD_CA": str(ca),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            said, _ = shell.communicate(timeout=240)
        finally:
            # its own session: the group holds the emulator it started and nothing else
            os.killpg(shell.pid, signal.SIGKILL)

    assert shell.returncode == 0, said
    plan, first, again = re.findall(r"^(\w+): (\w+)$", said, re.MULTILINE)
    assert (plan, first, again) == (("Succeeded", "Synchronized"),) * 3
    assert '"User": 48' in said
    assert "nothing had changed" in said
    assert '"busyEvery": 3' in said
    assert (tmp_path / "cloud.db").is_file()
