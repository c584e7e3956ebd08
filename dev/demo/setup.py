"""The demo's surroundings: the operator, a real Active Directory, and an emulated Azure cloud."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from dev.demo.certificates import Authority, KeyPair
from dev.demo.kubectl import Kubectl, KubectlError
from dev.demo.waiting import say, wait_for

ROOT = Path(__file__).parents[2]
OPERATOR_NAMESPACE = "entrasync-system"
DIRECTORY_NAMESPACE = "contoso-ad"
CLOUD_NAMESPACE = "azure-emulator"
SYNC_NAMESPACE = "identity"
CLOUD_NAME = "contoso-emulator"
CLOUD_HOST = f"azure.{CLOUD_NAMESPACE}.svc"
DIRECTORY_HOST = f"dc1.{DIRECTORY_NAMESPACE}.svc"
TENANT_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def clean_stage(kubectl: Kubectl) -> None:
    """Removes what an earlier demo left in a kept cluster."""
    namespaces = [SYNC_NAMESPACE, OPERATOR_NAMESPACE, DIRECTORY_NAMESPACE, CLOUD_NAMESPACE]
    found = kubectl.run("get", "namespaces", "-o", "name").split()
    left = [name for name in namespaces if f"namespace/{name}" in found]
    if left:
        say(f"Removing what an earlier run left: {', '.join(left)} (usually 15 s)")
        kubectl.run("delete", "namespaces", *left, "--wait=true", "--timeout=100s")


def install_operator(kubectl: Kubectl, helm: Path) -> None:
    """Installs or upgrades the chart with the locally built image."""
    say("Installing the operator with Helm (usually 15 s)")
    command = [
        str(helm),
        "upgrade",
        "--install",
        "entrasync",
        str(ROOT / "helm" / "entrasync"),
        "--namespace",
        OPERATOR_NAMESPACE,
        "--create-namespace",
        "--set=image.repository=localhost/entrasync,image.tag=dev,image.pullPolicy=Never",
        "--wait",
        "--timeout=3m",
    ]
    done = subprocess.run(
        command,
        env=os.environ | {"KUBECONFIG": str(kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise KubectlError(
            f"helm: {done.stderr.strip()}\n"
            + _try(kubectl, "describe", "pods", "-n", OPERATOR_NAMESPACE)
            + _try(kubectl, "logs", "deploy/entrasync", "-n", OPERATOR_NAMESPACE, "--tail=40")
        )


def prepare(kubectl: Kubectl) -> None:
    """Starts the directory and the cloud and tells the operator how to trust them."""
    authority = Authority("entrasync demo CA", dt.datetime.now(dt.UTC))
    for name in (DIRECTORY_NAMESPACE, CLOUD_NAMESPACE):
        kubectl.apply(_namespace(name))
    kubectl.run("apply", "-f", str(ROOT / "examples" / "contoso" / "00-namespace.yaml"))
    dc_names = [DIRECTORY_HOST, f"{DIRECTORY_HOST}.cluster.local", "dc1.contoso.test"]
    cloud_names = [CLOUD_HOST, f"{CLOUD_HOST}.cluster.local", "localhost", "127.0.0.1"]
    kubectl.apply(
        _tls_secret("dc1-tls", DIRECTORY_NAMESPACE, authority, authority.issue(dc_names)),
        _tls_secret("azure-tls", CLOUD_NAMESPACE, authority, authority.issue(cloud_names)),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "contoso-ca", "namespace": SYNC_NAMESPACE},
            "data": {"ca.crt": authority.certificate},
        },
        _cloud(authority.certificate),
    )
    say("Starting the Active Directory of contoso.test (Samba AD DC) and the emulated Azure cloud")
    for file in ("active-directory.yaml", "azure.yaml"):
        kubectl.apply(*_documents(ROOT / "dev" / "demo" / file))
    for namespace, name in ((CLOUD_NAMESPACE, "azure"), (DIRECTORY_NAMESPACE, "dc1")):
        wait_ready(kubectl, namespace, name)


def wait_ready(kubectl: Kubectl, namespace: str, name: str) -> None:
    """Waits until a Deployment's pod is Ready."""

    def ready() -> bool:
        status = kubectl.get("deployment", name, "-n", namespace).get("status", {})
        return int(status.get("availableReplicas", 0)) > 0

    wait_for(
        f"{namespace}/{name}",
        ready,
        usually="5 to 20 s",
        seconds=180,
        hint=f"Look at `kubectl -n {namespace} describe pods` and `kubectl -n {namespace} logs"
        f" deploy/{name}`.",
    )


def _try(kubectl: Kubectl, *arguments: str) -> str:
    try:
        return kubectl.run(*arguments)
    except KubectlError as error:
        return str(error)


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _tls_secret(name: str, namespace: str, authority: Authority, pair: KeyPair) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": "kubernetes.io/tls",
        "stringData": {
            "tls.crt": pair.certificate,
            "tls.key": pair.key,
            "ca.crt": authority.certificate,
        },
    }


def _cloud(ca_bundle: str) -> dict[str, Any]:
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "AzureCloud",
        "metadata": {"name": CLOUD_NAME},
        "spec": {
            "environment": "Custom",
            "loginAuthority": f"https://{CLOUD_HOST}",
            "syncService": {
                "url": f"https://{CLOUD_HOST}",
                "endpoints": [
                    {"version": "V2", "maxGroupMembers": 250_000},
                    {"version": "V1", "maxGroupMembers": 50_000},
                ],
            },
            "caBundle": ca_bundle,
        },
    }


def _documents(file: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(file.read_text()) if document]
