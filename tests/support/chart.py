"""The chart, rendered by Helm itself."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import program

CHART = Path(__file__).parents[2] / "helm" / "entrasync"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Helm."""
    return subprocess.run(
        [str(program("helm")), *arguments], capture_output=True, text=True, check=False
    )


def render(*options: str) -> list[dict[str, Any]]:
    """The objects of a release `entrasync` in the namespace `ns`."""
    done = helm(
        "template", "entrasync", str(CHART), "--namespace=ns", "--kube-version=1.31.0", *options
    )
    assert done.returncode == 0, done.stderr
    # libyaml's loader: the definitions are long
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]
