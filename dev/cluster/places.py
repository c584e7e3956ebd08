"""Where the local cluster keeps its things."""

from __future__ import annotations

import os
from pathlib import Path

KUBERNETES_VERSION = "v1.34.4"
"""What the local cluster runs. entrasync supports 1.31 and newer."""

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("ENTRASYNC_CACHE", Path.home() / ".cache" / "entrasync"))
BINARIES = CACHE / "kubernetes" / KUBERNETES_VERSION
IMAGES = CACHE / "images"
NAME = os.environ.get("ENTRASYNC_CLUSTER", "dev")
"""Name of the cluster; also part of its network namespace."""
STATE = Path(os.environ.get("ENTRASYNC_STATE", "/var/lib/entrasync")) / NAME
"""Everything a running cluster writes; removed by `down`."""
KIND_KUBECONFIG = CACHE / f"kind-{NAME}.kubeconfig"
