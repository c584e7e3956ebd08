"""A kind cluster, where a Docker engine answers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from dev.cluster.output import SetupError, run, say, step
from dev.cluster.places import KIND_KUBECONFIG, KUBERNETES_VERSION, NAME

CLUSTER = f"entrasync-{NAME}"
HINT = "Look at `docker ps -a` and `docker logs`, or remove the cluster with `make down`."


def engine_answers() -> bool:
    """Whether a Docker engine is there."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


class Kind:
    """The same as `Node`, by kind."""

    kubeconfig = KIND_KUBECONFIG

    def up(self) -> None:
        """Makes the cluster, or keeps the one there is."""
        if shutil.which("kind") is None:
            raise SetupError(
                "A Docker engine is here, but kind is not. Install kind (0.30 or newer) and try"
                " again: it runs the cluster in Docker."
            )
        if CLUSTER in run(["kind", "get", "clusters"]).split():
            say(f"The kind cluster {CLUSTER} is up already")
            return
        KIND_KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
        with step(f"Starting a kind cluster with Kubernetes {KUBERNETES_VERSION}", "1 to 3 min"):
            run(
                [
                    "kind",
                    "create",
                    "cluster",
                    f"--name={CLUSTER}",
                    f"--image=kindest/node:{KUBERNETES_VERSION}",
                    f"--kubeconfig={KIND_KUBECONFIG}",
                    "--wait=120s",
                ],
                hint=HINT,
            )

    def down(self) -> None:
        """Removes the cluster."""
        if shutil.which("kind") is not None:
            run(["kind", "delete", "cluster", f"--name={CLUSTER}"], hint=HINT)
        KIND_KUBECONFIG.unlink(missing_ok=True)

    def rejoin(self) -> None:
        """Brings the node back after its object was deleted."""
        node = f"{CLUSTER}-control-plane"
        run(["docker", "exec", node, "systemctl", "restart", "kubelet"], hint=HINT)

    def load(self, archive: Path) -> None:
        """Imports an image archive."""
        run(["kind", "load", "image-archive", str(archive), f"--name={CLUSTER}"], hint=HINT)
