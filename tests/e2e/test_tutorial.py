"""The tutorial: each of its commands, in order, in one shell, as somebody would copy them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from dev.demo.setup import DIRECTORY_NAMESPACE, SYNC_NAMESPACE
from tests.support.stage import Place, Stage

pytestmark = pytest.mark.cluster

PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_command_of_the_tutorial(stage: Stage, place: Place) -> None:
    with stage.directory("tutorial") as host:
        place.apply(*place.whole(), place.directory(servers=[f"ldaps://{host}"]))
        users = place.until_synchronized()["objects"]["users"]

        told = _run(place, "\n".join(BLOCK.findall(PAGE.read_text())))

        assert "5 users would be deleted, 3 are allowed (`spec.safety.users`)" in told
        assert place.status("dsync")["objects"]["users"] == users - 5
        assert place.status("syncrun", "look")["phase"] == "Succeeded"


def _run(place: Place, script: str) -> str:
    """What the commands print; they end at the first that fails, as they are meant to be read."""
    own = {
        f"-n {SYNC_NAMESPACE}": f"-n {place.name}",
        f"namespace: {SYNC_NAMESPACE}": f"namespace: {place.name}",
        f"-n {DIRECTORY_NAMESPACE} deploy/dc1": f"-n {DIRECTORY_NAMESPACE} deploy/tutorial",
    }
    for theirs, ours in own.items():
        assert theirs in script
        script = script.replace(theirs, ours)
    kubectl = place.kubectl
    environment = os.environ | {
        "KUBECONFIG": str(kubectl.kubeconfig),
        "PATH": f"{Path(kubectl.program).parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=800,
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    return done.stdout
