"""Flags, configuration files and objects of the local node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

PAUSE_IMAGE = "localhost/pause:1"
DNS_IMAGE = "localhost/coredns:1"
DNS_IP = "10.96.0.10"
STORAGE_CLASS = "entrasync-local"


def etcd_flags(
    state: Path,
    client: str = "http://127.0.0.1:2379",
    peer: str = "http://127.0.0.1:2380",
) -> list[str]:
    """Flags of etcd: one member, loopback only, no fsync (the cluster is thrown away)."""
    return [
        f"--data-dir={state}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
    ]


def apiserver_flags(
    pki: Path, address: str, port: int, etcd: str = "http://127.0.0.1:2379"
) -> list[str]:
    """Flags of the API server."""
    return [
        f"--etcd-servers={etcd}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={port}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
    ]


def controller_flags(state: Path, pki: Path) -> list[str]:
    """Flags of the controller manager."""
    return [
        f"--kubeconfig={state}/controller-manager.kubeconfig",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--root-ca-file={pki}/ca.crt",
        "--use-service-account-credentials",
        "--cluster-cidr=10.88.0.0/16",
        "--allocate-node-cidrs=true",
        "--bind-address=127.0.0.1",
        "--leader-elect=false",
    ]


def policy_flags(state: Path) -> list[str]:
    """Flags of kube-router, which enforces NetworkPolicies here and does nothing else."""
    return [
        f"--kubeconfig={state}/admin.kubeconfig",
        "--hostname-override=local",
        "--run-firewall=true",
        "--run-router=false",
        "--run-service-proxy=false",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--health-port=0",
        "--metrics-port=0",
    ]


def write_node_files(state: Path, pki: Path) -> None:
    """Writes the configuration of containerd, the pod network, kubelet and kube-proxy."""
    for folder in ("containerd", "cni", "kubelet"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "containerd" / "config.toml").write_text(_containerd(state))
    (state / "cni" / "10-bridge.conflist").write_text(json.dumps(_pod_network(state)))
    (state / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(state, pki)))
    (state / "proxy.yaml").write_text(yaml.safe_dump(_proxy(state)))


def _containerd(state: Path) -> str:
    return f"""version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
[grpc]
  address = "{state}/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"""


def _pod_network(state: Path) -> dict[str, Any]:
    return {
        "cniVersion": "0.4.0",
        "name": "bridge",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "hairpinMode": True,
                "isGateway": True,
                "ipMasq": True,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": "10.88.0.0/16"}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    # beside the node's other state, so that no old lease is met after a removal
                    "dataDir": f"{state}/cni-leases",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(state: Path, pki: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{state}/containerd/containerd.sock",
        "clusterDomain": "cluster.local",
        "clusterDNS": [DNS_IP],
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {},
        "podLogsDir": f"{state}/pod-logs",
        "volumePluginDir": f"{state}/volume-plugins",
        # pods start and end all the time here: look more often than the default
        "syncFrequency": "10s",
        "maxPods": 60,
    }


def _proxy(state: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": "10.88.0.0/16",
        "clientConnection": {"kubeconfig": f"{state}/proxy.kubeconfig"},
        "hostnameOverride": "local",
        "conntrack": {"maxPerCore": 0, "min": 0},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
    }


def dns_objects() -> list[dict[str, Any]]:
    """CoreDNS on a fixed address, with the right to see what it answers for."""
    labels = {"k8s-app": "coredns"}
    meta = {"name": "coredns", "namespace": "kube-system"}
    corefile = (
        ".:53 {\n errors\n health :8081\n ready :8181\n cache 5\n"
        " kubernetes cluster.local in-addr.arpa ip6.arpa {\n  pods insecure\n }\n}\n"
    )
    container = {
        "name": "coredns",
        "image": DNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    rule = {
        "apiGroups": ["", "discovery.k8s.io"],
        "resources": ["services", "endpointslices", "pods", "namespaces"],
        "verbs": ["list", "watch"],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"Corefile": corefile}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "coredns"},
            "rules": [rule],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "coredns"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "coredns",
            },
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta,
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": "coredns",
                        "dnsPolicy": "Default",
                        "containers": [container],
                        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system"},
            "spec": {
                "clusterIP": DNS_IP,
                "selector": labels,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        },
    ]


def storage_class() -> list[dict[str, Any]]:
    """The default class: volumes made beforehand, bound when a pod needs them."""
    return [
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    ]


def volume(index: int, state: Path) -> dict[str, Any]:
    """One local volume; the kubelet applies a pod's `fsGroup` to this sort, not to hostPath."""
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["local"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"local-{index}"},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOncePod"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": f"{state}/volumes/local-{index}"},
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
            },
        },
    }


def as_list(objects: list[dict[str, Any]]) -> str:
    """Objects as one List, in JSON."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
