"""One cycle: import, evaluate, plan, brakes, export, confirm."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from entrasync.api.directory_sync import OrphanCounts, OwnedObjects, SyncMode
from entrasync.directory.session import DirectorySession
from entrasync.engine.approvals import Approvals
from entrasync.engine.braking import (
    blocked_message,
    blocked_plan,
    braked_changes,
    check_shrinking,
    judge,
    remember_size,
)
from entrasync.engine.cloud_space import load_cloud, recorded_anchors
from entrasync.engine.containers import FoundScope
from entrasync.engine.effort import effort_of, pacing_of, plan_summary
from entrasync.engine.evaluate import Evaluation, EvaluationRules, evaluate
from entrasync.engine.evidence import EvidenceGatherer
from entrasync.engine.exporting import Export, ExportTally, Traffic
from entrasync.engine.importing import forget_cookie, source_empty
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.memberships import Memberships
from entrasync.engine.outcome import CycleOutcome, Stopwatch
from entrasync.engine.plan import Action, CloudObject, Plan, plan_changes, removal_candidates
from entrasync.engine.primary_groups import count_primary_members
from entrasync.engine.reading import TenantReader, digest, read_source
from entrasync.engine.report import (
    changes_of,
    conclude,
    object_errors,
    summarize,
    take_tally,
)
from entrasync.engine.selection import Selection, SelectionRules, select
from entrasync.engine.source import SourceObject, SourceTree
from entrasync.entra.batches import MOST_OBJECTS, START_OBJECTS, BatchSize
from entrasync.entra.contracts import SyncObjectType, SyncVersion
from entrasync.state.store import META_BATCH_SIZE

log = structlog.get_logger()


def run_cycle(
    inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome | None = None
) -> CycleOutcome:
    """Runs one cycle.

    Args:
        inputs: what to do.
        parts: what to do it with.
        outcome: filled as the cycle goes, so that a failed one tells what it learnt.

    Raises:
        EntrasyncError: it could not be run, or was stopped before a plan was there.
    """
    return _Cycle(inputs, parts, outcome or CycleOutcome()).run()


class _Cycle:
    def __init__(self, inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome) -> None:
        self._inputs = inputs
        self._parts = parts
        self._store = parts.store
        self._outcome = outcome
        self._watch = Stopwatch(parts.monotonic, outcome.timings)
        self._tenant = TenantReader(inputs, parts, outcome)
        self._selection = Selection()

    def run(self) -> CycleOutcome:
        self._store.bind(self._inputs.tenant_id)
        with self._parts.session_factory() as session:
            with self._watch.stage("import"):
                self._tenant.read()
                found, attributes = read_source(session, self._inputs, self._parts, self._outcome)
            with self._watch.stage("evaluate"):
                cloud = load_cloud(self._store)
                evaluation = self._evaluate(session, found, attributes, recorded_anchors(cloud))
            with self._watch.stage("plan"):
                plan = self._plan(session, found, attributes, evaluation, cloud)
                if self._sends_lists(plan) and not self._tenant.is_read_back:
                    self._tenant.read_back()
                    cloud = load_cloud(self._store)
                    plan = self._plan(session, found, attributes, evaluation, cloud)
                self._tell_plan(plan, evaluation, cloud)
        approvals = Approvals(self._store, self._parts.clock(), self._inputs.window)
        scope = _scope_digest(found, self._inputs.selection)
        exports = self._may_go_on(plan, evaluation, cloud, approvals, scope)
        if exports:
            with self._watch.stage("export"):
                tally = self._export(plan, evaluation, approvals, self._memberships(cloud))
            remember_size(self._store, scope, evaluation.in_scope)
            conclude(self._outcome, tally)
        summarize(self._outcome, exported=exports)
        self._outcome.objects = self._owned_objects()
        return self._outcome

    # --- evaluate and plan -----------------------------------------------------------------

    def _evaluate(
        self,
        session: DirectorySession,
        found: FoundScope,
        attributes: tuple[str, ...],
        recorded: dict[str, str],
    ) -> Evaluation:
        self._parts.progress("Evaluate", 0, None)
        objects = {
            guid: SourceObject(
                guid=guid, dn=row.dn, parent_guid=row.parent_guid, attributes=row.attributes
            )
            for guid, row in self._store.load_source().items()
        }
        links = self._store.load_source_links()
        self._selection = select(
            self._inputs.selection, found.group_guids, objects, links, attributes
        )
        rules = EvaluationRules(
            scope=found.scope,
            anchor_source=self._inputs.anchor_source,
            domain=session.root.domain,
            max_group_members=self._inputs.max_group_members,
            selection=self._selection,
        )
        pins = recorded | self._store.pins()
        evaluation = evaluate(objects, links, pins, rules)
        self._outcome.excluded = dict(evaluation.excluded)
        taking_part = (objects[each.guid] for each in evaluation.desired.values())
        log.info(
            "evaluated",
            in_scope=evaluation.in_scope,
            excluded=dict(evaluation.excluded),
            # as in Entra Connect, these are not synced
            primary_group_members=count_primary_members(taking_part),
        )
        if not evaluation.in_scope:
            forget_cookie(self._store)
            raise source_empty(self._inputs.directory_resource)
        tree = SourceTree(objects)
        self._outcome.names = {
            anchor: tree.dn_of(desired.guid) for anchor, desired in evaluation.desired.items()
        }
        return evaluation

    def _plan(
        self,
        session: DirectorySession,
        found: FoundScope,
        attributes: Sequence[str],
        evaluation: Evaluation,
        cloud: dict[str, CloudObject],
    ) -> Plan:
        candidates = removal_candidates(evaluation, cloud)
        self._parts.progress("Plan", 0, len(candidates))
        looked_at = 0

        def progress() -> None:
            nonlocal looked_at
            looked_at += 1
            self._parts.progress("Plan", looked_at, len(candidates))

        gatherer = EvidenceGatherer(session, found.scope, attributes, self._selection)
        evidence = gatherer.gather(candidates, progress)
        plan = plan_changes(evaluation, cloud, evidence)
        if plan.unaccounted:
            # something vanished without a trace: only a full read may find it again
            forget_cookie(self._store)
        return plan

    def _tell_plan(self, plan: Plan, evaluation: Evaluation, cloud: dict[str, CloudObject]) -> None:
        outcome = self._outcome
        self._tell_effort(plan, cloud)
        outcome.orphans = OrphanCounts(
            users=plan.orphans.get(SyncObjectType.USER, 0),
            groups=plan.orphans.get(SyncObjectType.GROUP, 0),
            contacts=plan.orphans.get(SyncObjectType.CONTACT, 0),
        )
        previews = self._inputs.mode is SyncMode.PREVIEW
        outcome.changes = changes_of(plan.changes if previews else ())
        object_errors(outcome, evaluation, plan)

    def _sends_lists(self, plan: Plan) -> bool:
        """Whether members travel as whole lists.

        Such a list removes whoever somebody else added since the tenant was read back.
        """
        lists = self._inputs.version is SyncVersion.V1
        return lists and any(change.action is Action.LINKS for change in plan.changes)

    def _tell_effort(self, plan: Plan, cloud: dict[str, CloudObject]) -> None:
        """How many writes the plan takes, and until when at this tenant's quota."""
        outcome, pacer = self._outcome, self._parts.pacer
        effort = effort_of(plan.changes, self._tenant.max_links, self._memberships(cloud))
        outcome.plan = plan
        outcome.summary = plan_summary(plan, effort, pacer, self._parts.clock())
        outcome.pacing = pacing_of(pacer)
        log.info(
            "planned",
            changes=len(plan.changes),
            digest=plan.digest,
            writes=effort.writes,
            links=effort.links,
            quota=pacer.quota,
            expected_completion_time=outcome.summary.expected_completion_time,
        )

    def _memberships(self, cloud: dict[str, CloudObject]) -> Memberships:
        return Memberships(cloud, whole=self._inputs.version is SyncVersion.V1)

    # --- brakes ----------------------------------------------------------------------------

    def _may_go_on(
        self,
        plan: Plan,
        evaluation: Evaluation,
        cloud: dict[str, CloudObject],
        approvals: Approvals,
        scope: str,
    ) -> bool:
        """Whether to export: not with Preview, not over a limit nobody let through."""
        inputs, outcome = self._inputs, self._outcome
        applies = inputs.mode is SyncMode.APPLY
        verdict = judge(
            plan,
            cloud,
            inputs.limits,
            self._store,
            approvals,
            since=self._parts.clock() - inputs.window,
            offered=inputs.approved,
        )
        if verdict.blocked is not None:
            outcome.outcome, outcome.reason = "Blocked", verdict.blocked.brakes[0].reason
            outcome.message = blocked_message(verdict.blocked)
            outcome.blocked_plan = blocked_plan(verdict.blocked)
            return False
        if verdict.approved is not None and applies:
            approvals.use(verdict.approved.digest, braked_changes(verdict.approved))
            outcome.approval_used = verdict.approved.digest
        if verdict.approved is None and not any(map(approvals.covers, plan.changes)):
            check_shrinking(
                self._store, scope, evaluation.in_scope, inputs.limits, inputs.directory_resource
            )
        return applies

    # --- export ----------------------------------------------------------------------------

    def _export(
        self,
        plan: Plan,
        evaluation: Evaluation,
        approvals: Approvals,
        memberships: Memberships,
    ) -> ExportTally:
        if plan.adopted:
            with self._store.results() as writer:
                for anchor in sorted(plan.adopted):
                    desired = evaluation.desired[anchor]
                    writer.changed(anchor, str(desired.object_type), desired.guid, {})
        traffic = self._traffic()
        export = Export(
            self._parts.client,
            self._store,
            approvals,
            now=self._parts.clock,
            traffic=traffic,
            memberships=memberships,
        )
        try:
            export.send(
                plan.changes, lambda done, total: self._parts.progress("Export", done, total)
            )
        finally:
            take_tally(self._outcome, export.tally)
            self._outcome.pacing = pacing_of(traffic.pacer)
            self._store.put(META_BATCH_SIZE, str(traffic.size.objects))
        if export.tally.requests:
            self._parts.progress("Confirm", 0, 1)
            successful = len(export.tally.done)
            self._parts.client.finalize_export(successful + export.tally.error_count, successful)
            self._parts.progress("Confirm", 1, 1)
        return export.tally

    def _traffic(self) -> Traffic:
        parts = self._parts
        learnt = self._store.get(META_BATCH_SIZE)
        return Traffic(
            pacer=parts.pacer,
            size=BatchSize(
                parts.monotonic,
                start=START_OBJECTS if learnt is None else int(learnt),
                most=min(MOST_OBJECTS, parts.pacer.quota),
            ),
            max_links=self._tenant.max_links,
            cancelled=parts.cancelled,
            waiting=parts.waiting,
        )

    def _owned_objects(self) -> OwnedObjects:
        counts = self._store.owned_counts()
        return OwnedObjects(
            users=counts.get(SyncObjectType.USER, 0),
            groups=counts.get(SyncObjectType.GROUP, 0),
            contacts=counts.get(SyncObjectType.CONTACT, 0),
            links=counts.get("links", 0),
        )


def _scope_digest(found: FoundScope, selection: SelectionRules) -> str:
    return digest(
        sorted(each.guid for each in found.include),
        sorted(each.guid for each in found.exclude),
        sorted(found.group_guids.values()),
        selection.facts,
    )
