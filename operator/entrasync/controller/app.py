"""The operator's parts, put together: kopf for watches, one worker for everything else."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import sys
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn

import kopf
import structlog

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.controller.brought_clouds import read_clouds
from entrasync.controller.claims import TenantClaims
from entrasync.controller.definitions import FORBIDDEN, check_definitions
from entrasync.controller.election import LeaderElection, boot_clock
from entrasync.controller.environment import Environment, read_environment
from entrasync.controller.gateway import ApiError, Gateway, connect, resource_path
from entrasync.controller.handlers import configure_watches, register
from entrasync.controller.health import Health, HealthServer, Standstill
from entrasync.controller.leadership import Timing, lease_name
from entrasync.controller.metrics import OperatorMetrics
from entrasync.controller.metrics_server import serve_metrics
from entrasync.controller.process import FAILED, MISCONFIGURED, Stop, run_process
from entrasync.controller.queue import WorkQueue
from entrasync.controller.reconcile import build_reconcilers
from entrasync.controller.resources import KINDS, Resources
from entrasync.controller.resync import Resync
from entrasync.controller.worker import Worker
from entrasync.errors import ConfigurationError, EntrasyncError

SHIPPED_MANAGER: Final = "entrasync-shipped"
TIMING: Final = Timing()
LONGEST_STANDSTILL: Final = 300.0
"""Seconds after which a worker that does not tick is taken for stuck."""
LONGEST_SILENCE: Final = 60.0
"""Seconds after which an election that does not try is taken for stuck."""


def run_operator(namespaces: Sequence[str] = (), class_name: str | None = None) -> int:
    """Runs until it is told to end.

    Args:
        namespaces: namespaces to serve; empty for all.
        class_name: class of the objects to serve; `None` for what the environment says.

    Returns:
        0 after a clean end, 1 when something failed or another operator leads now, 2 when something
        a person must mend keeps it from starting.
    """
    try:
        environment = read_environment(os.environ, namespaces=namespaces, class_name=class_name)
        # what leadership and the end of the process wait for has short time-outs and no retries
        quick = connect(seconds=TIMING.call, retries=0)
        election = build_election(environment, quick)
        clouds = (*shipped_clouds(), *read_clouds(environment.clouds_folder))
        metrics = OperatorMetrics()
        gateway = connect(permit=election.permit, counted=metrics.api_request)
        worker = build_worker(environment, gateway, metrics)
        HealthServer(build_health(election, worker), environment.health_port).start()
        if environment.metrics_port:
            serve_metrics(metrics, environment.metrics_port)
    except EntrasyncError as error:
        structlog.get_logger().error("operator_cannot_start", error=str(error))
        return MISCONFIGURED if isinstance(error, ConfigurationError) else FAILED

    async def act(stop: Stop) -> None:
        metrics.leading(True)  # noqa: FBT003  - the gauge is a yes or no
        await asyncio.to_thread(apply_clouds, gateway, clouds)
        started = asyncio.Event()
        listening = asyncio.create_task(_listen_again(stop, started), name="signals")
        await kopf.operator(
            registry=build_registry(worker),
            standalone=True,
            namespaces=list(environment.watch_namespaces),
            clusterwide=not environment.watch_namespaces,
            ready_flag=started,
            stop_flag=stop.event,
        )
        listening.cancel()

    return asyncio.run(
        run_process(lambda: check_definitions(quick), election, act, give_up=_end_at_once)
    )


def build_worker(environment: Environment, gateway: Gateway, metrics: OperatorMetrics) -> Worker:
    """What reconciles everything."""
    resources = Resources(gateway, metrics, class_name=environment.class_name)
    return Worker(
        queue=WorkQueue(_now),
        reconcilers=build_reconcilers(gateway, resources, environment),
        resync=Resync(gateway=gateway, kinds=KINDS, namespaces=environment.watch_namespaces),
        clock=_now,
        metrics=metrics,
        tidy=TenantClaims(gateway, environment.lock_namespace).release_abandoned,
    )


def build_election(environment: Environment, leases: Gateway) -> LeaderElection:
    """The election of this process."""
    return LeaderElection(
        leases,
        namespace=environment.namespace,
        name=lease_name(environment.release, environment.class_name),
        # a container that starts again in the same pod is another process
        identity=f"{environment.identity}_{uuid.uuid4().hex[:8]}",
        on_lost=lambda _: _end_at_once(),
        timing=TIMING,
    )


def build_health(election: LeaderElection, worker: Worker) -> Health:
    """What must hold for the process to be left alone."""
    ticks = Standstill(lambda: worker.last_beat, boot_clock)

    def works() -> str | None:
        if not election.is_leading() or ticks.seconds() <= LONGEST_STANDSTILL:
            return None
        return f"the worker has not ticked for {LONGEST_STANDSTILL:.0f} s"

    def campaigns() -> str | None:
        if election.silence() <= LONGEST_SILENCE:
            return None
        return f"the election has not tried for {LONGEST_SILENCE:.0f} s"

    return Health({"worker": works, "election": campaigns})


def build_registry(worker: Worker) -> kopf.OperatorRegistry:
    """Kopf's handlers around a worker."""
    registry = kopf.OperatorRegistry()
    tasks: list[asyncio.Task[None]] = []

    @kopf.on.login(registry=registry, id="login")
    def login(**arguments: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**arguments) or kopf.login_via_client(**arguments)

    @kopf.on.startup(registry=registry, id="startup")
    async def startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        tasks.append(asyncio.create_task(worker.run(), name="worker"))

    @kopf.on.cleanup(registry=registry, id="cleanup")
    async def cleanup(**_: Any) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    register(registry, worker)
    return registry


def configure(settings: kopf.OperatorSettings) -> None:
    """All of kopf's settings that differ from its defaults, in one place."""
    settings.peering.standalone = True
    # kopf's own log lines are no Events: ours are posted on transitions
    settings.posting.enabled = False
    # neither namespaces nor definitions are looked at: all that is served is known at the start,
    # and the check of the definitions says what is missing
    settings.scanning.disabled = True
    configure_watches(settings)
    settings.watching.connect_timeout = 10
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    # below the pod's grace period of 45 s
    settings.process.ultimate_exiting_timeout = 30


async def _listen_again(stop: Stop, started: asyncio.Event) -> None:
    """Takes the signals back from kopf.

    Asked by a signal it waits 5 s for the task that waits for the flag; asked by the flag it does
    not wait.
    """
    await started.wait()
    stop.listen()


def apply_clouds(gateway: Gateway, clouds: Iterable[AzureCloud]) -> None:
    """Applies Azure clouds; never by force: what a platform team changed stays."""
    for cloud in clouds:
        manifest = cloud.to_manifest()
        name = cloud.metadata.name
        try:
            applied = gateway.apply(
                resource_path("azureclouds", None, name), manifest, SHIPPED_MANAGER
            )
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            structlog.get_logger().warning("shipped_cloud_not_applied", error=error.message)
            continue
        if not applied:
            structlog.get_logger().warning("shipped_cloud_kept_as_changed", cloud=name)


def _end_at_once() -> NoReturn:
    """Ends the process without waiting for anything: another one may act from now on."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(FAILED)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
