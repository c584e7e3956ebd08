"""The chart installed, the rights it gives to the operator, and what was asked for with them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.support.chart import CHART
from tests.support.tools import program

OPERATOR_ROLES = {
    "entrasync-operator",
    "entrasync-cloud-events",
    "entrasync-leadership",
    "entrasync-tenants",
}

Manifest = dict[str, Any]


def install(kubeconfig: Path, namespace: str, *options: str, release: str = "entrasync") -> str:
    """Installs or upgrades the chart, without its definitions; gives the notes.

    Nothing is waited for: a control plane without a node runs no Deployment.
    """
    done = subprocess.run(
        [
            str(program("helm")),
            "upgrade",
            "--install",
            release,
            str(CHART),
            f"--namespace={namespace}",
            "--set=crds.install=false",
            *options,
        ],
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(slots=True, frozen=True, order=True)
class Right:
    """One thing that may be done.

    Attributes:
        group: API group; empty for the core one.
        resource: plural, with its subresource.
        verb: of the API server.
    """

    group: str
    resource: str
    verb: str

    @override
    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


def rights_of(roles: Iterable[Manifest]) -> set[Right]:
    """What the operator's roles allow."""
    return {
        Right(group, resource, verb)
        for role in roles
        if role["metadata"]["name"] in OPERATOR_ROLES
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def requests_of(user: str, audited: Iterable[Manifest]) -> Iterator[tuple[Right, Manifest]]:
    """What a user asked for, with what the audit log says of it."""
    for event in audited:
        about = event.get("objectRef")
        if event["user"]["username"] != user or about is None:
            continue
        resource = about.get("resource", "")
        if about.get("subresource"):
            resource += f"/{about['subresource']}"
        yield Right(about.get("apiGroup", ""), resource, event["verb"]), event
