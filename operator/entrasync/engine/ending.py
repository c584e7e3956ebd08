"""The last cycle of a sync that is deleted together with what it owns.

It reads the tenant and no directory: that nothing is wanted any more is what a person said, so that
there is nothing to look at again. What becomes of each kind is said by `onRemoval` as ever, brakes
and approvals hold as ever, and what is not owned is left alone.
"""

from __future__ import annotations

from typing_extensions import override

from entrasync.api.choices import DriftPolicy, OrphanPolicy
from entrasync.api.sync_run import RunScope
from entrasync.engine.approvals import Approvals
from entrasync.engine.cycle import Cycle
from entrasync.engine.evaluate import forget_evaluation
from entrasync.engine.failures import hold_back
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.plan import Plan, PlanRules, make_plan
from entrasync.engine.removals import Evidence


def run_last_cycle(
    inputs: CycleInputs, parts: CycleParts, outcome: CycleOutcome | None = None
) -> CycleOutcome:
    """Removes what a sync owns.

    Args:
        inputs: what to do; its sources are not read.
        parts: what to do it with.
        outcome: filled as the cycle goes, so that a failed one tells what it learnt.

    Raises:
        EntrasyncError: it could not be run.
    """
    return _LastCycle(inputs, parts, outcome or CycleOutcome()).run()


class _LastCycle(Cycle):
    @override
    def run(self) -> CycleOutcome:
        self._store.bind(self._inputs.tenant_id)
        self._engines.require_alone()
        with self._watch.stage("import"):
            self._tenant.read()
        self._outcome.scope = str(RunScope.FULL if self._tenant.is_read_back else RunScope.DELTA)
        with self._watch.stage("plan"):
            plan = self._plan_removals()
        approvals = Approvals(self._store, self._parts.clock())
        verdict = self._judge(plan, approvals)
        if verdict.blocked is not None:
            self._tell_blocked(verdict.blocked)
        return self._carry_out(plan, approvals, exports=self._applies and verdict.exports)

    def _plan_removals(self) -> Plan:
        inputs, store = self._inputs, self._store
        self._parts.progress("Plan", 0, None)
        with store.transaction():
            # another sync may go on with this state: all that is wanted is found out anew then
            forget_evaluation(store)
            store.evaluation.want_nothing(Evidence.SYNC_DELETED)
            plan = make_plan(
                store,
                PlanRules(
                    on_removal=inputs.removals,
                    drift=DriftPolicy.REPORT,
                    orphans=OrphanPolicy.REPORT,
                ),
            )
        # whatever was refused before is tried again: there is no later run to do it
        hold_back(store, self._parts.clock(), everything=True)
        return plan
