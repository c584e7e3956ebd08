"""Drift: noticed, counted until repairs are given up, and forgotten when it is none any more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.engine.drift import drift_counts, not_accepted
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.state.cloud import CloudSpace
from entrasync.state.cloud_reading import ReadBackRules
from entrasync.state.database import Database
from entrasync.state.drift import Drifted, member_key, next_drift
from entrasync.state.rows import encode_properties

KEYS = frozenset({"mail", "title", "proxyAddresses"})
RULES = ReadBackRules(comparable=KEYS, watched=KEYS)


class Tenant:
    """An owned user and an owned group, which somebody else changes."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.execute = database.connection.execute
        self.cloud = CloudSpace(database)
        self.user, self.group, self.member = map(database.anchor_number, ("u", "g", "m"))
        self.export(title="ours", mail="x")
        self.cloud.record_set(self.group, "Group", None, {})

    def export(self, **values: Any) -> None:
        """As the repair of a run."""
        self.cloud.record_set(self.user, "User", None, values)
        self.execute("DELETE FROM pending")

    def told(self, rules: ReadBackRules = RULES, **values: Any) -> None:
        """As the read-back at the beginning of a run."""
        self._read("u", SyncObjectType.USER, rules, {"mail": "x"} | values)

    def told_members(self, *members: str) -> None:
        self._read("g", SyncObjectType.GROUP, RULES, {"Member": members})

    def _read(
        self, anchor: str, kind: SyncObjectType, rules: ReadBackRules, values: dict[str, Any]
    ) -> None:
        told = SyncObject(
            object_type=kind,
            operation=SyncOperation.SET,
            source_anchor=anchor,
            properties=values,
        )
        self.cloud.delta_read_back(rules).take([told])

    def wants(self, **values: Any) -> None:
        """As the evaluation of a run."""
        self.execute(
            "INSERT OR REPLACE INTO pending (anchor, part, action, type, properties, previous)"
            " VALUES (?, 0, 'update', 'User', ?, '{}')",
            (self.user, encode_properties(values)),
        )

    @property
    def drifted(self) -> dict[str, int]:
        return dict(self.cloud.drifted(self.user))

    @property
    def store(self) -> Any:
        return SimpleNamespace(cloud=self.cloud)


@pytest.fixture
def tenant(tmp_path: Path) -> Iterator[Tenant]:
    with closing(Database(tmp_path)) as database:
        yield Tenant(database)


# --- noticed -------------------------------------------------------------------------------


def test_what_was_exported_is_no_drift_when_it_is_told(tenant: Tenant) -> None:
    tenant.told(Title="ours")

    assert tenant.drifted == {}


def test_what_somebody_else_changed_is(tenant: Tenant) -> None:
    tenant.export(proxyAddresses=("a", "b"))
    tenant.told(Title="theirs", Mail=None, proxyAddresses=("b", "a"))

    assert tenant.drifted == {"title": 1}
    assert [row for _, _, row in tenant.cloud.drift.rows()] == [
        Drifted(told='"theirs"', exported='"ours"', times=1)
    ]


def test_what_vanished_and_what_came_drifts_too(tenant: Tenant) -> None:
    tenant.told(proxyAddresses=("a",))

    assert tenant.drifted == {"title": 1, "proxyAddresses": 1}
    rows = {key: (row.told, row.exported) for _, key, row in tenant.cloud.drift.rows()}
    assert rows == {"title": ("null", '"ours"'), "proxyAddresses": ('["a"]', "null")}


def test_what_is_not_ours_does_not_drift(tenant: Tenant) -> None:
    tenant.execute("UPDATE cloud_objects SET owned = 0")
    tenant.told(Title="theirs")
    tenant.told_members("m")

    assert drift_counts(tenant.store).model_dump() == {"objects": 0, "links": 0, "not_accepted": 0}


def test_what_was_not_compared_before_does_not_drift(tenant: Tenant) -> None:
    tenant.told(ReadBackRules(comparable=KEYS, watched=frozenset({"mail"})), Title="theirs")

    assert tenant.drifted == {}


def test_what_an_interrupted_call_wrote_is_no_drift(tenant: Tenant) -> None:
    tenant.told(
        ReadBackRules(comparable=KEYS, watched=KEYS, unsettled=frozenset({"u"})), Title="newer"
    )

    assert tenant.drifted == {}


def test_members_that_somebody_added_or_removed_are_noticed(tenant: Tenant) -> None:
    tenant.cloud.record_links(tenant.group, [tenant.member], [])
    tenant.told_members("m")
    assert tenant.cloud.drifted(tenant.group) == {}

    tenant.told_members("x")

    stranger = tenant.database.anchor_number("x")
    assert tenant.cloud.drifted(tenant.group) == {
        member_key(tenant.member): 1,
        member_key(stranger): 1,
    }
    tenant.told_members("m")
    assert tenant.cloud.drifted(tenant.group) == {}


# --- repaired, or not ----------------------------------------------------------------------


def test_a_repair_that_lasts_ends_it(tenant: Tenant) -> None:
    tenant.told(Title="theirs")
    tenant.export(title="ours")
    tenant.told(Title="ours")

    assert tenant.drifted == {}


def test_the_same_told_again_without_a_repair_counts_once(tenant: Tenant) -> None:
    tenant.told(Title="theirs")
    tenant.told(Title="theirs")
    tenant.told(Title="another")

    assert tenant.drifted == {"title": 1}


def test_two_repairs_that_do_not_last_are_enough(tenant: Tenant) -> None:
    for times in (1, 2, 3):
        assert tenant.cloud.not_accepted() == {}
        tenant.told(Title="theirs")
        assert tenant.drifted == {"title": times}
        if times < 3:
            tenant.export(title="ours")

    assert tenant.cloud.not_accepted() == {(tenant.user, "title"): 3}
    assert drift_counts(tenant.store).model_dump() == {"objects": 1, "links": 0, "not_accepted": 1}
    (told,) = not_accepted(tenant.store)
    assert (told.anchor, told.code) == ("u", "NotAccepted")
    assert told.message.startswith("title: written again twice")
    # it is held back now, and stays so
    tenant.told(Title="theirs")
    tenant.wants(title="ours")
    tenant.cloud.drift.settle()
    assert tenant.drifted == {"title": 3}


def test_two_repairs_of_a_link_that_do_not_last_are_enough(tenant: Tenant) -> None:
    for _ in range(3):
        tenant.cloud.record_links(tenant.group, [tenant.member], [])
        tenant.told_members()

    key = member_key(tenant.member)
    assert tenant.cloud.not_accepted() == {(tenant.group, key): 3}
    assert drift_counts(tenant.store).model_dump() == {"objects": 0, "links": 1, "not_accepted": 1}


# --- forgotten -----------------------------------------------------------------------------


def test_drift_stays_while_the_same_is_wanted_and_until_it_is_read_back(tenant: Tenant) -> None:
    tenant.told(Title="theirs")
    tenant.wants(title="ours")
    assert tenant.cloud.drift.settle() == 0
    tenant.export(title="ours")
    assert tenant.cloud.drift.settle() == 0
    assert tenant.drifted == {"title": 1}


@pytest.mark.parametrize("wanted", ["new", None])
def test_it_goes_when_something_else_is_wanted(tenant: Tenant, wanted: str | None) -> None:
    tenant.told(Title="theirs")
    tenant.wants(title=wanted, mail="y")

    assert tenant.cloud.drift.settle() == 1
    assert tenant.drifted == {}


def test_it_goes_when_what_is_told_is_wanted(tenant: Tenant) -> None:
    tenant.told(Title="theirs")

    assert tenant.cloud.drift.settle() == 1


def test_a_clearing_that_is_wanted_again_keeps_it(tenant: Tenant) -> None:
    tenant.export(title=None)
    tenant.told(Title='th"eirs\n ä')
    tenant.wants(title=None)

    assert tenant.cloud.drift.settle() == 0
    assert tenant.drifted == {"title": 1}


@pytest.mark.parametrize("value", ['qu"ote\\', "line\nbreak", "Zoë", ("a", "ß"), True, 5])
def test_values_of_any_sort_are_told_apart(tenant: Tenant, value: Any) -> None:
    tenant.export(title=value)
    tenant.told(Title="theirs")
    tenant.wants(title=value)
    assert tenant.cloud.drift.settle() == 0
    tenant.wants(title="other")
    assert tenant.cloud.drift.settle() == 1


@pytest.mark.parametrize(("adds", "settled"), [(1, 0), (0, 1), (None, 1)])
def test_drift_of_a_link_goes_by_the_same_rules(
    tenant: Tenant, adds: int | None, settled: int
) -> None:
    tenant.cloud.record_links(tenant.group, [tenant.member], [])
    tenant.told_members()
    if adds is not None:
        tenant.execute(
            "INSERT INTO pending_links VALUES (?, ?, ?)", (tenant.group, tenant.member, adds)
        )

    assert tenant.cloud.drift.settle() == settled


def test_a_repaired_link_waits_for_its_read_back(tenant: Tenant) -> None:
    tenant.cloud.record_links(tenant.group, [tenant.member], [])
    tenant.told_members()
    tenant.cloud.record_links(tenant.group, [tenant.member], [])

    assert tenant.cloud.drift.settle() == 0
    tenant.told_members("m")
    assert tenant.cloud.drifted(tenant.group) == {}


def test_another_value_exported_since_begins_anew(tenant: Tenant) -> None:
    tenant.told(Title="theirs")
    tenant.export(title="new")
    tenant.told(Title="theirs")

    assert [row for _, _, row in tenant.cloud.drift.rows()] == [
        Drifted(told='"theirs"', exported='"new"', times=1)
    ]
    tenant.export(title="newest")
    tenant.told(Title="newest")
    assert tenant.drifted == {}


def test_what_was_deleted_drifts_no_more(tenant: Tenant) -> None:
    tenant.told(Title="theirs")
    deleted = SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.DELETE, source_anchor="u"
    )
    tenant.cloud.delta_read_back(RULES).take([deleted])

    assert list(tenant.cloud.drift.rows()) == []


VALUES = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(VALUES, st.one_of(st.none(), VALUES))))
def test_a_row_is_there_exactly_while_the_tenant_tells_something_else(
    runs: list[tuple[str, str | None]],
) -> None:
    """Each run reads back, and may export."""
    known = exported = "a"
    row: Drifted | None = None
    for told, wanted in runs:
        row = next_drift(row, known, told)
        known = told
        assert (row is None) == (told == exported)
        assert row is None or (row.told, row.exported) == (told, exported)
        if wanted is not None:
            if row is not None and row.exported != wanted:
                row = None  # as `settle` does
            known = exported = wanted
