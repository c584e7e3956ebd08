"""Swapped names on their way: what is recorded, what a refusal and an interruption leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from entrasync.engine.approvals import Approvals
from entrasync.engine.cloud_space import load_cloud, take_read_back
from entrasync.engine.evaluate import DesiredObject, Evaluation
from entrasync.engine.exporting import Export, ExportTally, spent_since
from entrasync.engine.plan import Plan, count_changes, plan_changes
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType, SyncOperation
from entrasync.errors import TransientError
from entrasync.state.store import Store
from tests.support.traffic import traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
UPN = "userPrincipalName"
BEFORE = {"a": "one@x", "b": "two@x"}
SWAPPED = {"a": "two@x", "b": "one@x"}


class Tenant:
    """Holds user principal names, each once.

    Args:
        store: the state, to be told what the tenant holds.
    """

    def __init__(self, store: Store) -> None:
        self.names = dict(BEFORE)
        self.refuses: set[tuple[str, str]] = set()
        self.breaks_at: int | None = None
        self.requests = 0
        self._store = store
        self.read_back()

    def read_back(self) -> None:
        """What a run does that finds an interrupted one."""
        take_read_back(
            self._store,
            [
                SyncObject(
                    object_type=SyncObjectType.USER,
                    operation=SyncOperation.SET,
                    source_anchor=anchor,
                    properties={UPN: name},
                )
                for anchor, name in self.names.items()
            ],
        )

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.requests += 1
        results = [self._apply(each) for each in objects]
        if self.requests == self.breaks_at:
            raise TransientError("ServerUnreachable", "the answer was lost")
        return results

    def _apply(self, each: SyncObject) -> ObjectResult:
        anchor, name = each.source_anchor, str(each.properties[UPN])
        taken = name in {held for other, held in self.names.items() if other != anchor}
        if taken or (anchor, name) in self.refuses:
            code = "AttributeValueMustBeUnique"
            return ObjectResult(source_anchor=anchor, success=False, code=code)
        self.names[anchor] = name
        return ObjectResult(source_anchor=anchor, success=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        yield found


def plan(store: Store) -> Plan:
    desired = {
        anchor: DesiredObject(
            guid=f"g-{anchor}",
            object_type=SyncObjectType.USER,
            anchor=anchor,
            properties={UPN: name},
        )
        for anchor, name in SWAPPED.items()
    }
    evaluation = Evaluation(desired=desired, withheld=(), excluded={}, in_scope=2)
    return plan_changes(evaluation, load_cloud(store), {})


def send(store: Store, tenant: Tenant) -> ExportTally:
    approvals = Approvals(store, NOW, dt.timedelta(hours=24))
    export = Export(tenant, store, approvals, now=lambda: NOW, traffic=traffic())
    return export.send(plan(store).changes, lambda *_: None)


def known(store: Store) -> dict[str, object]:
    return {anchor: each.properties[UPN] for anchor, each in load_cloud(store).items()}


def test_two_swap_their_names_and_count_once_each(store: Store) -> None:
    tenant = Tenant(store)

    tally = send(store, tenant)

    assert tenant.names == known(store) == SWAPPED
    assert tally.error_count == 0
    assert sum(count_changes(tally.done).objects.values()) == 2
    assert spent_since(store, NOW).identity_changes == 2


@pytest.mark.parametrize("breaks_at", [1, 2, 3])
def test_a_swap_that_was_interrupted_is_ended_by_the_next_run(store: Store, breaks_at: int) -> None:
    tenant = Tenant(store)
    tenant.breaks_at = breaks_at
    with pytest.raises(TransientError):
        send(store, tenant)
    assert store.pending()

    tenant.read_back()
    tally = send(store, tenant)

    assert tally.error_count == 0
    assert tenant.names == known(store) == SWAPPED


def test_who_cannot_have_the_new_name_gets_the_old_one_back(store: Store) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("b", SWAPPED["b"])}

    tally = send(store, tenant)

    assert tenant.names == known(store) == BEFORE
    assert {error.anchor for error in tally.errors} == {"a", "b"}
    assert tally.failed[SyncObjectType.USER] == tally.error_count == 2
    assert not sum(count_changes(tally.done).objects.values())


def test_a_name_that_is_gone_meanwhile_is_not_fought_for(store: Store) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("a", SWAPPED["a"])}

    tally = send(store, tenant)

    assert tenant.names["b"] == SWAPPED["b"]
    assert tenant.names == known(store)
    assert tenant.names["a"] not in {*BEFORE.values()}
    assert [error.anchor for error in tally.errors] == ["a"]

    tenant.refuses = set()
    assert send(store, tenant).error_count == 0
    assert tenant.names == SWAPPED
