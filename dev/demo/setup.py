"""The demo's surroundings: the operator, a real Active Directory, and an emulated Azure cloud."""

from __future__ import annotations

import datetime as dt
import os
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from dev import cluster, images
from dev.cluster.output import SetupError
from dev.demo.kubectl import Kubectl, KubectlError
from dev.demo.waiting import say, wait_for
from entrasync.emulator.certificates import Authority, KeyPair

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "entrasync"
OPERATOR_NAMESPACE = "entrasync-system"
DIRECTORY_NAMESPACE = "contoso-ad"
CLOUD_NAMESPACE = "azure-emulator"
SYNC_NAMESPACE = "identity"
CLOUD_NAME = "contoso-emulator"
CLOUD_HOST = f"azure.{CLOUD_NAMESPACE}.svc"
TENANT_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
DEMO_TENANT: dict[str, Any] = {
    "tenantId": TENANT_ID,
    "displayName": "Contoso",
    "initialDomain": "contoso.onmicrosoft.com",
    "verifiedDomains": ["contoso.test"],
    "applications": [
        {
            "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
            # of use in the emulated cloud only, as in examples/contoso/secrets.yaml
            "clientSecret": "demo-client-secret-of-the-emulated-tenant",
        }
    ],
}


def bring_up() -> Kubectl:
    """A cluster with the operator installed from the images of this checkout."""
    cluster.install_packages()
    kubectl = start_cluster()
    clean_stage(kubectl)
    install_operator(kubectl)
    return kubectl


def start_cluster() -> Kubectl:
    """A cluster with the images of this checkout.

    It starts from a process of its own: its daemons are to outlive their parent.
    """
    done = subprocess.run([sys.executable, "-m", "dev.cluster", "up"], check=False, cwd=ROOT)
    if done.returncode != 0:
        raise SetupError("The cluster did not come up; the lines above say why.")
    for image in images.ALL.values():
        images.load(image)
    return Kubectl(program=cluster.binary("kubectl"), kubeconfig=cluster.kubeconfig_path())


def clean_stage(kubectl: Kubectl) -> None:
    """Removes what an earlier demo left in a kept cluster."""
    namespaces = [SYNC_NAMESPACE, OPERATOR_NAMESPACE, DIRECTORY_NAMESPACE, CLOUD_NAMESPACE]
    found = kubectl.run("get", "namespaces", "-o", "name").split()
    left = [name for name in namespaces if f"namespace/{name}" in found]
    if left:
        say(f"Removing what an earlier run left: {', '.join(left)} (usually 15 s)")
        kubectl.run("delete", "namespaces", *left, "--wait=true", "--timeout=100s")


def install_operator(kubectl: Kubectl, *values: str, chart: Path = CHART) -> None:
    """Installs or upgrades the chart with the locally built image, and waits until it is Ready.

    Args:
        kubectl: for the cluster.
        values: of the chart that differ from its defaults, as `name=value`.
        chart: folder or archive; this checkout's by default.
    """
    say("Installing the operator with Helm (usually 15 s)")
    command = [
        str(cluster.binary("helm")),
        "upgrade",
        "--install",
        "entrasync",
        str(chart),
        "--namespace",
        OPERATOR_NAMESPACE,
        "--create-namespace",
        "--set=image.repository=localhost/entrasync,image.tag=dev,image.pullPolicy=Never",
        *(f"--set={value}" for value in values),
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
    """Starts the directory and the cloud of the demo and tells the operator how to trust them."""
    authority = Authority("entrasync demo CA", dt.datetime.now(dt.UTC))
    kubectl.run("apply", "-f", str(ROOT / "examples" / "contoso" / "00-namespace.yaml"))
    kubectl.apply(trust(authority, SYNC_NAMESPACE), cloud_resource(authority))
    say("Starting the Active Directory of contoso.test (Samba AD DC) and the emulated Azure cloud")
    start_cloud(kubectl, authority, [DEMO_TENANT])
    start_directory(kubectl, authority, "dc1", "company")
    wait_ready(kubectl, CLOUD_NAMESPACE, "azure")
    wait_ready(kubectl, DIRECTORY_NAMESPACE, "dc1")


def start_cloud(
    kubectl: Kubectl,
    authority: Authority,
    tenants: list[dict[str, Any]],
    *,
    outlives_pod: bool = False,
) -> None:
    """Starts the emulated Azure cloud.

    Args:
        kubectl: for the cluster.
        authority: issues its certificate.
        tenants: as its configuration file writes them.
        outlives_pod: whether what they hold is kept when its pod goes.
    """
    names = [CLOUD_HOST, f"{CLOUD_HOST}.cluster.local", "localhost", "127.0.0.1"]
    config = {
        "name": CLOUD_NAME,
        "publicUrl": f"https://{CLOUD_HOST}",
        "tls": {
            "certFile": "/etc/emulator-tls/tls.crt",
            "keyFile": "/etc/emulator-tls/tls.key",
            "caFile": "/etc/emulator-tls/ca.crt",
        },
        "tenants": tenants,
    }
    kubectl.apply(
        namespace(CLOUD_NAMESPACE),
        _tls_secret("azure-tls", CLOUD_NAMESPACE, authority, authority.issue(names)),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "azure-config", "namespace": CLOUD_NAMESPACE},
            "data": {"config.yaml": yaml.safe_dump(config, sort_keys=False)},
        },
        *_data("azure", CLOUD_NAMESPACE, outlives_pod=outlives_pod),
        *_documents("azure.yaml", DATA=_volume("azure", outlives_pod=outlives_pod)),
    )


def start_directory(
    kubectl: Kubectl, authority: Authority, name: str, size: str, *, outlives_pod: bool = False
) -> str:
    """Starts a domain controller of contoso.test; gives its host name.

    Args:
        kubectl: for the cluster.
        authority: issues its certificate.
        name: of its Deployment and Service.
        size: what it is filled with, of `dev.ad.company`.
        outlives_pod: whether what changed in it is kept when its pod goes.
    """
    host = f"{name}.{DIRECTORY_NAMESPACE}.svc"
    names = [host, f"{host}.cluster.local", "dc1.contoso.test"]
    kubectl.apply(
        namespace(DIRECTORY_NAMESPACE),
        _tls_secret(f"{name}-tls", DIRECTORY_NAMESPACE, authority, authority.issue(names)),
        *_data(name, DIRECTORY_NAMESPACE, outlives_pod=outlives_pod),
        *_documents(
            "active-directory.yaml",
            NAME=name,
            SIZE=size,
            DATA=_volume(name, outlives_pod=outlives_pod),
        ),
    )
    return host


def trust(authority: Authority, where: str) -> dict[str, Any]:
    """The ConfigMap by which the ActiveDirectories of a namespace trust their servers."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "contoso-ca", "namespace": where},
        "data": {"ca.crt": authority.certificate},
    }


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


def namespace(name: str) -> dict[str, Any]:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _volume(name: str, *, outlives_pod: bool) -> str:
    """The volume of a pod's data, as YAML."""
    claim = f"persistentVolumeClaim: {{claimName: {name}-data}}"
    return claim if outlives_pod else "emptyDir: {}"


def _data(name: str, namespace: str, *, outlives_pod: bool) -> list[dict[str, Any]]:
    """The claim for data that outlive a pod."""
    spec = {
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"{name}-data", "namespace": namespace},
        "spec": spec,
    }
    return [claim] if outlives_pod else []


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


def cloud_resource(authority: Authority, name: str = CLOUD_NAME) -> dict[str, Any]:
    """The AzureCloud that leads to the emulated one."""
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "AzureCloud",
        "metadata": {"name": name},
        "spec": {
            "environment": "Custom",
            "loginAuthority": f"https://{CLOUD_HOST}",
            "microsoftGraph": f"https://{CLOUD_HOST}",
            "syncService": {
                "url": f"https://{CLOUD_HOST}",
                "endpoints": [
                    {"version": "V2", "maxGroupMembers": 250_000},
                    {"version": "V1", "maxGroupMembers": 50_000},
                ],
            },
            "caBundle": authority.certificate,
        },
    }


def _documents(file: str, **values: str) -> list[dict[str, Any]]:
    """The manifests of a file beside this one, `${NAME}` and the like filled in."""
    text = string.Template((ROOT / "dev" / "demo" / file).read_text()).substitute(values)
    return [document for document in yaml.safe_load_all(text) if document]
