from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.directory_sync import AnchorSource, DirectorySync, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.snapshot import Snapshot, resolve
from entrasync.api.sync_run import RunMode, RunScope, SyncRun
from entrasync.engine.brakes import Limit, SafetyLimits
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
        ActiveDirectory.model_validate(
            {
                "metadata": {"name": "ad"},
                "spec": {"servers": ["ldaps://dc"], "bindSecretRef": {"name": "reader"}},
            }
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


def inputs(given: Snapshot) -> Any:
    return cycle_inputs(given, mode=SyncMode.APPLY, scope=None, max_group_members=7)


def test_defaults_are_applied() -> None:
    found = inputs(snapshot({}))

    assert found.limits == SafetyLimits()
    assert found.window == dt.timedelta(hours=24)
    assert found.anchor_source is AnchorSource.CONSISTENCY_GUID
    assert found.approved == ()
    assert (found.version, found.write_quota_percent) == (SyncVersion.V2, 80)
    assert (found.where.include, found.where.exclude) == ((), ())
    assert (found.tenant_resource, found.directory_resource) == (
        "EntraTenant/tenant",
        "ActiveDirectory/ad",
    )


def test_what_is_written_replaces_single_defaults() -> None:
    found = inputs(
        snapshot(
            {
                "safety": {
                    "window": "1h30m",
                    "users": {"percent": 0},
                    "linkRemovals": {"count": 3},
                    "sourceShrink": {"percent": 0},
                },
                "sourceAnchor": {"from": "ObjectGuid"},
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
    assert found.window == dt.timedelta(minutes=90)
    assert found.anchor_source is AnchorSource.OBJECT_GUID
    assert found.approved == (A, B)
    assert found.where.include == ("OU=a,DC=x",)
    assert found.where.exclude == ("OU=c,OU=a,DC=x",)
    assert found.remembered[0].guid == "g"


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
                    },
                    "contacts": {"synchronize": "Disabled"},
                }
            }
        )
    )

    kinds = found.selection.kinds
    assert set(kinds) == {SourceKind.USER, SourceKind.CONTACT}
    assert (kinds[SourceKind.USER].enabled, kinds[SourceKind.CONTACT].enabled) == (True, False)
    assert (kinds[SourceKind.USER].group, kinds[SourceKind.USER].nested) == ("CN=Pilot,DC=x", False)
    assert found.where.groups == {"CN=Pilot,DC=x": "spec.objects.users.memberOf.group"}
    assert found.selection.resource == found.where.resource


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
