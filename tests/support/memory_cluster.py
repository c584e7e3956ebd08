"""A cluster in memory: an API server, and the operator's reconcilers on top of it."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, cast

from entrasync.api.common import API_VERSION, Resource
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import Gateway, Manifest
from entrasync.controller.metrics import OperatorMetrics
from entrasync.controller.reconcile import build_reconcilers
from entrasync.controller.resources import Resources
from tests.support import samples
from tests.support.memory_api import MemoryApi

ENVIRONMENT: Final = Environment(runner_image="image:1", pull_policy="Never", lock_namespace="ns")
NAMESPACE: Final = "identity"


class Cluster(MemoryApi):
    """What the gateway does, and what the operator makes of it.

    Args:
        resources: what is there already, with their statuses.
    """

    def __init__(self, *resources: Resource) -> None:
        super().__init__()
        self.metrics = OperatorMetrics(lambda: self.now)
        for each in resources:
            self.add(each)

    def add(self, resource: Resource) -> None:
        """Puts a resource in as it is, its status and uid included."""
        metadata = resource.metadata
        place = f"namespaces/{metadata.namespace}/" if metadata.namespace else ""
        path = f"/apis/{API_VERSION}/{place}{resource.definition.plural}/{metadata.name}"
        manifest = resource.to_manifest()
        manifest["metadata"]["generation"] = metadata.generation
        self.put(path, manifest)

    # --- what is there ---------------------------------------------------------------------

    def of_kind(self, kind: str) -> list[Manifest]:
        """All objects of a kind, in the order in which they were made."""
        return [each for each in self.objects.values() if each.get("kind") == kind]

    def made_jobs(self) -> list[Manifest]:
        """Jobs that were made."""
        return self.of_kind("Job")

    def events(self, name: str | None = None) -> list[Manifest]:
        """Events the operator told, of all objects or of those of a name."""
        return [
            each
            for each in self.of_kind("Event")
            if each.get("reportingComponent") == "entrasync"
            and name in {None, each["involvedObject"]["name"]}
        ]

    def conditions(self, plural: str, name: str) -> dict[str, Manifest]:
        """Conditions by type."""
        return {each["type"]: each for each in self.status(plural, name)["conditions"]}

    def status(self, plural: str, name: str) -> Manifest:
        """The status of one of our resources."""
        found: Manifest = self.objects[resource_at(plural, name)].get("status", {})
        return found

    # --- what the operator does ------------------------------------------------------------

    def reconcile(
        self, plural: str, name: str, now: dt.datetime | None = None, namespace: str = NAMESPACE
    ) -> dt.datetime | None:
        """What an operator that was just started does about one resource.

        Returns when it wants to look again.
        """
        gateway = cast("Gateway", self)
        resources = Resources(gateway, self.metrics)
        reconcilers = build_reconcilers(gateway, resources, ENVIRONMENT)
        return reconcilers[plural](namespace, name, now or self.now)

    def start(self, name: str = "manual", **spec: Any) -> None:
        """A SyncRun a person makes, looked at once."""
        run = samples.run(name, spec=spec, metadata={"labels": {}}).to_manifest()
        self.create(f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/syncruns", run)
        self.reconcile("syncruns", name)

    def finish(self, run: str, message: str) -> None:
        """The Job of a run ends with a termination message, and the operator looks at it."""
        self.change(
            job_at(run), {"status": {"conditions": [{"type": "Complete", "status": "True"}]}}
        )
        ended = {"name": "run", "state": {"terminated": {"message": message}}}
        job = self.objects[job_at(run)]
        template = job["spec"]["template"]["metadata"].get("labels", {})
        self.put(
            pod_at(run),
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": run,
                    "labels": {**template, "batch.kubernetes.io/job-name": run},
                    "ownerReferences": [owner_of(job)],
                },
                "status": {"phase": "Succeeded", "containerStatuses": [ended]},
            },
        )
        self.reconcile("syncruns", run)


def owner_of(manifest: Manifest) -> Manifest:
    """The reference by which something belongs to an object."""
    return {
        "apiVersion": manifest["apiVersion"],
        "kind": manifest["kind"],
        "name": manifest["metadata"]["name"],
        "uid": manifest["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def resource_at(plural: str, name: str) -> str:
    """Path of one of our resources in the namespace of the tests."""
    return f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{plural}/{name}"


def job_at(name: str) -> str:
    """Path of a Job there."""
    return f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{name}"


def pod_at(name: str) -> str:
    """Path of a pod there."""
    return f"/api/v1/namespaces/{NAMESPACE}/pods/{name}"
