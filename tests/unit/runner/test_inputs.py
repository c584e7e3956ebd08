from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.choices import (
    AnchorSource,
    DriftPolicy,
    JoinBy,
    OnBlocked,
    OnRemoval,
    OrphanPolicy,
    Takeover,
)
from entrasync.api.directory_sync import DirectorySync, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.snapshot import Snapshot, resolve
from entrasync.api.sync_run import RunMode, RunScope, SyncRun
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.flows import flow_set
from entrasync.engine.inputs import AnchorRules, CycleInputs, MatchingRules, SourceInputs
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncVersion
from entrasync.errors import ConfigurationError
from entrasync.runner.inputs import cycle_inputs, effective_mode, effective_scope

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def snapshot(
    sync: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    source: dict[str, Any] | None = None,
) -> Snapshot:
    resources: list[Any] = [
        *(
            ActiveDirectory.model_validate(
                {
                    "metadata": {"name": name},
                    "spec": {"servers": ["ldaps://dc"], "bindSecretRef": {"name": "reader"}},
                }
            )
            for name in ("ad", "other")
        ),
        EntraTenant.model_validate(
            {
                "metadata": {"name": "tenant"},
                "spec": {
                    "cloudRef": {"name": "azure-commercial"},
                    "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
                    "application": {
                        "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
                        "certificateSecretRef": {"name": "app"},
                    },
                },
            }
        ),
    ]
    if sync is not None:
        spec = {
            "sources": [
                {"name": "contoso", "activeDirectoryRef": {"name": "ad"}, **(source or {})}
            ],
            "target": {"entraTenantRef": {"name": "tenant"}},
            **sync,
        }
        resources.append(
            DirectorySync.model_validate(
                {"metadata": {"name": "sync"}, "spec": spec, "status": status}
            )
        )
    if run is not None:
        spec = {"directorySyncRef": {"name": "sync"}, **run}
        resources.append(SyncRun.model_validate({"metadata": {"name": "run"}, "spec": spec}))
    return resolve(resources, {})


@pytest.mark.parametrize(
    ("sync", "run", "asked", "mode"),
    [
        ({}, None, None, RunMode.APPLY),
        ({"mode": "Preview"}, None, None, RunMode.PREVIEW),
        ({"mode": "Preview"}, {"mode": "Apply"}, None, RunMode.APPLY),
        ({}, {"mode": "Preview"}, "Check", RunMode.CHECK),
        ({}, {}, None, RunMode.APPLY),
        (None, None, None, RunMode.CHECK),
    ],
)
def test_mode(
    sync: dict[str, Any] | None, run: dict[str, Any] | None, asked: str | None, mode: RunMode
) -> None:
    assert effective_mode(snapshot(sync, run), asked) is mode


def test_scope() -> None:
    assert effective_scope(snapshot({}), None) is None
    assert effective_scope(snapshot({}, {"scope": "Full"}), None) is RunScope.FULL
    assert effective_scope(snapshot({}, {"scope": "Full"}), "Delta") is RunScope.DELTA


def inputs(given: Snapshot) -> CycleInputs:
    return cycle_inputs(
        given, run_name="run-1", mode=SyncMode.APPLY, scope=None, max_group_members=7
    )


def test_defaults_are_applied() -> None:
    found = inputs(snapshot({}))

    assert (found.run, found.mode, found.scope) == ("run-1", SyncMode.APPLY, None)
    assert found.tenant_id == "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    assert (found.tenant_resource, found.sync_resource) == (
        "EntraTenant/tenant",
        "DirectorySync/sync",
    )
    assert found.sources == (
        SourceInputs(
            name="contoso",
            resource="ActiveDirectory/ad",
            where=ScopeSpec(
                include=(), exclude=(), source="contoso", resource="DirectorySync/sync"
            ),
        ),
    )
    assert found.remembered == ()
    assert (found.selection.kinds, found.selection.resource) == ({}, "DirectorySync/sync")
    assert found.anchors == AnchorRules(
        source=AnchorSource.CONSISTENCY_GUID, attribute=None, stamp=False
    )
    assert found.join_users is JoinBy.NONE
    assert found.flows.digest == flow_set().digest
    assert found.on_removal == dict.fromkeys(KINDS, OnRemoval.DELETE)
    assert found.max_group_members == 7
    assert (found.version, found.write_quota_percent) == (SyncVersion.V2, 80)
    assert (found.limits, found.window) == (SafetyLimits(), dt.timedelta(hours=24))
    assert found.on_blocked is OnBlocked.STOP_ALL
    assert found.matching == MatchingRules(soft=Takeover.REFUSE, hard=Takeover.REFUSE)
    assert (found.orphans, found.drift) == (OrphanPolicy.REPORT, DriftPolicy.REPAIR)
    assert found.approved == ()


KINDS = (SourceKind.USER, SourceKind.GROUP, SourceKind.CONTACT)


def test_what_a_run_is_asked_for_is_taken() -> None:
    found = cycle_inputs(
        snapshot({}),
        run_name="run-2",
        mode=SyncMode.PREVIEW,
        scope=RunScope.FULL,
        max_group_members=50_000,
        version=SyncVersion.V1,
    )

    assert (found.run, found.mode, found.scope) == ("run-2", SyncMode.PREVIEW, RunScope.FULL)
    assert (found.max_group_members, found.version) == (50_000, SyncVersion.V1)


def test_what_is_written_replaces_single_defaults() -> None:
    found = inputs(
        snapshot(
            {
                "safety": {
                    "window": "1h30m",
                    "users": {"percent": 0},
                    "linkRemovals": {"count": 3},
                    "sourceShrink": {"percent": 0},
                    "onBlocked": "HoldBraked",
                },
                "sourceAnchor": {"from": "ObjectGuid"},
                "join": {"users": "Mail"},
                "matching": {"soft": "Approve"},
                "orphans": "Delete",
                "drift": "Report",
                "approvedPlan": A,
            },
            {"approvedPlan": B},
            {"scopes": [{"dn": "OU=a,DC=x", "guid": "g", "currentDN": "OU=b,DC=x"}]},
            {"include": ["OU=a,DC=x"], "exclude": ["OU=c,OU=a,DC=x"]},
        )
    )

    assert found.limits.users == Limit(count=500, percent=0)
    assert found.limits.link_removals == Limit(count=3, percent=30)
    assert found.limits.groups == SafetyLimits().groups
    assert found.limits.source_shrink_percent == 0
    assert (found.window, found.on_blocked) == (dt.timedelta(minutes=90), OnBlocked.HOLD_BRAKED)
    assert found.anchors == AnchorRules(source=AnchorSource.OBJECT_GUID)
    assert found.join_users is JoinBy.MAIL
    assert found.matching == MatchingRules(soft=Takeover.APPROVE, hard=Takeover.REFUSE)
    assert (found.orphans, found.drift) == (OrphanPolicy.DELETE, DriftPolicy.REPORT)
    assert found.approved == (A, B)
    (source,) = found.sources
    assert source.where.include == ("OU=a,DC=x",)
    assert source.where.exclude == ("OU=c,OU=a,DC=x",)
    assert found.remembered[0].guid == "g"


LIMITS = {
    "users": "users",
    "groups": "groups",
    "contacts": "contacts",
    "disables": "disables",
    "identityChanges": "identity_changes",
    "clears": "clears",
    "linkRemovals": "link_removals",
}


@pytest.mark.parametrize("written", LIMITS)
def test_each_limit_is_a_limit_of_its_own(written: str) -> None:
    limits = inputs(snapshot({"safety": {written: {"count": 1}}})).limits

    changed = {
        name: limit
        for name in LIMITS.values()
        if (limit := getattr(limits, name)) != getattr(SafetyLimits(), name)
    }
    assert {name: limit.count for name, limit in changed.items()} == {LIMITS[written]: 1}


def test_the_order_of_sources_is_their_precedence() -> None:
    sources = [
        {"name": "second", "activeDirectoryRef": {"name": "other"}, "include": ["OU=s,DC=x"]},
        {"name": "first", "activeDirectoryRef": {"name": "ad"}},
    ]

    found = inputs(snapshot({"sources": sources})).sources

    assert [(each.name, each.resource, each.where.source) for each in found] == [
        ("second", "ActiveDirectory/other", "second"),
        ("first", "ActiveDirectory/ad", "first"),
    ]
    assert [each.where.include for each in found] == [("OU=s,DC=x",), ()]


@pytest.mark.parametrize(
    ("written", "anchors"),
    [
        ({}, AnchorRules()),
        ({"stamp": True}, AnchorRules(stamp=True)),
        ({"from": "ConsistencyGuid", "stamp": True}, AnchorRules(stamp=True)),
        (
            {"from": "Attribute", "attribute": "employeeID"},
            AnchorRules(source=AnchorSource.ATTRIBUTE, attribute="employeeID"),
        ),
    ],
)
def test_where_anchors_come_from(written: dict[str, Any], anchors: AnchorRules) -> None:
    assert inputs(snapshot({"sourceAnchor": written})).anchors == anchors


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ({"from": "Attribute"}, "attribute"),
        ({"attribute": "employeeID"}, "attribute"),
        ({"from": "ObjectGuid", "stamp": True}, "stamp"),
        ({"from": "Attribute", "attribute": "employeeID", "stamp": True}, "stamp"),
    ],
)
def test_anchors_that_admission_would_refuse_are_refused(
    written: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        inputs(snapshot({"sourceAnchor": written}))

    assert caught.value.reason == "AnchorMismatch"
    assert (caught.value.resource, caught.value.field) == (
        "DirectorySync/sync",
        f"spec.sourceAnchor.{field}",
    )


def test_without_a_sync_there_is_nothing_to_run() -> None:
    with pytest.raises(ConfigurationError) as caught:
        inputs(snapshot(None))

    assert caught.value.reason == "ReferenceNotFound"


def test_objects_are_resolved_kind_by_kind() -> None:
    found = inputs(
        snapshot(
            {
                "objects": {
                    "users": {
                        "where": {
                            "anyOf": [{"allOf": [{"attribute": "title", "operator": "IsNotNull"}]}]
                        },
                        "memberOf": {"group": "CN=Pilot,DC=x"},
                        "onRemoval": "Disable",
                    },
                    "contacts": {"synchronize": "Disabled", "onRemoval": "Keep"},
                }
            }
        )
    )

    kinds = found.selection.kinds
    assert set(kinds) == {SourceKind.USER, SourceKind.CONTACT}
    assert (kinds[SourceKind.USER].enabled, kinds[SourceKind.CONTACT].enabled) == (True, False)
    assert kinds[SourceKind.USER].where is not None
    assert (kinds[SourceKind.USER].group, kinds[SourceKind.USER].nested) == ("CN=Pilot,DC=x", False)
    assert found.selection.groups == {"CN=Pilot,DC=x": "spec.objects.users.memberOf.group"}
    assert found.selection.resource == found.sources[0].where.resource
    assert found.on_removal == {
        SourceKind.USER: OnRemoval.DISABLE,
        SourceKind.GROUP: OnRemoval.DELETE,
        SourceKind.CONTACT: OnRemoval.KEEP,
    }


def test_flows_of_a_kind_change_those_of_that_kind() -> None:
    flows = [
        {"target": "department", "source": "division", "apply": "OnCreate"},
        {"target": "usageLocation", "constant": "DE"},
        {"target": "mobile", "omit": True},
    ]

    found = inputs(snapshot({"objects": {"users": {"flows": flows}}})).flows

    assert "division" in found.attributes
    assert "mobile" not in found.targets_of(SourceKind.USER)
    assert found.targets_of(SourceKind.CONTACT) == flow_set().targets_of(SourceKind.CONTACT)
    assert found.digest != flow_set().digest


@pytest.mark.parametrize(("written", "expected"), [(None, 7), (5, 5), (7, 7), (250_000, 7)])
def test_the_limit_of_members_is_lowered_and_never_raised(
    written: int | None, expected: int
) -> None:
    groups = {} if written is None else {"maxMembers": written}

    assert inputs(snapshot({"objects": {"groups": groups}})).max_group_members == expected


def test_more_groups_than_can_be_followed_are_refused() -> None:
    clauses = [{"operator": "IsMemberOf", "value": f"CN=g{n},DC=x"} for n in range(129)]
    groups = [{"allOf": clauses[start : start + 16]} for start in range(0, len(clauses), 16)]

    with pytest.raises(ConfigurationError) as caught:
        inputs(snapshot({"objects": {"users": {"where": {"anyOf": groups}}}}))

    assert (caught.value.reason, caught.value.field) == ("ExpressionInvalid", "spec.objects")
