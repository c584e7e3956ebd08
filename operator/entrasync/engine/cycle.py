"""One cycle: import, evaluate, plan, brakes, export, confirm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace

import structlog

from entrasync.api.choices import DriftPolicy
from entrasync.api.directory_sync import OrphanCounts, OwnedObjects, SyncMode
from entrasync.api.sync_run import ObjectError, RunScope
from entrasync.directory.session import DirectorySession
from entrasync.engine.approvals import Approvals
from entrasync.engine.brake_checks import BrakeRules
from entrasync.engine.braking import (
    Blocked,
    Verdict,
    blocked_message,
    blocked_plan,
    check_shrinking,
    judge,
    refused_takeovers,
    remember_size,
)
from entrasync.engine.collecting import seldom_collected
from entrasync.engine.drift import drift_counts, not_accepted
from entrasync.engine.effort import effort_of, pacing_of, plan_summary
from entrasync.engine.evaluate import EvaluationRules, EvaluationTotals, evaluate, selection_of
from entrasync.engine.evidence import gather_evidence
from entrasync.engine.failures import hold_back
from entrasync.engine.forecasts import forecast
from entrasync.engine.foreign import EngineWatch
from entrasync.engine.importing import forget_cookies, source_empty
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.matching import MatchFeatures
from entrasync.engine.outcome import CycleOutcome, Stopwatch
from entrasync.engine.plan import Plan, PlanRules, make_plan
from entrasync.engine.reading import FoundSources, digest, read_sources
from entrasync.engine.report import (
    NO_CHANGES,
    conclude,
    object_errors,
    planned_changes,
    remind,
    summarize,
    take_failures,
)
from entrasync.engine.sending import Sender, sends_lists
from entrasync.engine.stamping import follow_unstamped, stamp_users
from entrasync.engine.tenant import TenantReader
from entrasync.entra.contracts import SyncObjectType
from entrasync.errors import BlockedError

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
    with seldom_collected():
        return Cycle(inputs, parts, outcome or CycleOutcome()).run()


class Cycle:
    """One cycle; `run_cycle` says what of.

    Args:
        inputs: what to do.
        parts: what to do it with.
        outcome: filled as the cycle goes.
    """

    def __init__(self, inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome) -> None:
        self._inputs = inputs
        self._parts = parts
        self._store = parts.store
        self._outcome = outcome
        self._watch = Stopwatch(parts.monotonic, outcome.timings)
        self._engines = EngineWatch(inputs, parts, outcome)
        self._tenant = TenantReader(inputs, parts, outcome)
        self._shrank: BlockedError | None = None

    def run(self) -> CycleOutcome:
        """Runs it."""
        self._store.bind(self._inputs.tenant_id)
        self._engines.require_alone()
        with ExitStack() as stack:
            with self._watch.stage("import"):
                self._tenant.read()
                sessions = {
                    source.name: stack.enter_context(self._parts.open_source(source.name))
                    for source in self._inputs.sources
                }
                found = read_sources(sessions, self._inputs, self._parts, self._outcome)
            with self._watch.stage("evaluate"):
                rules = self._evaluation_rules(found)
                follow_unstamped(self._inputs, self._store)
                totals = self._evaluate(rules)
            with self._watch.stage("plan"):
                plan = self._plan(sessions, found, rules)
        if self._inputs.anchors.stamp:
            # it may take long, so no session is kept waiting for it
            with self._watch.stage("stamp"):
                self._outcome.stamping = stamp_users(self._inputs, self._parts)
        scope = _scope_digest(found, self._inputs)
        approvals = Approvals(self._store, self._parts.clock())
        exports = self._may_go_on(plan, totals, approvals, scope)
        return self._carry_out(plan, approvals, exports=exports, size=(scope, totals.in_scope))

    def _carry_out(
        self,
        plan: Plan,
        approvals: Approvals,
        *,
        exports: bool,
        size: tuple[str, int] | None = None,
    ) -> CycleOutcome:
        """Exports a plan if it may be, and tells how it ended.

        Args:
            plan: what to send.
            approvals: what was let through.
            exports: whether it may be sent.
            size: digest and size of the scope, to be remembered; `None` where none was read.
        """
        self._parts.planned(plan)
        sender = Sender(
            self._inputs,
            self._parts,
            self._outcome,
            max_links=self._tenant.max_links,
            engines=self._engines,
        )
        if exports:
            with self._watch.stage("export"):
                tally = sender.send(plan, approvals)
            if size is not None:
                remember_size(self._store, *size)
            if self._outcome.outcome != "Blocked" or tally.cancelled:
                conclude(self._outcome, tally, self._store)
        else:
            if self._applies:
                sender.restore(approvals)
            take_failures(self._outcome, self._store)
        if self._shrank is not None:
            raise self._shrank
        self._tell_end(exported=exports)
        return self._outcome

    # --- evaluate and plan -----------------------------------------------------------------

    def _evaluation_rules(self, found: FoundSources) -> EvaluationRules:
        inputs = self._inputs
        return EvaluationRules(
            scopes=found.scopes,
            selection=inputs.selection,
            group_guids=found.group_guids,
            attributes=found.attributes,
            anchors=inputs.anchors,
            join_users=inputs.join_users,
            flows=inputs.flows,
            max_group_members=inputs.max_group_members,
            full=inputs.scope is RunScope.FULL,
        )

    def _evaluate(self, rules: EvaluationRules) -> EvaluationTotals:
        totals = evaluate(
            self._store, rules, lambda done, total: self._parts.progress("Evaluate", done, total)
        )
        self._outcome.excluded = dict(totals.excluded)
        log.info(
            "evaluated",
            in_scope=totals.in_scope,
            evaluated=totals.evaluated,
            excluded=dict(totals.excluded),
            # as in Entra Connect, these are not synced
            primary_group_members=totals.primary_group_members,
        )
        if totals.emptied or not totals.in_scope:
            forget_cookies(self._store)
            named = {source.name: source.resource for source in self._inputs.sources}
            emptied = next(iter(totals.emptied), "")
            raise source_empty(named.get(emptied, self._inputs.sync_resource))
        return totals

    def _plan(
        self,
        sessions: Mapping[str, DirectorySession],
        found: FoundSources,
        rules: EvaluationRules,
    ) -> Plan:
        inputs, store = self._inputs, self._store

        def progress(done: int, total: int | None) -> None:
            self._parts.progress("Plan", done, total)

        progress(0, None)
        gather_evidence(sessions, found, selection_of(store, rules), store, progress)
        plan = make_plan(
            store,
            PlanRules(
                on_removal=inputs.removals,
                drift=inputs.drift,
                orphans=inputs.orphans,
            ),
        )
        if plan.unaccounted:
            # something vanished without a trace: only a full read may find it again
            forget_cookies(store)
        self._foresee(plan)
        hold_back(store, self._parts.clock(), everything=inputs.scope is RunScope.FULL)
        return plan

    def _foresee(self, plan: Plan) -> None:
        """Asks what the service will make of additions."""
        company = self._tenant.company
        if company is None or not plan.total:
            return
        foresight = forecast(
            self._store,
            self._parts.accounts,
            MatchFeatures.of(company.feature_bits),
            self._inputs.matching,
            lambda done, total: self._parts.progress("Plan", done, total),
        )
        # what follows a deleted object is told so, whatever the service calls it
        self._outcome.outcomes = self._store.plan.outcome_counts()
        if foresight.warning is not None:
            log.warning("takeovers_unforeseen", message=foresight.warning)
            self._outcome.message = f"{self._outcome.message} {foresight.warning}.".strip()

    def _tell_plan(self, plan: Plan) -> None:
        """What the plan would do, how many writes that takes and until when."""
        outcome, pacer = self._outcome, self._parts.pacer
        effort = effort_of(
            self._store,
            self._tenant.max_links,
            whole=sends_lists(self._inputs),
        )
        outcome.plan = plan
        outcome.summary = plan_summary(plan.digest, effort, pacer, self._parts.clock())
        outcome.pacing = pacing_of(pacer)
        outcome.orphans = _orphans(plan.orphans)
        # a run that is to export has changed nothing yet
        outcome.changes = NO_CHANGES if self._applies else planned_changes(plan)
        object_errors(outcome, self._store, plan, self._left_alone())
        log.info(
            "planned",
            changes=plan.total,
            digest=plan.digest,
            writes=effort.writes,
            links=effort.links,
            quota=pacer.quota,
            expected_completion_time=outcome.summary.expected_completion_time,
        )

    def _left_alone(self) -> Iterator[ObjectError]:
        """What the plan leaves as it is, beside what evaluation withheld."""
        yield from refused_takeovers(self._store)
        if self._inputs.drift is DriftPolicy.REPAIR:
            yield from not_accepted(self._store)

    @property
    def _applies(self) -> bool:
        return self._inputs.mode is SyncMode.APPLY

    # --- brakes ----------------------------------------------------------------------------

    def _may_go_on(
        self, plan: Plan, totals: EvaluationTotals, approvals: Approvals, scope: str
    ) -> bool:
        """Whether to export: not with Preview, not over a limit nobody let through."""
        inputs = self._inputs
        verdict = self._judge(plan, approvals)
        blocked = verdict.blocked
        try:
            check_shrinking(
                self._store,
                scope,
                totals.in_scope,
                inputs.limits,
                inputs.sync_resource,
                lambda: forget_cookies(self._store),
                None if blocked is None else blocked.digest,
            )
        except BlockedError as error:
            # nothing goes on, whatever a brake would leave to go on
            self._shrank = error
            blocked = None if blocked is None else replace(blocked, rest_goes_on=False)
        if blocked is not None:
            self._tell_blocked(blocked)
        exports = self._applies and verdict.exports and self._shrank is None
        if exports and verdict.lets_through:
            # a run that is killed half-way goes on without asking again
            remember_size(self._store, scope, totals.in_scope)
        return exports

    def _judge(self, plan: Plan, approvals: Approvals) -> Verdict:
        """What the brakes say of a plan, which is told."""
        inputs = self._inputs
        verdict = judge(
            self._store,
            approvals,
            BrakeRules(
                limits=inputs.limits,
                since=self._parts.clock() - inputs.window,
                matching=inputs.matching,
                tenant_threshold=self._tenant.deletion_threshold(deletes=plan.deletes),
                on_blocked=inputs.on_blocked,
                offered=inputs.approved,
                applies=self._applies,
            ),
        )
        self._tell_plan(plan)
        if self._applies and verdict.approved:
            self._outcome.approval_used = verdict.approved[0]
        return verdict

    def _tell_blocked(self, blocked: Blocked) -> None:
        outcome = self._outcome
        outcome.outcome, outcome.reason = "Blocked", blocked.brakes[0].reason
        outcome.message = blocked_message(blocked)
        outcome.blocked_plan = blocked_plan(blocked)

    # --- the end ---------------------------------------------------------------------------

    def _tell_end(self, *, exported: bool) -> None:
        outcome, cloud = self._outcome, self._store.cloud
        summarize(outcome, exported=exported)
        if not exported:
            remind(outcome, self._store)
        outcome.message = "; ".join(filter(None, (outcome.message, outcome.stamping)))
        counts = cloud.owned_counts()
        outcome.objects = OwnedObjects(
            users=counts.get(SyncObjectType.USER, 0),
            groups=counts.get(SyncObjectType.GROUP, 0),
            contacts=counts.get(SyncObjectType.CONTACT, 0),
            links=counts.get("links", 0),
        )
        outcome.drift = drift_counts(self._store)
        if exported:
            outcome.orphans = _orphans(cloud.orphan_counts())


def _orphans(counts: Mapping[str, int]) -> OrphanCounts:
    return OrphanCounts(
        users=counts.get(SyncObjectType.USER, 0),
        groups=counts.get(SyncObjectType.GROUP, 0),
        contacts=counts.get(SyncObjectType.CONTACT, 0),
    )


def _scope_digest(found: FoundSources, inputs: CycleInputs) -> str:
    return digest(
        {
            name: [sorted(scope.include), sorted(scope.exclude)]
            for name, scope in found.scopes.items()
        },
        sorted(found.group_guids.values()),
        inputs.selection.facts,
    )
