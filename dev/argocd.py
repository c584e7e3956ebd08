"""The part of Argo CD's `argocd-cm` that knows our kinds, made from the Lua files beside it.

Keys of a ConfigMap take no wildcard, so the health check that serves every kind is written once a
kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from entrasync.api.common import GROUP
from entrasync.api.crds import RESOURCES

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "gitops" / "argocd" / "resource_customizations" / GROUP
CONFIG_MAP: Final = ROOT / "gitops" / "argocd" / "argocd-cm.yaml"
HEADER: Final = (
    "# Generated from the Lua files beside it; do not edit. Merge `data` into Argo CD's own\n"
    "# ConfigMap argocd-cm, for example with a kustomize patch.\n"
)


class _Text(str):
    """A string that is written as a block."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes scripts as people write them."""


def _block(dumper: yaml.SafeDumper, text: _Text) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Text, _block)


def render_argocd() -> str:
    """The ConfigMap, as YAML."""
    data: dict[str, str] = {}
    health = (FOLDER / "_" / "health.lua").read_text()
    for resource in RESOURCES:
        kind = resource.definition.kind
        data[f"resource.customizations.health.{GROUP}_{kind}"] = _Text(health)
        actions = FOLDER / kind / "actions"
        if actions.is_dir():
            data[f"resource.customizations.actions.{GROUP}_{kind}"] = _Text(_actions(actions))
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "argocd-cm",
            "namespace": "argocd",
            "labels": {"app.kubernetes.io/part-of": "argocd"},
        },
        "data": data,
    }
    return HEADER + _dump(manifest)


def _actions(folder: Path) -> str:
    """Discovery and definitions of a kind's actions, as Argo CD reads them from one key."""
    scripts = sorted(folder.glob("*/action.lua"))
    return _dump(
        {
            "discovery.lua": _Text((folder / "discovery.lua").read_text()),
            "definitions": [
                {"name": script.parent.name, "action.lua": _Text(script.read_text())}
                for script in scripts
            ],
        }
    )


def _dump(value: dict[str, Any]) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=1000)
    return text
