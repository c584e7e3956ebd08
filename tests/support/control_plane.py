"""A Kubernetes control plane without a node: etcd, the API server, the controllers, on loopback.

The parts are real; only pods never run by themselves. Each part can be stopped, killed, held and
started again. Every process is known by its id and ends with the one that started it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml
from kubernetes import client, config

from dev.cluster import manifests
from dev.cluster.certificates import NodeAuthority, write_kubeconfig
from entrasync.api.crds import RESOURCES, build_crd
from entrasync.api.policy import render_policy
from entrasync.controller.gateway import Gateway
from tests.support.kube import Kube, Manifest, RefusedError
from tests.support.servers import start_server
from tests.support.tools import program

PATIENCE = 60.0
CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "resourcequota-controller",
    "job-controller",
    "ttl-after-finished-controller",
    "persistentvolumeclaim-protection-controller",
)
"""Those that tests of the operator rest on; all that concern nodes and networks are left out."""
ACCOUNT = "system:serviceaccount:entrasync:operator"
"""User name of the operator's ServiceAccount."""


_TENANT = {
    "apiVersion": "entrasync.dev/v1alpha1",
    "kind": "EntraTenant",
    "metadata": {"name": "probe"},
    "spec": {
        "cloudRef": {"name": "probe"},
        "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "application": {
            "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "certificateSecretRef": {"name": "probe"},
        },
    },
}
"""Never made, only tried."""


class Part:
    """One program of the control plane.

    Args:
        name: of the program.
        flags: its arguments.
        log: file for its output.
        ready: whether it serves.
    """

    def __init__(
        self, name: str, flags: Sequence[str], log: Path, ready: Callable[[], bool]
    ) -> None:
        self.log = log
        self._command = [*_dying_with_us(), str(program(name)), *flags]
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.log.stem} does not run"
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        """Starts it, and waits until it serves unless told not to."""
        assert self._process is None, f"{self.log.stem} runs already"
        self._process = start_server(self._command, self.log)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Waits until it serves; fails with what it said when it does not."""
        deadline = time.monotonic() + PATIENCE
        while not self._ready():
            process = self._process
            said = self.log.read_text(errors="replace")[-3000:]
            assert process is not None, f"{self.log.stem} was not started"
            assert process.poll() is None, f"{self.log.stem} ended: {said}"
            assert time.monotonic() < deadline, f"{self.log.stem} does not serve: {said}"
            time.sleep(0.1)

    def stop(self) -> None:
        """Asks it to end and waits for that; fine when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self, *, kill: bool = False) -> None:
        """Ends it and starts it again."""
        self._end(signal.SIGKILL if kill else signal.SIGTERM)
        self.start()

    def pause(self) -> None:
        """Holds it: connections stay open and nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, request: signal.Signals) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signal.SIGCONT)
        process.send_signal(request)
        try:
            # the API server waits a minute for its clients to go; nobody here does
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=PATIENCE)


class ControlPlane:
    """A whole control plane; a context manager.

    Args:
        folder: for its files; made when missing.
        controllers: what the controller manager runs; none, and it is not started.
        audit: whether the API server writes an audit log.
        audited_users: whose calls it tells; everybody's when empty.
        apiserver_flags: more flags of the API server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        controllers: Sequence[str] = CONTROLLERS,
        audit: bool = False,
        audited_users: Sequence[str] = (),
        apiserver_flags: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._pki = folder / "pki"
        api_port, etcd_port, peer_port = _free_ports(3)
        self.server = f"https://127.0.0.1:{api_port}"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.audit_log = folder / "audit.log"
        self._etcd_address = f"http://127.0.0.1:{etcd_port}"
        self._make_credentials()
        self.kube = Kube(self.server, self._pki / "ca.crt", self._pair("admin"))
        self._clients = [self.kube]
        self.etcd = Part(
            "etcd",
            manifests.etcd_flags(folder, self._etcd_address, f"http://127.0.0.1:{peer_port}"),
            folder / "etcd.log",
            self._etcd_serves,
        )
        flags = manifests.apiserver_flags(self._pki, "127.0.0.1", api_port, self._etcd_address)
        # nobody reaches a loopback address by the Service `kubernetes`
        flags += ["--endpoint-reconciler-type=none", *apiserver_flags]
        if "serviceaccount-controller" not in controllers:
            flags.append("--disable-admission-plugins=ServiceAccount")
        if audit:
            policy = folder / "audit.yaml"
            policy.write_text(yaml.safe_dump(_audit_policy(audited_users)))
            flags += [f"--audit-policy-file={policy}", f"--audit-log-path={self.audit_log}"]
        self.apiserver = Part(
            "kube-apiserver", flags, folder / "kube-apiserver.log", self._api_serves
        )
        self._installed = False
        self.controller_manager = None
        if controllers:
            self.controller_manager = Part(
                "kube-controller-manager",
                [
                    *manifests.controller_flags(folder, self._pki),
                    f"--controllers={','.join(controllers)}",
                    # its own port is of no use, and taken by a second one on this host
                    "--secure-port=0",
                    "--kube-api-qps=500",
                    "--kube-api-burst=1000",
                    "--concurrent-job-syncs=10",
                ],
                folder / "kube-controller-manager.log",
                self._controllers_work,
            )

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts everything, with our kinds and the admission policy in place."""
        self.etcd.start()
        self.apiserver.start()
        self.install()
        if self.controller_manager is not None:
            self.controller_manager.start()

    def stop(self) -> None:
        """Ends everything."""
        for part in (self.controller_manager, self.apiserver, self.etcd):
            if part is not None:
                part.kill()
        for each in self._clients:
            each.close()

    def install(self) -> None:
        """Applies the CustomResourceDefinitions, waits until they serve, then the policy."""
        definitions = [build_crd(resource) for resource in RESOURCES]
        self.kube.apply(*definitions)
        for each in definitions:
            name = each["metadata"]["name"]
            eventually(lambda name=name: self._serves(name), f"{name} is not served")  # type: ignore[misc]  # bound at once
        self.kube.apply(*render_policy())
        self.kube.apply(namespaced("entrasync"))
        self._installed = True
        self.apiserver.wait_ready()

    def namespace(self, name: str) -> str:
        """Makes a namespace, ready for pods."""
        self.kube.apply(namespaced(name))
        if self.controller_manager is not None:
            eventually(
                lambda: self.kube.get("ServiceAccount", "default", name) is not None,
                f"{name} has no ServiceAccount",
            )
        return name

    def gateway(self) -> Gateway:
        """The operator's own door, as administrator."""
        settings = client.Configuration()
        config.load_kube_config(  # type: ignore[no-untyped-call]  # untyped in the library
            str(self.kubeconfig), client_configuration=settings
        )
        return Gateway(client.ApiClient(settings))

    def kubeconfig_of(self, user: str, group: str | None = None, server: str = "") -> Path:
        """KUBECONFIG of a user with a certificate; at another address, such as a forwarder's."""
        file = f"{user}-{group}" if group else user
        if not (self._pki / f"{file}.crt").is_file():
            self._authority.issue(file, user, group)
        # KUBECONFIG is a list of files, with colons between them
        path = self._folder / f"{file}-{server.rpartition(':')[2]}.kubeconfig".replace(":", "-")
        write_kubeconfig(path, server or self.server, self._pki, file)
        return path

    def client_of(self, user: str, group: str | None = None) -> Kube:
        """A client of a user with a certificate."""
        self.kubeconfig_of(user, group)
        file = f"{user}-{group}" if group else user
        found = Kube(self.server, self._pki / "ca.crt", self._pair(file))
        self._clients.append(found)
        return found

    def token_of(self, account: str, namespace: str, seconds: int = 3600) -> str:
        """A token of a ServiceAccount, made when there is no such account."""
        meta = {"name": account, "namespace": namespace}
        self.kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        made = self.kube.call(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )
        return str(made["status"]["token"])

    def operator_kubeconfig(self) -> Path:
        """KUBECONFIG of the operator's ServiceAccount, which may do everything here."""
        token = self.token_of("operator", "entrasync", seconds=24 * 3600)
        self.kube.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "entrasync-operator-test"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "cluster-admin",
                },
                "subjects": [
                    {"kind": "ServiceAccount", "name": "operator", "namespace": "entrasync"}
                ],
            }
        )
        return self.kubeconfig_of_token(token, "operator")

    def kubeconfig_of_token(self, token: str, file: str) -> Path:
        """KUBECONFIG of one who has a token."""
        path = self._folder / f"{file}.kubeconfig"
        write_kubeconfig(path, self.server, self._pki, "admin")
        written = json.loads(path.read_text())
        written["users"][0]["user"] = {"token": token}
        path.write_text(json.dumps(written))
        return path

    def pair_of(self, user: str) -> tuple[Path, Path, Path]:
        """Files of the CA, and of the certificate and key of one who has them."""
        return (self._pki / "ca.crt", *self._pair(user))

    def compact(self) -> None:
        """Makes etcd forget all but the present state, so that older places expire."""
        revision = self._etcd("kv/range", {"key": "AA=="})["header"]["revision"]
        self._etcd("kv/compaction", {"revision": revision, "physical": True})

    def audited(self) -> Iterator[Manifest]:
        """What the audit log tells so far."""
        with self.audit_log.open() as lines:
            for line in lines:
                if line.endswith("\n"):
                    yield json.loads(line)

    def _make_credentials(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._authority = NodeAuthority(
            self._pki, ["127.0.0.1"], ["localhost"], dt.datetime.now(dt.UTC)
        )
        self._authority.write_signing_keys()
        self._authority.issue("apiserver", "kube-apiserver")
        self._authority.issue("admin", "admin", "system:masters")
        self._authority.issue("controller-manager", "system:kube-controller-manager")
        write_kubeconfig(self.kubeconfig, self.server, self._pki, "admin")
        path = self._folder / "controller-manager.kubeconfig"
        write_kubeconfig(path, self.server, self._pki, "controller-manager")

    def _pair(self, file: str) -> tuple[Path, Path]:
        return self._pki / f"{file}.crt", self._pki / f"{file}.key"

    def _etcd(self, path: str, body: Manifest) -> dict[str, Any]:
        answer = httpx.post(f"{self._etcd_address}/v3/{path}", json=body, trust_env=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def _etcd_serves(self) -> bool:
        try:
            answer = httpx.get(f"{self._etcd_address}/health", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _api_serves(self) -> bool:
        """Whether it is ready, and its admission has found our kinds."""
        if not self.kube.ready():
            return False
        if not self._installed:
            return True
        path = "/apis/entrasync.dev/v1alpha1/namespaces/entrasync/entratenants"
        try:
            self.kube.call("POST", path, _TENANT, dryRun="All")
        except (RefusedError, httpx.HTTPError):
            return False
        return True

    def _serves(self, definition: str) -> bool:
        found = self.kube.get("CustomResourceDefinition", definition)
        conditions = (found or {}).get("status", {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def _controllers_work(self) -> bool:
        try:
            return self.kube.get("ServiceAccount", "default", "entrasync") is not None
        except RefusedError:
            return False


def _audit_policy(users: Sequence[str]) -> Manifest:
    told: Manifest = {"level": "Metadata"} | ({"users": list(users)} if users else {})
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [{"level": "None", "nonResourceURLs": ["*"]}, told, {"level": "None"}],
    }


def namespaced(name: str) -> Manifest:
    """A namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def eventually(holds: Callable[[], object], otherwise: str, seconds: float = PATIENCE) -> None:
    """Waits until something holds; fails with a sentence when it does not."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _dying_with_us() -> list[str]:
    """Words before a command that end it when this process is killed; where they are known."""
    found = shutil.which("setpriv")
    return [] if found is None else [found, "--pdeathsig", "KILL", "--"]
