"""The commands that need no cluster, run as they stand in the documentation.

Those of docs/emulator.md lead from nothing to a synced tenant; those of docs/state.md explain one
of its people then.
"""

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
from tests.support.documentation import blocks
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = "8443"
SOMEBODY = """
SOMEBODY=$(curl --silent --insecure --fail "${FAULTS%/faults}/objects?type=User&limit=1" \\
  | python -c 'import json, sys
print(json.load(sys.stdin)["items"][0]["attributes"]["userPrincipalName"])')
"""
"""A user of the tenant in place of the one that the page names."""
NAMED = re.compile(r'jdoe@contoso\.test|"CN=Jane Doe,[^"]*"')


def explanations() -> str:
    """The commands of docs/state.md, for somebody who is there."""
    (found,) = [
        block.text
        for block in blocks(ROOT / "docs" / "state.md")
        if block.text.startswith("entrasync explain")
    ]
    commands, replaced = NAMED.subn('"$SOMEBODY"', found)
    assert replaced == 2
    return SOMEBODY + commands


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return str(bound.getsockname()[1])


def test_the_commands_do_what_the_page_says(tmp_path: Path, samba_small: SambaServer) -> None:
    shown = BLOCK.findall((ROOT / "docs" / "emulator.md").read_text())
    assert len(shown) == 5
    script = "\n".join(["set -euo pipefail", *shown, explanations()]) + "\n"
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
    assert len(re.findall(r"^    in scope: ", said, re.MULTILINE)) == 1
    assert said.count('"driftCount":0') == 1
