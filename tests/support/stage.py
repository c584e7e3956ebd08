"""The local cluster with the operator, an emulated cloud of many tenants, and directories.

A `Stage` is made once a session. Each test gets a `Place`: a namespace of its own with a tenant of
its own and the manifests of the smallest sync, to be applied as they are or changed first.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dev.demo import setup
from dev.demo.cloud_view import CloudView
from dev.demo.kubectl import Kubectl, KubectlError
from dev.demo.waiting import wait_for
from entrasync.api.common import API_VERSION
from entrasync.api.sync_run import REQUEST_ANNOTATION
from entrasync.emulator.certificates import Authority, make_application_pair

Manifest = dict[str, Any]

CLIENT_ID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
CLIENT_SECRET = "e2e-client-secret-of-the-emulated-tenants"
READER = {"username": "svc-entrasync@contoso.test", "password": "Demo-Reader-Passw0rd"}
FREE_TENANTS = 128
"""One for each test, and some to grow."""
SEEDED_TENANT = "00000000-0000-4000-8000-00000000f600"
SEEDED_USERS = 600
IDENTITY_TENANT = "00000000-0000-4000-8000-00000000f1d0"
IDENTITY_PLACE = "workload-identity"
RUNNER_ACCOUNT = "contoso-sync"
"""The one ServiceAccount whose tokens the application of `IDENTITY_TENANT` trusts, in the namespace
of `IDENTITY_PLACE`."""
TOP = "OU=Contoso,DC=contoso,DC=test"
NAME = "contoso"
OURS = "entrasync.dev/test"
"""Label of the namespaces that tests make."""
ENDED = {"Succeeded", "Blocked", "Failed", "Cancelled"}


class Stage:
    """What all end-to-end tests play on."""

    def __init__(self) -> None:
        now = dt.datetime.now(dt.UTC)
        self.certificate = make_application_pair(CLIENT_ID, now)
        """The certificate every tenant's application has."""
        self.authority = Authority("entrasync test CA", now)
        ids = [f"00000000-0000-4000-8000-{number:012x}" for number in range(FREE_TENANTS)]
        self._free = iter(ids)
        self.kubectl = setup.bring_up()
        # what a run of tests that was ended left in a kept cluster
        self.kubectl.run("delete", "namespaces", "-l", OURS, "--timeout=100s")
        tenants = [self._tenant(each) for each in ids]
        tenants.append(self._tenant(SEEDED_TENANT, seed={"users": SEEDED_USERS}))
        tenants.append(self._tenant(IDENTITY_TENANT, applications=[self._federated_application()]))
        self.kubectl.apply(setup.cloud_resource(self.authority))
        setup.start_cloud(self.kubectl, self.authority, tenants)
        self.directory_host = setup.start_directory(self.kubectl, self.authority, "small", "small")
        setup.wait_ready(self.kubectl, setup.CLOUD_NAMESPACE, "azure")
        setup.wait_ready(self.kubectl, setup.DIRECTORY_NAMESPACE, "small")

    def new_tenant_id(self) -> str:
        """Id of an empty tenant nobody else uses."""
        found = next(self._free, None)
        assert found is not None, "there are more tests than tenants: raise FREE_TENANTS"
        return found

    @contextmanager
    def directory(self, name: str, size: str = "small") -> Iterator[str]:
        """A domain controller of the test's own; gives its host name."""
        host = setup.start_directory(self.kubectl, self.authority, name, size)
        place = ["-n", setup.DIRECTORY_NAMESPACE]
        try:
            setup.wait_ready(self.kubectl, setup.DIRECTORY_NAMESPACE, name)
            yield host
        finally:
            self.kubectl.run("delete", "deployment,service", name, *place, "--wait=false")

    def change_directory(self, name: str, *arguments: str) -> Manifest:
        """Changes a directory while it is served, see `dev.ad.change`."""
        place = ["-n", setup.DIRECTORY_NAMESPACE, f"deploy/{name}"]
        told = self.kubectl.run("exec", *place, "--", "change-directory", *arguments)
        found: Manifest = json.loads(told.strip().splitlines()[-1])
        return found

    @contextmanager
    def place(self, name: str, tenant_id: str | None = None) -> Iterator[Place]:
        """A namespace of the test's own; removed afterwards."""
        found = Place(self, namespace_of(name), tenant_id or self.new_tenant_id())
        try:
            yield found
        finally:
            gone = ("--wait=false", "--ignore-not-found")
            self.kubectl.run("delete", "namespace", found.name, *gone)

    def _federated_application(self) -> Manifest:
        """An application without any Secret: it trusts tokens of this cluster."""
        discovery = self.kubectl.run("get", "--raw", "/.well-known/openid-configuration")
        keys = self.kubectl.run("get", "--raw", "/openid/v1/jwks")
        trusted = {
            "issuer": json.loads(discovery)["issuer"],
            "subject": f"system:serviceaccount:{namespace_of(IDENTITY_PLACE)}:{RUNNER_ACCOUNT}",
            "jwks": json.loads(keys),
        }
        return {"clientId": CLIENT_ID, "federatedCredentials": [trusted]}

    def _tenant(self, tenant_id: str, **more: Any) -> Manifest:
        application = {
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "certificate": self.certificate.certificate,
        }
        return setup.DEMO_TENANT | {"tenantId": tenant_id, "applications": [application]} | more


def namespace_of(place: str) -> str:
    """Name of the namespace of a place."""
    return f"e2e-{place}"


class Place:
    """A namespace with what the smallest sync needs.

    Args:
        stage: where it is.
        name: of the namespace.
        tenant_id: the tenant its syncs write.
    """

    def __init__(self, stage: Stage, name: str, tenant_id: str) -> None:
        self.stage = stage
        self.kubectl: Kubectl = stage.kubectl
        self.name = name
        self.tenant_id = tenant_id
        home = setup.namespace(name)
        home["metadata"]["labels"] = {
            "pod-security.kubernetes.io/enforce": "restricted",
            OURS: "true",
        }
        self.kubectl.apply(home, setup.trust(stage.authority, name))

    # --- manifests -------------------------------------------------------------------------

    def resource(self, kind: str, name: str, **spec: Any) -> Manifest:
        """One of our resources."""
        metadata = {"name": name, "namespace": self.name}
        return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}

    def secret(self, name: str, **content: str) -> Manifest:
        """A Secret; `__` in a key stands for a dot."""
        data = {key.replace("__", "."): value for key, value in content.items()}
        metadata = {"name": name, "namespace": self.name}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}

    def application_secret(self, name: str) -> Manifest:
        """The certificate of the tenant's application."""
        pair = self.stage.certificate
        return self.secret(name, tls__crt=pair.certificate, tls__key=pair.key)

    def tenant(self, name: str = NAME, **spec: Any) -> Manifest:
        """The EntraTenant."""
        application = {"clientId": CLIENT_ID, "certificateSecretRef": {"name": f"{name}-app"}}
        members: Manifest = {
            "cloudRef": {"name": setup.CLOUD_NAME},
            "tenantId": self.tenant_id,
            "application": application,
        }
        return self.resource("EntraTenant", name, **(members | spec))

    def directory(self, name: str = NAME, **spec: Any) -> Manifest:
        """The ActiveDirectory."""
        members: Manifest = {
            "servers": [f"ldaps://{self.stage.directory_host}"],
            "baseDN": "DC=contoso,DC=test",
            "bindSecretRef": {"name": f"{name}-reader"},
            "caProvider": {"type": "ConfigMap", "name": "contoso-ca"},
        }
        return self.resource("ActiveDirectory", name, **(members | spec))

    def sync(self, name: str = NAME, **spec: Any) -> Manifest:
        """The DirectorySync."""
        source = {"name": "contoso", "activeDirectoryRef": {"name": name}, "include": [TOP]}
        members: Manifest = {
            "sources": [source],
            "target": {"entraTenantRef": {"name": name}},
            "runner": {"storage": {"size": "1Gi"}},
        }
        return self.resource("DirectorySync", name, **(members | spec))

    def whole(self, name: str = NAME, **sync: Any) -> list[Manifest]:
        """Everything the smallest sync needs."""
        return [
            self.application_secret(f"{name}-app"),
            self.secret(f"{name}-reader", **READER),
            self.tenant(name),
            self.directory(name),
            self.sync(name, **sync),
        ]

    def run(self, name: str, **spec: Any) -> Manifest:
        """A SyncRun made by a person."""
        return self.resource("SyncRun", name, **({"directorySyncRef": {"name": NAME}} | spec))

    # --- doing -----------------------------------------------------------------------------

    def apply(self, *manifests: Manifest) -> None:
        """`kubectl apply`."""
        self.kubectl.apply(*manifests)

    def refused(self, manifest: Manifest) -> str:
        """What the API server says when it refuses a manifest."""
        try:
            self.kubectl.run("create", "-f", "-", "--dry-run=server", stdin=json.dumps(manifest))
        except KubectlError as error:
            return str(error)
        raise AssertionError(f"{manifest['kind']} was accepted: {json.dumps(manifest['spec'])}")

    def patch(self, kind: str, name: str, spec: Manifest) -> None:
        """Merges members into a spec."""
        text = json.dumps({"spec": spec})
        self.kubectl.run("patch", kind, name, "-n", self.name, "--type=merge", "-p", text)

    def delete(self, *arguments: str) -> None:
        """`kubectl delete`, waiting until it is gone."""
        self.kubectl.run("delete", *arguments, "-n", self.name, "--timeout=60s")

    def ask(self, kind: str, name: str = NAME) -> None:
        """Asks for a run or a check now, by the annotation."""
        now = dt.datetime.now(dt.UTC).isoformat()
        self.kubectl.run(
            "annotate", kind, name, "-n", self.name, "--overwrite", f"{REQUEST_ANNOTATION}={now}"
        )

    # --- seeing ----------------------------------------------------------------------------

    def get(self, kind: str, name: str = NAME) -> Manifest:
        """One resource."""
        return self.kubectl.get(kind, name, "-n", self.name)

    def status(self, kind: str, name: str = NAME) -> Manifest:
        """Its status, empty when it has none."""
        return dict(self.get(kind, name).get("status", {}))

    def condition(self, kind: str, name: str = NAME, wanted: str = "Ready") -> Manifest:
        """One condition; empty when it is not there."""
        conditions = self.status(kind, name).get("conditions", [])
        return next((c for c in conditions if c["type"] == wanted), {})

    def runs(self, **labels: str) -> list[Manifest]:
        """SyncRuns, the oldest first."""
        selector = ",".join(f"entrasync.dev/{key}={value}" for key, value in labels.items())
        found: list[Manifest] = self.kubectl.get("syncruns", "-n", self.name, "-l", selector)[
            "items"
        ]
        return sorted(found, key=lambda run: run["metadata"]["creationTimestamp"])

    def until(
        self,
        what: str,
        probe: Callable[[], Any],
        *,
        seconds: float = 180,
        shown: str = f"dsync/{NAME}",
    ) -> Any:
        """Waits until something is true; the state of things is told when it does not come."""
        return wait_for(
            what,
            probe,
            usually="seconds",
            seconds=seconds,
            hint=f"Look at `kubectl -n {self.name} get dsync,etenant,ad,srun,pods`.",
            state=lambda: self._ready(shown),
        )

    def _ready(self, resource: str) -> str:
        """The Ready condition in a line."""
        kind, _, name = resource.partition("/")
        try:
            found = self.condition(kind, name)
        except KubectlError as error:
            return str(error)
        return f"{resource} Ready={found.get('status')} {found.get('reason')}"

    def until_ready(
        self,
        kind: str,
        name: str = NAME,
        *,
        status: str = "True",
        reason: str | None = None,
        seconds: float = 180,
    ) -> Manifest:
        """Waits for the Ready condition to have a status, and a reason where one is named."""

        def probe() -> Manifest | None:
            found = self.condition(kind, name)
            fits = found.get("status") == status and reason in {None, found["reason"]}
            return found if fits else None

        what = f"{kind}/{name} Ready={status} {reason or ''}".strip()
        found: Manifest = self.until(what, probe, seconds=seconds, shown=f"{kind}/{name}")
        return found

    def until_synchronized(self, name: str = NAME) -> Manifest:
        """Waits for the first good run; gives the status."""
        self.until(
            f"dsync/{name} Synchronized",
            lambda: self.condition("dsync", name, "Synchronized").get("status") == "True",
            shown=f"dsync/{name}",
        )
        return self.status("dsync", name)

    def until_ended(self, name: str) -> Manifest:
        """Waits for a SyncRun to end; gives its status."""

        def probe() -> Manifest | None:
            found = self.status("syncrun", name)
            return found if found.get("phase") in ENDED else None

        found: Manifest = self.until(f"syncrun/{name} to end", probe, shown=f"srun/{name}")
        return found

    def cloud(self) -> CloudView:
        """The tenant as the emulated cloud shows it; a context manager."""
        return CloudView(self.kubectl, self.tenant_id)

    def describe(self) -> str:
        """Everything a person looks at who searches for a cause."""
        parts = []
        for arguments in (
            ["get", "dsync,etenant,ad,srun,jobs,pods,pvc", "-o", "wide"],
            ["get", "dsync,etenant,ad", "-o", "yaml"],
            ["get", "events", "--sort-by=.lastTimestamp"],
            ["logs", "-l", "app.kubernetes.io/part-of=entrasync", "--tail=15", "--prefix"],
        ):
            try:
                told = self.kubectl.run(*arguments, "-n", self.name)
            except KubectlError as error:
                told = str(error)
            parts.append(f"--- kubectl {' '.join(arguments)}\n{told}")
        return "\n".join(parts)
