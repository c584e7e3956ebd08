"""The operator's process: kopf for watches, probes and signals; one worker for everything else."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import uuid
from typing import Any, Final

import kopf
import structlog

from entrasync.api.common import GROUP
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.controller.environment import read_environment
from entrasync.controller.gateway import Gateway, connect, resource_path
from entrasync.controller.handlers import register
from entrasync.controller.queue import Key, WorkQueue
from entrasync.controller.reconcile import build_reconcilers
from entrasync.controller.resources import KINDS, Resources
from entrasync.controller.worker import Worker
from entrasync.errors import ConfigurationError, EntrasyncError

LIVENESS: Final = "http://0.0.0.0:8080/healthz"
SHIPPED_MANAGER: Final = "entrasync-shipped"
LONGEST_SILENCE: Final = dt.timedelta(minutes=5)


def run_operator(namespaces: tuple[str, ...] = ()) -> int:
    """Runs until it is told to end.

    Args:
        namespaces: namespaces to watch; empty for all.

    Returns:
        0 after a clean end, 2 when something a person must mend keeps it from starting.
    """
    try:
        environment = read_environment(os.environ)
        gateway = connect()
        check_definitions(gateway)
    except ConfigurationError as error:
        structlog.get_logger().error("operator_cannot_start", error=str(error))
        return 2
    except EntrasyncError as error:
        structlog.get_logger().error("operator_cannot_start", error=str(error))
        return 1
    queue = WorkQueue(_now)
    resources = Resources(gateway, lambda: uuid.uuid4().hex[:16])
    worker = Worker(
        queue=queue,
        reconcilers=build_reconcilers(gateway, resources, environment),
        resources=resources,
        namespaces=namespaces,
        clock=_now,
    )
    registry = build_registry(worker, gateway)
    kopf.run(
        registry=registry,
        standalone=True,
        namespaces=list(namespaces),
        clusterwide=not namespaces,
        liveness_endpoint=LIVENESS,
    )
    return 0


def build_registry(worker: Worker, gateway: Gateway) -> kopf.OperatorRegistry:
    """Kopf's handlers around a worker."""
    registry = kopf.OperatorRegistry()
    known: set[Key] = set()
    tasks: list[asyncio.Task[None]] = []

    @kopf.on.login(registry=registry, id="login")
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_via_client(**arguments)

    @kopf.on.startup(registry=registry, id="startup")
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await asyncio.to_thread(apply_shipped_clouds, gateway)
        tasks.append(asyncio.create_task(worker.run(), name="worker"))

    @kopf.on.cleanup(registry=registry, id="cleanup")
    async def cleanup(**_: Any) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @kopf.on.probe(registry=registry, id="worker", errors=kopf.ErrorsMode.PERMANENT)
    def probe(**_: Any) -> str:
        if _now() - worker.last_tick > LONGEST_SILENCE:
            raise kopf.PermanentError("the worker has not ticked for five minutes")
        return worker.last_tick.isoformat()

    register(registry, worker.queue.add, known)
    return registry


def configure(settings: kopf.OperatorSettings) -> None:
    """All of kopf's settings that differ from its defaults, in one place."""
    settings.peering.standalone = True
    # kopf's own log lines are no Events: ours are posted on transitions
    settings.posting.enabled = False
    settings.watching.connect_timeout = 10
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    # the pod's grace period is 30 s
    settings.process.ultimate_exiting_timeout = 20


def check_definitions(gateway: Gateway) -> None:
    """Fails with a sentence when the CustomResourceDefinitions are not there.

    kopf itself would go on and be silent.

    Raises:
        ConfigurationError: one is missing.
    """
    for plural in KINDS:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{GROUP}"
        if gateway.get(path) is None:
            raise ConfigurationError(
                "RunFailed",
                f"the CustomResourceDefinition {plural}.{GROUP} is not installed; install the chart"
                " with crds.install=true, or `entrasync crds | kubectl apply --server-side -f -`",
            )


def apply_shipped_clouds(gateway: Gateway) -> None:
    """Applies the Azure clouds; never by force: what a platform team changed stays."""
    for cloud in shipped_clouds():
        manifest = cloud.to_manifest()
        name = cloud.metadata.name
        applied = gateway.apply(resource_path("azureclouds", None, name), manifest, SHIPPED_MANAGER)
        if not applied:
            structlog.get_logger().warning("shipped_cloud_kept_as_changed", cloud=name)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
