"""Cycles of the engine over directories and a tenant, and what goes wrong in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest import mock

from entrasync.api.choices import (
    DriftPolicy,
    JoinBy,
    OnBlocked,
    OrphanPolicy,
)
from entrasync.api.directory_sync import SyncMode
from entrasync.api.sync_run import RunScope
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.changes import Action
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.cycle import run_cycle
from entrasync.engine.inputs import (
    AnchorRules,
    CycleInputs,
    CycleParts,
    MatchingRules,
    SourceInputs,
)
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.plan import Plan
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncVersion
from entrasync.entra.pacing import Pacer
from entrasync.errors import EntrasyncError
from entrasync.state.checkpoints import META_BATCH_SIZE
from entrasync.state.database import Database
from entrasync.state.store import Store
from tests.support.model_directory import ModelDirectory
from tests.support.model_scene import (
    A_DAY,
    FIXED,
    FLOWS,
    HALF_AN_HOUR,
    MANY,
    QUIET_CYCLES,
    Cycle,
    Rules,
)
from tests.support.model_tenant import Faults, Killed
from tests.support.model_watched import Watched

FAULTS = ("ServerUnreachable", "ServiceUnreachable", "RequestRefused", "CookieRejected")
"""Reasons that a cycle may end with before its end."""


class World(Watched):
    """Directories, a tenant, and a sync between them."""

    def cycle(self, cycle: Cycle) -> CycleOutcome | None:
        """Runs a cycle; `None` when it did not come to its end."""
        self.now += HALF_AN_HOUR
        self._prepare(cycle)
        midway = list(cycle.midway)
        outcome = CycleOutcome()

        def progress(stage: str, _done: int, _total: int | None) -> None:
            if stage == "Plan":
                while midway:
                    self.do(midway.pop(0))

        try:
            with _mortal(cycle), Store(self.folder) as store:
                store.database.connection.execute("PRAGMA synchronous = OFF")
                store.put(META_BATCH_SIZE, str(self.config.batch))
                self._run(store, cycle, progress, outcome)
        except Killed:
            return None
        except EntrasyncError as error:
            if error.reason not in FAULTS:
                raise
            return None
        finally:
            if outcome.source is not None:
                self.remembered = outcome.scopes
            for directory in self.directories:
                directory.fails_in, directory.rejects = -1, False
        for op in midway:
            self.do(op)
        self._conclude(cycle, outcome)
        return outcome

    def _conclude(self, cycle: Cycle, outcome: CycleOutcome) -> None:
        if not cycle.midway and outcome.outcome == "Succeeded":
            # all that is wanted was adopted
            self.doubtful -= self._adoptable()

    def _prepare(self, cycle: Cycle) -> None:
        """Puts the faults in their places."""
        anchors = sorted({*self.tenant.alive(), *self.wanted()})
        tenant = self.tenant
        tenant.calls = 0
        tenant.faults = Faults(
            call=cycle.call,
            how=cycle.how,
            refused=frozenset(anchors[number % len(anchors)] for number in cycle.refused),
            poison=frozenset({anchors[cycle.poison % len(anchors)]} if cycle.poison >= 0 else ()),
            read_back=cycle.read_back,
            restart=cycle.restart,
        )
        for directory in self.directories:
            directory.fails_in = -1
        self.directories[0].fails_in = cycle.directory
        self.directories[-1].rejects = cycle.rejects
        self._may_be_ours(self._adoptable())

    def _run(
        self,
        store: Store,
        cycle: Cycle,
        progress: Callable[[str, int, int | None], None],
        outcome: CycleOutcome,
    ) -> None:
        ticks = iter(range(MANY))
        sources = {directory.domain: directory for directory in self.directories}
        run_cycle(
            replace(self._inputs(), scope=RunScope.FULL if cycle.full else None),
            CycleParts(
                open_source=sources.__getitem__,  # type: ignore[arg-type]  # stands for a session
                client=self.tenant,
                store=store,
                pacer=Pacer(
                    MANY,
                    started=self.now,
                    monotonic=lambda: float(next(ticks)),
                    sleep=lambda _: None,
                ),
                clock=lambda: self.now,
                monotonic=lambda: 0.0,
                progress=progress,
                planned=self._planned,
            ),
            outcome,
        )

    def _planned(self, plan: Plan) -> None:
        self.braked = []
        for change in plan.changes():
            if change.braked is None:
                continue
            anchor = change.message.source_anchor
            if change.action is Action.LINKS:
                self.braked += [
                    (anchor, link.anchor) for link in change.message.links if not link.add
                ]
            else:
                self.braked.append((anchor, None))

    def _inputs(self) -> CycleInputs:
        tight = self.config.tight
        one = Limit(count=1 if tight else MANY, percent=None)
        return CycleInputs(
            run="run",
            tenant_id="tenant",
            tenant_resource="EntraTenant/contoso",
            sync_resource="DirectorySync/contoso",
            mode=SyncMode.APPLY,
            scope=None,
            sources=tuple(self._source(each) for each in self.named),
            remembered=self.remembered,
            selection=SelectionRules(
                kinds={SourceKind.CONTACT: KindRules(enabled=self.rules.contacts)},
                resource="DirectorySync/contoso",
            ),
            anchors=AnchorRules(),
            join_users=JoinBy.NONE,
            flows=FLOWS if self.rules.title is None else FIXED,
            on_removal=dict.fromkeys(
                (SourceKind.USER, SourceKind.GROUP, SourceKind.CONTACT), self.config.on_removal
            ),
            max_group_members=self.rules.most_members,
            version=SyncVersion.V2,
            write_quota_percent=80,
            limits=SafetyLimits(
                users=one,
                groups=one,
                contacts=one,
                disables=one,
                identity_changes=Limit(count=MANY),
                clears=Limit(count=MANY),
                link_removals=Limit(count=2 if tight else MANY, percent=None),
                source_shrink_percent=100,
            ),
            window=A_DAY,
            on_blocked=OnBlocked.HOLD_BRAKED if self.config.holds else OnBlocked.STOP_ALL,
            matching=MatchingRules(),
            orphans=OrphanPolicy.REPORT,
            drift=DriftPolicy.REPAIR,
            approved=() if self.approves is None else (self.approves,),
        )

    def _source(self, directory: ModelDirectory) -> SourceInputs:
        return SourceInputs(
            name=directory.domain,
            resource=f"ActiveDirectory/{directory.domain}",
            where=ScopeSpec(
                include=(f"OU=In,{directory.base_dn}",) if self.config.narrow else (),
                exclude=(f"OU=Out,{directory.base_dn}",) if self.rules.excludes else (),
                source=directory.domain,
                resource="DirectorySync/contoso",
            ),
        )

    def settle(self) -> None:
        """Mends what people must mend, lets through what is braked, until all is quiet."""
        self.rules = replace(Rules(), excludes=self.rules.excludes, title=self.rules.title)
        self.mend()
        for number in range(QUIET_CYCLES):
            self.now += A_DAY + HALF_AN_HOUR
            before = self.tenant.version
            # what comes into sight is no change that a directory tells
            outcome = self.cycle(Cycle(full=self._untold and number == 0))
            assert outcome is not None
            last = outcome
            self.approves = None
            if outcome.blocked_plan is not None:
                self.approves = outcome.blocked_plan.digest
                self.approved |= set(self.braked)
            elif outcome.outcome == "Succeeded" and self.tenant.version == before:
                break
        else:
            raise AssertionError(f"it does not come to rest: {last.message} {last.errors}")


@contextmanager
def _mortal(cycle: Cycle) -> Iterator[None]:
    """Kills the process in the transaction that a cycle names."""
    if cycle.transaction < 0:
        yield
        return
    lives = iter(range(cycle.transaction, -1, -1))
    durable = Database.transaction

    @contextmanager
    def transaction(self: Database) -> Iterator[None]:
        if self.connection.in_transaction:
            yield
            return
        ends = next(lives, -1) == 0
        with durable(self):
            yield
            if ends and not cycle.committed:
                raise Killed
        if ends:
            raise Killed

    with mock.patch.object(Database, "transaction", transaction):
        yield
