"""A cluster in memory: what the gateway does, and the operator's reconcilers on top of it."""

from __future__ import annotations

from typing import Any, Final, cast

from entrasync.api.common import API_VERSION, Resource
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import Gateway, Manifest
from entrasync.controller.reconcile import build_reconcilers
from entrasync.controller.resources import Resources
from tests.support import samples
from tests.support.samples import NOW

ENVIRONMENT: Final = Environment(runner_image="image:1", pull_policy="Never", lock_namespace="ns")


class Cluster:
    """What the gateway does, over objects in memory by their path."""

    def __init__(self, *resources: Resource) -> None:
        self.objects: dict[str, Manifest] = {}
        for each in resources:
            plural = each.definition.plural
            place = f"namespaces/{each.metadata.namespace}/" if each.metadata.namespace else ""
            path = f"/apis/{API_VERSION}/{place}{plural}/{each.metadata.name}"
            self.objects[path] = each.to_manifest()

    def get(self, path: str) -> Manifest | None:
        return self.objects.get(path)

    def create(self, path: str, manifest: Manifest) -> bool:
        return self.objects.setdefault(f"{path}/{manifest['metadata'].get('name')}", manifest) is (
            manifest
        )

    def patch_status(self, path: str, status: Manifest, resource_version: str) -> bool:
        del resource_version
        self.objects[path].setdefault("status", {}).update(status)
        return True

    def made_jobs(self) -> list[Manifest]:
        """Jobs that were made."""
        return [each for each in self.objects.values() if each.get("kind") == "Job"]

    def conditions(self, plural: str, name: str) -> dict[str, Manifest]:
        """Conditions by type."""
        return {each["type"]: each for each in self.status(plural, name)["conditions"]}

    def status(self, plural: str, name: str) -> Manifest:
        """The status of one of our resources."""
        found: Manifest = self.objects[_path(plural, name)].get("status", {})
        return found

    def delete(self, path: str) -> bool:
        return self.objects.pop(path, None) is not None

    def log_of(self, namespace: str, pod: str, lines: int) -> str:
        raise AssertionError(f"the log of {namespace}/{pod} was read ({lines} lines)")

    def reconcile(self, plural: str, name: str) -> None:
        """What the operator does about one resource."""
        gateway = cast("Gateway", self)
        resources = Resources(gateway, lambda: "id")
        build_reconcilers(gateway, resources, ENVIRONMENT)[plural]("identity", name, NOW)

    def start(self, name: str = "manual", **spec: Any) -> None:
        """A SyncRun a person makes, looked at once."""
        run = samples.run(name, spec=spec, metadata={"labels": {}}).to_manifest()
        self.create(f"/apis/{API_VERSION}/namespaces/identity/syncruns", run)
        self.reconcile("syncruns", name)

    def finish(self, run: str, message: str) -> None:
        """The Job of a run ends with a termination message, and the operator looks at it."""
        job = self.objects[f"/apis/batch/v1/namespaces/identity/jobs/{run}"]
        job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        ended = {"name": "run", "state": {"terminated": {"message": message}}}
        self.objects[f"/api/v1/namespaces/identity/pods/{run}"] = {
            "metadata": {"name": run},
            "status": {"phase": "Succeeded", "containerStatuses": [ended]},
        }
        self.reconcile("syncruns", run)

    def list(self, path: str, selector: str = "") -> list[Manifest]:
        del selector
        return [found for at, found in self.objects.items() if at.rpartition("/")[0] == path]


def _path(plural: str, name: str) -> str:
    return f"/apis/{API_VERSION}/namespaces/identity/{plural}/{name}"
