"""Programs the tests need, found or a failure that says how to get them."""

from __future__ import annotations

from pathlib import Path

from dev import cluster


def program(name: str) -> Path:
    """Path of one of the local cluster's programs, such as `helm` or `kubectl`."""
    path = Path(cluster.binary(name))
    assert path.is_file(), f"{name} is missing: run `.venv/bin/python -m dev.cluster binaries`"
    return path
