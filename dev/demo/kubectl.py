"""A thin wrapper round the kubectl program."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class KubectlError(Exception):
    """kubectl failed; the message holds what it said."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Kubectl:
    """kubectl for one cluster.

    Attributes:
        program: path of the kubectl binary.
        kubeconfig: path of the cluster's KUBECONFIG.
    """

    program: Path
    kubeconfig: Path

    def run(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Runs kubectl and returns its standard output.

        Raises:
            KubectlError: kubectl ended with an error.
        """
        done = subprocess.run(
            [str(self.program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise KubectlError(f"kubectl {' '.join(arguments[:4])}: {said}")
        return done.stdout

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Applies manifests given as objects."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
        self.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=text)

    def get(self, *arguments: str) -> dict[str, Any]:
        """One object, or a list, as parsed JSON."""
        found: dict[str, Any] = json.loads(self.run("get", *arguments, "-o", "json"))
        return found

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a kubectl that goes on, such as a port-forward; the caller ends it."""
        return subprocess.Popen(
            [str(self.program), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
        )
