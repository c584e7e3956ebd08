"""A whole Kubernetes node in a network namespace of its own.

Nothing touches the host's addresses or firewall; deleting the namespace takes all of it away.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dev.cluster import manifests, processes
from dev.cluster.archives import write_program_image
from dev.cluster.binaries import path_of
from dev.cluster.certificates import NodeAuthority, write_kubeconfig
from dev.cluster.output import SetupError, run, say, step, wait_until
from dev.cluster.places import NAME, STATE

NAMESPACE = f"entrasync-{NAME}"
NETNS = Path("/run/netns") / NAMESPACE
NODE_IP = "10.88.0.1"
SERVICE_IP = "10.96.0.1"
API_PORT = 6443
PKI = STATE / "pki"
CONTAINERD_SOCKET = STATE / "containerd" / "containerd.sock"
KUBECONFIG = STATE / "kubeconfig"
VOLUME_COUNT = 32
FIXED_FOLDERS = (
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log/containers",
    "/run/containerd/runc",
    "/run/containerd/s",
    "/run/containerd",
)
"""Folders that kubelet and containerd make at places no setting moves, inner ones first."""
_OUR_FOLDERS = STATE / "folders-made"
_PROCESSES = processes.Processes(STATE / "processes.json", STATE / "log")


class Node:
    """The local node: made, asked, fed with images, removed."""

    kubeconfig = KUBECONFIG

    def healthy(self) -> bool:
        """Whether the node is up and all its processes run."""
        names = _PROCESSES.names()
        return (
            KUBECONFIG.is_file()
            and len(names) == _PROCESS_COUNT
            and all(_PROCESSES.running(name) for name in names)
            and self._kubectl_works("get", "--raw", "/readyz")
        )

    def up(self) -> None:
        """Makes the node; a healthy one is kept, a broken one made anew.

        Raises:
            SetupError: a part did not start; with the last lines of its log.
        """
        if os.geteuid() != 0:
            raise SetupError(
                "A local node needs root (sudo make ...), or a Docker engine that answers"
                " `docker info`, where kind is used instead."
            )
        if self.healthy():
            say(f"The node {NAMESPACE} is up already")
            self._renew_volumes()
            return
        self.down(quiet=True)
        with step(f"Starting a Kubernetes node in the network namespace {NAMESPACE}", "30 s"):
            self._make_network()
            self._make_credentials()
            self._start_control_plane()
            self._start_node()
            self._install_addons()

    def down(self, *, quiet: bool = False) -> None:
        """Removes the node and all it left; fails when something stays.

        Raises:
            SetupError: something could not be removed; the message names it.
        """
        if not STATE.exists() and not NETNS.exists():
            if not quiet:
                say(f"No node {NAMESPACE} is here")
            return
        say(f"Removing the node {NAMESPACE} (usually 10 s)")
        self._end_pods()
        _PROCESSES.stop_all()
        for pid, started in processes.inside(NETNS):
            processes.end(pid, started)
        _end_shims()
        _unmount_below(STATE)
        if NETNS.exists():
            run(["ip", "netns", "delete", NAMESPACE])
        _remove_cgroups()
        _remove_fixed_folders()
        shutil.rmtree(STATE, ignore_errors=True)
        with contextlib.suppress(OSError):
            STATE.parent.rmdir()
        left = leftovers()
        if left:
            raise SetupError("The node left something behind: " + "; ".join(left))
        say("  nothing is left: no process, mount, namespace or address")

    def rejoin(self) -> None:
        """Brings the node back after its object was deleted.

        A kubelet tells the API server of its node when it starts, and never again.
        """
        with step("Letting the node join again", "10 s"):
            _PROCESSES.stop("kubelet")
            self._start_kubelet()
            self._wait_for_node()

    def load(self, archive: Path) -> None:
        """Imports an image archive (OCI or docker) into the node."""
        run(
            ["ctr", "-a", CONTAINERD_SOCKET, "-n", "k8s.io", "images", "import", archive],
            hint="Is the node up? `python -m dev.cluster up`",
        )

    def _make_network(self) -> None:
        run(["ip", "netns", "add", NAMESPACE], hint="Network namespaces need root.")
        for command in (
            ["ip", "link", "set", "lo", "up"],
            ["ip", "link", "add", "cni0", "type", "bridge"],
            ["ip", "addr", "add", f"{NODE_IP}/16", "dev", "cni0"],
            ["ip", "link", "set", "cni0", "up"],
            ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"],
            # what goes from pod to pod over the bridge meets the rules of NetworkPolicies, too
            ["sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1"],
        ):
            run(in_node(*command))

    def _make_credentials(self) -> None:
        STATE.mkdir(parents=True, exist_ok=True)
        # what is there already belongs to somebody else, and stays
        ours = [folder for folder in FIXED_FOLDERS if not Path(folder).exists()]
        _OUR_FOLDERS.write_text("\n".join(ours))
        authority = NodeAuthority(
            PKI,
            ["127.0.0.1", NODE_IP, SERVICE_IP],
            ["localhost", "kubernetes.default.svc"],
            dt.datetime.now(dt.UTC),
        )
        authority.write_signing_keys()
        authority.issue("apiserver", "kube-apiserver")
        for user, name, group in (
            ("admin", "admin", "system:masters"),
            ("kubelet", "system:node:local", "system:nodes"),
            ("controller-manager", "system:kube-controller-manager", None),
            ("scheduler", "system:kube-scheduler", None),
            ("proxy", "system:kube-proxy", None),
        ):
            authority.issue(user, name, group)
            server = f"https://{NODE_IP}:{API_PORT}"
            write_kubeconfig(STATE / f"{user}.kubeconfig", server, PKI, user)

    def _start_control_plane(self) -> None:
        _PROCESSES.start("etcd", in_node(path_of("etcd"), *manifests.etcd_flags(STATE)))
        flags = manifests.apiserver_flags(PKI, NODE_IP, API_PORT)
        _PROCESSES.start("kube-apiserver", in_node(path_of("kube-apiserver"), *flags))
        port = _free_port()
        target = f"{NODE_IP}:{API_PORT}"
        command = [sys.executable, "-m", "dev.cluster.forwarder", port, NETNS, target]
        _PROCESSES.start("forwarder", [str(word) for word in command])
        write_kubeconfig(KUBECONFIG, f"https://127.0.0.1:{port}", PKI, "admin")
        wait_until(
            "the API server",
            lambda: self._kubectl_works("get", "--raw", "/readyz"),
            seconds=90,
            usually="5 s",
            log=_PROCESSES.log("kube-apiserver"),
        )
        _PROCESSES.start(
            "kube-controller-manager",
            in_node(path_of("kube-controller-manager"), *manifests.controller_flags(STATE, PKI)),
        )
        _PROCESSES.start(
            "kube-scheduler",
            in_node(
                path_of("kube-scheduler"),
                f"--kubeconfig={STATE}/scheduler.kubeconfig",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",
            ),
        )

    def _start_node(self) -> None:
        manifests.write_node_files(STATE, PKI)
        _PROCESSES.start(
            "containerd", in_node("containerd", "-c", STATE / "containerd" / "config.toml")
        )
        wait_until(
            "containerd",
            lambda: _succeeds(["ctr", "-a", str(CONTAINERD_SOCKET), "version"]),
            seconds=60,
            usually="2 s",
            log=_PROCESSES.log("containerd"),
        )
        for name, tag in (("pause", manifests.PAUSE_IMAGE), ("coredns", manifests.DNS_IMAGE)):
            archive = STATE / f"{name}.tar"
            write_program_image(path_of(name), tag, archive)
            self.load(archive)
            archive.unlink()
        self._start_kubelet()
        _PROCESSES.start(
            "kube-proxy", in_node(path_of("kube-proxy"), f"--config={STATE}/proxy.yaml")
        )
        self._wait_for_node()
        _PROCESSES.start(
            "kube-router", in_node(path_of("kube-router"), *manifests.policy_flags(STATE))
        )

    def _start_kubelet(self) -> None:
        _PROCESSES.start(
            "kubelet",
            in_node(
                path_of("kubelet"),
                f"--config={STATE}/kubelet.yaml",
                f"--kubeconfig={STATE}/kubelet.kubeconfig",
                "--hostname-override=local",
                f"--root-dir={STATE}/kubelet",
                f"--node-ip={NODE_IP}",
            ),
        )

    def _wait_for_node(self) -> None:
        wait_until(
            "the node to be Ready",
            lambda: " Ready" in self._kubectl("get", "node", "local", "--no-headers"),
            seconds=120,
            usually="6 s",
            log=_PROCESSES.log("kubelet"),
        )

    def _install_addons(self) -> None:
        self._apply(manifests.dns_objects())
        self._apply(manifests.storage_class())
        self._renew_volumes()
        wait_until(
            "the cluster's DNS",
            lambda: (
                self._kubectl(
                    "get",
                    "deployment/coredns",
                    "-n",
                    "kube-system",
                    "-o",
                    "jsonpath={.status.availableReplicas}",
                )
                == "1"
            ),
            seconds=90,
            usually="4 s",
            log=_PROCESSES.log("kubelet"),
        )

    def _renew_volumes(self) -> None:
        """Wipes released volumes and offers them again."""
        phases = self._kubectl(
            "get", "pv", "-o", "jsonpath={range .items[*]}{.metadata.name}={.status.phase} {end}"
        ).split()
        for entry in phases:
            name, _, phase = entry.partition("=")
            if phase in {"Released", "Failed"}:
                self._kubectl("delete", "pv", name, "--wait=true")
        for index in range(VOLUME_COUNT):
            folder = STATE / "volumes" / f"local-{index}"
            if f"local-{index}=Released" in phases or f"local-{index}=Failed" in phases:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
        self._apply([manifests.volume(i, STATE) for i in range(VOLUME_COUNT)])

    def _end_pods(self) -> None:
        """Ends pods through the API while it works; the rest is ended by force."""
        if not self._kubectl_works("get", "--raw", "/readyz"):
            return
        # what makes pods goes first, else they come back
        for kinds in ("jobs,deployments,directorysyncs", "pods"):
            with contextlib.suppress(subprocess.SubprocessError):
                self._kubectl(
                    "delete",
                    kinds,
                    "--all",
                    "--all-namespaces",
                    "--grace-period=1",
                    "--timeout=20s",
                    "--ignore-not-found",
                )

    def _apply(self, objects: list[dict[str, object]]) -> None:
        text = manifests.as_list(objects)
        done = subprocess.run(
            [str(path_of("kubectl")), "--kubeconfig", str(KUBECONFIG), "apply", "-f", "-"],
            input=text,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise SetupError(f"kubectl apply: {done.stderr}")

    def _kubectl(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(path_of("kubectl")), "--kubeconfig", str(KUBECONFIG), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout

    def _kubectl_works(self, *arguments: str) -> bool:
        command = [str(path_of("kubectl")), "--kubeconfig", str(KUBECONFIG)]
        return KUBECONFIG.is_file() and _succeeds([*command, "--request-timeout=5s", *arguments])


_PROCESS_COUNT = 9


def in_node(*command: str | Path) -> list[str]:
    """The command, to be run in the node's network namespace.

    By nsenter: `ip netns exec` makes a mount namespace too, which hides mounts from pods.
    """
    return ["nsenter", f"--net={NETNS}", *(str(word) for word in command)]


def leftovers() -> list[str]:
    """What a removed node should not have left: processes, mounts, namespaces, folders."""
    found = [f"mount {path}" for path in _mounts_below(STATE)]
    found += [f"process {pid}" for pid, _ in _shims()]
    if NETNS.exists():
        found.append(f"network namespace {NAMESPACE}")
    if STATE.exists():
        found.append(f"folder {STATE}")
    return found


def _shims() -> Iterator[tuple[int, int]]:
    """Shims of our containerd: their ids and start times."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().split(b"\0")
            started = processes.start_time(int(entry.name))
            if started is None or b"containerd-shim" not in command[0]:
                continue
            if str(CONTAINERD_SOCKET).encode() in command:
                yield int(entry.name), started


def _end_shims() -> None:
    for pid, started in list(_shims()):
        for child in _descendants(pid):
            processes.end(*child)
        processes.end(pid, started)


def _descendants(parent: int) -> list[tuple[int, int]]:
    children: list[tuple[int, int]] = []
    for thread in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for word in thread.read_text().split():
                started = processes.start_time(int(word))
                if started is not None:
                    children += [*_descendants(int(word)), (int(word), started)]
    return children


def _mounts_below(folder: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1].replace("\\040", " ") for line in lines]
    return [point for point in points if point.startswith(f"{folder}/")]


def _unmount_below(folder: Path) -> None:
    for point in reversed(_mounts_below(folder)):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def _remove_cgroups() -> None:
    """Removes the empty control groups the kubelet and containerd made."""
    root = Path("/sys/fs/cgroup")
    for top in {*root.glob("kubepods"), *root.glob("*/kubepods")}:
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _remove_fixed_folders() -> None:
    """Removes those of the fixed folders that were not there before the node."""
    if _OUR_FOLDERS.is_file():
        for folder in _OUR_FOLDERS.read_text().split():
            shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        time.sleep(0)
        return False
    return done.returncode == 0
