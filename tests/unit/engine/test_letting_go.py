"""Who lets go of a name for a moment gets one back, whatever happens in between."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.engine.changes import Phase, PlannedChange
from entrasync.engine.exporting import Export, ExportTally
from entrasync.engine.letting_go import META_TEMPORARY, RESTS
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType
from entrasync.errors import TransientError
from entrasync.state.store import Store
from tests.support.planned import Approved, Planned, deleted, held, hold, plan, updated
from tests.support.traffic import traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
UPN = "userPrincipalName"
BEFORE = {"a": "one@x", "b": "two@x"}
SWAPPED = {"a": "two@x", "b": "one@x"}
TEMPORARY = "temporary@x"


class Tenant:
    """Holds user principal names, each once."""

    def __init__(self, store: Store) -> None:
        self.names = dict(BEFORE)
        self.sent: list[tuple[str, object]] = []
        self.refuses: set[tuple[str, str]] = set()
        self.breaks_at: int | None = None
        self._store = store
        self.read_back()

    def read_back(self) -> None:
        """What a run does that finds an interrupted one."""
        for anchor, name in self.names.items():
            hold(self._store, anchor, **{UPN: name})
        self._store.checkpoints.forget_intent()

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        results = [self._apply(each) for each in objects]
        if len(self.sent) == self.breaks_at:
            raise TransientError("ServerUnreachable", "the answer was lost")
        return results

    def _apply(self, each: SyncObject) -> ObjectResult:
        anchor, name = each.source_anchor, each.properties.get(UPN)
        self.sent.append((anchor, name))
        others = {other for one, other in self.names.items() if one != anchor}
        if name in others or (anchor, name) in self.refuses:
            code = "AttributeValueMustBeUnique"
            return ObjectResult(source_anchor=anchor, success=False, code=code)
        if name is None:
            del self.names[anchor]
        else:
            self.names[anchor] = str(name)
        return ObjectResult(source_anchor=anchor, success=True)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        yield found


@pytest.fixture
def tenant(store: Store) -> Tenant:
    return Tenant(store)


def renamed(tenant: Tenant, anchor: str, name: str, step: int | None) -> PlannedChange:
    change = updated(anchor, userPrincipalName=name)
    phase = Phase.USERS if step is None else Phase.RELEASES
    return replace(change, phase=phase, step=step or 0, previous={UPN: tenant.names[anchor]})


def swap(tenant: Tenant) -> list[PlannedChange]:
    """As it is planned: nobody takes a name before its holder has let go of it."""
    let_go = replace(renamed(tenant, "a", TEMPORARY, 0), temporary=True)
    return [let_go, renamed(tenant, "b", SWAPPED["b"], 1), renamed(tenant, "a", SWAPPED["a"], 2)]


def the_rest(tenant: Tenant) -> list[PlannedChange]:
    """What is planned when `a` has a temporary name already."""
    return [renamed(tenant, "b", SWAPPED["b"], 0), renamed(tenant, "a", SWAPPED["a"], None)]


def send(
    store: Store,
    tenant: Tenant,
    changes: Sequence[PlannedChange] | Planned,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    now: dt.datetime = NOW,
) -> ExportTally:
    planned = changes if isinstance(changes, Planned) else plan(store, changes)
    return export(store, tenant, cancelled=cancelled, now=now).send(planned, lambda *_: None)


def export(
    store: Store,
    tenant: Tenant,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    now: dt.datetime = NOW,
) -> Export:
    flow = traffic(cancelled=cancelled)
    return Export(tenant, store, Approved(set()), now=lambda: now, traffic=flow)


def interrupted(store: Store, tenant: Tenant, after: int = 1) -> None:
    """A run that is gone after so many requests, and what the next one reads."""
    tenant.breaks_at = after
    with pytest.raises(TransientError):
        send(store, tenant, swap(tenant))
    tenant.breaks_at = None
    tenant.read_back()
    tenant.sent.clear()


def known(store: Store) -> dict[str, object]:
    return {anchor: each.properties[UPN] for anchor, each in held(store).items()}


def test_two_swap_their_names_and_count_once_each(store: Store, tenant: Tenant) -> None:
    tally = send(store, tenant, swap(tenant))

    assert tenant.names == known(store) == SWAPPED
    assert (tally.error_count, sum(tally.objects.values()), tally.successful) == (0, 2, 3)
    assert store.checkpoints.spent_since(NOW) == {"identity-changes": 2}
    assert store.get(META_TEMPORARY) is None


def test_it_is_noted_before_it_is_sent(store: Store, tenant: Tenant) -> None:
    tenant.breaks_at = 1
    with pytest.raises(TransientError):
        send(store, tenant, swap(tenant))

    assert '"a"' in (store.get(META_TEMPORARY) or "")


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_swap_that_was_interrupted_is_finished(store: Store, tenant: Tenant, after: int) -> None:
    interrupted(store, tenant, after)

    changes = [each for each in the_rest(tenant) if each.message.properties != each.previous]
    tally = send(store, tenant, changes)

    assert (tally.error_count, tally.warning_count) == (0, 0)
    assert tenant.names == known(store) == SWAPPED
    assert store.get(META_TEMPORARY) is None


def test_who_was_left_with_a_temporary_name_gets_the_old_one_back_when_no_change_is_to_follow(
    store: Store, tenant: Tenant
) -> None:
    interrupted(store, tenant)

    send(store, tenant, [updated("b", title="t")])

    assert tenant.sent[0] == ("a", "one@x")
    assert known(store)["a"] == "one@x"
    assert store.get(META_TEMPORARY) is None


def test_who_was_left_gets_the_old_name_back_when_the_own_change_is_held(
    store: Store, tenant: Tenant
) -> None:
    interrupted(store, tenant)
    planned = plan(store, the_rest(tenant))
    store.database.connection.execute("UPDATE plan SET held = 'Braked'")

    send(store, tenant, Planned(()))

    assert planned.changes
    assert tenant.names == known(store) == BEFORE


def test_a_run_that_may_send_nothing_gives_back_all_the_same(store: Store, tenant: Tenant) -> None:
    interrupted(store, tenant)
    plan(store, the_rest(tenant))

    tally = export(store, tenant).restore()

    assert tenant.names == known(store) == BEFORE
    assert (tally.requests, tally.objects, tally.warning_count) == (1, {}, 0)
    assert store.get(META_TEMPORARY) is None


def test_who_was_left_and_cannot_have_the_new_name_gets_the_old_one(
    store: Store, tenant: Tenant
) -> None:
    interrupted(store, tenant)
    tenant.refuses = {("b", SWAPPED["b"])}

    tally = send(store, tenant, the_rest(tenant))

    assert tenant.names == known(store) == BEFORE
    assert tally.error_count == 2
    assert store.get(META_TEMPORARY) is None


def test_whose_old_name_is_gone_is_told_and_tried_by_every_run(
    store: Store, tenant: Tenant
) -> None:
    interrupted(store, tenant, 2)
    tenant.refuses = {("a", SWAPPED["a"])}

    for _ in range(2):
        tally = send(store, tenant, [renamed(tenant, "a", SWAPPED["a"], None)])

        assert [(told.anchor, told.code) for told in tally.warnings] == [("a", "LeftWithoutValue")]
        assert tenant.names["a"] == TEMPORARY
        assert store.get(META_TEMPORARY) is not None
    tenant.refuses = set()
    assert send(store, tenant, [renamed(tenant, "a", SWAPPED["a"], None)]).warning_count == 0
    assert tenant.names == SWAPPED
    assert store.get(META_TEMPORARY) is None


def test_whose_old_name_is_gone_and_who_is_to_change_no_more_is_asked_once_a_run(
    store: Store, tenant: Tenant
) -> None:
    interrupted(store, tenant, 2)
    tenant.refuses = {("a", BEFORE["a"])}
    tenant.sent.clear()

    tally = send(store, tenant, [])

    assert tenant.sent == [("a", BEFORE["a"])]
    assert [(told.anchor, told.code) for told in tally.warnings] == [("a", "LeftWithoutValue")]


def test_a_call_that_never_arrived_leaves_nobody_behind(store: Store, tenant: Tenant) -> None:
    interrupted(store, tenant)
    tenant.names = dict(BEFORE)
    tenant.read_back()

    send(store, tenant, [])

    assert tenant.sent == []
    assert store.get(META_TEMPORARY) is None


def test_who_is_deleted_needs_no_name(store: Store, tenant: Tenant) -> None:
    interrupted(store, tenant)

    send(store, tenant, [deleted("a")])

    assert tenant.sent == [("a", None)]
    assert store.get(META_TEMPORARY) is None


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_nobody_is_left_with_a_temporary_name_by_a_cancelled_run(
    store: Store, tenant: Tenant, after: int
) -> None:
    tally = send(store, tenant, swap(tenant), cancelled=lambda: len(tenant.sent) >= after)

    assert tenant.names == known(store) == (SWAPPED if after else BEFORE)
    assert tally.cancelled is (after == 0)


def test_a_run_can_be_cancelled_again_once_the_old_name_was_given_back(
    store: Store, tenant: Tenant
) -> None:
    tenant.refuses = {("b", SWAPPED["b"])}
    hold(store, "c")
    changes = [*swap(tenant), updated("c", SyncObjectType.CONTACT, title="t")]

    tally = send(store, tenant, changes, cancelled=lambda: len(tenant.sent) >= 1)

    assert tenant.names == BEFORE
    assert tally.cancelled
    assert len(tenant.sent) == 4  # let go, twice refused, given back


def test_who_cannot_have_the_new_name_gets_the_old_one_back(store: Store, tenant: Tenant) -> None:
    tenant.refuses = {("b", SWAPPED["b"])}

    tally = send(store, tenant, swap(tenant))

    assert tenant.names == known(store) == BEFORE
    assert {error.anchor for error in tally.errors} == {"a", "b"}
    assert tally.failed[SyncObjectType.USER] == tally.error_count == 2
    assert not tally.objects


def test_a_swap_that_was_refused_is_not_begun_again_every_half_hour(
    store: Store, tenant: Tenant
) -> None:
    tenant.refuses = {("b", SWAPPED["b"])}
    send(store, tenant, swap(tenant))
    tenant.sent.clear()

    send(store, tenant, swap(tenant), now=NOW + dt.timedelta(minutes=30))

    assert ("a", TEMPORARY) not in tenant.sent

    tenant.refuses = set()
    later = send(store, tenant, swap(tenant), now=NOW + RESTS)
    assert later.error_count == 0
    assert tenant.names == SWAPPED


def test_a_swap_that_was_refused_is_tried_at_once_when_another_value_is_wanted(
    store: Store, tenant: Tenant
) -> None:
    tenant.refuses = {("b", SWAPPED["b"])}
    send(store, tenant, swap(tenant))
    changes = swap(tenant)
    changes[1] = renamed(tenant, "b", "three@x", 1)

    assert send(store, tenant, changes).error_count == 0
    assert tenant.names == {"a": "two@x", "b": "three@x"}


def test_a_name_that_is_gone_meanwhile_is_not_fought_for(store: Store, tenant: Tenant) -> None:
    tenant.refuses = {("a", SWAPPED["a"])}

    tally = send(store, tenant, swap(tenant))

    assert tenant.names == known(store) == {"a": TEMPORARY, "b": SWAPPED["b"]}
    assert [error.anchor for error in tally.errors] == ["a"]
    assert [(told.anchor, told.code) for told in tally.warnings] == [("a", "LeftWithoutValue")]

    tenant.refuses = set()
    assert send(store, tenant, [renamed(tenant, "a", SWAPPED["a"], None)]).error_count == 0
    assert tenant.names == SWAPPED


def test_who_does_not_let_go_is_not_noted(store: Store, tenant: Tenant) -> None:
    tenant.refuses = {("a", TEMPORARY)}

    send(store, tenant, swap(tenant))

    assert tenant.names == BEFORE
    assert store.get(META_TEMPORARY) is None
