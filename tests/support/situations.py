"""Typical situations of every kind: what was read, and the status that follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrasync.api.common import Resource
from entrasync.api.directory_sync import BlockedPlan, DirectorySync, OrphanCounts, OwnedObjects
from entrasync.api.entra_tenant import Company
from entrasync.api.result import CheckOutcome, DirectoryFacts, RunResult
from entrasync.api.sync_run import (
    Changes,
    CodeCount,
    KindChanges,
    LinkChanges,
    ObjectError,
    Pacing,
    PlanSummary,
    RequestCounts,
    RunMode,
    RunProgress,
    SourceRead,
    SyncRun,
    Trigger,
)
from entrasync.controller import part_status, run_status
from entrasync.controller.decisions import Active, Blocked, Decision, StartRun, Wait
from entrasync.controller.part_status import cloud_status
from entrasync.controller.sync_status import sync_after_run, sync_status
from tests.support import samples
from tests.support.samples import NOW

MINUTE: Final = dt.timedelta(minutes=1)
NEXT: Final = NOW + 30 * MINUTE
DIGEST: Final = "sha256:" + "9b74c9" * 10 + "9b74"


@dataclass(slots=True, frozen=True, kw_only=True)
class Situation:
    """A resource, its status as it was read, and as it will be written."""

    resource: Resource
    before: Any
    after: Any


# --- DirectorySync ---------------------------------------------------------------------------


def good(**more: Any) -> RunResult:
    facts: dict[str, Any] = {
        "outcome": "Succeeded",
        "reason": "Synchronized",
        "message": "3 users added, 1 member added",
        "mode": "Apply",
        "scope": "Delta",
        "endpoint_version": "V2",
        "plan": PlanSummary(digest=DIGEST, writes=4, links=1),
        "changes": Changes(users=KindChanges(add=3), links=LinkChanges(add=1)),
        "source": SourceRead(read=12, method="DirSync"),
        "requests": RequestCounts(export=2),
        "objects": OwnedObjects(users=812, groups=64, contacts=12, links=4211),
        "orphans": OrphanCounts(users=3),
        "timings": {"import": "3s200ms", "export": "1s100ms"},
    }
    return RunResult(**facts | more)


def braked(*, held: bool = False) -> RunResult:
    return good(
        outcome="Blocked",
        reason="DeletionThresholdExceeded",
        message="612 users would be deleted, the limit is 500 (`spec.safety.users`). Nothing was"
        f" exported. Mend the source, or set `spec.approvedPlan` to {DIGEST} to let exactly these"
        " changes through, once",
        changes=None,
        blocked_plan=BlockedPlan(
            digest=DIGEST,
            reason="DeletionThresholdExceeded",
            users={"delete": 612},
            held=held,
            sample=["q83vEjRWeJCrze8S"],
        ),
    )


def failed(reason: str, message: str) -> RunResult:
    return RunResult(outcome="Failed", reason=reason, message=message, mode="Apply")


def after(*results: RunResult, **spec: Any) -> DirectorySync:
    """A sync after runs with these results, a run every half hour."""
    sync = samples.sync(**spec)
    for number, result in enumerate(results):
        ended = NOW - 30 * MINUTE * (len(results) - number - 1)
        run = samples.run(f"contoso-{number + 1}")
        run.status = run_status.run_started(run, RunMode.APPLY, "job", ended - MINUTE)
        run.status = run_status.run_ended(run, result, ended)
        if sync.status is not None and number:
            sync.status = sync_status(sync, Wait(NEXT), NEXT, ended - 30 * MINUTE)
        sync.status = sync_after_run(sync, run, result)
    return sync


def of_sync(
    sync: DirectorySync,
    decision: Decision,
    runs: Sequence[SyncRun] = (),
    now: dt.datetime = NOW,
) -> Situation:
    due = NEXT if sync.status and sync.status.last_run and not sync.spec.suspend else None
    after = sync_status(sync, decision, due, now, runs)
    return Situation(resource=sync, before=sync.status, after=after)


def paused() -> SyncRun:
    run = samples.run("contoso-9", phase="Running")
    assert run.status is not None
    run.status.progress = RunProgress(stage="Export", paused_until="2026-03-14T15:14:00Z")
    return run


def stuck() -> SyncRun:
    run = samples.run("contoso-9", phase="Running")
    message = "ErrImagePull: image not found; see `image.repository` of the chart"
    run.status = run_status.run_stuck(run, "JobCannotStart", message, NOW)
    return run


def syncs() -> dict[str, Situation]:
    """Situations of DirectorySyncs."""
    missing = (
        "`spec.target.entraTenantRef`: EntraTenant contoso does not exist; create it or correct"
        " the name"
    )
    rejected = Blocked(
        "CredentialsRejected",
        "EntraTenant/contoso: the client secret has expired; put a new one into the Secret",
        stalled=True,
    )
    unreachable = failed("ServerUnreachable", "no domain controller answers: dc1.contoso.test")
    return {
        "new, its tenant is being checked": of_sync(
            samples.sync(),
            Blocked(
                "Checking", "EntraTenant/contoso is being checked", stalled=False, checking=True
            ),
        ),
        "its tenant is not there yet": of_sync(
            samples.sync(), Blocked("ReferenceNotFound", missing, stalled=False)
        ),
        "its tenant is not there after ten minutes": of_sync(
            samples.sync(), Blocked("ReferenceNotFound", missing, stalled=True)
        ),
        "the first run is under way": of_sync(samples.sync(), Active("contoso-1")),
        "the first run cannot start": of_sync(samples.sync(), Active("contoso-9"), [stuck()]),
        "all is well": of_sync(after(good()), Wait(NEXT)),
        "a run is under way": of_sync(after(good()), StartRun("contoso-9", Trigger.SCHEDULE)),
        "some objects are in error": of_sync(
            after(
                good(
                    outcome="SucceededWithErrors",
                    reason="ExportErrors",
                    message="the service refused 2 changes, see errors; they are tried again, less"
                    " and less often",
                )
            ),
            Wait(NEXT),
        ),
        "the quota holds a run up": of_sync(after(good()), Active("contoso-9"), [paused()]),
        "the quota held the last run up": of_sync(
            after(good(pacing=Pacing(quota=5600, paced_time="4m12s", throttled=1))), Wait(NEXT)
        ),
        "the tenant had no room for a run": of_sync(
            after(good(), failed("Throttled", "the sync service is busy; the next run goes on")),
            Wait(NEXT),
        ),
        "suspended": of_sync(after(good(), suspend=True), Wait(None)),
        "a window holds a run back": of_sync(
            after(good()), Wait(NEXT, "a run is due; the window opens at 2026-03-14T18:00:00Z")
        ),
        "a brake stopped the plan": of_sync(after(good(), braked()), Wait(NEXT)),
        "a brake holds some changes": of_sync(after(good(), braked(held=True)), Wait(NEXT)),
        "a brake holds, and a later run failed": of_sync(
            after(good(), braked(), unreachable), Wait(NEXT)
        ),
        "a run was cancelled": of_sync(
            after(good(), RunResult(outcome="Cancelled", reason="Cancelled", message="as asked")),
            Wait(NEXT),
        ),
        "the last run failed on something that passes": of_sync(
            after(good(), unreachable), Wait(NEXT)
        ),
        "the credentials were rejected": of_sync(after(good()), rejected),
        "very many runs have failed": of_sync(after(good(), *[unreachable] * 12), Wait(NEXT)),
    }


# --- tenants, directories and clouds ---------------------------------------------------------


def of_part(part: Any, *checks: CheckOutcome, wait: dt.timedelta = MINUTE) -> Situation:
    part_status.part_checking(part, NOW)
    before, now = part.status.model_copy(deep=True), NOW
    for check in checks:
        now += MINUTE
        before = part.status.model_copy(deep=True)
        part_status.part_checked(part, check, 1, now)
        due = None if check.ok else now + wait
        part_status.part_waited(part, due, now)
    return Situation(resource=part, before=before if checks else None, after=part.status)


def bad(reason: str, message: str) -> CheckOutcome:
    return CheckOutcome(ok=False, reason=reason, message=message)


def tenants() -> dict[str, Situation]:
    """Situations of EntraTenants."""
    known = samples.tenant(ready=False)
    part_status.apply_facts(
        good(
            endpoint_url="https://bba800-anchor.microsoftonline.com/provisioningservice.svc",
            company=Company(
                display_name="Contoso", directory_sync_enabled=True, max_links_per_request=15000
            ),
        ),
        known,
    )
    secret = bad(
        "SecretNotFound",
        "Secret contoso-entra-app with key `tls.crt` was not found; create it, or name another in"
        " `spec.application.certificateSecretRef`",
    )
    return {
        "new": of_part(samples.tenant(ready=False)),
        "good": of_part(known, CheckOutcome(ok=True, reason="Accepted", message="Signed in.")),
        "its Secret is not there yet": of_part(samples.tenant(ready=False), secret),
        "its Secret is not there after ten minutes": of_part(
            samples.tenant(ready=False), *[secret] * 12
        ),
        "its credential was refused twice": of_part(
            samples.tenant(ready=False),
            *[bad("CredentialsRejected", "the client secret has expired; put a new one in")] * 2,
            wait=2 * MINUTE,
        ),
    }


def directories() -> dict[str, Situation]:
    """Situations of ActiveDirectories."""
    known = samples.directory(ready=False)
    facts = DirectoryFacts(
        server="ldaps://dc1.contoso.test",
        domain="contoso.test",
        functional_level="2016",
        delta_method="DirSync",
        delta_method_reason="ReplicationRightGranted",
    )
    part_status.apply_facts(good(directories={"contoso": facts}), known)
    return {
        "good": of_part(known, CheckOutcome(ok=True, reason="Accepted", message="Bound.")),
        "its password was refused": of_part(
            samples.directory(ready=False),
            bad("BindRejected", "the directory refused the name or the password; mend the Secret"),
            wait=15 * MINUTE,
        ),
        "no server answers": of_part(
            samples.directory(ready=False),
            bad("ServerUnreachable", "no domain controller answers: dc1.contoso.test"),
        ),
    }


def clouds() -> dict[str, Situation]:
    """Situations of AzureClouds."""
    found = [samples.cloud(name) for name in ("azure-commercial", "azure-germany")]
    return {
        each.metadata.name: Situation(resource=each, before=None, after=cloud_status(each, NOW))
        for each in found
    }


# --- SyncRun ---------------------------------------------------------------------------------


def of_run(*results: RunResult, **spec: Any) -> Situation:
    run = samples.run(spec=spec)
    run.status = run_status.run_started(run, RunMode.APPLY, "contoso-1", NOW - MINUTE)
    if not results:
        return Situation(resource=run, before=None, after=run.status)
    after = run_status.run_ended(run, results[0], NOW)
    return Situation(resource=run, before=run.status, after=after)


def runs() -> dict[str, Situation]:
    """Situations of SyncRuns."""
    queued = samples.run()
    waits = run_status.run_waiting(
        queued, RunMode.APPLY, "Queued", "run contoso-0 comes first", NOW
    )
    return {
        "it waits for another": Situation(resource=queued, before=None, after=waits),
        "it is under way": of_run(),
        "it ended well": of_run(good()),
        "it ended with errors": of_run(
            good(
                outcome="SucceededWithErrors",
                reason="ExportErrors",
                message="the service refused 1 change, see errors",
                errors=[
                    ObjectError(
                        anchor="q83vEjRWeJCrze8S",
                        code="DuplicateProxyAddress",
                        message="A mail address among proxyAddresses belongs to another object.",
                    )
                ],
                error_count=1,
                errors_by_code=[CodeCount(code="DuplicateProxyAddress", count=1)],
            )
        ),
        "a brake stopped it": of_run(braked()),
        "it failed": of_run(failed("BaseNotFound", "the base DC=contoso,DC=test was not found")),
        "it was cancelled": of_run(
            RunResult(outcome="Cancelled", reason="Cancelled", message="as asked")
        ),
    }


ALL: Final = {
    "azure-cloud": clouds,
    "entra-tenant": tenants,
    "active-directory": directories,
    "directory-sync": syncs,
    "sync-run": runs,
}
"""Situations of each kind."""
